"""Saturated promoters: which alleles, the same scores as one by one, and what the command writes."""

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from typer.testing import CliRunner

from cisweave.cli import build
from cisweave.config import EngineSettings, PredictSettings, SaturateSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.folders import load_model
from cisweave.seal import saturate as module
from cisweave.seal.outputs import Views
from cisweave.seal.predict import score_variants
from cisweave.seal.profiles import read_profiles
from cisweave.seal.saturate import Promoter, Saturator, all_alleles, choose_promoters, saturate
from cisweave.sequence import Genome
from cisweave.tables.ledger import read_ledger
from tests.seal import plain, small
from tests.seal.small import GEOMETRY, SHIFTS

CONTEXTS = ["Liver", "Brain"]
NARROW = SaturateSettings(upstream=6, downstream=4, deletions=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A random genome, two genes on opposite strands, random models and their TSS profiles."""
    folder = tmp_path_factory.mktemp("saturate")
    return folder, small.build(folder)


@pytest.fixture
def opened(world):
    folder, contig = world
    with Genome(folder / "genome.fa") as genome:
        yield folder, contig, genome, read_profiles(folder / "profiles.h5")


def saturator(folder, genome, store, engine=None, windows=SHIFTS):
    return Saturator(genome, store, load_model(folder / "chromatin"), load_model(folder / "model"), windows, engine)


# --- which alleles ----------------------------------------------------------------------------------------------------
def test_promoters_go_the_way_of_their_gene(opened):
    _, _, _, store = opened
    plus, minus = choose_promoters(store, SaturateSettings(upstream=20, downstream=30), ["G1", "G2"])
    assert (plus.first, plus.last) == (2480, 2529)
    assert (minus.first, minus.last) == (3371, 3420)


def test_a_region_finds_its_gene(opened):
    _, _, _, store = opened
    (found,) = choose_promoters(store, SaturateSettings(), region="chr1:3,300-3310")
    assert (found.gene_id, found.first, found.last) == ("G2", 3300, 3310)
    (found,) = choose_promoters(store, SaturateSettings(), ["G1"], "chr1:3300-3310")
    assert (found.gene_id, found.tss) == ("G1", 2500)


def test_genes_of_a_file(opened, tmp_path):
    _, _, _, store = opened
    bed = tmp_path / "genes.bed"
    bed.write_text("chr1\t3399\t3400\t-\tG2\n")
    assert [each.gene_id for each in choose_promoters(store, SaturateSettings(), tss=bed)] == ["G2"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "say which promoters"),
        ({"genes": ["G1", "G1"]}, "gene G1 is asked for twice"),
        ({"genes": ["G9"]}, "has no gene G9"),
        ({"genes": ["G1", "G2"], "region": "chr1:1-10"}, "a region goes with one gene"),
        ({"region": "chr1:10"}, "'chr1:10' is not a region"),
        ({"region": "chr1:20-10"}, "is not a region"),
        ({"region": "chr7:1-10"}, "no TSS on contig chr7"),
        ({"genes": ["G1"], "region": "chr7:1-10"}, "gene G1 lies on chr1, the region on chr7"),
    ],
)
def test_mistakes_in_what_is_asked_for(opened, request_, message):
    with pytest.raises(CisweaveError, match=message):
        choose_promoters(opened[3], SaturateSettings(), **request_)


def test_every_substitution_and_deletion_once(tmp_path):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">c\nACNGtA\n")
    promoter = Promoter("G", "c", "+", 4, 1, 6)
    with Genome(fasta) as genome:
        alleles, unknown = all_alleles(genome, promoter, deletions=True, first_record=7)
    substitutions = alleles[alleles.ref.str.len() == 1]
    assert substitutions.groupby("pos")["alt"].agg("".join).to_dict() == {
        1: "CGT",
        2: "AGT",
        4: "ACT",
        5: "ACG",
        6: "CGT",
    }
    assert substitutions.drop_duplicates("pos")["ref"].tolist() == ["A", "C", "G", "T", "A"]
    deletions = alleles[alleles.ref.str.len() == 2]
    assert deletions[["pos", "ref", "alt"]].to_numpy().tolist() == [[1, "AC", "A"], [4, "GT", "G"], [5, "TA", "T"]]
    assert alleles.record.tolist() == list(range(7, 7 + len(alleles)))
    assert alleles.dist_to_tss.tolist() == (alleles.pos - 4).tolist()
    # Deletions that no known base stands before: of the contig's first base, and of the one behind the N.
    rows = unknown[["position", "ref", "code"]].to_numpy().tolist()
    assert rows == [["1", "A", "unknown_base"], ["3", "N", "unknown_base"], ["4", "G", "unknown_base"]]


# --- scores -----------------------------------------------------------------------------------------------------------
def test_scores_equal_those_of_the_plain_path_and_of_loops(opened):
    folder, contig, genome, store = opened
    promoter = choose_promoters(store, NARROW, ["G2"])[0]
    alleles, _ = all_alleles(genome, promoter, deletions=True)
    found = saturator(folder, genome, store).score(alleles)
    chromatin, model = load_model(folder / "chromatin"), load_model(folder / "model")
    one_by_one = score_variants(alleles, genome, store, chromatin, model, SHIFTS, EngineSettings(path="plain"))
    assert found.std() > 1e-4
    np.testing.assert_allclose(found, one_by_one.expression, atol=1e-6)
    profile = store.profiles(np.array([1]))[1]
    for number in (0, 3, 17, len(alleles) - 1):
        variant = alleles.iloc[number].to_dict()
        expected = plain.variant_effect(
            chromatin.module, model.module, contig, variant, profile, GEOMETRY.decay, 200, 400, [-100, 0, 100]
        )
        np.testing.assert_allclose(found[number], expected, atol=2e-6)


def test_batches_and_stretches_change_nothing(opened, monkeypatch):
    folder, _, genome, store = opened
    alleles, _ = all_alleles(genome, choose_promoters(store, NARROW, ["G1"])[0], deletions=True)
    whole = saturator(folder, genome, store).score(alleles)
    monkeypatch.setattr(module, "ALLELES_AT_A_TIME", 5)
    monkeypatch.setattr(module, "LONGEST_STRETCH", 3)
    parts = saturator(folder, genome, store, EngineSettings(batch_size=1))
    assert len(list(parts.batches(alleles))) > 8
    assert sorted(np.concatenate(list(parts.batches(alleles))).tolist()) == list(range(len(alleles)))
    np.testing.assert_allclose(parts.score(alleles), whole, atol=1e-6)


def test_bfloat16_tells_its_error(opened, caplog):
    folder, _, genome, store = opened
    alleles, _ = all_alleles(genome, choose_promoters(store, NARROW, ["G1"])[0], deletions=False)
    saturator(folder, genome, store, EngineSettings(precision="bfloat16")).score(alleles)
    assert caplog.text.count("bfloat16 on the first 8 variants") == 1


def test_whole_haplotypes_are_refused(opened):
    folder, _, genome, store = opened
    with pytest.raises(CisweaveError, match=r"set seal\.predict\.mode: seal"):
        saturator(folder, genome, store, windows=PredictSettings(mode="haplotype"))


# --- the command ------------------------------------------------------------------------------------------------------
def run(folder, target, **changes):
    files = {
        name: target / name for name in ("effects.parquet", "rejects.tsv", "strength.bw", "effects.tsv", "best.tsv")
    }
    options = {
        "fasta": folder / "genome.fa",
        "profiles": folder / "profiles.h5",
        "chromatin": folder / "chromatin",
        "model": folder / "model",
        "out": files["effects.parquet"],
        "rejects": files["rejects.tsv"],
        "genes": ["G1", "G2"],
        "bigwig": files["strength.bw"],
        "views": Views(tsv=files["effects.tsv"], best=files["best.tsv"]),
        "settings": NARROW,
        "windows": SHIFTS,
        "device": "cpu",
    }
    return saturate(**(options | changes)), files


def test_the_command_writes_table_ledger_and_bigwig(opened, tmp_path):
    folder, contig, _, _ = opened
    counts, files = run(folder, tmp_path)
    assert counts == {"in": 80, "kept": 80, "rejected": 0, "reasons": {}}
    effects = pd.read_parquet(files["effects.parquet"])
    assert effects.record.tolist() == list(range(1, 81))
    assert effects.gene_id.value_counts().to_dict() == {"G1": 40, "G2": 40}
    assert all(contig[row.pos - 1 : row.pos - 1 + len(row.ref)] == row.ref for row in effects.itertuples())
    strength = pyBigWig.open(str(files["strength.bw"]))
    base = effects.pos + effects.ref.str.len() - 1
    expected = effects[CONTEXTS].abs().max(axis=1).groupby(base).max()
    found = [strength.values("chr1", place - 1, place)[0] for place in expected.index]
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-6)
    assert np.isnan(strength.values("chr1", 0, 1)[0])
    assert len(files["effects.tsv"].read_text().splitlines()) == len(files["best.tsv"].read_text().splitlines()) == 81
    assert len(read_ledger(files["rejects.tsv"])) == 0
    identity = read_json(tmp_path / "effects.parquet.receipt.json")["identity"]
    assert identity["promoters"] == ["G1 chr1:2494-2503", "G2 chr1:3397-3406"]


def test_the_same_input_gives_the_same_bytes(opened, tmp_path):
    folder = opened[0]
    _, first = run(folder, tmp_path / "first")
    _, second = run(folder, tmp_path / "second")
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_a_region_is_cut_at_the_end_of_its_contig(opened, tmp_path, caplog):
    folder = opened[0]
    counts, files = run(folder, tmp_path, genes=[], region="chr1:5996-6100", settings=SaturateSettings())
    assert counts["kept"] == 15
    assert pd.read_parquet(files["effects.parquet"]).pos.max() == 6000
    assert "only chr1:5996-6000 lies on the contig" in caplog.text
    with pytest.raises(CisweaveError, match="lies off its contig"):
        run(folder, tmp_path, genes=[], region="chr1:7000-7100")


def test_genes_of_the_settings_where_the_command_names_none(opened, tmp_path):
    settings = SaturateSettings(genes=["G2"], upstream=1, downstream=1)
    counts, files = run(opened[0], tmp_path, genes=[], settings=settings)
    assert counts["kept"] == 6
    assert set(pd.read_parquet(files["effects.parquet"]).gene_id) == {"G2"}


def test_from_the_command_line(opened, tmp_path):
    folder = opened[0]
    words = ["seal", "saturate", "--fasta", "genome.fa", "--profiles", "profiles.h5", "--chromatin", "chromatin"]
    words = [str(folder / word) if (folder / word).exists() else word for word in [*words, "--model", "model"]]
    words += ["--out", str(tmp_path / "e.parquet"), "--rejects", str(tmp_path / "r.tsv"), "--gene", "G1"]
    words += ["--upstream", "2", "--downstream", "1", "--deletions", "--device", "cpu"]
    words += ["--predict", '{"max_shift": 100, "shift_step": 100}']
    done = CliRunner().invoke(build(["seal"]), words)
    assert done.exit_code == 0, done.output
    assert len(pd.read_parquet(tmp_path / "e.parquet")) == 12
