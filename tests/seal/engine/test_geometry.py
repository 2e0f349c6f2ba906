"""Lengths, phases and cones, against the published arithmetic and against counting."""

import pytest

from cisweave.seal.engine.geometry import Cone, Span, Tiling

PUBLISHED = Tiling(2000, 200, 9)
CHANNELS = (320, 320, 480, 480, 640, 640)


def test_published_union_and_its_two_phases():
    assert PUBLISHED.length == 3600
    assert [phase.windows for phase in PUBLISHED.phases] == [(0, 2, 4, 6, 8), (1, 3, 5, 7)]
    assert [phase.starts for phase in PUBLISHED.phases] == [(0, 25, 50, 75, 100), (0, 25, 50, 75)]
    assert [phase.trunk for phase in PUBLISHED.phases] == [206, 181]


def test_published_union_costs_what_the_paper_sums_say():
    """9.2 to 9.35 billion products for the reference on one strand, 0.52 for a substitution."""
    c1, c2, c3, c4, c5, c6 = CHANNELS
    dense, output = 67_840 * 2003, 2003 * 2002
    trunk = PUBLISHED.conv1 * 4 * c1 + PUBLISHED.conv2 * c1 * c2 + PUBLISHED.conv3 * c2 * c3 + PUBLISHED.conv4 * c3 * c4
    trunk += sum((phase.trunk + 7) * c4 * c5 + phase.trunk * c5 * c6 for phase in PUBLISHED.phases)
    assert 9.15e9 < 8 * trunk + 9 * (dense + output) < 9.35e9
    cone = Cone(PUBLISHED, Span(1799, 1800))
    first = (4 * len(cone.pool1) + 7) * 4 * c1 + 4 * len(cone.pool1) * c1 * c2
    middle = len(cone.conv3) * c2 * c3 + len(cone.wide_conv4) * c3 * c4
    last = sum(len(phase.conv5) * c4 * c5 + len(phase.conv6) * c5 * c6 for phase in cone.phases)
    rows = sum(len(cone.in_window(phase, start)[0]) for _, phase, start in PUBLISHED.places())
    assert 0.48e9 < 8 * (first + middle + last) + rows * c6 * 2003 + 9 * output < 0.56e9


@pytest.mark.parametrize(
    ("place", "sizes"),
    [(1799, [(4, 11, 18), (5, 12, 19), (5, 12, 19)]), (1800, [(5, 12, 19), (5, 12, 19), (6, 13, 20)])],
)
def test_cones_of_a_centred_substitution(place, sizes):
    cone = Cone(PUBLISHED, Span(place, place + 1))
    assert (len(cone.pool1), len(cone.conv3), len(cone.conv4)) == sizes[0]
    assert [(len(phase.pool2), len(phase.conv5), len(phase.conv6)) for phase in cone.phases] == sizes[1:]


def test_cones_are_clipped_at_the_ends_of_the_windows():
    cone = Cone(PUBLISHED, Span(1799, 1800))
    inside = {window: cone.in_window(phase, start) for window, phase, start in PUBLISHED.places()}
    for in_cone, in_window in inside.values():
        assert len(in_cone) == len(in_window) > 0
        assert 0 <= in_window.start < in_window.stop <= 106
    first = Cone(PUBLISHED, Span(0, 1))
    assert (first.pool1, first.conv3, first.phases[0].conv6) == (Span(0, 1), Span(0, 1), Span(0, 1))
    assert len(first.phases[1].conv6) == 0


def test_a_change_in_the_tail_that_the_pools_drop_reaches_nothing():
    tiling = Tiling(600, 200, 1)
    assert tiling.conv2 % 4 == 2
    cone = Cone(tiling, Span(599, 600))
    assert len(cone.pool1) == len(cone.wide_conv4) == len(cone.phases[0].conv6) == 0


@pytest.mark.parametrize("step", [0, -200, 50, 202])
def test_steps_that_cannot_share_are_refused(step):
    assert not Tiling.shares(step)
    with pytest.raises(ValueError, match="multiple of 4"):
        Tiling(600, step, 3)


def test_cones_hold_every_place_that_a_change_reaches():
    """Marks spread through the layers by brute force."""
    tiling = Tiling(600, 100, 3)
    for first, last in [(0, 1), (17, 21), (350, 351), (798, 800)]:
        marks = [first <= i < last for i in range(tiling.length)]
        cone = Cone(tiling, Span(first, last))
        pool1 = pooled(convolved(convolved(marks)))
        conv3 = convolved(pool1)
        conv4 = convolved(conv3)
        assert (places(pool1), places(conv3), places(conv4)) == (
            set_of(cone.pool1),
            set_of(cone.conv3),
            set_of(cone.conv4),
        )
        for phase, part in zip(tiling.phases, cone.phases, strict=True):
            pool2 = pooled(conv4[phase.first : phase.first + 4 * phase.pooled])
            conv5 = convolved(pool2)
            found = (places(pool2), places(conv5), places(convolved(conv5)))
            assert found == (set_of(part.pool2), set_of(part.conv5), set_of(part.conv6))


def convolved(marks):
    return [any(marks[i : i + 8]) for i in range(len(marks) - 7)]


def pooled(marks):
    return [any(marks[4 * i : 4 * i + 4]) for i in range(len(marks) // 4)]


def places(marks):
    return {i for i, mark in enumerate(marks) if mark}


def set_of(span):
    return set(range(span.start, span.stop))
