"""The engine for dense variants against windows computed one by one, and the counts of work."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import EngineSettings
from cisweave.models.beluga import Beluga
from cisweave.seal.engine.dense import DenseEngine, MixedEngine, dense_clusters, stretches
from cisweave.seal.engine.plain import PlainEngine, haplotype_windows
from cisweave.seal.engine.stretch import STAGES, PlaceLayers
from cisweave.seal.engine.work import (
    NetworkShape,
    cone_places,
    cone_work,
    dense_work_per_base,
    union_bases,
    union_work,
    window_work,
)
from cisweave.sequence import Genome, one_hot, reverse_complement

LENGTH = 7000
PUBLISHED_SHIFTS = list(range(-800, 801, 200))
GEOMETRIES = {
    "published windows": (2000, PUBLISHED_SHIFTS),
    "short windows": (400, [-100, 0, 100]),
    "steps that share no pool": (600, [-93, -31, 31, 93]),
    "one window": (600, [0]),
    "allele at the ends of its windows": (400, [-198, 0, 198]),
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A contig with lower case, single unknown bases and a run of them, and a short contig."""
    random = np.random.default_rng(0)
    letters = random.choice(list("ACGTacgtN"), LENGTH, p=[0.2] * 4 + [0.04] * 5)
    letters[3000:3060] = "N"
    path = tmp_path_factory.mktemp("dense") / "genome.fa"
    path.write_text(f">chr1\n{''.join(letters)}\n>chr2\n{''.join(random.choice(list('ACGT'), 500))}\n")
    with Genome(path) as opened:
        yield opened


def small_network(window, dtype=torch.float64):
    torch.manual_seed(1)
    network = Beluga(tracks=3, channels=[4, 4, 6, 6, 8, 8], hidden=12, window=window).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.1)
    return network.to(dtype)


def random_variants(genome, number, seed, low=1, high=LENGTH):
    """Substitutions, longer ones, insertions, deletions, and REF that the genome does not hold."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        position = int(random.integers(low, high))
        length = min(int(random.choice([1, 1, 1, 2, 3, 20])), LENGTH - position + 1)
        ref = genome.fetch("chr1", position - 1, position - 1 + length)
        kind = int(random.integers(0, 5))
        alt = {
            0: random.choice(list("ACGT")),
            1: ref[0] + "".join(random.choice(list("ACGT"), int(random.integers(1, 60)))),
            2: "".join(random.choice(list("ACGT"), length)),
            3: ref[0],
            4: random.choice(list("ACGT")),
        }[kind]
        rows.append(("chr1", position, "A" * length if kind == 4 else ref, str(alt)))
    return pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"])


def window_by_window(network, variants, allele, genome, shifts):
    """Probabilities (variants, shifts, tracks) in the network's own precision, nothing shared."""
    found = []
    for shift in shifts:
        codes = haplotype_windows(genome, variants, allele, network.window, shift)
        both = [torch.sigmoid(network(one_hot(side).double())) for side in (codes, reverse_complement(codes))]
        found.append(sum(both) / 2)
    return torch.stack(found, dim=1)


def largest_differences(network, variants, genome, shifts, engine=None):
    engine = engine or DenseEngine(network, CPU, EngineSettings())
    predictions = engine.predict(variants, genome, shifts)
    with torch.inference_mode():
        return [
            float(
                (getattr(predictions, name) - window_by_window(network, variants, column, genome, shifts)).abs().max()
            )
            for name, column in (("reference", "ref"), ("alternative", "alt"))
        ]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_small_network_in_float64_is_equal_to_1e_10(genome, geometry):
    window, shifts = GEOMETRIES[geometry]
    variants = random_variants(genome, 60, seed=len(geometry))
    if geometry == "allele at the ends of its windows":
        variants = variants[(variants.ref.str.len() == 1) & (variants["alt"].str.len() == 1)]
    assert max(largest_differences(small_network(window), variants, genome, shifts)) < 1e-10


def test_windows_at_both_ends_of_a_contig(genome):
    near = [random_variants(genome, 12, seed, *ends) for seed, ends in ((3, (1, 60)), (4, (LENGTH - 60, LENGTH)))]
    assert max(largest_differences(small_network(400), pd.concat(near), genome, [-100, 0, 100])) < 1e-10


def test_the_unknown_run_and_lower_case(genome):
    variants = random_variants(genome, 20, 5, 2900, 3000)
    assert genome.fetch("chr1", 3000, 3060) == "N" * 60
    assert max(largest_differences(small_network(400), variants, genome, [-100, 0, 100])) < 1e-10


def test_deletions_up_to_a_hundred_bases(genome):
    rows = [
        ("chr1", 4000, genome.fetch("chr1", 3999, 4000 + lost), genome.fetch("chr1", 3999, 4000))
        for lost in (1, 2, 15, 16, 17, 99, 100)
    ]
    variants = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"])
    assert max(largest_differences(small_network(600), variants, genome, [-96, 0, 96])) < 1e-10


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    position=st.integers(1, LENGTH - 30),
    length=st.integers(1, 30),
    alt=st.text("ACGT", min_size=1, max_size=40),
    shift=st.integers(1, 90),
)
def test_any_allele_at_any_place_and_step(genome, position, length, alt, shift):
    ref = genome.fetch("chr1", position - 1, position - 1 + length)
    variants = pd.DataFrame({"chrom": ["chr1"], "pos": [position], "ref": [ref], "alt": [alt]})
    assert max(largest_differences(small_network(400), variants, genome, [-shift, 0, shift])) < 1e-10


def test_probabilities_in_float32_are_those_of_the_plain_path(genome):
    network = small_network(2000, torch.float32)
    variants = random_variants(genome, 40, 8, 2000, 2600)
    found, expected = (
        engine.predict(variants, genome, PUBLISHED_SHIFTS)
        for engine in (DenseEngine(network, CPU, EngineSettings()), PlainEngine(network, CPU))
    )
    assert float((expected.alternative - expected.reference).abs().max()) > 1e-2
    for allele in ("reference", "alternative"):
        assert float((getattr(found, allele) - getattr(expected, allele)).abs().max()) < 1e-6


def test_order_duplicates_and_batches_change_nothing(genome):
    network = small_network(400, torch.float32)
    variants = random_variants(genome, 30, 9, 2000, 2500)
    engine = DenseEngine(network, CPU, EngineSettings())
    whole = engine.predict(variants, genome, [-100, 0, 100]).alternative
    order = np.random.default_rng(0).permutation(np.tile(np.arange(30), 2))
    mixed = DenseEngine(network, CPU, EngineSettings()).predict(variants.iloc[order], genome, [-100, 0, 100])
    assert float((mixed.alternative - whole[order]).abs().max()) < 1e-6
    single = [engine.predict(variants.iloc[[row]], genome, [-100, 0, 100]).alternative for row in range(30)]
    assert float((torch.cat(single) - whole).abs().max()) < 1e-6


def test_contigs_and_stretches_far_apart(genome):
    network = small_network(400)
    far = random_variants(genome, 4, 10, 100, 200), random_variants(genome, 4, 11, 6000, 6500)
    other = pd.DataFrame({"chrom": ["chr2"], "pos": [250], "ref": [genome.fetch("chr2", 249, 250)], "alt": ["AC"]})
    variants = pd.concat([far[1], other, far[0]], ignore_index=True)
    assert [rows.tolist() for rows in stretches(variants[variants.pos > 0], gap=1000)][1:] == [
        sorted(range(4), key=lambda row: variants.pos[row]),
        [4],
    ]
    assert max(largest_differences(network, variants, genome, [-100, 0, 100])) < 1e-10


def test_a_prepared_stretch_is_worked_out_once(genome, monkeypatch):
    passes = []
    everywhere = PlaceLayers.everywhere
    monkeypatch.setattr(
        PlaceLayers, "everywhere", lambda self, codes: passes.append(len(codes)) or everywhere(self, codes)
    )
    network = small_network(400)
    engine = DenseEngine(network, CPU, EngineSettings())
    engine.prepare(genome, "chr1", 2000, 2400, [-100, 0, 100], longest=60)
    for seed in (12, 13):
        variants = random_variants(genome, 10, seed, 2000, 2380)
        assert max(largest_differences(network, variants, genome, [-100, 0, 100], engine)) < 1e-10
    assert len(passes) == 2
    engine.predict(random_variants(genome, 3, 14, 2500, 2600), genome, [-100, 0, 100])
    assert len(passes) == 4


def test_no_variants(genome):
    engine = DenseEngine(small_network(400), CPU, EngineSettings())
    found = engine.predict(pd.DataFrame({"chrom": [], "pos": [], "ref": [], "alt": []}), genome, [-100, 0, 100])
    assert found.reference.shape == found.alternative.shape == (0, 3, 3)


def test_close_variants_go_one_way_and_scattered_ones_the_other(genome):
    network = small_network(400)
    close = random_variants(genome, 12, 16, 2000, 2200)
    single = random_variants(genome, 2, 17, 5000, 6500)
    variants = pd.concat([single.iloc[:1], close, single.iloc[1:]], ignore_index=True).sample(frac=1, random_state=0)
    taken = []

    class Single(DenseEngine):
        def predict(self, variants, genome, shifts):
            taken.append(len(variants))
            return super().predict(variants, genome, shifts)

    scattered = Single(network, CPU, EngineSettings())
    engine = MixedEngine(scattered, EngineSettings(), scattered.dense)
    assert max(largest_differences(network, variants, genome, [-100, 0, 100], engine)) < 1e-10
    assert taken == [2]
    assert max(largest_differences(network, single, genome, [-100, 0, 100], engine)) < 1e-10
    assert max(largest_differences(network, close, genome, [-100, 0, 100], engine)) < 1e-10
    assert taken == [2, 2]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_lower_precision_stays_close(genome, precision):
    network = small_network(400, torch.float32)
    variants = random_variants(genome, 20, 15, 2000, 2300)
    exact, rough = (
        DenseEngine(network, CPU, EngineSettings(precision=name)).predict(variants, genome, [-100, 0, 100])
        for name in ("float32", precision)
    )
    assert rough.alternative.dtype == torch.float32
    off = float((exact.alternative - rough.alternative).abs().max())
    assert 0 < off < {"float16": 2e-3, "bfloat16": 2e-2}[precision]


# --- work -------------------------------------------------------------------------------------------------------------
def test_work_of_the_published_network():
    shape = NetworkShape.published()
    assert shape.parameters == 149_536_251
    assert window_work(shape) / 1e6 == pytest.approx(3901.6, abs=0.1)
    assert union_work(shape, PUBLISHED_SHIFTS) / 1e9 == pytest.approx(9.35, abs=0.01)
    assert cone_work(shape, PUBLISHED_SHIFTS) / 1e9 == pytest.approx(0.52, abs=0.01)
    assert dense_work_per_base(shape) / 1e6 == pytest.approx(9.64, abs=0.01)
    assert cone_places() == (8, 15, 12, 19, 13, 20)
    assert [stage.reach for stage in STAGES] == [8, 15, 18, 46, 74, 86, 198, 310]


def test_shape_of_a_network_and_of_its_hyperparameters():
    given_shape = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
    network = Beluga(**given_shape)
    assert NetworkShape.of(network) == NetworkShape.from_hyperparameters(given_shape)
    assert NetworkShape.of(network).parameters == sum(parameter.numel() for parameter in network.parameters())


def test_clusters_are_those_where_a_stretch_is_cheaper():
    with torch.device("meta"):
        network = Beluga(2002)
    worth = union_bases(NetworkShape.of(network), PUBLISHED_SHIFTS)
    assert worth == pytest.approx(839.5, abs=0.1)

    def clusters(*places):
        return [
            rows.tolist()
            for rows in dense_clusters(pd.DataFrame({"chrom": "chr1", "pos": places}), network, PUBLISHED_SHIFTS)
        ]

    assert clusters(1000, 1100, 1200, 1300, 1400) == [[0, 1, 2, 3, 4]]
    assert clusters(1000, 1100, 1200, 1300) == []
    assert clusters(1000, 1000, 1000, 1100, 1100, 1200) == []
    assert clusters(90_000, 1400, 1300, 1200, 1100, 1000) == [[5, 4, 3, 2, 1]]
    assert len(clusters(*range(1000, 40_000, 400))) == 9
    assert clusters(*range(1000, 40_000, 500)) == []
