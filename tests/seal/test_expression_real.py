"""The published split of genes on the published annotation (P7), and the published groups of contexts."""

import numpy as np
import pytest

from cisweave.config import ExpressionSettings
from cisweave.genome.genes import read_genes
from cisweave.seal.expression import split_genes
from cisweave.seal.original.groups import read_context_groups
from cisweave.seal.targets import gene_weights
from tests.real.checks import data_folder

FOLDER, REASON = data_folder()
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(FOLDER is None, reason=REASON)]


def test_published_genes_and_splits():
    genes = read_genes(FOLDER / "annotation/ExPecto_geneanno.csv")
    assert len(genes) == 24_339
    split = split_genes(genes, ExpressionSettings(compat="seal"))
    assert (split != "excluded").sum() == 22_830
    assert split.value_counts().to_dict() == {"train": 18_255, "valid": 2_608, "test": 1_967, "excluded": 1_509}
    assert (genes.type[split == "test"] == "protein_coding").sum() == 1_400
    assert set(genes.chrom[split == "test"]) == {"chr8", "chr9"}


def test_the_default_holds_out_a_chromosome():
    genes = read_genes(FOLDER / "annotation/ExPecto_geneanno.csv")
    split = split_genes(genes, ExpressionSettings())
    assert set(genes.chrom[split == "valid"]) == {"chr7"}
    assert "chr7" not in set(genes.chrom[split == "train"])
    assert (split != "excluded").sum() == 22_830


def test_published_groups_make_weights():
    groups = read_context_groups(FOLDER / "annotation/Seal_brain_dev_exp_tissue_group.tsv", 122)
    random = np.random.default_rng(0)
    targets = random.normal(size=(300, 122))
    weights = gene_weights(targets, 2.0, groups=groups.values())
    lone = [members[0] for members in groups.values() if len(members) == 1]
    assert len(lone) == 10
    assert (weights[:, lone] == 1).all()
    for members in groups.values():
        assert (weights[:, members] == weights[:, members[:1]]).all()
        if len(members) > 1:
            counts = {weight: int((weights[:, members[0]] == weight).sum()) for weight in (0.5, 1.0, 2.0)}
            assert counts == {0.5: 30, 1.0: 180, 2.0: 90}
