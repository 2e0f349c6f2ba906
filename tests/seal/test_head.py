"""The fast expression head against the whole network in float64, on heads with effects of a real size."""

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import ProfileSettings
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import LoadedModel, ModelSpec
from cisweave.models.profiles import bin_centres, bin_of_distance
from cisweave.seal import head as module
from cisweave.seal.engine import AllelePredictions
from cisweave.seal.head import ExpressionHead, Kept, Places, PlainHead, holds_reference, places_of
from cisweave.seal.spatial import spatial_features
from cisweave.sequence import Genome

SHIFTS = [-800, -600, -400, -200, 0, 200, 400, 600, 800]


class Profiles:
    """Random profiles of a few genes, with what the head asks of a store."""

    def __init__(self, genes, tracks, settings):
        self.settings, self.tracks = settings, [str(track) for track in range(tracks)]
        self.values = np.random.default_rng(1).random((genes, settings.bins, tracks), dtype=np.float32)
        self.centres = bin_centres(settings.bins, settings.bin_size)
        self.reads = 0

    def rows(self, genes):
        return genes.to_numpy(np.int64)

    def bins_of(self, distance):
        return bin_of_distance(distance, self.settings.bins, self.settings.bin_size)

    def profile(self, row):
        self.reads += 1
        return self.values[row]

    def profiles(self, rows):
        return {int(row): self.values[row] for row in np.unique(rows)}

    def at(self, rows, bins):
        return self.values[rows, bins]


def setting(variants=40, genes=3, tracks=30, hidden=50, contexts=4, bins=200, dtype=np.float32):
    """A model whose scores have a deviation above 0.01, a store, places near and far, and predictions."""
    torch.manual_seed(2)
    random = np.random.default_rng(3)
    store = Profiles(genes, tracks, ProfileSettings(bins=bins))
    network = ExpressionNetwork(10 * tracks, hidden, contexts)
    for layer in (network.shared, network.layers[2]):
        layer.weight.data *= 4
    features = torch.from_numpy(spatial_features(store.values, store.settings.decay))
    network.shared.bias.data -= network.shared(features).mean(dim=0).detach()
    model = LoadedModel(network.eval(), ModelSpec("expression", {}, ["c"] * contexts), None, torch.device("cpu"))
    near = random.integers(-20_500, 20_500, variants)
    near[:6] = [0, 800, -800, 200, 20_000, -20_000][:variants]
    table = pd.DataFrame(
        {
            "gene_id": random.integers(0, genes, variants),
            "gene_strand": random.choice(["+", "-"], variants),
            "dist_to_tss": near,
        }
    )
    places = places_of(table, store, SHIFTS)
    reference = random.random((variants, len(SHIFTS), tracks)).astype(dtype)
    change = random.normal(0, 0.02, reference.shape).astype(dtype)
    predictions = AllelePredictions(torch.from_numpy(reference), torch.from_numpy(reference + change))
    return model, store, places, predictions


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 1e-6), (np.float64, 1e-11)])
def test_scores_equal_those_of_the_whole_network(dtype, limit):
    model, store, places, predictions = setting(dtype=dtype)
    expected = PlainHead(model, store).effects(predictions, places)
    found = ExpressionHead(model, store).effects(predictions, places)
    assert expected.std() > 0.01
    assert np.abs(found - expected).max() < min(limit, 1e-4 * expected.std())
    assert {-800, 0, 800} <= set(places.distance[:6].ravel().tolist())
    assert (np.abs(places.distance) > 20_000).any()


@pytest.mark.slow
def test_scores_equal_those_of_the_whole_network_at_full_size():
    model, store, places, predictions = setting(variants=24, tracks=2002, hidden=1000, contexts=122)
    expected = PlainHead(model, store).effects(predictions, places)
    found = ExpressionHead(model, store).effects(predictions, places)
    assert expected.std() > 0.01
    assert np.abs(found - expected).max() < min(1e-6, 1e-4 * expected.std())


def test_units_that_switch_are_seen():
    """Some hidden units are on with one allele only; a head that were linear there would be wrong."""
    model, store, places, predictions = setting()
    head = ExpressionHead(model, store)
    genes, bins = np.repeat(places.genes, len(SHIFTS)), places.bins.ravel()
    reference = predictions.reference.reshape(-1, 30)
    hidden = head.background(genes, bins) + head.project(reference.double(), places.distance.ravel())
    change = head.project((predictions.alternative - predictions.reference).reshape(-1, 30), places.distance.ravel())
    switched = (hidden > 0) != (hidden + change > 0)
    assert switched.any(dim=1).double().mean() > 0.05


def test_batches_and_memory_do_not_change_a_score(monkeypatch):
    model, store, places, predictions = setting()
    whole = ExpressionHead(model, store).effects(predictions, places)
    for name, value in (("WINDOWS", 20), ("ROWS", 7), ("GENES", 1), ("BACKGROUND_BYTES", 8 * 50 * 4)):
        monkeypatch.setattr(module, name, value)
    head = ExpressionHead(model, store)
    np.testing.assert_allclose(head.effects(predictions, places), whole, atol=1e-7)
    np.testing.assert_allclose(head.effects(predictions, places), whole, atol=1e-7)
    assert len(head._backgrounds) == 4
    assert len(head._genes) == 1


def test_a_gene_is_read_once():
    model, store, places, predictions = setting()
    head = ExpressionHead(model, store)
    head.effects(predictions, places)
    head.effects(predictions, places)
    assert store.reads == 3


def test_windows_of_the_genome_share_their_reference():
    """Three alleles each of neighbouring places: their windows have the same middles and, from the genome, bases."""
    model, store, _, predictions = setting(variants=40)
    middle = np.arange(40) // 3 * 200
    table = pd.DataFrame({"gene_id": 0, "gene_strand": "+", "dist_to_tss": middle})
    places = places_of(table, store, SHIFTS)
    rows = {}
    for number, distance in enumerate(places.distance.ravel().tolist()):
        rows.setdefault(distance, number)
    first = torch.tensor([rows[distance] for distance in places.distance.ravel().tolist()])
    reference = predictions.reference.reshape(-1, 30)[first].reshape(predictions.reference.shape)
    both = AllelePredictions(reference, reference + (predictions.alternative - predictions.reference))
    expected = PlainHead(model, store).effects(both, places)
    head, asked = ExpressionHead(model, store), []
    background = head.background
    head.background = lambda genes, bins: asked.append(len(genes)) or background(genes, bins)
    places.genomic = np.ones(40, dtype=bool)
    np.testing.assert_allclose(head.effects(both, places), expected, atol=1e-6)
    assert sum(asked) == len(rows) < 0.2 * 360
    asked.clear()
    places.genomic = np.arange(40) % 4 > 0
    np.testing.assert_allclose(head.effects(both, places), expected, atol=1e-6)
    assert sum(asked) == len(set(places.distance[places.genomic].ravel().tolist())) + 10 * len(SHIFTS)


def test_a_reference_of_its_own_is_not_that_of_the_genome():
    model, store, places, predictions = setting(variants=2)
    places = Places(np.zeros(2, int), np.repeat(places.distance[:1], 2, 0), np.repeat(places.bins[:1], 2, 0))
    expected = PlainHead(model, store).effects(predictions, places)
    places.genomic = np.array([True, False])
    np.testing.assert_allclose(ExpressionHead(model, store).effects(predictions, places), expected, atol=1e-6)


def test_no_variants_have_no_effects():
    model, store, places, predictions = setting()
    none = AllelePredictions(predictions.reference[:0], predictions.alternative[:0])
    assert ExpressionHead(model, store).effects(none, places.part(slice(0, 0))).shape == (0, 4)


def test_what_the_genome_holds(tmp_path):
    (tmp_path / "genome.fa").write_text(">chr1\nACGtn\n")
    table = pd.DataFrame({"chrom": "chr1", "pos": [1, 2, 2, 4, 5, 5], "ref": ["A", "cg", "CT", "T", "N", "NA"]})
    with Genome(tmp_path / "genome.fa") as genome:
        assert holds_reference(table, genome).tolist() == [True, True, False, True, True, False]
        assert holds_reference(table.iloc[:0], genome).shape == (0,)


def test_what_was_not_used_for_longest_goes_first():
    kept = Kept(2)
    vectors = torch.arange(8.0).reshape(4, 2)
    for key in (0, 1, 2):
        kept.add(key, vectors[key])
    assert kept.missing([0, 3, 3]) == [3]
    np.testing.assert_array_equal(kept.stack([0, 2]), vectors[[0, 2]])
    assert kept.missing([0, 1, 2]) == [1]
    kept.stack([0])
    kept.add(3, vectors[3])
    kept.stack([3])
    assert kept.missing([0, 2, 3]) == [2]
