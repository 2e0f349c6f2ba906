"""Attribution of scores to tracks: against Captum, against all coalitions by hand, and against the scores."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import InterpretSettings
from cisweave.core.errors import CisweaveError
from cisweave.seal.engine import AllelePredictions
from cisweave.seal.head import PlainHead, places_of
from cisweave.seal.interpret.output import read_upstream, unique_names, upstream_path
from cisweave.seal.interpret.surrogates import Surrogate, lime_coalitions, shapley_coalitions
from cisweave.seal.interpret.tracks import TrackExplainer, interpret_variants
from cisweave.seal.predict import score_variants
from cisweave.sequence import Genome
from cisweave.tables.ledger import read_ledger
from tests.seal.interpret.conftest import CONTEXTS, ENGINE, SHIFTS, WINDOWS

METHODS = ["saliency", "integratedGradients", "deeplift", "kernelShap", "gradientShap", "lime"]


@pytest.fixture(scope="module")
def alleles(world):
    """Made-up chromatin of both alleles, far enough apart that hidden units flip."""
    draw = np.random.default_rng(1)
    shape = (len(world.variants), len(SHIFTS), 5)
    reference, alternative = (torch.from_numpy(draw.random(shape)) for _ in range(2))
    places = places_of(world.variants, world.store, SHIFTS)
    return AllelePredictions(reference, alternative), places


def explain(world, alleles, method="deeplift", **settings):
    explainer = TrackExplainer(world.model, world.store, method, InterpretSettings(**settings))
    return explainer.attribute(world.variants.assign(swapped=False), *alleles)


def plain_value(world, alleles, members):
    """Score with only the tracks ``members`` changed, by the plain head: (variants, contexts)."""
    predictions, places = alleles
    mixed = predictions.reference.clone()
    mixed[:, :, list(members)] = predictions.alternative[:, :, list(members)]
    return PlainHead(world.model, world.store).effects(AllelePredictions(predictions.reference, mixed), places)


# --- against Captum ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"method": "deeplift"}, 1e-10),
        ({"method": "integratedGradients", "steps": 30}, 1e-10),
        ({"method": "saliency"}, 1e-10),
        ({"method": "saliency", "times_change": False}, 1e-10),
        ({"method": "kernelShap", "contexts": ["Brain"], "samples": 600}, 0.05),
        ({"method": "gradientShap", "samples": 4000}, 0.02),
    ],
)
def test_native_methods_equal_captum(world, alleles, settings, tolerance):
    native, captum = (explain(world, alleles, backend=backend, **settings) for backend in ("native", "captum"))
    size = np.abs(captum.tracks).max()
    assert size > 0.1
    np.testing.assert_allclose(native.tracks, captum.tracks, atol=tolerance * size)


def test_captum_sees_the_features_of_seal(world, alleles):
    """DeepLIFT of the whole feature vector, summed over the basis, is DeepLIFT of the tracks."""
    from captum.attr import DeepLift

    from cisweave.seal.spatial import replace_bin

    predictions, places = alleles
    store, geometry = world.store, world.store.settings
    network = world.model.module.double()
    total = 0
    for shift in range(len(SHIFTS)):
        alternative, reference = (
            torch.from_numpy(
                replace_bin(
                    store.features[places.genes],
                    store.at(places.genes, places.bins[:, shift]),
                    allele[:, shift].numpy(),
                    places.distance[:, shift],
                    geometry.decay,
                    geometry.bins,
                    geometry.bin_size,
                )
            )
            for allele in (predictions.alternative, predictions.reference)
        )
        found = DeepLift(network).attribute(alternative, reference, target=1)
        total = total + found.detach().reshape(len(found), 10, 5).sum(dim=1).numpy()
    found = explain(world, alleles, method="deeplift")
    np.testing.assert_allclose(found.tracks[:, 1], total, atol=1e-6)


# --- the sums ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["deeplift", "integratedGradients", "kernelShap"])
def test_exact_methods_add_up_to_the_score(world, alleles, method):
    found = explain(world, alleles, method=method)
    np.testing.assert_allclose(found.total, plain_value(world, alleles, range(5)), atol=1e-9)
    np.testing.assert_allclose(found.tracks.sum(axis=2), found.score, atol=1e-9)
    assert np.abs(found.delta).max() < 1e-9 < np.abs(found.score).max()


@pytest.mark.parametrize("method", ["saliency", "gradientShap", "lime"])
def test_other_methods_say_what_they_miss(world, alleles, method):
    found = explain(world, alleles, method=method)
    np.testing.assert_allclose(found.delta, found.tracks.sum(axis=2) - plain_value(world, alleles, range(5)), atol=1e-9)
    assert 1e-6 < np.abs(found.delta).max() < np.abs(found.score).max()


def test_bare_gradients_have_no_sum(world, alleles):
    found = explain(world, alleles, method="saliency", times_change=False)
    assert np.isnan(found.delta).all()
    assert np.isfinite(found.tracks).all()


def test_steps_approach_the_exact_integral(world, alleles):
    exact, few, many = (
        explain(world, alleles, method="integratedGradients", steps=steps).tracks for steps in (None, 5, 500)
    )
    assert np.abs(many - exact).max() < np.abs(few - exact).max() / 5


# --- players ----------------------------------------------------------------------------------------------------------
def test_kernel_shap_of_few_tracks_is_the_shapley_value(world, alleles):
    """By its definition: the mean over all orders of what a track adds."""
    expected = np.zeros((len(world.variants), 3, 5))
    value = {
        members: plain_value(world, alleles, members) for size in range(6) for members in combinations(range(5), size)
    }
    for track in range(5):
        for members, before in value.items():
            if track not in members:
                share = factorial(len(members)) * factorial(4 - len(members)) / factorial(5)
                joined = tuple(sorted((*members, track)))
                expected[:, :, track] += share * (value[joined] - before)
    found = explain(world, alleles, method="kernelShap")
    np.testing.assert_allclose(found.tracks, expected, atol=1e-9)
    assert np.abs(found.tracks - explain(world, alleles, method="deeplift").tracks).max() > 1e-3


def test_drawn_coalitions_approach_the_shapley_value(world, alleles, monkeypatch):
    exact = explain(world, alleles, method="kernelShap").tracks
    monkeypatch.setattr("cisweave.seal.interpret.surrogates.MOST_ENUMERATED", 0)
    drawn = explain(world, alleles, method="kernelShap", samples=8000)
    assert 0 < np.abs(drawn.tracks - exact).max() < 0.02 * np.abs(exact).max()
    np.testing.assert_allclose(drawn.total, drawn.score, atol=1e-9)
    again = explain(world, alleles, method="kernelShap", samples=8000)
    other = explain(world, alleles, method="kernelShap", samples=8000, seed=1)
    np.testing.assert_array_equal(drawn.tracks, again.tracks)
    assert np.abs(drawn.tracks - other.tracks).max() > 0


@pytest.mark.parametrize("method", ["kernelShap", "lime"])
def test_tracks_without_a_player_of_their_own_are_told_together(world, alleles, method):
    grouped = explain(world, alleles, method=method, players=2)
    assert ((grouped.tracks != 0).sum(axis=2) == 2).all()
    np.testing.assert_allclose(grouped.tracks.sum(axis=2) + grouped.others, grouped.total, atol=1e-12)
    assert (np.abs(grouped.others) > 0).all()
    strongest = np.abs(explain(world, alleles, method="deeplift").tracks).max(axis=1).argsort(axis=1)[:, ::-1][:, :2]
    for variant, tracks in enumerate(strongest):
        assert (grouped.tracks[variant][:, tracks] != 0).all()


def test_lime_is_its_regression(world, alleles):
    """The whole game, linear units included, regressed in one go."""
    coalitions = lime_coalitions(5, 64, 0)
    members = coalitions.members.numpy()
    kernel = np.exp(-((1 - np.sqrt(members.mean(axis=1))) ** 2) / 2)
    values = np.stack([plain_value(world, alleles, np.flatnonzero(row)) for row in members])
    design = np.concatenate([np.ones((64, 1)), members], axis=1) * np.sqrt(kernel)[:, None]
    expected = np.linalg.lstsq(design, values.reshape(64, -1) * np.sqrt(kernel)[:, None], rcond=None)[0][1:]
    found = explain(world, alleles, method="lime", samples=64)
    np.testing.assert_allclose(found.tracks, expected.reshape(5, -1, 3).transpose(1, 2, 0), atol=1e-9)


def test_too_few_coalitions_are_refused(world):
    for method in ("kernelShap", "lime"):
        with pytest.raises(CisweaveError, match="4 coalitions do not tell .* tracks apart; write more samples"):
            Surrogate(method, InterpretSettings(samples=4), 40, torch.device("cpu"))


def test_one_player_takes_all():
    coalitions = shapley_coalitions(1, 10, 0)
    total = torch.tensor([3.0, -1.0]).double()
    assert coalitions.solve(torch.zeros(0, 2).double(), total).tolist() == [[3.0, -1.0]]


def test_coalitions_are_balanced_pairs():
    members = shapley_coalitions(30, 1000, 0).members.numpy()
    np.testing.assert_array_equal(members[::2] + members[1::2], 1)
    sizes = members.sum(axis=1)
    assert (sizes > 0).all()
    assert (sizes < 30).all()
    assert 0.2 < np.isin(sizes, [1, 29]).mean() < 0.35


# --- the command ------------------------------------------------------------------------------------------------------
def run(world, folder, **changes):
    options = {
        **world.files,
        "out": folder / "tracks.parquet",
        "strongest": folder / "tracks.tsv",
        "rejects": folder / "rejects.tsv",
        "settings": InterpretSettings(batch_size=4),
        "windows": WINDOWS,
        "engine": ENGINE,
        "device": "cpu",
    }
    interpret_variants(**(options | changes))
    return pd.read_parquet(folder / "tracks.parquet"), pd.read_csv(folder / "tracks.tsv", sep="\t")


def predicted(world):
    with Genome(world.files["fasta"]) as genome:
        return score_variants(world.variants, genome, world.store, world.chromatin, world.model, WINDOWS, ENGINE)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_its_table(world, tmp_path, method):
    table, strongest = run(world, tmp_path, method=method, settings=InterpretSettings(top_tracks=2))
    assert table.context.tolist() == CONTEXTS * 6
    scores = predicted(world).expression.ravel()
    np.testing.assert_allclose(table.score, scores, atol=1e-6)
    assert np.abs(scores).max() > 1e-3
    tracks = table[["a", "b", "c", "chrom (2)", "e"]].to_numpy()
    np.testing.assert_allclose(tracks.sum(axis=1), table.attribution_sum, atol=1e-6)
    np.testing.assert_allclose(table.attribution_sum - table.score, table.delta, atol=1e-12)
    if method in ("deeplift", "integratedGradients", "kernelShap"):
        assert table.delta.abs().max() < 1e-6
    assert len(strongest) == 6 * 3 * 2
    first = strongest[strongest["rank"] == 1]
    np.testing.assert_allclose(first.attribution.abs(), np.abs(tracks).max(axis=1), rtol=1e-4)


def test_effects_of_swapped_alleles_go_from_the_file(world, tmp_path):
    table, strongest = run(world, tmp_path)
    turned = world.variants.assign(swapped=False)
    turned.to_parquet(tmp_path / "variants.parquet")
    plain, _ = run(world, tmp_path, variants=tmp_path / "variants.parquet")
    here = table.record == 2
    for column in ("score", "attribution_sum", "a", "e"):
        np.testing.assert_allclose(table[column][here], -plain[column][here], atol=1e-12)
        np.testing.assert_allclose(table[column][~here], plain[column][~here], atol=1e-12)
    row = strongest[strongest.record == 2].iloc[0]
    assert (row.ref, row.alt) == (world.variants["alt"][1], world.variants.ref[1])


def test_batches_and_contexts_do_not_change_the_values(world, tmp_path):
    whole, _ = run(world, tmp_path)
    single, _ = run(world, tmp_path, settings=InterpretSettings(batch_size=1, contexts=["Heart", "Liver"]))
    assert single.context.tolist() == ["Heart", "Liver"] * 6
    both = single.merge(whole, on=["record", "context"], suffixes=("", "_whole"))
    for column in ("score", "a", "c"):
        np.testing.assert_allclose(both[column], both[f"{column}_whole"], atol=1e-7)


def test_array_in_the_format_of_seal(world, tmp_path):
    table, _ = run(world, tmp_path, method="kernelShap", outcome_id=1, compat_prefix=tmp_path / "run")
    path = tmp_path / "run_kernalShap_attribution_score_outcome_1.npy"
    assert upstream_path(tmp_path / "run", "kernelShap", 1) == path
    array = read_upstream(path)
    assert (array.dtype, array.shape) == (np.float32, (6, 5))
    brain = table[table.context == "Brain"]
    np.testing.assert_array_equal(array, brain[["a", "b", "c", "chrom (2)", "e"]].to_numpy())
    np.testing.assert_allclose(array.sum(axis=1), brain.score, atol=1e-6)


def test_the_same_run_writes_the_same_bytes(world, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    for folder in (tmp_path / "1", tmp_path / "2"):
        run(world, folder, compat_prefix=folder / "run", method="lime")
    for name in ("tracks.parquet", "tracks.tsv", "rejects.tsv", "run_lime_attribution_score_outcome_0.npy"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_strongest_variants_of_a_table_of_effects(world, tmp_path):
    effects = pd.DataFrame({"Liver": [0.1, 0, 0, -0.9, 0, 0.2], "Brain": [0, 0, 0.4, 0, 0, 0]})
    pd.concat([world.variants, effects], axis=1).to_parquet(tmp_path / "effects.parquet")
    table, _ = run(world, tmp_path, variants=tmp_path / "effects.parquet", settings=InterpretSettings(top_variants=2))
    assert table.record.unique().tolist() == [3, 4]
    with pytest.raises(CisweaveError, match="top_variants needs the effects"):
        run(world, tmp_path, settings=InterpretSettings(top_variants=2))
    others = pd.concat([world.variants, effects.add_prefix("Other ")], axis=1)
    others.to_parquet(tmp_path / "others.parquet")
    with pytest.raises(CisweaveError, match="needs effects in .*Liver.* the table has the columns .*Other Liver"):
        run(world, tmp_path, variants=tmp_path / "others.parquet", settings=InterpretSettings(top_variants=2))


def test_tables_are_read_as_predict_reads_them(world, tmp_path):
    bare = world.variants.assign(swapped=False)
    bare.to_parquet(tmp_path / "whole.parquet")
    bare.drop(columns=["swapped", "lift_strand", "tss"]).to_csv(tmp_path / "bare.tsv", sep="\t", index=False)
    whole, _ = run(world, tmp_path, variants=tmp_path / "whole.parquet")
    found, _ = run(world, tmp_path, variants=tmp_path / "bare.tsv")
    pd.testing.assert_frame_equal(found, whole[found.columns])
    assert {"lift_strand", "tss"}.isdisjoint(found.columns)
    for change, message in (
        ({"alt": "<DEL>"}, "record 1 has alt '<DEL>'"),
        ({"gene_strand": "-"}, "the strand of gene G1 is - here and [+] in the TSS profiles"),
    ):
        bare.assign(**change).to_parquet(tmp_path / "wrong.parquet")
        with pytest.raises(CisweaveError, match=message):
            run(world, tmp_path, variants=tmp_path / "wrong.parquet")
    off = bare.assign(pos=7000, dist_to_tss=7000 - bare.tss).head(1)
    off.to_parquet(tmp_path / "off.parquet")
    run(world, tmp_path, variants=tmp_path / "off.parquet")
    assert read_ledger(tmp_path / "rejects.tsv").code.tolist() == ["out_of_contig"]


def test_what_cannot_be_scored_is_in_the_ledger(world, tmp_path):
    table = world.variants.copy()
    table.loc[3, "gene_id"] = "G9"
    table.to_parquet(tmp_path / "variants.parquet")
    found, _ = run(world, tmp_path, variants=tmp_path / "variants.parquet")
    assert found.record.nunique() == 5
    ledger = pd.read_csv(tmp_path / "rejects.tsv", sep="\t")
    assert ledger[["stage", "record", "code"]].to_numpy().tolist() == [["seal_interpret", 4, "no_tss_profile"]]


def test_no_variants_give_tables_with_headers(world, tmp_path):
    world.variants.iloc[:0].to_parquet(tmp_path / "variants.parquet")
    table, strongest = run(world, tmp_path, variants=tmp_path / "variants.parquet", compat_prefix=tmp_path / "run")
    assert (len(table), len(strongest)) == (0, 0)
    assert {"score", "delta", "a"} <= set(table.columns)
    assert read_upstream(tmp_path / "run_deeplift_attribution_score_outcome_0.npy").shape == (0, 5)


def test_clear_errors(world, tmp_path):
    with pytest.raises(CisweaveError, match="the model has no context Lung; it has Liver, Brain, Heart"):
        run(world, tmp_path, settings=InterpretSettings(contexts=["Lung"]))
    with pytest.raises(CisweaveError, match="outcome_id is 7, the model has 3 contexts"):
        run(world, tmp_path, outcome_id=7, compat_prefix=tmp_path / "run")
    settings = InterpretSettings(contexts=["Liver"])
    with pytest.raises(CisweaveError, match="outcome_id 1 is Brain; name it among the contexts"):
        run(world, tmp_path, outcome_id=1, settings=settings, compat_prefix=tmp_path / "r")
    with pytest.raises(CisweaveError, match="set seal.predict.mode to seal"):
        run(world, tmp_path, windows=WINDOWS.model_copy(update={"mode": "haplotype"}))
    with pytest.raises(CisweaveError, match="miss the score by .* more than max_delta"):
        run(world, tmp_path, settings=InterpretSettings(max_delta=1e-30, on_delta="fail"))
    assert not (tmp_path / "tracks.parquet").exists()


def test_arrays_of_other_kinds_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "double.npy", np.zeros((2, 2)))
    for name, message in (("objects", "not an array of attributions"), ("double", "float32 with a row per variant")):
        with pytest.raises(CisweaveError, match=message):
            read_upstream(tmp_path / f"{name}.npy")


def test_names_become_unique():
    assert unique_names(["x", "y", "x", "score"], ["score"]) == ["x", "y", "x (2)", "score (2)"]
