"""Sequences of the user's own, what can go wrong in them, and the command."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.cli.seal import app
from cisweave.config import HaplotypeSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, save_model
from cisweave.seal.haplotype import sequence_effects
from cisweave.seal.haplotype import sequences as sequences_module
from tests.seal.haplotype.world import (
    CONTEXTS,
    ENGINE,
    TOLERANCE,
    flip,
    other_base,
    plain_difference,
    plain_expression,
    run,
    write_vcf,
)


def run_sequences(folder, tmp_path, text, **changes):
    (tmp_path / "own.fa").write_text(text)
    sequence_effects(
        **{
            "sequences": tmp_path / "own.fa",
            "fasta": folder / "genome.fa",
            "profiles": folder / "profiles.h5",
            "chromatin": folder / "chromatin",
            "model": folder / "model",
            "out": tmp_path / "own.tsv",
            "engine": ENGINE,
            "device": "cpu",
        }
        | changes
    )
    return pd.read_csv(tmp_path / "own.tsv", sep="\t", keep_default_na=False, na_values=[""])


def test_own_sequences_equal_the_plain_prediction(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    piece, tss = one[1000:5000], 2500 - 1000
    changed = piece[:1400] + "GATTACA" + piece[1420:]
    moved = tss - 13
    minus = one[1000:5500]
    text = (
        f">same tss={tss} strand=+ gene_id=G1\n{piece[:70]}\n{piece[70:].lower()}\n"
        f">turned tss={len(piece) + 1 - tss} strand=- gene_id=G1\n{flip(piece)}\n"
        f">changed tss={moved} strand=+ gene_id=G1\n{changed}\n"
        f">changed_turned tss={len(changed) + 1 - moved} strand=- gene_id=G1\n{flip(changed)}\n"
        f">no_gene strand=- tss=2400\n{minus}\n"
        f">minus_gene strand=- tss=2400 gene_id=G2\n{minus}\n"
    )
    table = run_sequences(folder, tmp_path, text)
    wide = table.pivot(index="sequence", columns="context", values=["predicted", "reference", "difference"])
    for name in ("same", "turned", "minus_gene"):
        assert (wide.loc[name, "difference"] == 0).all()
    reference = plain_expression(folder, one, 2500, "+")
    after = plain_expression(folder, changed, moved, "+")
    for name in ("changed", "changed_turned"):
        np.testing.assert_allclose(wide.loc[name, "predicted"][CONTEXTS], after, atol=TOLERANCE)
        np.testing.assert_allclose(wide.loc[name, "reference"][CONTEXTS], reference, atol=TOLERANCE)
        np.testing.assert_allclose(wide.loc[name, "difference"][CONTEXTS], after - reference, atol=TOLERANCE)
    expected = plain_expression(folder, minus, 2400, "-")
    np.testing.assert_allclose(wide.loc["no_gene", "predicted"][CONTEXTS], expected, atol=TOLERANCE)
    np.testing.assert_allclose(wide.loc["minus_gene", "predicted"][CONTEXTS], expected, atol=TOLERANCE)
    assert wide.loc["no_gene", "difference"].isna().all()
    assert np.abs(after - reference).max() > 1e-3
    facts = table.drop_duplicates("sequence").set_index("sequence")
    assert facts.changed_bins.to_dict() == {
        "same": 0, "turned": 0, "changed": 5, "changed_turned": 5, "no_gene": 8, "minus_gene": 0,
    }  # fmt: skip
    assert (facts.filled == 0).all()


def test_short_sequences_are_filled_as_the_settings_say(world, tmp_path, caplog):
    folder, contigs = world
    one = contigs["chr1"]
    core_piece = one[2400:2499] + other_base(one[2499]) + one[2500:2600]
    text = f">short tss=100 strand=+ gene_id=G1\n{core_piece}\n"
    unknown = run_sequences(folder, tmp_path, text, settings=HaplotypeSettings(flanks="unknown"))
    assert "1600 bases of the windows lie beyond its ends and are N; its difference from the gene is" in caplog.text
    caplog.clear()
    genome = run_sequences(folder, tmp_path, text, settings=HaplotypeSettings(flanks="genome"))
    pd.testing.assert_frame_equal(run_sequences(folder, tmp_path, text), genome)
    assert "beyond its ends" not in caplog.text
    assert unknown.filled.tolist() == [1600, 1600]
    assert genome.changed_bins.tolist() == [2, 2]
    assert unknown.changed_bins.tolist() == [8, 8]
    np.testing.assert_allclose(unknown.predicted, plain_expression(folder, core_piece, 100, "+"), atol=TOLERANCE)
    expected = plain_difference(folder, contigs, "G1", [(2500, one[2499], other_base(one[2499]))])
    np.testing.assert_allclose(genome.difference, expected, atol=TOLERANCE)
    with pytest.raises(CisweaveError, match=r"line 3: sequence 'b' names no gene.*flanks: auto"):
        run_sequences(
            folder,
            tmp_path,
            f"{text}>b tss=1 strand=+\nACGT\n",
            settings=HaplotypeSettings(flanks="genome"),
            out=tmp_path / "refused.tsv",
        )
    assert not (tmp_path / "refused.tsv").exists()
    run_sequences(folder, tmp_path, ">b tss=1 strand=+\nACGT\n")
    assert "b: 1796 bases of the windows lie beyond its ends and are N" in caplog.text
    assert "mostly theirs" not in caplog.text


def test_letters_for_bases(world, tmp_path):
    """U is T, letters for several bases are N, and case does not matter."""
    folder, contigs = world
    piece = contigs["chr1"][1000:5000]
    marked = "N" + piece[1:1600]
    written = ["R" + piece[1:1600].replace("T", "u") + piece[1600:].lower(), marked + piece[1600:]]
    table = run_sequences(
        folder, tmp_path, "".join(f">{name} tss=1500 strand=+\n{bases}\n" for name, bases in enumerate(written))
    )
    first, second = (table[table.sequence == name] for name in (0, 1))
    assert first.predicted.tolist() == second.predicted.tolist()


def test_all_headers_are_checked_before_anything_is_computed(world, tmp_path, monkeypatch):
    def compute(*_):
        raise AssertionError

    monkeypatch.setattr(sequences_module, "score_sequence", compute)
    with pytest.raises(CisweaveError, match="line 3: sequence 'a' comes twice"):
        run_sequences(world[0], tmp_path, ">a tss=1 strand=+\nACGT\n>a tss=1 strand=+\nACGT\n")


def test_a_model_of_other_features_is_refused_in_words(world, tmp_path):
    folder, contigs = world
    head = {"features": 12, "hidden": 7, "contexts": 2}
    spec, history = ModelSpec("expression", head, CONTEXTS), pd.DataFrame({"epoch": [0]})
    save_model(tmp_path / "other", ExpressionNetwork(**head), spec, {}, history)
    with pytest.raises(CisweaveError, match="reads 12 features, these TSS profiles give 30"):
        run_sequences(folder, tmp_path, ">a tss=1 strand=+\nACGT\n", model=tmp_path / "other")
    vcf = write_vcf(tmp_path, [("chr1", 2450, contigs["chr1"][2449], "ACGT", "0|1", "1|0")])
    with pytest.raises(CisweaveError, match="reads 12 features, these TSS profiles give 30"):
        run(folder, tmp_path, vcf, model=tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", "line 1: a FASTA begins with '>'"),
        ("", "no sequence is in this file"),
        (">a strand=+\nACGT\n", "line 1: the header '>a strand=.*does not say what it must; write '>name tss="),
        (">a tss=1 strand=+ gen=G1\nACGT\n", "does not say what it must"),
        (">a tss=1 strand=x\nACGT\n", "strand must be"),
        (">a tss=5 strand=+\nACGT\n", "tss must be a base of the sequence, 1 to 4, not '5'"),
        (">a tss=0 strand=+\nACGT\n", "tss must be a base"),
        (">a tss=1 strand=+\nAC*T\n", r"sequence 'a' holds '\*', which is no letter for bases"),
        (">a tss=1 strand=+\nACGJ\n", "sequence 'a' holds 'J', which is no letter for bases"),
        (">a tss=1 strand=+ tss=2\nACGT\n", "does not say what it must"),
        (">a tss=1 strand=+ gene_id=G9\nACGT\n", "gene G9 has no profile"),
        (">a tss=1 strand=+\nACGT\n>a tss=1 strand=+\nACGT\n", "line 3: sequence 'a' comes twice"),
    ],
)
def test_mistakes_in_own_sequences_are_named(world, tmp_path, text, message):
    folder, _ = world
    with pytest.raises(CisweaveError, match=message):
        run_sequences(folder, tmp_path, text)
    assert not (tmp_path / "own.tsv").exists()


# --- the command ------------------------------------------------------------------------------------------------------
def test_the_verb_takes_a_vcf_or_sequences(world, tmp_path):
    folder, contigs = world
    one = contigs["chr1"]
    vcf = write_vcf(tmp_path, [("chr1", 2450, one[2449], other_base(one[2449]), "0|1", "0|0")])
    (tmp_path / "own.fa").write_text(f">a tss=100 strand=+ gene_id=G1\n{one[2400:2600]}\n")
    shared = [
        "haplotype", "--fasta", folder / "genome.fa", "--profiles", folder / "profiles.h5",
        "--chromatin", folder / "chromatin", "--model", folder / "model", "--device", "cpu",
    ]  # fmt: skip

    def call(*options):
        return CliRunner().invoke(app, list(map(str, [*shared, *options])))

    done = call("--vcf", vcf, "--out", tmp_path / "a.tsv", "--rejects", tmp_path / "r.tsv", "--gene", "G1")
    assert done.exit_code == 0, done.output
    assert len((tmp_path / "a.tsv").read_text().splitlines()) == 2
    assert (tmp_path / "a.tsv.receipt.json").exists()
    done = call("--sequences", tmp_path / "own.fa", "--out", tmp_path / "b.tsv", "--settings", '{"flanks": "genome"}')
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "b.tsv", sep="\t").difference.tolist() == [0, 0]
    assert isinstance(call("--out", tmp_path / "c.tsv").exception, CisweaveError)
    assert "--rejects is missing" in str(call("--vcf", vcf, "--out", tmp_path / "c.tsv").exception)
    wrong = call("--sequences", tmp_path / "own.fa", "--out", tmp_path / "c.tsv", "--gene", "G1")
    assert "go with --vcf" in str(wrong.exception)
