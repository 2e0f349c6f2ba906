"""Chain files, checked by an independent lifter."""

from __future__ import annotations

import numpy as np
import pytest
from liftover import ChainFile

from tests.simulate.reader import COMPLEMENT, World

PAIRS = [("sim38ToSim19", "sim38", "sim19"), ("sim19ToSim38", "sim19", "sim38")]


@pytest.mark.parametrize(("chain", "source", "target"), PAIRS)
def test_lifted_bases_agree(world: World, chain: str, source: str, target: str) -> None:
    lifter = ChainFile(str(world.folder / f"genome/{chain}.over.chain"), one_based=False)
    old, new = getattr(world, source), getattr(world, target)
    rng = np.random.default_rng(0)
    for contig, sequence in old.items():
        equal, strands, lifted = 0, set(), 0
        places = rng.integers(0, len(sequence), size=5_000)
        for place in places.tolist():
            hits = lifter[contig][place]
            if not hits:
                continue
            ((name, position, strand),) = hits
            lifted += 1
            strands.add(strand)
            base = new[name][position].upper()
            equal += sequence[place].upper() == (base if strand == "+" else base.translate(COMPLEMENT))
        assert lifted > 0.95 * len(places)
        assert 0.995 < equal / lifted < 1
        assert strands == ({"+", "-"} if contig == "chr3" else {"+"})


def test_there_and_back(world: World) -> None:
    there = ChainFile(str(world.folder / "genome/sim38ToSim19.over.chain"), one_based=False)
    back = ChainFile(str(world.folder / "genome/sim19ToSim38.over.chain"), one_based=False)
    for contig, sequence in world.sim38.items():
        for place in range(0, len(sequence), 97):
            for name, position, strand in there[contig][place]:
                assert back[name][position] == [(contig, place, strand)]


@pytest.mark.parametrize(("chain", "source", "target"), PAIRS)
def test_chain_headers_add_up(world: World, chain: str, source: str, target: str) -> None:
    text = (world.folder / f"genome/{chain}.over.chain").read_text()
    chains = [part.splitlines() for part in text.strip().split("\n\n")]
    assert len(chains) == 4
    for number, lines in enumerate(chains, start=1):
        head = lines[0].split(" ")
        assert head[0] == "chain"
        assert int(head[12]) == number
        rows = [[int(value) for value in line.split("\t")] for line in lines[1:]]
        assert all(len(row) == 3 for row in rows[:-1])
        assert len(rows[-1]) == 1
        assert all(row[1] >= 0 and row[2] >= 0 and row[1] + row[2] > 0 for row in rows[:-1])
        size = sum(row[0] for row in rows)
        assert int(head[6]) - int(head[5]) == size + sum(row[1] for row in rows[:-1])
        assert int(head[11]) - int(head[10]) == size + sum(row[2] for row in rows[:-1])
        assert int(head[3]) == len(getattr(world, source)[head[2]])
        assert int(head[8]) == len(getattr(world, target)[head[7]])


def test_assemblies_differ_by_insertions_and_deletions(world: World) -> None:
    lines = (world.folder / "genome/sim38ToSim19.over.chain").read_text().splitlines()
    gaps = np.array([line.split("\t")[1:] for line in lines if line.count("\t") == 2], dtype=int)
    assert ((gaps[:, 0] > 0) & (gaps[:, 1] == 0)).sum() > 50
    assert ((gaps[:, 1] > 0) & (gaps[:, 0] == 0)).sum() > 50
    assert gaps[:, 0].max() >= 200
