"""The fast engine against the plain path: every kind of variant and every trap that was met."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import EngineSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.beluga import Beluga
from cisweave.models.folders import LoadedModel, ModelSpec
from cisweave.seal.engine import make_engine
from cisweave.seal.engine.dense import MixedEngine
from cisweave.seal.engine.fast import FastEngine, shared_tiling
from cisweave.seal.engine.geometry import Tiling
from cisweave.seal.engine.plain import PlainEngine
from cisweave.sequence import Genome
from tests.seal.engine.world import (
    SHIFTS,
    contigs,
    expected,
    network,
    other,
    probability,
    snv,
    take,
    variants,
    write_genome,
)

CPU = torch.device("cpu")
EXACT = 1e-10
"""Against float64, end to end."""


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    with Genome(write_genome(tmp_path_factory.mktemp("engine"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def model():
    return network()


def engine_of(model, **changes):
    return FastEngine(model, CPU, EngineSettings(**({"batch_size": 64} | changes)))


def both(engine, table, genome, shifts=SHIFTS):
    found = engine.predict(table, genome, shifts)
    return np.stack([found.reference.numpy(), found.alternative.numpy()])


def insertion(chrom, pos, bases):
    ref = take(chrom, pos, 1)
    return chrom, pos, ref, ref + bases


def deletion(chrom, pos, lost):
    return chrom, pos, take(chrom, pos, lost + 1), take(chrom, pos, 1)


def replacement(chrom, pos, length):
    ref = take(chrom, pos, length)
    return chrom, pos, ref, "".join(map(other, ref))


KINDS = {
    "substitutions": [snv("chr1", 2000), snv("chr1", 2001), snv("chr2", 900)],
    "several bases": [replacement("chr1", 2000, size) for size in (2, 3, 30, 90)],
    "some of several bases": [
        ("chr1", 2000, take("chr1", 2000, 5), other(take("chr1", 2000, 1)) + take("chr1", 2001, 4))
    ],
    "insertions": [insertion("chr1", 1800, bases) for bases in ("A", "CC", "GAT", "T" * 16, "ACGTA" * 12)],
    "deletions": [deletion("chr1", 1800, lost) for lost in (1, 2, 3, 4, 16, 99, 100)],
    "both flanks replaced": [("chr1", 1800, take("chr1", 1800, 3), "GG"), ("chr1", 1800, take("chr1", 1800, 2), "TTT")],
    "contig edges": [
        snv("chr1", 1),
        snv("chr1", 40),
        snv("chr1", 4000),
        insertion("chr1", 3990, "A"),
        deletion("chr1", 5, 1),
    ],
    "short contig": [snv("chr3", 175), deletion("chr3", 100, 7), insertion("chr3", 340, "G")],
    "runs of N": [snv("chr2", 1495), ("chr2", 1520, "N", "A"), ("chr2", 1520, "A", "N"), deletion("chr2", 1558, 1)],
    "lower case": [
        ("chr2", 1450, take("chr2", 1450, 1).lower(), "a"),
        ("chr2", 1451, take("chr2", 1451, 2).lower(), "t"),
    ],
    "reference disagrees": [("chr1", 2000, other(take("chr1", 2000, 1)), take("chr1", 2000, 1))],
    "no change": [("chr1", 2000, take("chr1", 2000, 1), take("chr1", 2000, 1))],
    "letters that are no base": [("chr1", 2000, take("chr1", 2000, 1), "R")],
}
EVERYTHING = [row for rows in KINDS.values() for row in rows]


# --- the same numbers -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_plain_windows_in_float64(kind, genome, model):
    table = variants(KINDS[kind])
    found, wanted = both(engine_of(model), table, genome), expected(model, table)
    np.testing.assert_allclose(found, wanted, atol=EXACT, rtol=0)
    if kind not in ("no change", "lower case"):
        assert np.abs(wanted[1] - wanted[0]).max() > 1e-5


def test_equals_the_plain_engine_in_float32(genome):
    model, table = network(double=False), variants(EVERYTHING)
    fast = engine_of(model, batch_size=16).predict(table, genome, SHIFTS)
    plain = PlainEngine(model, CPU).predict(table, genome, SHIFTS)
    for name in ("reference", "alternative"):
        assert getattr(fast, name).dtype == torch.float32
        torch.testing.assert_close(getattr(fast, name), getattr(plain, name), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "shifts", [(0,), (-200, 0, 200), (-200, -196, -192), (-16, 0, 16), (100, 200), tuple(range(-280, 281, 40))]
)
def test_any_equal_steps(shifts, genome, model):
    table = variants(
        [snv("chr1", 2000), replacement("chr1", 900, 7), insertion("chr1", 1500, "A"), deletion("chr2", 700, 9)]
    )
    np.testing.assert_allclose(
        both(engine_of(model), table, genome, shifts), expected(model, table, shifts), atol=EXACT
    )


@pytest.mark.parametrize("window", [400, 601, 602, 603])
def test_any_window(window, genome):
    """Windows whose pools drop tails of 0 to 3 places, which on the reverse strand lie at the other end."""
    model, shifts = network(window), (-100, 0, 100)
    table = variants([snv("chr1", 2000), deletion("chr1", 1500, 1), insertion("chr1", 1500, "AC")])
    np.testing.assert_allclose(
        both(engine_of(model), table, genome, shifts), expected(model, table, shifts), atol=EXACT
    )


def test_allele_at_the_very_edge_of_the_outer_windows(genome, model):
    """Cones are clipped where the window ends."""
    shifts = (-296, 0, 296)
    table = variants([snv("chr1", 2000), replacement("chr1", 2000, 4), replacement("chr1", 2000, 2)])
    np.testing.assert_allclose(
        both(engine_of(model), table, genome, shifts), expected(model, table, shifts), atol=EXACT
    )


BASES = st.text("ACGTN", min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(1, 4000), BASES, BASES), min_size=1, max_size=5
    ),
    batch=st.integers(1, 4),
)
def test_any_variants_at_all(rows, batch, genome, model):
    lengths = {name: len(bases) for name, bases in contigs().items()}
    table = variants([(chrom, (pos - 1) % lengths[chrom] + 1, ref, alt) for chrom, pos, ref, alt in rows])
    shifts = (-100, 0, 100)
    found = both(engine_of(model, batch_size=batch), table, genome, shifts)
    np.testing.assert_allclose(found, expected(model, table, shifts), atol=EXACT, rtol=0)


# --- what must not matter ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_batch_size_and_order_do_not_matter(batch, genome, model):
    table = variants(EVERYTHING)
    order = np.random.default_rng(0).permutation(len(table))
    once = both(engine_of(model), table, genome)
    again = both(engine_of(model, batch_size=batch), table.iloc[order], genome)
    np.testing.assert_allclose(again, once[:, order], atol=1e-12, rtol=0)


def test_room_for_one_sequence_at_a_time_is_enough(genome, model, monkeypatch):
    """Cones of one reference are entered together, whatever stands between them in the table."""
    first, second = (take("chr1", pos, 1) for pos in (2000, 2010))
    rows = [("chr1", 2000, first, alt) for alt in "ACGT" if alt != first]
    rows[1:1] = [("chr1", 2010, second, alt) for alt in "ACGT" if alt != second]
    table = variants([*rows, *EVERYTHING])
    once = both(engine_of(model), table, genome)
    monkeypatch.setattr("cisweave.seal.engine.fast.ACTIVATION_BYTES", {"cpu": 1})
    np.testing.assert_allclose(both(engine_of(model), table, genome), once, atol=1e-12, rtol=0)
    np.testing.assert_allclose(once[:, : len(rows)], expected(model, table[: len(rows)]), atol=EXACT)


def test_index_of_the_table_does_not_matter(genome, model):
    table = variants(EVERYTHING[:5])
    renamed = table.set_index(pd.Index([9, 9, 3, 3, 1]))
    np.testing.assert_array_equal(both(engine_of(model), renamed, genome), both(engine_of(model), table, genome))


def test_swapped_alleles_of_equal_length_negate_the_effect(genome, model):
    table = variants([*KINDS["substitutions"], *KINDS["several bases"]])
    swapped = table.rename(columns={"ref": "alt", "alt": "ref"})
    forth, back = both(engine_of(model), table, genome), both(engine_of(model), swapped, genome)
    np.testing.assert_allclose(back[1] - back[0], forth[0] - forth[1], atol=1e-12)


def test_reverse_complemented_windows_give_the_same(model):
    rng = np.random.default_rng(1)
    sequence = "".join(rng.choice(list("ACGT"), model.window))
    flipped = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    np.testing.assert_allclose(probability(model, sequence), probability(model, flipped), atol=1e-12)


def test_contig_read_backwards_gives_the_same(tmp_path, genome, model):
    """The window covers one base more to the right: on the other strand a base's windows are one base off."""
    length = len(contigs()["chr1"])
    path = tmp_path / "flipped.fa"
    path.write_text(">chr1\n" + contigs()["chr1"][::-1].translate(str.maketrans("ACGT", "TGCA")) + "\n")
    chrom, pos, ref, alt = snv("chr1", 2000)
    complement = {"A": "T", "C": "G", "G": "C", "T": "A"}
    with Genome(path) as flipped_genome:
        here = variants([(chrom, length + 1 - pos, complement[ref], complement[alt])])
        found = both(engine_of(model), here, flipped_genome)
    shifted = both(engine_of(model), variants([(chrom, pos, ref, alt)]), genome)
    assert np.abs(found[:, :, ::-1] - shifted).max() > 1e-4
    moved = [window[::-1].translate(str.maketrans("ACGT", "TGCA")) for window in windows_of(length + 1 - pos, path)]
    np.testing.assert_allclose(found[0, 0], [probability(model, window) for window in moved], atol=EXACT)


def windows_of(pos, path):
    """Windows around a place of a one-line FASTA."""
    bases = path.read_text().split("\n")[1]
    return [bases[pos + shift - 300 : pos + shift + 300] for shift in SHIFTS]


# --- sharing ----------------------------------------------------------------------------------------------------------
def passes(engine, monkeypatch):
    """Rows that go through the whole trunk, as they come."""
    counted, whole = [], engine.trunk.activations
    monkeypatch.setattr(
        engine.trunk, "activations", lambda codes, tiling: counted.append(len(codes)) or whole(codes, tiling)
    )
    return counted


def test_reference_is_shared_by_alleles_and_records(genome, model, monkeypatch):
    chrom, pos, ref, _ = snv("chr1", 2000)
    rows = [(chrom, pos, ref, alt) for alt in "ACGT" if alt != ref]
    table = variants([*rows, *rows, (chrom, pos, ref, ref + "GG")])
    engine = engine_of(model)
    counted = passes(engine, monkeypatch)
    found = both(engine, table, genome)
    assert sum(counted) == 2 * 2
    np.testing.assert_array_equal(found[:, :3], found[:, 3:6])
    np.testing.assert_allclose(found, expected(model, table), atol=EXACT)


def test_one_inserted_or_lost_base_is_half_a_cone(genome, model, monkeypatch):
    engine = engine_of(model)
    counted = passes(engine, monkeypatch)
    table = variants([insertion("chr1", 2000, "A"), deletion("chr1", 2500, 1)])
    np.testing.assert_allclose(both(engine, table, genome), expected(model, table), atol=EXACT)
    assert sum(counted) == 2 * 2


def test_sequences_are_remembered_from_call_to_call(genome, model, monkeypatch):
    engine, table = engine_of(model), variants([snv("chr1", 2000), deletion("chr1", 2000, 3)])
    once = both(engine, table, genome)
    counted = passes(engine, monkeypatch)
    np.testing.assert_array_equal(both(engine, table.iloc[::-1], genome), once[:, ::-1])
    assert not counted


def test_memory_is_of_bases_not_of_places(genome, model):
    """The same place with another REF is another sequence, and so are other shifts."""
    engine = engine_of(model)
    for row in (snv("chr1", 2000), ("chr1", 2000, other(other(take("chr1", 2000, 1))), "T")):
        for shifts in (SHIFTS, (-200, 0, 200), (-100, 0, 100)):
            found = both(engine, variants([row]), genome, shifts)
            np.testing.assert_allclose(found, expected(model, variants([row]), shifts), atol=EXACT)


def test_memory_is_bounded(genome, model, monkeypatch):
    monkeypatch.setattr("cisweave.seal.engine.fast.REMEMBERED", 6)
    engine = engine_of(model, batch_size=4)
    table = variants([snv("chr1", pos) for pos in range(1000, 1020)])
    both(engine, table, genome)
    assert len(engine._recent) == 6


def test_alternative_that_is_another_record_s_reference(genome, model):
    chrom, pos, ref, alt = snv("chr1", 2000)
    table = variants([(chrom, pos, ref, alt), (chrom, pos, alt, ref), (chrom, pos, alt, "N"), (chrom, pos, "N", alt)])
    np.testing.assert_allclose(both(engine_of(model), table, genome), expected(model, table), atol=EXACT)


def test_known_reference_of_a_new_alternative(genome, model):
    """The reference's probabilities are remembered, but a cone needs its layers again."""
    engine, (chrom, pos, ref, _) = engine_of(model), snv("chr1", 2000)
    for alt in "ACGT".replace(ref, ""):
        table = variants([(chrom, pos, ref, alt)])
        np.testing.assert_allclose(both(engine, table, genome), expected(model, table), atol=EXACT)


# --- geometry that cannot share, and what is refused ------------------------------------------------------------------
def test_uneven_steps_take_the_plain_path_and_say_so_once(genome, caplog):
    model, table, engine = network(double=False), variants(EVERYTHING[:4]), None
    with caplog.at_level(logging.WARNING, logger="cisweave"):
        engine = engine_of(model)
        for shifts in ((-50, 0, 50), (-200, 0, 100), (-50, 0, 50)):
            found = both(engine, table, genome, shifts)
            np.testing.assert_allclose(found, expected(model, table, shifts), atol=1e-6)
    assert sum("cannot share the trunk" in message for message in caplog.messages) == 1


def test_which_shifts_share():
    assert shared_tiling(2000, range(-800, 801, 200)) == Tiling(2000, 200, 9)
    assert shared_tiling(600, [0]) == Tiling(600, 4, 1)
    assert shared_tiling(600, [-50, 0, 50]) is None
    assert shared_tiling(600, [-200, 0, 100]) is None
    assert shared_tiling(600, [200, 0, -200]) is None
    assert shared_tiling(600, []) is None


@pytest.mark.parametrize(
    "row",
    [
        deletion("chr1", 1500, 101),
        insertion("chr1", 1500, "A" * 101),
        ("chr1", 1500, take("chr1", 1500, 110), "AC" * 55),
    ],
)
def test_alleles_that_do_not_fit_are_refused_as_on_the_plain_path(row, genome):
    model = network(double=False)
    table = variants([snv("chr1", 2000), row])
    with pytest.raises(CisweaveError) as plain:
        PlainEngine(model, CPU).predict(table.iloc[1:], genome, SHIFTS)
    with pytest.raises(CisweaveError) as fast:
        engine_of(model).predict(table, genome, SHIFTS)
    assert str(fast.value) == str(plain.value)


def test_unknown_contig_is_named(genome, model):
    with pytest.raises(CisweaveError, match="contig chrZ is not in this FASTA"):
        engine_of(model).predict(variants([("chrZ", 5, "A", "C")]), genome, SHIFTS)


def test_no_variants(genome, model):
    found = engine_of(model).predict(variants([]), genome, SHIFTS)
    assert found.reference.shape == found.alternative.shape == (0, 5, 3)


def test_error_of_bfloat16_is_measured_and_told_once(genome, caplog):
    model, table = network(double=False), variants(KINDS["substitutions"])
    engine = engine_of(model, precision="bfloat16")
    with caplog.at_level(logging.WARNING, logger="cisweave"):
        found = both(engine, table, genome)
        both(engine, table, genome)
    told = [message for message in caplog.messages if message.startswith("bfloat16 on the first 3 variants")]
    assert len(told) == 1
    exact = both(engine_of(model), table, genome)
    assert 1e-5 < np.abs(found - exact).max() < 0.05


def test_batch_normalisation_is_folded(genome):
    torch.manual_seed(2)
    model = Beluga(3, [4, 4, 6, 6, 8, 8], hidden=12, window=600, batch_norm=True)
    model(torch.randn(8, 4, 600))
    model = model.eval().double()
    table = variants(KINDS["substitutions"])
    np.testing.assert_allclose(both(engine_of(model), table, genome), expected(model, table), atol=EXACT)


def test_settings_choose_the_engine(genome, model, tmp_path):
    """The fast one sends variants that stand close together to the dense one; the numbers are the same."""
    chromatin = LoadedModel(model, ModelSpec("beluga", {}, ["a", "b", "c"]), tmp_path, CPU)
    assert type(make_engine(chromatin, EngineSettings(path="plain"))) is PlainEngine
    engine = make_engine(chromatin, EngineSettings(path="fast"))
    assert type(engine) is MixedEngine
    assert type(engine.scattered) is FastEngine
    table = variants([*EVERYTHING, *(snv("chr2", pos) for pos in range(1000, 1040))])
    np.testing.assert_allclose(both(engine, table, genome), expected(model, table), atol=EXACT)


@pytest.mark.slow
def test_published_network_equals_the_plain_engine(genome):
    """Full size: 149.5 million weights, nine windows, probabilities as low as a trained network's."""
    torch.manual_seed(0)
    model, shifts = Beluga(2002).eval(), tuple(range(-800, 801, 200))
    model.start_at_prior(torch.linspace(0.01, 0.3, 2002))
    table = variants([*KINDS["substitutions"][:2], insertion("chr1", 1800, "A"), deletion("chr1", 1800, 3)] * 4)
    fast = engine_of(model).predict(table, genome, shifts)
    plain = PlainEngine(model, CPU).predict(table, genome, shifts)
    for name in ("reference", "alternative"):
        torch.testing.assert_close(getattr(fast, name), getattr(plain, name), atol=1e-6, rtol=0)
