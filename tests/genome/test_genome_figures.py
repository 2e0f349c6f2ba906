"""What became of the alleles: right numbers, legible figures, the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.core.errors import CisweaveError
from cisweave.genome import summary
from cisweave.genome.figures import FIGURES, TABLES, draw_genome_figures, few_contigs, flow_paths, rejects_figure
from cisweave.genome.reasons import EXPLANATIONS, Reason
from cisweave.genome.summary import allele_class, distance_table, length_table, round_width, summarize
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS, frame_of
from cisweave.tables.ledger import KEY, ledger_rows, write_ledger
from cisweave.tables.receipts import write_receipt
from tests.workflow.snake import ROOT

ALLELES = [
    # chrom, pos, ref, alt, match, swapped, strand, gene, its strand, TSS
    ("chr1", 100, "A", "C", True, False, "+", "G1", "+", 90),
    ("chr1", 200, "AC", "GT", True, True, "-", "G1", "-", 90),
    ("chr2", 300, "A", "ACCCCCC", True, False, "+", "G2", "-", 400),
    ("chr2", 310, "AGG", "A", False, False, "-", "G2", "+", 400),
    ("chr10", 320, "ACG", "TT", None, False, "+", "G3", "+", 320),
]
GONE = {"normalize": {"duplicate": 2, "symbolic_allele": 1}, "liftover": {"lift_split": 1}, "closest_tss": {}}


def variants(rows: list[tuple[Any, ...]], first: int = 1) -> pd.DataFrame:
    """An assigned variant table."""
    table = []
    for record, (chrom, pos, ref, alt, match, swapped, strand, gene, gene_strand, tss) in enumerate(rows, start=first):
        source = (record, 1, record, ".", chrom, pos, ref, alt)
        table.append((*source, chrom, pos, ref, alt, match, swapped, strand, gene, gene_strand, tss, pos - tss))
    return frame_of(table, VARIANT_COLUMNS | GENE_COLUMNS)


class Run:
    """The files of a run: steps with their receipts, a ledger per context set."""

    def __init__(self, folder: Path, table: pd.DataFrame, gone: Mapping[str, Mapping[str, int]] = GONE):
        self.folder, self.table = folder, table
        self.steps: dict[str, str | Path] = {}
        self.rows = []
        kept = table[KEY].drop_duplicates().shape[0]
        left, record = kept + sum(sum(codes.values()) for codes in gone.values()), 1000
        for step, codes in gone.items():
            path = folder / f"{step}.parquet"
            rejected = sum(codes.values())
            counts = {"in": left, "kept": left - rejected, "rejected": rejected, "reasons": dict(codes)}
            left -= rejected
            write_receipt(path, notes={"alleles": counts})
            for code, number in codes.items():
                self.rows.append(self.rejected(record, number, step, code))
                record += number
            self.steps[step] = path
        table.to_parquet(path)

    def rejected(self, record: int, number: int, step: str, code: str) -> pd.DataFrame:
        """Ledger rows."""
        return ledger_rows(variants([ALLELES[0]] * number, record), step, code)

    def ledger(self, name: str, later: pd.DataFrame | None = None) -> Path:
        """Write the ledger of a context set."""
        path = self.folder / name / "ledger.tsv"
        write_ledger([*self.rows, *([] if later is None else [later])], path)
        return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, variants(ALLELES))


def test_alleles_are_followed_through_the_steps(run: Run) -> None:
    tables = summarize(run.steps, [run.ledger("tissue"), run.ledger("cell")])
    assert tables.flow.to_numpy().tolist() == [
        ["tissue,cell", "normalize", 9, 6, 3],
        ["tissue,cell", "liftover", 6, 5, 1],
        ["tissue,cell", "closest_tss", 5, 5, 0],
        ["tissue,cell", "seal_predict", 5, 5, 0],
    ]
    rejects = tables.rejects
    assert rejects[["step", "code", "alleles"]].to_numpy().tolist() == [
        ["normalize", "duplicate", 2],
        ["normalize", "symbolic_allele", 1],
        ["liftover", "lift_split", 1],
    ]
    assert rejects.meaning[2] == EXPLANATIONS[Reason.LIFT_SPLIT]


def test_sets_in_which_other_alleles_were_scored_stand_apart(run: Run) -> None:
    later = ledger_rows(run.table.iloc[:2], "seal_predict", "no_tss_profile")
    ledgers = [run.ledger("tissue", later), run.ledger("cell"), run.ledger("organ", later)]
    tables = summarize(run.steps, ledgers)
    assert tables.flow.iloc[3:].to_numpy().tolist() == [
        ["tissue,organ", "seal_predict", 5, 3, 2],
        ["cell", "seal_predict", 5, 5, 0],
    ]
    assert tables.rejects.iloc[-1].tolist()[:4] == ["tissue,organ", "seal_predict", "no_tss_profile", 2]
    paths = flow_paths(tables.flow)
    assert list(paths) == ["tissue,organ", "cell"]
    assert paths["cell"]["kept"].tolist() == [6, 5, 5, 5]
    draw_genome_figures(run.steps, ledgers, run.folder / "out")


def test_the_only_reject_names_its_context_set(tmp_path: Path) -> None:
    run = Run(tmp_path, variants(ALLELES), {"closest_tss": {}})
    later = ledger_rows(run.table.iloc[:2], "seal_predict", "no_tss_profile")
    tables = summarize(run.steps, [run.ledger("tissue", later), run.ledger("cell")])
    named = rejects_figure(tables.rejects, "tissue,cell")
    assert named.png != rejects_figure(tables.rejects, "tissue").png


def test_files_of_different_runs_are_refused(run: Run) -> None:
    path = run.ledger("tissue")
    receipt = Path(f"{run.steps['liftover']}.receipt.json")
    text = receipt.read_text()
    receipt.write_text(text.replace('"in": 6', '"in": 7'))
    with pytest.raises(CisweaveError, match="normalize kept 6 alleles but liftover took 7"):
        summarize(run.steps, [path])
    receipt.write_text(text)
    run.rows.pop()
    with pytest.raises(CisweaveError, match="liftover rejected 1 alleles but the ledger of tissue lists 0"):
        summarize(run.steps, [run.ledger("tissue")])
    receipt.write_text('{"identity": {}}')
    with pytest.raises(CisweaveError, match="this receipt does not count alleles"):
        summarize(run.steps, [path])
    receipt.unlink()
    with pytest.raises(CisweaveError, match=r"liftover\.parquet\.receipt\.json: this file does not exist"):
        summarize(run.steps, [path])


def test_counts_of_the_alleles(run: Run) -> None:
    tables = summarize(run.steps, [run.ledger("tissue")])
    assert tables.classes["class"].tolist() == ["SNV", "MNV", "insertion", "deletion", "complex"]
    assert tables.classes.alleles.tolist() == [1] * 5
    assert tables.classes.swapped.tolist() == [0, 1, 0, 0, 0]
    assert tables.classes.reverse_complemented.tolist() == [0, 1, 0, 1, 0]
    assert tables.contigs.contig.tolist() == ["chr1", "chr2", "chr10"]
    assert tables.contigs[["alleles", "insertion", "swapped"]].to_numpy().tolist() == [[2, 0, 1], [2, 1, 0], [1, 0, 0]]
    assert dict(zip(tables.summary.quantity, tables.summary.value, strict=True)) == {
        "assigned_alleles": "5",
        "genes": "3",
        "ref_checked": "4",
        "ref_match_share": "0.5",
        "swapped": "1",
        "reverse_complemented": "2",
        "median_distance": "90",
    }


def test_an_allele_with_two_genes_counts_once_but_has_two_distances(tmp_path: Path) -> None:
    table = variants([ALLELES[0], ALLELES[0]]).assign(record=1, gene_id=["G1", "G2"], dist_to_tss=[10, -500])
    run = Run(tmp_path, table)
    tables = summarize(run.steps, [run.ledger("tissue")])
    assert tables.classes.alleles.sum() == 1
    assert tables.distance.alleles.sum() == 2


@pytest.mark.parametrize(
    ("ref", "alt", "name"),
    [
        ("A", "G", "SNV"),
        ("AC", "GT", "MNV"),
        ("A", "AT", "insertion"),
        ("A", "TA", "insertion"),  # at the first base of a contig the shared base stands on the right
        ("AT", "A", "deletion"),
        ("ACG", "TT", "complex"),
        ("A", "TC", "complex"),
    ],
)
def test_classes(ref: str, alt: str, name: str) -> None:
    assert allele_class(ref, alt) == name


def test_distance_is_in_gene_orientation() -> None:
    pairs = pd.DataFrame({"dist_to_tss": [0, 1, 5, -20, 3], "gene_strand": ["+", "+", "-", "+", "-"]})
    table = distance_table(pairs)
    assert (table.end - table.start).unique().tolist() == [1]
    counted = table[table.alleles > 0].set_index("start").alleles.to_dict()
    assert counted == {-20: 1, -5: 1, -3: 1, 0: 1, 1: 1}
    assert table.start.iloc[0] == -table.end.iloc[-1]


@pytest.mark.parametrize("reach", [1, 39, 1_000, 20_000, 248_000_000])
def test_every_distance_has_a_bin(reach: int) -> None:
    distances = np.unique(np.linspace(-reach, reach, 501).astype(np.int64))
    table = distance_table(pd.DataFrame({"dist_to_tss": distances, "gene_strand": "+"}))
    assert table.alleles.sum() == len(distances)
    assert len(table) <= summary.MOST_BINS + 2
    for start, end, number in table.to_numpy().tolist():
        assert number == ((distances >= start) & (distances < end)).sum()


def test_lengths_of_indels() -> None:
    alleles = pd.DataFrame({"ref": ["A", "A", "A", "A" * 12], "alt": ["AC", "A" * 7, "A" * 500, "A"]})
    alleles["class"] = ["insertion", "insertion", "insertion", "deletion"]
    table = length_table(alleles)
    found = table[table.alleles > 0]
    assert found[["class", "from"]].to_numpy().tolist() == [
        ["insertion", 1],
        ["insertion", 6],
        ["insertion", 101],
        ["deletion", 11],
    ]
    assert found["to"].fillna(0).tolist() == [1, 10, 0, 20]


def test_widths_of_bins() -> None:
    assert [round_width(least) for least in (0.1, 1, 1.1, 3, 5, 6, 999, 1001)] == [1, 1, 2, 5, 5, 10, 1000, 2000]


def test_many_contigs_become_one_row() -> None:
    names = [f"c{number}" for number in range(100)]
    counts = dict.fromkeys([*summary.CLASSES, "swapped", "reverse_complemented"], 1)
    contigs = pd.DataFrame({"contig": names, "alleles": range(100), **counts})
    few = few_contigs(contigs)
    assert len(few) == 30
    assert few.contig.tolist() == [*names[71:], "71 other contigs"]
    assert few.alleles.sum() == contigs.alleles.sum()


def test_figures_and_tables_have_the_same_bytes_each_time(run: Run) -> None:
    ledgers = [run.ledger("tissue")]
    for out in ("1", "2"):
        draw_genome_figures(run.steps, ledgers, run.folder / out)
    names = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")} | {f"{name}.tsv" for name in TABLES}
    made = {path.name for path in (run.folder / "1").iterdir()}
    assert made == names | {"summary.tsv.receipt.json"}
    for name in names:
        content = (run.folder / "1" / name).read_bytes()
        assert content == (run.folder / "2" / name).read_bytes(), name
        if name.endswith(".svg"):
            assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
            assert b"dc:date" not in content
        elif name.endswith(".png"):
            assert content.startswith(b"\x89PNG")


def test_nothing_left_and_nothing_rejected_can_be_drawn(tmp_path: Path) -> None:
    nothing = Run(tmp_path / "a", variants([]), {"normalize": {"duplicate": 4}, "closest_tss": {}})
    tables = draw_genome_figures(nothing.steps, [nothing.ledger("tissue")], tmp_path / "a/out")
    assert tables.flow.kept.tolist() == [0, 0, 0]
    assert tables.summary.set_index("quantity").value["ref_match_share"] == ""
    empty = Run(tmp_path / "b", variants([]), {"normalize": {}, "closest_tss": {}})
    assert draw_genome_figures(empty.steps, [empty.ledger("tissue")], tmp_path / "b/out").rejects.empty


def test_the_program_takes_a_run_without_liftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    run = Run(tmp_path, variants(ALLELES), {name: GONE[name] for name in ("normalize", "closest_tss")})
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import genome_figures

    app = typer.Typer()
    app.command()(genome_figures.main)
    words = ["--normalized", str(run.steps["normalize"]), "--assigned", str(run.steps["closest_tss"])]
    words += ["--ledger", str(run.ledger("tissue")), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert pd.read_csv(tmp_path / "out/flow.tsv", sep="\t").step.tolist() == [
        "normalize",
        "closest_tss",
        "seal_predict",
    ]
