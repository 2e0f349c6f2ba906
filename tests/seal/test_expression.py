"""Expression: targets, splits, weights and loss by the published formulas, and transfer learning end to end."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import ExpressionSettings, ProfileSettings, TrainingSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import load_model
from cisweave.seal.expression import (
    evaluate,
    finetune,
    gene_weights,
    prepare_expression,
    pretrain,
    pseudocount,
    read_expression,
    weighted_loss,
)
from cisweave.seal.profiles import read_profiles
from cisweave.tables.frames import read_table

SETTINGS = ExpressionSettings(
    hidden=8,
    valid_chromosomes=["chr2"],
    test_chromosomes=["chr3"],
    pretrain={"learning_rate": 0.01, "l2": 0.0, "max_epochs": 60},
    finetune={"learning_rate": 0.02, "l2": 0.0, "max_epochs": 60},
)
QUIET = TrainingSettings(tensorboard=False, csv_log=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store of random profiles of 120 genes on four contigs, and expression that is linear in the features."""
    folder = tmp_path_factory.mktemp("expression")
    random = np.random.default_rng(0)
    genes = pd.DataFrame({"gene_id": [f"G{n}" for n in range(120)], "chrom": ["chr1", "chr1", "chr2", "chr3"] * 30})
    genes.loc[:3, "chrom"] = "chrX"
    features = random.random((120, 20)).astype(np.float32)
    with h5py.File(folder / "profiles.h5", "w") as store:
        for column, values in {**genes, "strand": ["+"] * 120}.items():
            store[column] = [str(value) for value in values]
        store["tss"], store["tracks"] = np.arange(120), ["a", "b"]
        store["features"], store["profile"] = features, np.zeros((120, 4, 2), np.float32)
        store.attrs["settings"] = ProfileSettings(bins=4).model_dump_json()
    for name, contexts in (("general", ["Liver", "Brain"]), ("tissue", ["Cortex"])):
        weights = random.normal(size=(20, len(contexts)))
        table = pd.DataFrame(np.exp(features @ weights), columns=contexts).assign(gene_id=genes.gene_id + ".3")
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder


@pytest.mark.parametrize(("least", "expected"), [(0.0034, 0.01), (0.01, 0.1), (0.5, 1.0), (1.2, 10.0)])
def test_published_pseudocounts(least, expected):
    assert pseudocount(np.array([0.0, 5.0, least])) == pytest.approx(expected)


def test_pseudocounts_do_not_see_held_out_genes(world):
    expression = read_expression(world / "general.tsv", ["Liver"])
    store = read_profiles(world / "profiles.h5")
    before = prepare_expression(store, expression, SETTINGS)
    held_out = before.genes.gene_id[before.part("test")].iloc[0]
    expression.loc[held_out, "Liver"] = 1e-9
    after = prepare_expression(store, expression, SETTINGS)
    assert after.pseudocounts.tolist() == before.pseudocounts.tolist()


def test_splits_follow_contigs_and_versions_are_ignored(world):
    data = prepare_expression(
        read_profiles(world / "profiles.h5"), read_expression(world / "general.tsv", ["Liver"]), SETTINGS
    )
    splits = data.genes.groupby("chrom").split.unique().to_dict()
    assert {chrom: list(split) for chrom, split in splits.items()} == {
        "chr1": ["train"], "chr2": ["valid"], "chr3": ["test"], "chrX": ["excluded"],
    }  # fmt: skip


def test_gene_weights_by_spread():
    targets = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 10.0]])
    assert gene_weights(targets, 2.0).tolist() == [0.5, 1.0, 1.0, 2.0, 2.0]
    assert gene_weights(targets[:, :1], 2.0).tolist() == [1.0] * 5
    seen = np.array([True, True, True, False, False])
    assert gene_weights(targets, 2.0, seen).tolist() == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_weighted_loss_by_hand():
    predicted, targets = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 2)
    assert weighted_loss(predicted, targets, torch.tensor([3.0, 1.0])).item() == pytest.approx((3 / 4 + 4 / 4) / 2)


def test_transfer_learning_end_to_end(world, tmp_path):
    first = pretrain(world / "profiles.h5", world / "general.tsv", ["Liver", "Brain"], tmp_path / "general",
                     SETTINGS, QUIET, seed=1, device="cpu")  # fmt: skip
    second = finetune(world / "profiles.h5", world / "tissue.tsv", ["Cortex"], tmp_path / "general", tmp_path / "cell",
                      SETTINGS, QUIET, seed=1, device="cpu")  # fmt: skip
    assert first["test"]["spearman_median"] > 0.6
    assert second["test"]["spearman_median"] > 0.5
    general, tissue = load_model(tmp_path / "general"), load_model(tmp_path / "cell")
    assert torch.equal(general.module.shared.weight, tissue.module.shared.weight)
    assert tissue.spec.outputs == ["Cortex"]
    scores = evaluate(
        world / "profiles.h5",
        world / "tissue.tsv",
        tmp_path / "cell",
        tmp_path / "table.tsv",
        tmp_path / "scores.json",
    )
    assert scores == second["test"]
    table = read_table(tmp_path / "table.tsv")
    assert list(table.columns) == ["gene_id", "chrom", "split", "context", "measured", "predicted"]
    assert len(table) == 120


def test_shared_layer_of_another_width(world, tmp_path):
    pretrain(world / "profiles.h5", world / "general.tsv", ["Liver"], tmp_path / "general",
             SETTINGS.model_copy(update={"hidden": 5}), QUIET, device="cpu")  # fmt: skip
    with pytest.raises(CisweaveError, match=r"shared layer is \(5, 20\), needed is \(8, 20\)"):
        finetune(
            world / "profiles.h5", world / "tissue.tsv", ["Cortex"], tmp_path / "general", tmp_path / "tissue", SETTINGS
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename(columns={"Liver": "Lung"}), "column.s. Liver missing; the table has"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "gene G0 stands twice"),
        (lambda table: table.assign(Liver=-1.0), "must not be negative"),
    ],
)
def test_broken_expression_tables(world, tmp_path, change, message):
    change(pd.read_csv(world / "general.tsv", sep="\t")).to_csv(tmp_path / "table.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match=message):
        read_expression(tmp_path / "table.tsv", ["Liver"])


def test_gene_ids_of_another_kind(world):
    expression = read_expression(world / "general.tsv", ["Liver"]).rename(index=lambda gene: f"ENSG{gene}")
    with pytest.raises(CisweaveError, match="are the gene ids of one kind"):
        prepare_expression(read_profiles(world / "profiles.h5"), expression, SETTINGS)


def test_contig_without_genes(world):
    settings = SETTINGS.model_copy(update={"test_chromosomes": ["chr9"]})
    with pytest.raises(CisweaveError, match="the contigs of the test split"):
        prepare_expression(
            read_profiles(world / "profiles.h5"), read_expression(world / "general.tsv", ["Liver"]), settings
        )
