"""Probes on hand-made cases: what they compute themselves, and how they judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from cisweave.report import probes
from cisweave.report.probes import alleles, dna, leakage, position, stores
from cisweave.report.probes.attribution import centroid_offset
from cisweave.report.probes.subject import largest
from cisweave.seqlets.stores import Attributions
from cisweave.sequence import encode

CONTIG = "ACGTTGCAAGCTTAGGCATCCGATTACAGGTACCATGCATTTGACCAGTCGATCGGATTAC" * 4


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """One contig, part of it in lower case."""
    path = tmp_path / "g.fa"
    path.write_text(f">chrT\n{CONTIG[:100]}{CONTIG[100:140].lower()}{CONTIG[140:]}\n")
    return path


# --- DNA --------------------------------------------------------------------------------------------------------------
def test_own_strand_and_channels() -> None:
    assert dna.other_strand("AACGN") == "NCGTT"
    assert dna.channels(["ACGTN"])[0].tolist() == np.eye(4, 5).tolist()
    # Flipping both axes of channels in the order A, C, G, T gives the other strand.
    flipped = dna.channels(["AACG"])[:, ::-1, ::-1]
    assert (flipped == dna.channels([dna.other_strand("AACG")])).all()


def test_jaspar_matrix_is_read_by_letter() -> None:
    matrix = dna.jaspar_matrix("MA0506.3")
    assert dna.consensus(matrix) == "CTGCGCCTGCGC"
    assert matrix.sum(axis=0) == pytest.approx(1.0)
    assert dna.information(np.array([[1.0, 0.25], [0, 0.25], [0, 0.25], [0, 0.25]])).tolist() == [2.0, 0.0]


def test_match_score_looks_at_both_strands() -> None:
    matrix = dna.jaspar_matrix("MA0046.3")
    motif = dna.consensus(matrix)
    best = dna.match_score(matrix, motif)
    assert dna.match_score(matrix, dna.other_strand(motif)) == pytest.approx(best)
    assert dna.match_score(matrix, "G" * len(motif)) < 0


# --- alleles ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("gain", "cut"), [(-3, -2), (-2, -1), (-1, -1), (0, 0), (1, 0), (2, 1), (3, 1)])
def test_plain_window_crops_around_the_centre(fasta: Path, gain: int, cut: int) -> None:
    ref = CONTIG[119 : 119 + max(1, 1 - gain)]
    allele = ref[: len(ref) + gain] if gain <= 0 else ref + "T" * gain
    with pysam.FastaFile(str(fasta)) as handle:
        window = alleles.plain_window(handle, "chrT", 120, ref, allele, 40, 0)
    haplotype = CONTIG[:119] + allele + CONTIG[119 + len(ref) :]
    # Without a change the window starts 19 bases before the variant; the crop moves by half of the net length.
    assert window == haplotype[119 - 19 + cut :][:40]


def test_plain_window_is_padded_outside_the_contig(fasta: Path) -> None:
    with pysam.FastaFile(str(fasta)) as handle:
        assert alleles.plain_window(handle, "chrT", 2, "C", "G", 8, 0) == "NNAGGTTG"
        end = len(CONTIG)
        assert alleles.read_padded(handle, "chrT", end - 2, end + 3) == CONTIG[-2:] + "NNN"
        assert alleles.read_padded(handle, "chrT", -5, -2) == "NNN"


def variants(**changes: object) -> pd.DataFrame:
    """Two good substitutions in the middle of the contig."""
    table = {"record": [1, 2], "allele": 1, "chrom": "chrT", "pos": [120, 130], "ref": [CONTIG[119], CONTIG[129]]}
    return pd.DataFrame({**table, "alt": ["N", "N"], **changes})


def test_reference_probe_reads_lower_case_and_counts_what_disagrees(fasta: Path) -> None:
    assert probes.reference_probe([variants(), variants()], fasta).passed
    shifted = probes.reference_probe([variants(pos=[121, 130])], fasta)
    assert not shifted.passed
    assert shifted.value == 0.5
    assert shifted.detail == {"variants": 2, "wrong": 1}


def test_no_variant_is_no_pass(fasta: Path) -> None:
    empty = variants().iloc[:0]
    for probe in (probes.reference_probe([empty], fasta), probes.window_probe([empty], fasta, 60, [0])):
        assert not probe.passed
        assert probe.as_dict()["value"] is None
        assert probe.reason == "there is nothing to look at"


class PlainModel:
    """Stands for a subject whose model sees the share of G in a window, in two tracks."""

    window = 60
    model = SimpleNamespace(spec=SimpleNamespace(outputs=["a", "b"]))

    def __init__(self, fasta: Path):
        self.fasta = fasta

    def predict_channels(self, sequences: Sequence[str]) -> np.ndarray:
        share = np.array([sequence.count("G") / len(sequence) for sequence in sequences])
        return np.stack([share, 2 * share], axis=1)


def changes_of(*values: float) -> pd.DataFrame:
    """Chromatin effects of the two variants; track b changes twice as much as a."""
    table = pd.DataFrame({"record": [1, 2], "allele": 1, "a": values})
    return table.assign(b=2 * table.a)


def test_effect_probe_looks_at_every_context_set(fasta: Path) -> None:
    # T becomes G: one G more, of 60 bases; A becomes C: none.
    assert (CONTIG[119], CONTIG[129]) == ("T", "A")
    subject: Any = PlainModel(fasta)
    table, right, wrong = variants(alt=["G", "C"]), changes_of(1 / 60, 0), changes_of(-1 / 60, 0)
    good = probes.effect_probe([table, table], [right, right], subject)
    assert good.passed
    assert good.detail["variants"] == 4
    exchanged = probes.effect_probe([table, table], [right, wrong], subject)
    assert exchanged.value == pytest.approx(4 / 60)
    assert not exchanged.passed
    turned = table.assign(swapped=True)
    assert probes.effect_probe([turned], [wrong], subject).passed, "effects go from the file's REF to its ALT"
    assert not probes.effect_probe([turned], [right], subject).passed


def test_effect_probe_without_effects_fails_with_a_reason(fasta: Path) -> None:
    subject: Any = PlainModel(fasta)
    table, right = variants(alt=["G", "C"]), changes_of(1 / 60, 0)
    cases = {
        "nothing to look at": ([], []),
        "there is nothing": ([table.iloc[:0]], [right.iloc[:0]]),
        "1 tables of effects and 0": ([table], []),
        "no chromatin effect": ([table], [right.iloc[:1]]),
    }
    for reason, (effects, changes) in cases.items():
        probe = probes.effect_probe(effects, changes, subject)
        assert (probe.name, probe.passed, probe.as_dict()["value"]) == ("variant_effects", False, None)
        assert reason in probe.reason


def test_one_value_that_is_no_number_is_not_hidden_by_others() -> None:
    assert np.isnan(largest([0.1, float("nan")]))
    assert np.isnan(largest([float("nan"), 0.1]))
    assert np.isnan(largest([]))
    assert largest([0.1, 0.3]) == 0.3


def test_window_probe_agrees_with_the_workflow(fasta: Path) -> None:
    assert probes.window_probe([variants(alt=["T", "GATC"])], fasta, 60, [0, 5, -11]).value == 1.0


def test_locus_probe_checks_windows_and_seqlets(fasta: Path) -> None:
    loci = pd.DataFrame(
        {
            "locus_id": [0, 1],
            "chrom": "chrT",
            "start": [100, 90],
            "pos": [pd.NA, 120],
            "ref": ["", CONTIG[119]],
            "alt": ["", "G"],
            "allele": ["", "alt"],
        }
    )
    alternative = CONTIG[90:119] + "G" + CONTIG[120:150]
    codes = np.stack([encode(CONTIG[100:160]), encode(alternative)])
    seqlets = pd.DataFrame({"locus_id": [0, 1], "chrom": "chrT", "start": 10, "end": 20, "g_start": 110, "g_end": 120})
    good = probes.locus_probe(loci, codes, fasta, seqlets)
    assert good.passed
    assert good.detail == {"loci": 2, "seqlets": 1}
    assert not probes.locus_probe(loci, codes, fasta, seqlets.assign(g_start=111, g_end=121)).passed
    assert not probes.locus_probe(loci.assign(start=[101, 90]), codes, fasta).passed


# --- labels -----------------------------------------------------------------------------------------------------------
def test_own_labels_need_half_of_the_bin(tmp_path: Path) -> None:
    path = tmp_path / "a.narrowPeak"
    path.write_text("chrT\t100\t200\t.\nchr1\t0\t900\t.\n")
    peaks = stores.plain_peaks(path, "chrT")
    assert peaks == [(100, 200)]
    assert [stores.covers_half(peaks, middle, 200) for middle in (99, 100, 150, 200, 201)] == [0, 1, 1, 1, 0]


def test_genes_of_both_strands_are_sampled() -> None:
    genes = pd.DataFrame({"gene_id": [f"g{number}" for number in range(40)], "strand": ["+"] * 36 + ["-"] * 4})
    assert set(genes.strand.iloc[stores.sample_genes(genes, seed=3)]) == {"+", "-"}


# --- position ---------------------------------------------------------------------------------------------------------
def test_slide_offsets_are_symmetric() -> None:
    offsets = position.slide_offsets(600)
    assert offsets.tolist() == (-offsets[::-1]).tolist()
    assert 0 in offsets


def attributions(places: list[int], weights: list[float]) -> Attributions:
    """A reference without any attribution and an alternative with the given one; windows of 100 bases."""
    projected = np.zeros((2, 100), dtype=np.float32)
    projected[1, places] = weights
    codes = np.zeros((2, 100), dtype=np.uint8)
    return Attributions(np.arange(2), np.arange(2), ["T", "T"], codes, projected, np.zeros((2, 4, 100), np.float32))


def test_attribution_probe_measures_from_the_motif_in_genome_coordinates() -> None:
    loci = pd.DataFrame(
        {
            "locus_id": [0, 1],
            "region_id": 0,
            "kind": "variant",
            "chrom": "chrT",
            "start": 1000,
            "pos": 1053,
            "record": 4,
            "variant_allele": 1,
            "allele": ["ref", "alt"],
        }
    )
    effects = pd.DataFrame({"record": [4], "allele": [1], "kind": ["break"], "ref": ["A"], "alt": ["C"], "tf": ["F"]})
    instances = pd.DataFrame({"chrom": ["chrT"], "start": [1050], "end": [1061], "strand": ["+"], "tf": ["F"]})
    store = attributions([54, 58, 90], [2.0, -2.0, 50.0])
    found = probes.attribution.broken_motifs(store, loci, effects, instances, {"F": "T"})
    assert len(found) == 1
    # The motif's middle is 1055, the centroid 1056; what lies beyond ten bases does not count.
    assert centroid_offset(store, found[0]) == pytest.approx(1.0)
    few = probes.attribution_probe(store, loci, effects, instances, {"F": "T"})
    assert (few.name, few.passed, few.as_dict()["value"]) == ("attribution", False, None)
    assert few.reason.startswith("1 motif-breaking substitutions")
    assert not probes.attribution.broken_motifs(store, loci, effects.assign(alt="CC"), instances, {"F": "T"})


# --- leakage ----------------------------------------------------------------------------------------------------------
def write_expression(path: Path, genes: int = 200) -> Path:
    """Random expression of three contexts."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: np.exp(rng.normal(size=genes)) for name in "xyz"})
    table.insert(0, "gene_id", [f"g{number}" for number in range(genes)])
    table.to_csv(path, sep="\t", index=False)
    return path


def fake_fit(leaks: bool, learns: bool = True) -> leakage.FitExpression:
    """Remembers its training genes; guesses the others unless it leaks."""

    def fit(expression: Path, folder: Path) -> pd.DataFrame:
        table = pd.read_csv(expression, sep="\t").melt("gene_id", var_name="context", value_name="measured")
        held_out = table.gene_id.str[1:].astype(int) >= 100
        guess = np.random.default_rng(1).normal(size=len(table))
        remembered = learns & (~held_out | leaks)
        chrom = np.where(held_out, "chrT", "chr1")
        return table.assign(chrom=chrom, predicted=np.where(remembered, table.measured, guess))

    return fit


def test_leakage_is_seen_and_chance_is_not(tmp_path: Path) -> None:
    path = write_expression(tmp_path / "e.tsv")
    honest = probes.leakage_probe(path, list("xyz"), ["chrT"], fake_fit(leaks=False))
    assert honest.passed
    assert honest.bound == pytest.approx(3 * 1.2533 / np.sqrt(300))
    assert honest.detail["genes"] == 100
    leaky = probes.leakage_probe(path, list("xyz"), ["chrT"], fake_fit(leaks=True))
    assert not leaky.passed
    assert leaky.value == pytest.approx(1.0)


def test_a_model_that_remembers_nothing_proves_nothing(tmp_path: Path) -> None:
    path = write_expression(tmp_path / "e.tsv")
    probe = probes.leakage_probe(path, list("xyz"), ["chrT"], fake_fit(leaks=False, learns=False))
    assert not probe.passed
    assert "does not remember" in probe.reason


def test_shuffling_keeps_the_values_of_each_context_and_breaks_their_order() -> None:
    table = pd.DataFrame({"gene_id": list("abcdefgh"), "x": range(8), "y": range(8)})
    dealt = leakage.shuffled(table, ["x", "y"])
    assert sorted(dealt.x) == list(range(8))
    assert dealt.x.tolist() != dealt.y.tolist()
    assert dealt.gene_id.tolist() == table.gene_id.tolist()


def test_split_probe_counts_genes_and_contigs_that_are_not_held_out() -> None:
    from cisweave.models.folders import ModelSpec

    table = pd.DataFrame({"chrom": ["chrT", "chrT", "chr1"], "split": ["test", "train", "train"]})
    spec = ModelSpec("beluga", {}, [], preprocessing={"test_chromosomes": ["chr9"]})
    probe = probes.split_probe([table], {"model": spec}, ["chrT"])
    assert probe.value == 2
    assert probe.detail == {"rows": 1, "contigs": ["chrT (model)"]}


def test_a_value_that_is_no_number_never_passes() -> None:
    probe = probes.Probe("any", float("nan"), 1.0, "at most", "nothing", {})
    assert not probe.passed
    assert probe.as_dict()["value"] is None
