"""What the contexts are: Seal's workbook, or a table."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.seal.original.annotation import COLUMNS, describe_contexts, read_context_annotation

SHEETS = {
    "cell_state_early_fetal": [
        ["This sheet tells of the cells."],
        [],
        ["Cell_state_id", "cluster_id", "cell_type", "n_cells", "subdivision", "mean_stage", None],
        ["Early.Neuron.7", 7, "Neuron", 361, "Medulla", "Early", None],
        ["Late.Glia.9", 9, "Glia", 12, None, "Late", None],
    ],
    "cell_state_mid_fetal_to_adult": [
        ["Cell_state_id", "cell_state_name", "cell_type", "n_cells", "mode_stage_(6_stages)", "mode_proportion",
         "mode_stage_(4_stages)"],
        ["Adult.Astro.Astro_X", "Astro_X", "Astro", 7289, "Adult", 0.25, "Adole/Adult"],
    ],
    "brain_region_state": [
        ["Brain_region_state_id: what the id is"],
        ["Brain_region_state_id", "Stage", "Brain_region_abbreviation", "Brain_region_name"],
        ["early_fetal.A1C", "early_fetal", "A1C", "Primary auditory (A1) cortex"],
    ],
    "notes": [["nothing of this kind"]],
}  # fmt: skip


def workbook(path: Path, sheets: dict[str, list[list[object]]] = SHEETS) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_all_sheets_become_one_table(tmp_path: Path) -> None:
    frame = read_context_annotation(workbook(tmp_path / "states.xlsx"))
    assert list(frame.columns) == list(COLUMNS)
    assert frame.fillna(-1).to_numpy().tolist() == [
        ["Early.Neuron.7", "Neuron 7", "Early", "Neuron", "Medulla", 361, "", -1, "cell_state_early_fetal"],
        ["Late.Glia.9", "Glia 9", "Late", "Glia", "", 12, "", -1, "cell_state_early_fetal"],
        ["Adult.Astro.Astro_X", "Astro_X", "Adult", "Astro", "", 7289, "Adole/Adult", 0.25,
         "cell_state_mid_fetal_to_adult"],
        ["early_fetal.A1C", "Primary auditory (A1) cortex", "early_fetal", "", "A1C", -1, "", -1,
         "brain_region_state"],
    ]  # fmt: skip


def test_one_sheet(tmp_path: Path) -> None:
    path = workbook(tmp_path / "states.xlsx")
    assert read_context_annotation(path, "brain_region_state").context.tolist() == ["early_fetal.A1C"]
    with pytest.raises(CisweaveError, match="there is no sheet 'cortex'; the sheets are cell_state_early_fetal,"):
        read_context_annotation(path, "cortex")


def test_a_table_keeps_its_columns_as_text(tmp_path: Path) -> None:
    path = tmp_path / "states.tsv"
    path.write_text("age\tcontext\tname\n12\tNA\t\n\tfetal.A\tAuditory\n")
    frame = read_context_annotation(path)
    assert frame.columns.tolist() == ["context", "name", "stage", "age"]
    assert frame.to_numpy().tolist() == [["NA", "NA", "", "12"], ["fetal.A", "Auditory", "", ""]]


def test_contexts_of_a_model_in_its_order(tmp_path: Path) -> None:
    annotation = read_context_annotation(workbook(tmp_path / "states.xlsx"))
    joined = describe_contexts(["early_fetal.A1C", "own", "Early.Neuron.7"], annotation)
    assert joined.context.tolist() == ["early_fetal.A1C", "own", "Early.Neuron.7"]
    assert joined.name.tolist() == ["Primary auditory (A1) cortex", "own", "Neuron 7"]
    assert joined.stage.tolist() == ["early_fetal", "", "Early"]
    assert describe_contexts(["a"], None).to_numpy().tolist() == [["a", "a", ""]]


def test_what_is_no_annotation_is_refused(tmp_path: Path) -> None:
    twice = {"brain_region_state": [*SHEETS["brain_region_state"], SHEETS["brain_region_state"][-1]]}
    nameless = {"s": [["Cell_state_id", "cell_type"], ["a", "x"], [None, "y"]]}
    cases = {
        "context 'early_fetal.A1C' is listed twice": workbook(tmp_path / "twice.xlsx", twice),
        "no sheet has a header": workbook(tmp_path / "notes.xlsx", {"notes": SHEETS["notes"]}),
        "sheet s: the id of a state is empty": workbook(tmp_path / "nameless.xlsx", nameless),
        "is not a workbook": tmp_path / "cut.xlsx",
        "column.s. context missing": tmp_path / "other.tsv",
        "lists no context": tmp_path / "empty.tsv",
        "this workbook is too large": tmp_path / "bomb.xlsx",
    }
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "twice.xlsx").read_bytes()[:2000])
    (tmp_path / "other.tsv").write_text("state\tname\na\tb\n")
    (tmp_path / "empty.tsv").write_text("context\tname\n")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (101 << 20))
    for message, path in cases.items():
        with pytest.raises(CisweaveError, match=message):
            read_context_annotation(path)


def test_an_archive_without_a_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CisweaveError, match="this is not a workbook"):
        read_context_annotation(tmp_path / "a.xlsx")


def test_a_sheet_of_a_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "states.tsv").write_text("context\na\n")
    with pytest.raises(CisweaveError, match="no workbook"):
        read_context_annotation(tmp_path / "states.tsv", "x")
