"""Expression: splits and targets, training against a plain loop, transfer learning end to end."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split

from cisweave.config import ExpressionSettings, PhaseSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.genes import without_version
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import load_model
from cisweave.seal.expression import (
    evaluate,
    finetune,
    gene_weights,
    prepare_expression,
    pretrain,
    read_expression,
    split_genes,
    weighted_loss,
    with_types,
)
from cisweave.seal.phases import ran_to_the_end
from cisweave.seal.profiles import read_profiles
from cisweave.tables.frames import read_table
from cisweave.training.data import EpochShuffle
from tests.seal.expression_world import GENERAL, QUIET, SETTINGS, SPECIFIC, gene, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("expression"))


def changed(**keys):
    return ExpressionSettings.model_validate(SETTINGS.model_dump() | keys)


def prepared(world, settings=SETTINGS, contexts=GENERAL, annotation=None):
    expression = read_expression(world / "general.tsv", contexts)
    return prepare_expression(read_profiles(world / "profiles.h5"), expression, settings, annotation)


# --- splits and targets -----------------------------------------------------------------------------------------------
def test_splits_follow_contigs_and_versions_are_ignored(world):
    splits = prepared(world).genes.groupby("chrom").split.unique().to_dict()
    assert {chrom: list(split) for chrom, split in splits.items()} == {
        "chr1": ["train"], "chr2": ["valid"], "chr3": ["test"], "chrX": ["excluded"],
    }  # fmt: skip


def test_targets_are_logs_with_pseudocounts(world):
    data = prepared(world)
    table = pd.read_csv(world / "general.tsv", sep="\t")
    assert data.pseudocounts.tolist() == pytest.approx(
        [10 ** (np.floor(np.log10(table[name][data.part("train")].min())) + 1) for name in GENERAL]
    )
    assert np.allclose(data.targets, np.log(table[GENERAL] + data.pseudocounts), atol=1e-6)


def test_pseudocounts_do_not_see_held_out_genes(world):
    store, expression = read_profiles(world / "profiles.h5"), read_expression(world / "general.tsv", ["Liver"])
    before = prepare_expression(store, expression, SETTINGS)
    expression.loc[before.genes.gene_id[before.part("test")].iloc[0], "Liver"] = 1e-9
    assert prepare_expression(store, expression, SETTINGS).pseudocounts.tolist() == before.pseudocounts.tolist()
    assert prepare_expression(store, expression, changed(compat="seal")).pseudocounts.tolist() == pytest.approx([1e-8])


def test_published_pseudocounts_count_genes_that_lack_another_context(world):
    store, expression = read_profiles(world / "profiles.h5"), read_expression(world / "general.tsv", GENERAL)
    expression.loc[gene(5), GENERAL] = 1e-9, np.nan
    assert prepare_expression(store, expression, changed(compat="seal")).pseudocounts[0] == pytest.approx(1e-8)
    data = prepare_expression(store, expression, SETTINGS)
    assert data.pseudocounts[0] > 1e-4
    assert data.left_out == [gene(5)]


def test_types_of_genes(world):
    annotation = world / "genes.csv"
    number = prepared(world).genes.gene_id.str[4:].astype(int)
    excluded = prepared(world, annotation=annotation).part("excluded")
    assert (excluded == ((number < 4) | (number % 10 == 9))).all()
    kept = ~prepared(world, changed(gene_types=["lincRNA"]), annotation=annotation).part("excluded")
    assert (kept == ((number >= 4) & (number % 10 != 9) & (number % 7 == 6))).all()
    with pytest.raises(CisweaveError, match="needs an annotation that names the types"):
        prepared(world, changed(gene_types=["lincRNA"]))


def test_an_annotation_without_types(world, tmp_path):
    bed = tmp_path / "tss.bed"
    bed.write_text("".join(f"chr1\t{n}\t{n + 1}\t+\t{gene(n)}\n" for n in range(4, 120)))
    assert prepared(world, annotation=bed).part("excluded").sum() == 4
    assert len(prepared(world, changed(compat="seal"), annotation=bed).genes) == 116
    with pytest.raises(CisweaveError, match="needs an annotation that names the types"):
        prepared(world, changed(gene_types=["lincRNA"]), annotation=bed)


def test_published_validation_genes_are_drawn_in_the_annotation_s_order(world):
    data = prepared(world, changed(compat="seal"), annotation=world / "genes.csv")
    assert data.genes.gene_id.tolist() == [gene(n) for n in range(119, -1, -1)]
    number = data.genes.gene_id.str[4:].astype(int)
    learned = np.flatnonzero((number >= 4) & (number % 10 != 9) & (data.genes.chrom != "chr3"))
    _, drawn = train_test_split(learned, test_size=0.125, random_state=0)
    assert np.flatnonzero(data.part("valid")).tolist() == sorted(drawn)
    assert set(data.genes.chrom[data.part("train")]) == {"chr1", "chr2"}
    table = pd.read_csv(world / "general.tsv", sep="\t").set_index("gene_id")
    first = table.loc[gene(119) + ".3", GENERAL].to_numpy(dtype=float)
    assert data.targets[0] == pytest.approx(np.log(first + data.pseudocounts), rel=1e-5)


def test_published_training_needs_the_annotation(world, tmp_path):
    with pytest.raises(CisweaveError, match="compat: seal needs the gene annotation"):
        pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, tmp_path, changed(compat="seal"), QUIET)
    assert not any(tmp_path.iterdir())


def test_published_draw_without_some_profiles_or_types_is_told(world, tmp_path, caplog):
    lines = (world / "genes.csv").read_text().splitlines()
    more = [lines[-1].replace(gene(0), gene(number)) for number in (500, 501)]
    (tmp_path / "more.csv").write_text("\n".join([*lines, *more]))
    prepared(world, changed(compat="seal"), annotation=tmp_path / "more.csv")
    assert "2 of 122 genes of" in caplog.text
    assert "have no TSS profile" in caplog.text
    bed = tmp_path / "tss.bed"
    bed.write_text("".join(f"chr1\t{n}\t{n + 1}\t+\t{gene(n)}\n" for n in range(120)))
    prepared(world, changed(compat="seal"), annotation=bed)
    assert "does not tell the types of genes" in caplog.text


def test_genes_whose_ids_end_alike_are_not_one(world, tmp_path):
    table = pd.read_csv(world / "general.tsv", sep="\t")
    table.loc[:1, "gene_id"] = ["RP11-34P13.7", "RP11-34P13.8"]
    table.to_csv(tmp_path / "general.tsv", sep="\t", index=False)
    assert read_expression(tmp_path / "general.tsv").index[:2].tolist() == ["RP11-34P13.7", "RP11-34P13.8"]
    annotation = pd.read_csv(world / "genes.csv")
    annotation.loc[annotation.id == gene(0), "id"] = "RP11-34P13.7"
    annotation.loc[annotation.id == gene(1), ["id", "type"]] = ["RP11-34P13.8", "rRNA"]
    annotation.to_csv(tmp_path / "genes.csv", index=False)
    genes = pd.DataFrame({"gene_id": ["RP11-34P13.7", "RP11-34P13.8", gene(5) + ".1"], "chrom": "chr1"})
    joined = with_types(genes.assign(key=genes.gene_id.map(without_version)), tmp_path / "genes.csv", False)
    assert joined.type.tolist() == ["protein_coding", "rRNA", "protein_coding"]


def test_another_draw_and_another_share():
    genes = pd.DataFrame({"chrom": ["chr1"] * 200})
    masks = [
        split_genes(genes, ExpressionSettings(validation="random", valid_share=share, valid_seed=seed)) == "valid"
        for share, seed in ((0.125, 0), (0.125, 1), (0.25, 0))
    ]
    assert [int(mask.sum()) for mask in masks] == [25, 25, 50]
    assert not masks[0].equals(masks[1])


def test_gene_ids_of_another_kind(world):
    expression = read_expression(world / "general.tsv", ["Liver"]).rename(index=lambda gene: f"ENSG{gene}")
    with pytest.raises(CisweaveError, match="are the gene ids of one kind"):
        prepare_expression(read_profiles(world / "profiles.h5"), expression, SETTINGS)


def test_contig_without_genes(world):
    with pytest.raises(CisweaveError, match="the contigs of the test split"):
        prepared(world, changed(test_chromosomes=["chr9"]))


# --- training against a plain loop ------------------------------------------------------------------------------------
def test_weighted_loss_by_hand():
    predicted, targets = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 2)
    weights = torch.tensor([[3.0, 1.0], [1.0, 4.0]])
    assert weighted_loss(predicted, targets, weights).item() == pytest.approx((3 / 4 + 4 * 4 / 5) / 2)


def plain_training(network, data, weights, phase, batch_size, seed):
    """Adam, batches in the order of the seed, early stopping: losses of all epochs and the weights of the best one."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=phase.learning_rate, weight_decay=phase.l2)
    tensors = [torch.from_numpy(array) for array in (data.features, data.targets, weights)]
    train, valid = ([tensor[torch.from_numpy(data.part(name))] for tensor in tensors] for name in ("train", "valid"))
    order, best, waited, losses = EpochShuffle(len(train[0]), seed), None, 0, []
    for epoch in range(phase.max_epochs):
        order.set_epoch(epoch)
        rows = list(order)
        for start in range(0, len(rows), batch_size):
            features, targets, weight = (tensor[rows[start : start + batch_size]] for tensor in train)
            optimiser.zero_grad()
            weighted_loss(network(features), targets, weight).backward()
            optimiser.step()
        with torch.no_grad():
            losses.append(weighted_loss(network(valid[0]), valid[1], valid[2]).item())
        waited = 0 if best is None or losses[-1] < best else waited + 1
        if waited == 0:
            best, state = losses[-1], {name: value.clone() for name, value in network.state_dict().items()}
        if waited >= phase.patience:
            break
    return losses, state


PLAIN = {"max_epochs": 12, "patience": 2, "gene_weight": 2.0, "l2": 0.01}


@pytest.fixture(scope="module")
def both_phases(world, tmp_path_factory):
    """Both phases with weights by group, batches of seven and a rate that makes early stopping happen."""
    folder = tmp_path_factory.mktemp("phases")
    (folder / "groups.tsv").write_text("front\t1,3\nlone\t2\n")
    settings = changed(
        batch_size=7, pretrain={"learning_rate": 0.05, **PLAIN}, finetune={"learning_rate": 0.08, **PLAIN}
    )
    common = (settings, QUIET, 5, "cpu")
    metrics = [
        pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, folder / "general", *common),
        finetune(world / "profiles.h5", world / "tissue.tsv", SPECIFIC, folder / "general", folder / "tissue", *common,
                 groups=folder / "groups.tsv"),
    ]  # fmt: skip
    return folder, settings, metrics


def compare(folder, losses, state):
    history = pd.read_csv(folder / "history.csv")
    assert history.valid_loss.tolist() == pytest.approx(losses, rel=1e-4)
    for name, tensor in load_model(folder).module.state_dict().items():
        assert torch.allclose(tensor, state[name], atol=1e-4), name
    return history


def test_pretraining_is_the_plain_loop(world, both_phases):
    folder, settings, metrics = both_phases
    data = prepared(world, settings)
    known = data.part("train") | data.part("valid")
    weights = gene_weights(data.targets, 2.0, known)
    assert set(np.unique(weights)) == {0.5, 1.0, 2.0}
    torch.manual_seed(5)
    network = ExpressionNetwork(20, 8, 2)
    losses, state = plain_training(network, data, weights, settings.pretrain, 7, 5)
    history = compare(folder / "general", losses, state)
    assert metrics[0]["epochs"] == len(losses)
    assert metrics[0]["best_epoch"] == int(np.argmin(losses)) == int(history.valid_loss.argmin())
    valid = data.part("valid")
    with torch.no_grad():
        predicted = load_model(folder / "general").module(torch.from_numpy(data.features[valid])).numpy()
    assert metrics[0]["valid"]["mse"] == pytest.approx(((predicted - data.targets[valid]) ** 2).mean(), rel=1e-5)
    assert history.valid_mse.min() <= metrics[0]["valid"]["mse"] * 1.0001


def test_finetuning_on_remembered_hidden_units_is_the_plain_loop(world, both_phases):
    folder, settings, _ = both_phases
    expression = read_expression(world / "tissue.tsv", SPECIFIC)
    data = prepare_expression(read_profiles(world / "profiles.h5"), expression, settings)
    weights = gene_weights(data.targets, 2.0, data.part("train") | data.part("valid"), [[0, 2], [1]])
    torch.manual_seed(5)
    network = ExpressionNetwork(20, 8, 3)
    network.shared.load_state_dict(load_model(folder / "general").module.shared.state_dict())
    network.freeze_shared_layer()
    losses, state = plain_training(network, data, weights, settings.finetune, 7, 5)
    compare(folder / "tissue", losses, state)
    assert torch.equal(load_model(folder / "tissue").module.shared.weight, network.shared.weight)


def test_no_gene_is_passed_over(world, tmp_path):
    settings = changed(batch_size=57, pretrain={"learning_rate": 0.05, "max_epochs": 1}, bootstrap=0)
    data = prepared(world, settings)
    assert data.part("train").sum() == 58
    pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, tmp_path / "m", settings, QUIET, device="cpu")
    torch.manual_seed(0)
    network = ExpressionNetwork(20, 8, 2)
    losses, state = plain_training(network, data, np.ones_like(data.targets), settings.pretrain, 57, 0)
    compare(tmp_path / "m", losses, state)


# --- end to end -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    first = pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, folder / "general",
                     SETTINGS, QUIET, seed=1, device="cpu")  # fmt: skip
    second = finetune(world / "profiles.h5", world / "tissue.tsv", ["Cortex"], folder / "general", folder / "cell",
                      SETTINGS, QUIET, seed=1, device="cpu")  # fmt: skip
    return folder, first, second


def test_transfer_learning_end_to_end(world, trained, tmp_path):
    folder, first, second = trained
    assert first["test"]["spearman_median"] > 0.6
    assert second["test"]["spearman_median"] > 0.6
    general, tissue = load_model(folder / "general"), load_model(folder / "cell")
    assert torch.equal(general.module.shared.weight, tissue.module.shared.weight)
    assert tissue.spec.outputs == ["Cortex"]
    scores = evaluate(
        world / "profiles.h5", world / "tissue.tsv", folder / "cell", tmp_path / "table.tsv", tmp_path / "scores.json",
        tmp_path / "performance.tsv",
    )  # fmt: skip
    for context, found in scores["per_context"].items():
        assert found == pytest.approx(second["test"]["per_context"][context], rel=1e-5)
    assert second["test"]["spearman_median"] != round(second["test"]["spearman_median"], 6)  # in full
    table = read_table(tmp_path / "table.tsv")
    assert list(table.columns) == ["gene_id", "chrom", "split", "context", "measured", "predicted"]
    assert len(table) == 120
    performance = read_table(tmp_path / "performance.tsv").assign(phase="finetune")
    pd.testing.assert_frame_equal(
        performance.drop(columns=["spearman_low", "spearman_high"]),
        read_table(folder / "cell" / "performance.tsv").drop(columns=["spearman_low", "spearman_high"]),
    )


def test_a_model_folder_tells_how_it_was_trained(trained):
    folder, first, _ = trained
    genes = read_table(folder / "general" / "genes.tsv")
    assert genes.split.value_counts().to_dict() == {"train": 58, "valid": 29, "test": 29, "excluded": 4}
    performance = read_table(folder / "general" / "performance.tsv")
    assert performance.context.tolist() == GENERAL
    assert set(performance.genes) == {29}
    assert (performance.spearman_low < performance.spearman).all()
    assert json.loads((folder / "general" / "metrics.json").read_text()) == first
    assert first["hidden"] == 8
    assert first["learning_rate"] == 0.01
    assert first["measured_epoch"] == "best"
    spec = load_model(folder / "general").spec
    assert spec.preprocessing["test_chromosomes"] == ["chr3"]
    assert list(spec.preprocessing["pseudocounts"]) == GENERAL


def test_the_split_of_training_is_remembered(world, trained, tmp_path):
    folder = trained[0]
    genes = read_table(folder / "cell" / "genes.tsv")
    genes.loc[genes.gene_id == gene(4), "split"] = "test"
    model = tmp_path / "model"
    model.mkdir()
    for path in (folder / "cell").glob("*.*"):
        (model / path.name).write_bytes(path.read_bytes())
    genes.to_csv(model / "genes.tsv", sep="\t", index=False)
    evaluate(world / "profiles.h5", world / "tissue.tsv", model, tmp_path / "table.tsv", tmp_path / "scores.json")
    table = read_table(tmp_path / "table.tsv").set_index("gene_id")
    assert table.split[[gene(4), gene(5), gene(7)]].tolist() == ["test", "train", "test"]


def test_a_split_that_is_not_remembered_is_told(world, trained, tmp_path, caplog):
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model.yaml", "weights.safetensors"):
        (model / name).write_bytes((trained[0] / "cell" / name).read_bytes())
    files = (world / "profiles.h5", world / "tissue.tsv", model, tmp_path / "t.tsv", tmp_path / "s.json")
    evaluate(*files, annotation=world / "genes.csv")
    assert "does not tell the split of its genes (genes.tsv)" in caplog.text
    assert "rRNA" not in caplog.text
    evaluate(*files)
    assert "genes of the type rRNA are not left out" in caplog.text


def test_intervals_of_an_evaluation_are_asked_for(world, trained, tmp_path):
    for resamples in (0, 30, 300):
        evaluate(
            world / "profiles.h5", world / "tissue.tsv", trained[0] / "cell", tmp_path / "t.tsv", tmp_path / "s.json",
            tmp_path / f"{resamples}.tsv", resamples=resamples,
        )  # fmt: skip
    none, few, many = (read_table(tmp_path / f"{resamples}.tsv") for resamples in (0, 30, 300))
    assert none.spearman_low.isna().all()
    assert (few.spearman_low < few.spearman).all()
    assert (few.spearman_low != many.spearman_low).all()


def test_evaluation_takes_the_pseudocounts_of_the_model(world, trained, tmp_path):
    folder = trained[0]
    expression = pd.read_csv(world / "tissue.tsv", sep="\t")
    expression.loc[5, "Cortex"] = 1e-7
    expression.to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    evaluate(world / "profiles.h5", tmp_path / "other.tsv", folder / "cell", tmp_path / "t.tsv", tmp_path / "s.json")
    measured = read_table(tmp_path / "t.tsv").set_index("gene_id").measured
    count = load_model(folder / "cell").spec.preprocessing["pseudocounts"]["Cortex"]
    assert measured[gene(6)] == pytest.approx(np.log(expression.Cortex[6] + count), rel=1e-4)


def test_the_shared_layer_decides_on_the_width(world, trained, tmp_path):
    folder = trained[0]
    settings = changed(hidden=5, finetune={"max_epochs": 1}, bootstrap=0)
    metrics = finetune(world / "profiles.h5", world / "tissue.tsv", ["Cortex"], folder / "general", tmp_path / "m",
                       settings, QUIET, device="cpu")  # fmt: skip
    assert metrics["hidden"] == 8
    assert load_model(tmp_path / "m").module.shared.weight.shape == (8, 20)


# --- as the published program trains ----------------------------------------------------------------------------------
def test_the_published_rate_is_a_default():
    published = ExpressionSettings(compat="seal")
    assert (published.pretrain.learning_rate, published.pretrain.l2) == (1e-4, 1e-5)
    assert ExpressionSettings().pretrain.learning_rate == 1e-3
    for phase in ({"learning_rate": 1e-3}, PhaseSettings(learning_rate=1e-3)):
        assert ExpressionSettings(compat="seal", pretrain=phase).pretrain.learning_rate == 1e-3
    for phase in ({"max_epochs": 7}, PhaseSettings(max_epochs=7)):
        chosen = ExpressionSettings(compat="seal", pretrain=phase).pretrain
        assert (chosen.learning_rate, chosen.max_epochs) == (1e-4, 7)
    assert ExpressionSettings(finetune={"max_epochs": 7}).finetune.learning_rate == 1e-4
    assert ExpressionSettings(finetune={"max_epochs": 7}).finetune.l2 == 1e-4


def test_patience_and_the_last_epoch():
    phase = ExpressionSettings(pretrain={"max_epochs": 5, "patience": 2}).pretrain
    losses = {
        "stopped": [3, 1, 2, 2],
        "at the end": [3, 2, 1, 2, 2],
        "ran out": [3, 2, 2, 1, 2],
        "best": [5, 4, 3, 2, 1],
    }
    found = {name: ran_to_the_end(pd.DataFrame({"valid_loss": values}), phase) for name, values in losses.items()}
    assert found == {"stopped": False, "at the end": False, "ran out": True, "best": True}


def test_published_quirks(world, tmp_path):
    """Seed 0 whatever is given; the last epoch is measured if no early stop came, the folder keeps the best."""
    settings = changed(
        compat="seal", batch_size=7, pretrain={"learning_rate": 0.3, "max_epochs": 6, "patience": 6}, bootstrap=0
    )
    for seed in (0, 3):
        metrics = pretrain(world / "profiles.h5", world / "general.tsv", GENERAL, tmp_path / str(seed), settings, QUIET,
                           seed=seed, device="cpu", annotation=world / "genes.csv")  # fmt: skip
    weights = [(tmp_path / seed / "weights.safetensors").read_bytes() for seed in ("0", "3")]
    assert weights[0] == weights[1]
    data = prepared(world, settings, annotation=world / "genes.csv")
    torch.manual_seed(0)
    network = ExpressionNetwork(20, 8, 2)
    losses, best = plain_training(network, data, np.ones_like(data.targets), settings.pretrain, 7, 0)
    assert int(np.argmin(losses)) < 5
    compare(tmp_path / "3", losses, best)
    assert metrics["measured_epoch"] == "last"
    test = data.part("test")
    with torch.no_grad():
        predicted = network(torch.from_numpy(data.features[test])).numpy()
    expected = np.median(((predicted - data.targets[test]) ** 2).mean(axis=0))
    assert metrics["test"]["mse_median"] == pytest.approx(expected, rel=1e-3)
    network.load_state_dict(best)
    with torch.no_grad():
        predicted = network(torch.from_numpy(data.features[test])).numpy()
    assert metrics["test"]["mse_median"] != pytest.approx(
        np.median(((predicted - data.targets[test]) ** 2).mean(axis=0)), rel=1e-3
    )
