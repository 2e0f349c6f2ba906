"""Scoring cut into parts, and the parts put together."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import EngineSettings, PredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json, sha256, write_json
from cisweave.core.parts import Part
from cisweave.genome.ledger import balance_ledger
from cisweave.models.folders import load_model, save_model
from cisweave.seal import gather as module
from cisweave.seal.assigned import AssignedVariants
from cisweave.seal.gather import gather_effects
from cisweave.seal.outputs import write_views
from cisweave.tables.receipts import receipt_path
from tests.seal.small import build, files, run, variant_table, views

PLAIN = EngineSettings(batch_size=1, path="plain")
VIEWS = ("effects.tsv", "effects.vcf.gz", "effects.vcf.gz.csi", "best.tsv", "contexts.tsv")


def assigned(contig):
    """Alleles with one or two genes, in disorder; one that has no profile, one too long."""
    table = variant_table(contig)
    other = np.where(table.gene_id == "G1", "G2", "G1")
    strand = np.where(table.gene_id == "G1", "-", "+")
    distance = table.pos - np.where(table.gene_id == "G1", 3400, 2500)
    second = table.assign(gene_id=other, gene_strand=strand, tss=table.pos - distance, dist_to_tss=distance).iloc[
        [0, 2, 5]
    ]
    table.loc[1, "gene_id"] = "G9"
    table.loc[4, ["ref", "alt"]] = [contig[3411:3513], contig[3411]]
    return pd.concat([table, second], ignore_index=True).sample(frac=1, random_state=2)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The whole table, and three parts of it."""
    folder = tmp_path_factory.mktemp("parts")
    table = assigned(build(folder))
    run(folder, table, folder / "whole", engine=PLAIN)
    for number in (1, 2, 3):
        run(folder, table, folder / f"part{number}", engine=PLAIN, part=Part(number, 3), views=None)
    return folder


@pytest.fixture
def parts(scored, tmp_path):
    """A copy of the three parts, to spoil."""
    for number in (1, 2, 3):
        shutil.copytree(scored / f"part{number}", tmp_path / f"part{number}")
    return [tmp_path / f"part{number}" / "effects.parquet" for number in (1, 2, 3)]


def replaced(part, frame, name="effects"):
    """Another table in the place of one of a part's, with a receipt that knows it."""
    path = part.with_name({"effects": part.name, "chromatin_effects": module.CHROMATIN}[name])
    frame.to_parquet(path, index=False)
    receipt = read_json(receipt_path(part))
    receipt["identity"]["written"][name] = sha256(path)
    write_json(receipt_path(part), receipt)


def gathered(parts, out):
    out.mkdir()
    gather_effects(parts, **files(out), views=views(out))
    return out


def test_parts_together_are_the_whole(scored, parts, tmp_path):
    out, whole = gathered(parts[::-1], tmp_path / "out"), scored / "whole"
    for name in ("effects.parquet", "chromatin_effects.parquet"):
        found = pd.read_parquet(out / name)
        pd.testing.assert_frame_equal(found, pd.read_parquet(whole / name), rtol=0, atol=1e-6)
        copied = pd.concat([pd.read_parquet(part.with_name(name)) for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(found, copied, check_exact=True)
    assert (out / "rejects.tsv").read_bytes() == (whole / "rejects.tsv").read_bytes()
    again = tmp_path / "again"
    again.mkdir()
    write_views(out / "effects.parquet", views(again))
    for name in VIEWS:
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    sizes = [len(pd.read_parquet(part)) for part in parts]
    assert sum(sizes) == 8
    assert min(sizes) > 0
    receipt = read_json(receipt_path(out / "effects.parquet"))["identity"]
    assert receipt["alleles"] == read_json(receipt_path(whole / "effects.parquet"))["identity"]["alleles"]
    assert receipt["alleles"]["reasons"] == {"allele_exceeds_window": 1, "no_tss_profile": 1}
    assert receipt["settings"]["engine"]["path"] == "plain"


def test_the_books_balance_over_parts(scored, parts, tmp_path):
    out = gathered(parts, tmp_path / "out")
    table = pd.read_parquet(scored / "variants.parquet").assign(swapped=False, lift_strand="+", line=1)
    table.to_parquet(tmp_path / "kept.parquet")
    ledger = [tmp_path / "kept.parquet", [out / "rejects.tsv"], [out / "effects.parquet"]]
    balance_ledger(*ledger, tmp_path / "ledger.tsv", tmp_path / "ledger.json")
    summary = json.loads((tmp_path / "ledger.json").read_text())
    assert (summary["alleles"], summary["scored"], summary["rejected"]) == (7, 5, 2)


@pytest.mark.parametrize("of", [1, 2, 3, 5, 7, 12])
def test_no_allele_is_cut_and_none_is_lost(scored, of):
    table = AssignedVariants(scored / "variants.parquet")
    parts = [pd.concat(table.blocks(2, Part(number, of))) for number in range(1, of + 1)]
    whole = pd.concat(table.blocks(1000))
    pd.testing.assert_frame_equal(
        pd.concat(parts, ignore_index=True), whole.reset_index(drop=True), check_index_type=False
    )
    keys = [set(zip(part["record"], part["allele"], strict=True)) for part in parts]
    assert sum(map(len, keys)) == 7
    assert [table.rows_of(Part(number, of)) for number in range(1, of + 1)] == [len(part) for part in parts]


def test_more_parts_than_variants(scored, tmp_path):
    contig = (scored / "genome.fa").read_text().split("\n")[1]
    table = variant_table(contig).iloc[:2]
    for number in range(1, 5):
        run(scored, table, tmp_path / str(number), part=Part(number, 4), views=None)
    out = gathered([tmp_path / f"{number}/effects.parquet" for number in range(1, 5)], tmp_path / "out")
    assert pd.read_parquet(out / "effects.parquet")["record"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [([0, 2], "part 2/3 is missing"), ([0, 1, 2, 1], "part 2/3 is given twice"), ([], "give the tables of effects")],
)
def test_each_part_once(parts, tmp_path, chosen, message):
    with pytest.raises(CisweaveError, match=message):
        gathered([parts[number] for number in chosen], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_parts_of_another_number(scored, parts, tmp_path):
    contig = (scored / "genome.fa").read_text().split("\n")[1]
    run(scored, assigned(contig), tmp_path / "part2", engine=PLAIN, part=Part(2, 4), views=None)
    with pytest.raises(CisweaveError, match="this is part 2/4, while .* is one of 3"):
        gathered(parts, tmp_path / "out")


def test_parts_of_other_settings_or_models(scored, parts, tmp_path):
    contig = (scored / "genome.fa").read_text().split("\n")[1]
    settings = PredictSettings(max_shift=0, shift_step=100)
    run(scored, assigned(contig), tmp_path / "part2", engine=PLAIN, part=Part(2, 3), views=None, settings=settings)
    with pytest.raises(CisweaveError, match=r"part2.*other settings than part 1 \(max_shift\); score it again"):
        gathered(parts, tmp_path / "out")
    loaded = load_model(scored / "model")
    loaded.module.layers[2].bias.data += 1
    save_model(tmp_path / "other/model", loaded.module, loaded.spec, {}, pd.DataFrame({"epoch": [0]}))
    run(
        scored,
        assigned(contig),
        tmp_path / "part2",
        engine=PLAIN,
        part=Part(2, 3),
        views=None,
        model=tmp_path / "other/model",
    )
    with pytest.raises(CisweaveError, match=r"other inputs than part 1 \(model/weights\.safetensors\)"):
        gathered(parts, tmp_path / "out2")


def test_an_allele_in_two_parts_is_an_error(parts, tmp_path):
    replaced(parts[1], pd.read_parquet(parts[0]))
    with pytest.raises(CisweaveError, match="part2/effects.parquet: an allele of this part stands in another part"):
        gathered(parts, tmp_path / "out")


def test_a_part_without_its_files(parts, tmp_path):
    receipt = receipt_path(parts[1])
    text = receipt.read_text()
    receipt.unlink()
    with pytest.raises(CisweaveError, match="the receipt of this part is absent"):
        gathered(parts, tmp_path / "a")
    receipt.write_text("{}")
    with pytest.raises(CisweaveError, match="this is not the receipt of a part"):
        gathered(parts, tmp_path / "b")
    receipt.write_text(text)
    (parts[1].parent / module.REJECTS).unlink()
    with pytest.raises(CisweaveError, match=r"rejects\.tsv: this file does not exist"):
        gathered(parts, tmp_path / "c")


def test_parts_with_other_columns(parts, tmp_path):
    table = pd.read_parquet(parts[1])
    for number, other in enumerate((table.rename(columns={"Liver": "Lung"}), table.astype({"Liver": "str"}))):
        replaced(parts[1], other)
        with pytest.raises(CisweaveError, match="the columns are not those of"):
            gathered(parts, tmp_path / f"out{number}")


@pytest.mark.parametrize("name", ["effects.parquet", module.CHROMATIN, module.REJECTS])
def test_files_that_are_not_those_the_part_wrote(parts, tmp_path, name):
    path = parts[1].with_name(name)
    if path.suffix == ".parquet":
        pd.read_parquet(path).iloc[:-1].to_parquet(path)
    else:
        path.write_text(path.read_text().splitlines(keepends=True)[0] + "\n")
    with pytest.raises(CisweaveError, match=f"part2/{name}: this is not the file that the part wrote"):
        gathered(parts, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["effects", "chromatin_effects"])
def test_alleles_that_were_kept_but_have_no_row(parts, tmp_path, name):
    path = parts[1] if name == "effects" else parts[1].with_name(module.CHROMATIN)
    table = pd.read_parquet(path)
    replaced(parts[1], table[table["record"] != table["record"].iloc[0]], name)
    with pytest.raises(CisweaveError, match="the books do not balance: 7 alleles in, 4 kept, 2 rejected"):
        gathered(parts, tmp_path / "out")


def test_a_score_that_is_no_number(parts, tmp_path):
    table = pd.read_parquet(parts[1])
    table.loc[0, "Liver"] = np.nan
    replaced(parts[1], table)
    with pytest.raises(CisweaveError, match=r"part2/effects\.parquet: a score is not finite"):
        gathered(parts, tmp_path / "out")


@pytest.mark.parametrize("text", ["[]", "{}", '"a"', "3", '{"identity": []}', '{"identity": {"inputs": 1}}'])
def test_a_damaged_receipt(parts, tmp_path, text):
    receipt_path(parts[1]).write_text(text)
    with pytest.raises(CisweaveError, match="this is not the receipt of a part that 'seal predict' scored"):
        gathered(parts, tmp_path / "out")


def test_another_device_is_told(parts, tmp_path, caplog):
    receipt = read_json(receipt_path(parts[2]))
    receipt["identity"]["device"] = "cuda"
    write_json(receipt_path(parts[2]), receipt)
    gathered(parts, tmp_path / "out")
    assert "part3/effects.parquet was scored with another device than part 1 (cuda, part 1: cpu)" in caplog.text


def test_a_folder_that_takes_no_file_is_found_first(parts, tmp_path):
    with pytest.raises(CisweaveError, match=r"/proc/none/e\.tsv: this cannot be written"):
        gather_effects(parts, **files(tmp_path / "out"), views=views(tmp_path, tsv=Path("/proc/none/e.tsv")))
    assert list((tmp_path / "out").iterdir()) == []
