"""Scores of the truth check on small tables with known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.report import scores
from cisweave.report.world import accepted_matrices

MOTIFS = pd.DataFrame({"tf": ["A", "B"], "matrix_id": ["MA1", "MA2"], "aliases": ["MA8, MA9", None], "width": [10, 8]})


def evaluation(context: str, predicted: list[float]) -> pd.DataFrame:
    """Four genes on the test contig and one elsewhere."""
    return pd.DataFrame(
        {
            "gene_id": list("abcde"),
            "chrom": ["chrT"] * 4 + ["chr1"],
            "split": ["test"] * 4 + ["train"],
            "context": context,
            "measured": [1.0, 2.0, 4.0, 3.0, 0.0],
            "predicted": [*predicted, 9.0],
        }
    )


def test_expression_is_compared_with_noise_free_and_measured_values_on_test_contigs_only() -> None:
    truth = pd.DataFrame({"gene_id": list("abcde"), "one": [1.0, 2, 3, 4, 5], "two": [4.0, 3, 2, 1, 9]})
    tables = [evaluation("one", [1, 2, 3, 4]), evaluation("two", [1, 2, 3, 4])]
    joined = scores.join_expression(tables, truth, ["chrT"])
    assert set(joined.gene_id) == set("abcd")
    by_context = scores.expression_by_context(joined).set_index("context")
    assert by_context.spearman.to_dict() == pytest.approx({"one": 1.0, "two": -1.0})
    assert by_context.spearman_measured.to_dict() == pytest.approx({"one": 0.8, "two": 0.8})
    assert by_context.genes.tolist() == [4, 4]


def test_no_gene_on_the_test_contigs_is_an_error() -> None:
    truth = pd.DataFrame({"gene_id": list("abcde"), "one": range(5)})
    with pytest.raises(CisweaveError, match="chrX"):
        scores.join_expression([evaluation("one", [1, 2, 3, 4])], truth, ["chrX"])


def test_a_constant_prediction_has_no_correlation() -> None:
    assert scores.spearman([1, 1, 1], [1, 2, 3]) == 0.0
    assert scores.spearman([3, 2, 1], [1, 2, 3]) == pytest.approx(-1.0)


def effects() -> tuple[pd.DataFrame, pd.DataFrame]:
    """True and predicted effects of six variants; the last three do not count."""
    truth = pd.DataFrame(
        {
            "record": [1, 2, 3, 4, 5, 6],
            "allele": 1,
            "chrom": ["chrT", "chrT", "chrT", "chrT", "chr1", "chrT"],
            "pos": 10,
            "ref": "A",
            "alt": "C",
            "gene_id": ["g", "g", "g", "g", "g", "far"],
            "dist_to_tss": 7,
            "kind": ["break", "make", "break", "neutral", "break", "break"],
            "tf": ["A", "A", "B", None, "A", "A"],
            "one": [-1.0, 0.5, -0.05, 0.0, -1.0, -1.0],
            "two": [-2.0, 1.0, 0.3, 0.0, -1.0, -1.0],
        }
    )
    predicted = truth[["record", "allele", "chrom", "pos", "ref", "alt"]].assign(
        gene_id="g", gene_strand="+", dist_to_tss=7, one=[-0.1, -0.2, 0.3, 5, 5, 5], two=[-0.3, 0.2, 0.1, 5, 5, 5]
    )
    return truth, predicted


def test_effects_count_above_the_threshold_for_the_assigned_gene_of_motif_variants() -> None:
    truth, predicted = effects()
    pairs = scores.join_effects([predicted], truth, ["one", "two", "three"], ["chrT"], min_effect=0.1)
    counted = set(zip(pairs.record, pairs.context, strict=True))
    assert counted == {(1, "one"), (2, "one"), (1, "two"), (2, "two"), (3, "two")}
    assert scores.sign_agreement(pairs.true, pairs.predicted) == pytest.approx(4 / 5)
    table = scores.effects_by(pairs, "tf").set_index("tf")
    assert table.sign_agreement.to_dict() == {"A": 0.75, "B": 1.0}
    assert table.variants.to_dict() == {"A": 2, "B": 1}


def test_an_effect_of_zero_agrees_with_no_sign() -> None:
    assert scores.sign_agreement([1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 1.0, 1.0]) == 0.25


def test_no_effect_above_the_threshold_is_an_error_that_says_what_to_lower() -> None:
    truth, predicted = effects()
    with pytest.raises(CisweaveError, match=r"truth\.min_effect"):
        scores.join_effects([predicted], truth, ["one", "two"], ["chrT"], min_effect=50)


def test_spearman_of_effects_is_the_median_over_contexts() -> None:
    rising, falling = np.arange(6.0), -np.arange(6.0)
    pairs = pd.concat(
        pd.DataFrame({"context": name, "true": rising, "predicted": predicted})
        for name, predicted in (("a", rising), ("b", rising), ("c", falling))
    )
    assert scores.median_spearman(pairs) == pytest.approx(1.0)


def loci() -> pd.DataFrame:
    """A promoter, both haplotypes of a variant, and a locus elsewhere; cores are 100 to 150 of the window."""
    return pd.DataFrame(
        {
            "locus_id": [0, 1, 2, 3],
            "kind": ["promoter", "variant", "variant", "promoter"],
            "chrom": ["chrT", "chrT", "chrT", "chr1"],
            "start": [1000, 5000, 5000, 1000],
            "core_start": 100,
            "core_end": 150,
            "allele": ["", "ref", "alt", None],
        }
    )


def test_recall_counts_whole_instances_in_cores_of_reference_loci_on_test_contigs() -> None:
    instances = pd.DataFrame(
        {
            "chrom": ["chrT", "chrT", "chrT", "chrT", "chr1"],
            "start": [1100, 1095, 1141, 5120, 1120],
            "end": [1110, 1105, 1151, 5130, 1130],
            "tf": "A",
            "matrix_id": "MA1",
        }
    )
    chosen = scores.reference_loci(loci(), ["chrT"])
    assert chosen.locus_id.tolist() == [0, 1]
    assert scores.instances_in_cores(instances, chosen).start.tolist() == [1100, 5120]


def test_recall_of_a_hand_made_case() -> None:
    instances = pd.DataFrame(
        {
            "chrom": "chrT",
            "start": [100, 200, 300, 400, 500],
            "end": [110, 210, 310, 410, 510],
            "tf": ["A", "A", "A", "A", "B"],
            "matrix_id": ["MA1", "MA1", "MA1", "MA1", "MA2"],
        }
    )
    seqlets = scores.SeqletNames.of(
        chrom=["chrT", "chrT", "chrT", "chrT", "chrT", "chr2"],
        start=[105, 204, 300, 406, 498, 500],
        end=[120, 220, 310, 420, 512, 510],
        # right by its own name at exactly half; right by an alias; covered, no name; too little; wrong name
        matrix_id=["MA1", "MA9", "", "MA1", "MA1", "MA2"],
    )
    marked = scores.mark_recall(instances, seqlets, MOTIFS)
    assert marked.found.tolist() == [True, True, True, False, True]
    assert marked.named.tolist() == [True, True, False, False, False]
    assert marked.named_exactly.tolist() == [True, False, False, False, False]
    by_tf = scores.recall_by_tf(marked).set_index("tf")
    assert by_tf.named.to_dict() == {"A": 0.5, "B": 0.0}
    assert by_tf.instances.to_dict() == {"A": 4, "B": 1}


def test_aliases_name_a_site_right() -> None:
    assert accepted_matrices(MOTIFS) == {"A": {"MA1", "MA8", "MA9"}, "B": {"MA2"}}
