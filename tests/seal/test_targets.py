"""Expression tables, pseudocounts and the weights of genes, by hand."""

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.seal.targets import gene_weights, pseudocount, read_expression, read_groups
from tests.seal.expression_world import GENERAL, SPECIFIC, gene, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("targets"))


def spread_table(spread):
    """ln expression of two contexts whose population sd per gene is given."""
    return np.stack([np.zeros(len(spread)), 2 * np.asarray(spread, dtype=float)], axis=1)


@pytest.mark.parametrize(("least", "expected"), [(0.0034, 0.01), (0.01, 0.1), (0.5, 1.0), (1.2, 10.0)])
def test_published_pseudocounts(least, expected):
    assert pseudocount(np.array([0.0, 5.0, least, np.nan])) == pytest.approx(expected)


def test_a_context_without_expression_has_no_pseudocount():
    with pytest.raises(CisweaveError, match="no positive expression"):
        pseudocount(np.array([0.0, 0.0]))


def test_weights_by_spread_are_strict_at_both_quantiles():
    # Of eleven equally spaced values the 0.1 quantile is the second and the 0.7 quantile the eighth.
    weights = gene_weights(spread_table(range(11)), 2.0)
    assert weights.tolist() == [[weight] * 2 for weight in [0.5, *[1.0] * 7, 2.0, 2.0, 2.0]]


def test_weights_of_equal_spread_and_of_weight_one():
    assert (gene_weights(spread_table([3.0] * 6), 2.0) == 1).all()
    assert (gene_weights(spread_table(range(11)), 1.0) == 1).all()


def test_a_lone_context_has_weight_one():
    assert (gene_weights(spread_table(range(11))[:, :1], 2.0) == 1).all()


def test_quantiles_are_those_of_the_genes_seen():
    seen = np.array([True, True, True, False, False])
    assert gene_weights(spread_table([0, 1, 2, 3, 10]), 2.0, seen)[:, 0].tolist() == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_each_group_has_its_own_weights():
    first, second = spread_table(range(11)), spread_table(range(10, -1, -1))
    targets = np.concatenate([first[:, :1], second, first[:, 1:], 5 * first], axis=1)
    weights = gene_weights(targets, 2.0, groups=[[0, 3], [1, 2], [4]])
    assert weights[:, 0].tolist() == weights[:, 3].tolist() == [0.5, *[1.0] * 7, 2.0, 2.0, 2.0]
    assert weights[:, 1].tolist() == weights[:, 2].tolist() == [2.0, 2.0, 2.0, *[1.0] * 7, 0.5]
    assert (weights[:, 4:] == 1).all()  # alone in its group, and in none


def test_groups_count_the_columns_of_the_table(world, tmp_path):
    (tmp_path / "groups.tsv").write_text("front\t1,2\nback\t3\n")
    assert read_groups(tmp_path / "groups.tsv", world / "tissue.tsv", SPECIFIC) == {"front": [0, 1], "back": [2]}
    chosen = ["Cerebellum", "Striatum"]
    assert read_groups(tmp_path / "groups.tsv", world / "tissue.tsv", chosen) == {"front": [1], "back": [0]}
    assert read_groups("NA", world / "tissue.tsv", chosen) is None
    assert read_groups(None, world / "tissue.tsv", chosen) is None


def test_groups_of_another_table(world, tmp_path):
    (tmp_path / "groups.tsv").write_text("front\t1,4\n")
    with pytest.raises(CisweaveError, match="there is no context 4; numbers go from 1 to 3"):
        read_groups(tmp_path / "groups.tsv", world / "tissue.tsv", SPECIFIC)


def test_all_columns_are_read_without_names(world):
    assert list(read_expression(world / "tissue.tsv").columns) == SPECIFIC
    assert list(read_expression(world / "general.tsv", GENERAL[::-1]).columns) == GENERAL[::-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename(columns={"Liver": "Lung"}), "column.s. Liver missing; the table has"),
        (lambda table: pd.concat([table, table.iloc[:1]]), f"gene {gene(0)} stands twice"),
        (lambda table: table.assign(Liver=-1.0), "must not be negative"),
        (lambda table: table.assign(Liver="much"), f"'much' of gene {gene(0)} in Liver is not a number"),
    ],
)
def test_broken_expression_tables(world, tmp_path, change, message):
    change(pd.read_csv(world / "general.tsv", sep="\t")).to_csv(tmp_path / "table.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match=message):
        read_expression(tmp_path / "table.tsv", ["Liver"])


def test_a_table_without_contexts(tmp_path):
    (tmp_path / "table.tsv").write_text("gene_id\nG1\n")
    with pytest.raises(CisweaveError, match="has no context"):
        read_expression(tmp_path / "table.tsv")
