"""Spliced transcripts, against splicing by hand and against published sequences."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cisweave.config import ExtractSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.extract import extract_sequences
from cisweave.genome.transcripts import read_transcripts
from cisweave.sequence import SequenceStore, decode, index_shards
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import random_bases, reverse_complement

VARIABLE = "CISWEAVE_REAL_DATA"
FOLDER = Path(os.environ.get(VARIABLE) or "/nonexistent")
GENOME = random_bases(1000, seed=8)


@pytest.fixture
def fasta(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta({"chr1": GENOME, "chr2": "ACGTNACGT" * 10})


def gtf_line(kind: str, start: int, end: int, strand: str = "+", name: str = "t1", chrom: str = "chr1") -> str:
    """A GTF line; 1-based, closed."""
    return f'{chrom}\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t.\tgene_id "g1"; transcript_id "{name}";\n'


def extract(fasta: Path, gtf: Path, lines: Sequence[str], **settings: object) -> tuple[SequenceStore, pd.DataFrame]:
    gtf.write_text("".join(lines))
    out, rejects = gtf.with_suffix(".h5"), gtf.with_suffix(".rejects.tsv")
    extract_sequences(fasta, out, transcripts=gtf, rejects=rejects, settings=ExtractSettings(**settings))
    return SequenceStore(out), read_ledger(rejects)


def spliced(exons: Sequence[tuple[int, int]], strand: str) -> tuple[str, list[int]]:
    """Bases and their places (1-based) in the genome, from the 5' end."""
    places = sorted(place for start, end in exons for place in range(start, end + 1))
    bases = "".join(GENOME[place - 1] for place in places)
    return (bases, places) if strand == "+" else (reverse_complement(bases), places[::-1])


@st.composite
def genes(draw: st.DrawFn) -> tuple[list[tuple[int, int]], str, int, int]:
    """Exons (1-based, closed) in any order, a strand, and first and last coding base in the direction of the genome."""
    cuts = sorted(draw(st.sets(st.integers(1, 1000), min_size=2, max_size=12)))
    exons = list(zip(cuts[::2], cuts[1::2], strict=False))
    places = [place for start, end in exons for place in range(start, end + 1)]
    low, high = sorted(draw(st.tuples(*[st.integers(0, len(places) - 1)] * 2)))
    return draw(st.permutations(exons)), draw(st.sampled_from("+-")), places[low], places[high]


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(genes())
def test_transcripts_are_those_spliced_by_hand(
    tmp_path: Path, fasta: Path, gene: tuple[list[tuple[int, int]], str, int, int]
) -> None:
    exons, strand, low, high = gene
    coding = [(max(start, low), min(end, high)) for start, end in exons if start <= high and end >= low]
    first = low if strand == "+" else high
    lines = [gtf_line("exon", *exon, strand) for exon in exons]
    lines += [gtf_line("CDS", *part, strand) for part in coding] + [gtf_line("start_codon", first, first, strand)]
    bases, places = spliced(exons, strand)
    store, rejected = extract(fasta, tmp_path / "a.gtf", lines)
    with store:
        assert rejected.empty
        assert store.ids == ["t1"]
        assert decode(store[0]) == bases
        assert store.column("cds_start").tolist() == [places.index(first)]
        assert store.column("cds_end").tolist() == [places.index(high if strand == "+" else low) + 1]
        starts, ends = store.column("exon_start").tolist(), store.column("exon_end").tolist()
        assert sorted(zip(starts, ends, strict=True)) == sorted((start - 1, end) for start, end in exons)
        assert store.column("exon_count").tolist() == [len(exons)]
        assert store.column("gene_id").tolist() == ["g1"]


EXONS = [gtf_line("exon", 11, 40), gtf_line("exon", 101, 140)]


def test_without_a_start_codon_the_coding_sequence_counts_only_where_asked(tmp_path: Path, fasta: Path) -> None:
    lines = [*EXONS, gtf_line("CDS", 21, 40), gtf_line("CDS", 101, 110)]
    for setting, expected in (("start_codon", (-1, -1)), ("cds", (10, 40))):
        store, _ = extract(fasta, tmp_path / "a.gtf", lines, coding_start=setting)
        with store:
            assert (store.column("cds_start")[0], store.column("cds_end")[0]) == expected


def test_a_start_codon_may_lie_on_two_exons(tmp_path: Path, fasta: Path) -> None:
    for strand, place in (("+", 29), ("-", 38)):
        lines = [line.replace("\t+\t", f"\t{strand}\t") for line in EXONS]
        lines += [gtf_line("start_codon", 101, 102, strand), gtf_line("start_codon", 40, 40, strand)]
        store, _ = extract(fasta, tmp_path / "a.gtf", lines)
        with store:
            assert store.column("cds_start").tolist() == [place]


def test_gff3_with_the_stop_codon_in_its_coding_sequence(tmp_path: Path, write_fasta: Callable[..., Path]) -> None:
    fasta = write_fasta({"chr1": "C" * 10 + "ATGAAA" + "GTAAGT" + "CCCTAA" + "C" * 10})
    rows = [
        ("mRNA", 1, 38, "ID=transcript:t1;Parent=gene:g1"),
        ("exon", 1, 16, "Parent=transcript:t1"),
        ("exon", 23, 38, "Parent=transcript:t1"),
        ("CDS", 11, 16, "ID=CDS:p1;Parent=transcript:t1"),
        ("CDS", 23, 28, "ID=CDS:p1;Parent=transcript:t1"),
    ]
    lines = [f"chr1\tx\t{kind}\t{start}\t{end}\t.\t+\t.\t{text}\n" for kind, start, end, text in rows]
    store, _ = extract(fasta, tmp_path / "a.gff3", lines, coding_start="cds")
    with store:
        assert store.ids == ["t1"]
        assert store.column("gene_id").tolist() == ["g1"]
        start, end = store.column("cds_start")[0], store.column("cds_end")[0]
        assert decode(store[0])[start:end] == "ATGAAACCC"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([gtf_line("transcript", 11, 140)], "no_exon"),
        ([gtf_line("exon", 11, 40, chrom="chr7")], "unknown_contig"),
        ([gtf_line("exon", 11, 40, "."), gtf_line("exon", 51, 60, ".")], "no_strand"),
        ([gtf_line("exon", 11, 40), gtf_line("exon", 40, 60)], "exons_overlap"),
        ([gtf_line("exon", 11, 40), gtf_line("exon", 11, 40)], "exons_overlap"),
        ([gtf_line("exon", 11, 40), gtf_line("exon", 51, 60, "-")], "exons_apart"),
        ([gtf_line("exon", 11, 40), gtf_line("exon", 51, 60, chrom="chr2")], "exons_apart"),
        ([gtf_line("exon", 991, 1001)], "exon_off_contig"),
        ([*EXONS, gtf_line("start_codon", 50, 52)], "start_outside_exons"),
        ([*EXONS, gtf_line("CDS", 30, 110)], "start_outside_exons"),
    ],
)
def test_what_cannot_be_spliced_stands_in_the_ledger(tmp_path: Path, fasta: Path, lines: list[str], code: str) -> None:
    fine = gtf_line("exon", 1, 9, name="fine")
    store, rejected = extract(fasta, tmp_path / "a.gtf", ["#!genome x\n", fine, *lines])
    with store:
        assert store.ids == ["fine"]
        assert decode(store[0]) == GENOME[:9]
    assert rejected["code"].tolist() == [code]
    assert rejected[["line", "record"]].iloc[0].tolist() == [3, 2]
    assert rejected["message"].str.startswith("transcript 't1': ").all()
    with pytest.raises(CisweaveError, match=r"a\.gtf, line 3: transcript 't1': .*--rejects"):
        extract_sequences(fasta, tmp_path / "b.h5", transcripts=tmp_path / "a.gtf")
    assert not (tmp_path / "b.h5").exists()


def test_unknown_bases_of_transcripts(tmp_path: Path, fasta: Path) -> None:
    lines = [gtf_line("exon", 1, 6, "-", chrom="chr2")]
    store, _ = extract(fasta, tmp_path / "a.gtf", lines)
    with store:
        assert decode(store[0]) == "TNACGT"
    store, rejected = extract(fasta, tmp_path / "a.gtf", lines, unknown="reject")
    with store:
        assert (store.ids, rejected["code"].tolist()) == ([], ["unknown_base"])
    with pytest.raises(CisweaveError, match=r"transcript 't1': 1 base\(s\)"):
        extract(fasta, tmp_path / "a.gtf", lines, unknown="error")


def test_contigs_go_by_their_aliases(tmp_path: Path, fasta: Path) -> None:
    store, _ = extract(fasta, tmp_path / "a.gtf", [gtf_line("exon", 1, 9, chrom="1")])
    with store:
        assert store.column("contig").tolist() == ["chr1"]


@pytest.mark.parametrize("text", ["", "# nothing\n", gtf_line("gene", 1, 9)])
def test_a_file_without_transcripts_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.gtf").write_text(text)
    with pytest.raises(CisweaveError, match="holds no transcript"):
        read_transcripts(tmp_path / "a.gtf")


def test_an_exon_without_transcript_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.gtf").write_text('chr1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g";\n')
    with pytest.raises(CisweaveError, match="line 1: this exon names no transcript"):
        read_transcripts(tmp_path / "a.gtf")


def test_shards_of_transcripts(tmp_path: Path, fasta: Path) -> None:
    lines = [gtf_line("exon", n, n + n % 5 + 1, name=f"t{n}") for n in range(1, 24)]
    (tmp_path / "a.gtf").write_text("".join(lines))
    for shard in range(1, 5):
        extract_sequences(fasta, tmp_path / f"{shard}.h5", transcripts=tmp_path / "a.gtf", shard=shard, shards=4)
    index = index_shards([tmp_path / f"{shard}.h5" for shard in range(1, 5)], tmp_path / "index.json")
    extract_sequences(fasta, tmp_path / "whole.h5", transcripts=tmp_path / "a.gtf")
    with SequenceStore(index) as parts, SequenceStore(tmp_path / "whole.h5") as whole:
        assert parts.ids == whole.ids == [f"t{n}" for n in range(1, 24)]
        assert [row.tolist() for row in parts] == [row.tolist() for row in whole]
        assert parts.column("exon_end").tolist() == whole.column("exon_end").tolist()


# --- real transcripts -------------------------------------------------------------------------------------------------
SOURCES = {
    "GRCh38.e91.chr9:0-1M": ("hg38", "annotation/Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf", 105, "start_codon"),
    "GRCh37.75.chr1:0-1M": ("hg19", "annotation/Homo_sapiens.GRCh37.75_chr1.sorted.gtf.gz", 190, "start_codon"),
    "hg19.gencode.chr22:20-21M": ("hg19", "annotation/PINTS_annotations.chr22.gtf.gz", 227, "start_codon"),
    "ribotie_training.h5 Ensembl110": ("hg38", "tis/GRCh38v110_snippet.gtf", 17, "cds"),
}
"""Assembly, annotation, transcripts that lie in the pieces of the assembly, and which start the labels hold."""


def published(source: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Labels and sequences of the transcripts of one source."""
    labels = pd.read_csv(FOLDER / "tis/tis_labels.tsv", sep="\t")
    sequences: dict[str, list[str]] = {}
    with open(FOLDER / "tis/tis_transcripts.fa") as handle:
        for line in handle:
            if line.startswith(">"):
                name = line[1:].split()[0] if f"source={source.replace(' ', '_')}" in line else ""
                parts = sequences.setdefault(name, [])
            else:
                parts.append(line.strip())
    labels = labels[labels["source"] == source]
    return labels, {name: "".join(parts) for name, parts in sequences.items()}


@pytest.mark.real_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{VARIABLE} is not set, or no folder")
@pytest.mark.parametrize("source", SOURCES)
def test_published_transcripts_and_starts_are_reproduced(tmp_path: Path, source: str) -> None:
    assembly, gtf, number, setting = SOURCES[source]
    labels, sequences = published(source)
    counts = extract_sequences(
        FOLDER / f"genome/{assembly}_pieces.fa.gz",
        tmp_path / "a.h5",
        transcripts=FOLDER / gtf,
        rejects=tmp_path / "r.tsv",
        settings=ExtractSettings(coding_start=setting),
    )
    assert counts["in"] == counts["kept"] + counts["rejected"]
    with SequenceStore(tmp_path / "a.h5") as store:
        labels = labels[labels["transcript"].isin(store.ids)]
        assert len(labels) == number
        starts, ends = store.column("cds_start"), store.column("cds_end")
        rows = [store.row_of(name) for name in labels["transcript"]]
        assert [decode(store[row]) for row in rows] == [sequences[name] for name in labels["transcript"]]
        assert starts[rows].tolist() == labels["tis0"].tolist()
        assert ends[rows].tolist() == labels["cds_end"].tolist()
