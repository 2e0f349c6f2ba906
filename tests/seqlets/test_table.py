"""Where the bases of a locus stand on the genome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.core.errors import CisweaveError
from cisweave.seqlets.table import allele_span, empty_loci, locus_positions, read_loci
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import decode
from cisweave.sequence.windows import allele_window
from cisweave.tables.attributions import LOCUS_COLUMNS
from cisweave.tables.frames import write_tsv

WINDOW = 60


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    bases = "".join(np.random.default_rng(3).choice(list("ACGT"), 400))
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n")
    return Genome(tmp_path / "g.fa")


def locus(ref: str, alt: str, allele: str, pos: int = 200) -> pd.Series:
    start = pos - WINDOW // 2
    return pd.Series({"start": start, "end": start + WINDOW, "pos": pos, "ref": ref, "alt": alt, "allele": allele})


@pytest.mark.parametrize("lengths", [(1, 1), (1, 2), (1, 7), (2, 1), (8, 1), (3, 3), (5, 2), (2, 5)])
@pytest.mark.parametrize("allele", ["ref", "alt"])
def test_every_placed_base_is_the_genomes(genome: Genome, lengths: tuple[int, int], allele: str) -> None:
    ref = genome.fetch("chr1", 199, 199 + lengths[0])
    alt = ref[0] + "ACGTACGT"[: lengths[1] - 1]
    row = locus(ref, alt, allele)
    codes = allele_window(genome, "chr1", 200, ref, ref if allele == "ref" else alt, WINDOW)
    places = locus_positions(row)
    start, end = allele_span(row)
    outside = np.ones(WINDOW, dtype=bool)
    outside[start:end] = False
    assert (places[outside] >= 0).all()
    for index in np.flatnonzero(outside):
        assert decode(codes[index : index + 1]) == genome.fetch("chr1", places[index], places[index] + 1)
    inserted = max(0, lengths[1] - lengths[0]) if allele == "alt" else 0
    assert (places < 0).sum() == inserted
    known = places[places >= 0]
    assert (np.diff(known) > 0).all()
    written = ref if allele == "ref" else alt
    assert decode(codes[start : start + len(written)]) == written


def test_trap_4_a_single_base_stands_just_left_of_the_middle(genome: Genome) -> None:
    row = locus("A", "C", "ref")
    assert allele_span(row) == (WINDOW // 2 - 1, WINDOW // 2)
    assert locus_positions(row)[WINDOW // 2 - 1] == 199
    promoter = pd.Series({"start": 170, "end": 230, "allele": ""})
    assert locus_positions(promoter).tolist() == list(range(170, 230))


def table(**changes: object) -> pd.DataFrame:
    row = {
        "locus_id": 0, "region_id": 0, "kind": "promoter", "chrom": "1", "start": 0, "end": 60, "core_start": 20,
        "core_end": 40, "pos": "", "ref": "", "alt": "", "allele": "", "record": "", "variant_allele": "",
        "gene_id": "NA", "tracks": "a,b",
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def test_round_trip_keeps_types_and_awkward_names(tmp_path: Path) -> None:
    write_tsv(table(), tmp_path / "loci.tsv")
    loci = read_loci(tmp_path / "loci.tsv")
    assert loci.dtypes.astype(str).to_dict() == dict(LOCUS_COLUMNS)
    assert (loci.chrom[0], loci.gene_id[0], loci.allele[0]) == ("1", "NA", "")
    write_tsv(empty_loci(), tmp_path / "empty.tsv")
    assert len(read_loci(tmp_path / "empty.tsv")) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"locus_id": 1}, "row number"), ({"kind": "peak"}, "promoter"), ({"start": "x"}, "column start")],
)
def test_a_broken_table_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write_tsv(table(**changes), tmp_path / "loci.tsv")
    with pytest.raises(CisweaveError, match=message):
        read_loci(tmp_path / "loci.tsv")


def test_windows_must_have_one_length(tmp_path: Path) -> None:
    both = pd.concat([table(), table(locus_id=1, end=62)])
    write_tsv(both, tmp_path / "loci.tsv")
    with pytest.raises(CisweaveError, match="one length"):
        read_loci(tmp_path / "loci.tsv")
