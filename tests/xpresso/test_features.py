"""The transcript of a gene and its half-life features: by hand on both strands, and as Ensembl's own lines tell."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.transcripts import Transcript
from cisweave.sequence.genome import Genome
from cisweave.xpresso.dataset import HALF_LIFE
from cisweave.xpresso.features import choose_transcript, half_life_features, read_annotation, start_site
from tests.real.checks import data_folder

FOLDER, REASON = data_folder()
COMPLEMENT = str.maketrans("ACGT", "TGCA")
# 5' UTR GGGCA | ATT, CDS ATGGC | CAAA, stop TAA, 3' UTR CCCCT; | are introns of 7 and 4 bases
EXONS = ("GGGCA", "ATTATGGC", "CAAATAACCCCT")
INTRONS = ("TTTTTTT", "AAAA")
BEFORE, BEHIND = "T" * 10, "A" * 6
PLAIN = [8, 9, 11, 5, 0.5, 0.444, 0.8, 222.22]
# as published: a base less per exon part, the rest of the span (35) is intron
PUBLISHED = [6, 7, 18, 4, 0.5, 0.444, 0.8, 285.71]


def intervals(pieces: list[tuple[str, bool]], start: int) -> list[tuple[int, int]]:
    """Places of the pieces that are exons."""
    found = []
    for bases, exon in pieces:
        if exon:
            found.append((start, start + len(bases)))
        start += len(bases)
    return found


def gene(folder: Path, strand: str, form: str, exons: tuple[str, ...] = EXONS) -> tuple[Path, Path]:
    """FASTA and annotation of one gene of which the first eight exon bases are 5' UTR, the next nine code."""
    pieces = [(exons[0], True), (INTRONS[0], False), (exons[1], True), (INTRONS[1], False), (exons[2], True)]
    text = BEFORE + "".join(bases for bases, _ in pieces) + BEHIND
    places = intervals(pieces, len(BEFORE))
    positions = [position for start, end in places for position in range(start, end)]
    coded = positions[8 : 20 if form == "gff3" else 17]
    coding = [(max(start, coded[0]), min(end, coded[-1] + 1)) for start, end in places]
    coding = [part for part in coding if part[0] < part[1]]
    if strand == "-":
        text = text.translate(COMPLEMENT)[::-1]
        places, coding = ([(len(text) - end, len(text) - start) for start, end in part] for part in (places, coding))
    (folder / "genome.fa").write_text(f">chr1\n{text}\n")
    gtf = 'gene_id "ENSG00000000001.3"; transcript_id "T1"; gene_name "ABC"; gene_biotype "protein_coding";'
    lines = [f"1\tx\ttranscript\t{min(places)[0] + 1}\t{max(places)[1]}\t.\t{strand}\t.\t{{transcript}}"]
    lines += [f"1\tx\texon\t{start + 1}\t{end}\t.\t{strand}\t.\t{{part}}" for start, end in places]
    lines += [f"1\tx\tCDS\t{start + 1}\t{end}\t.\t{strand}\t0\t{{part}}" for start, end in coding]
    own = {"transcript": gtf, "part": gtf}
    if form == "gff3":
        own = {"transcript": "ID=transcript:T1;Parent=gene:G1", "part": "Parent=transcript:T1"}
    path = folder / "genes.gtf"
    path.write_text("".join(line.format(**own) + "\n" for line in lines))
    return folder / "genome.fa", path


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("form", ["gtf", "gff3"])
@pytest.mark.parametrize("exons", [EXONS, ("GGGCA", "ATTATGGCCAAATA", "ACCCCT")], ids=["whole stop", "split stop"])
def test_features_by_hand(tmp_path: Path, strand: str, form: str, exons: tuple[str, ...]) -> None:
    fasta, path = gene(tmp_path, strand, form, exons)
    (found,) = read_annotation(path).values()
    transcript = found.transcripts[0]
    plain, published = list(PLAIN), list(PUBLISHED)
    if exons != EXONS:
        plain[-1] = 111.11
        published[1], published[2], published[-1] = 8, 17, 125.0
    with Genome(fasta) as genome:
        assert list(half_life_features(transcript, genome, "chr1").items()) == list(zip(HALF_LIFE, plain, strict=True))
        assert list(half_life_features(transcript, genome, "chr1", "xpresso").values()) == published
    length = len(BEFORE) + 36 + len(BEHIND)
    assert start_site(transcript) == (len(BEFORE) if strand == "+" else length - 1 - len(BEFORE))


def test_names_and_types_of_genes(tmp_path: Path) -> None:
    _, path = gene(tmp_path, "+", "gtf")
    assert [(g.gene_id, g.symbol, g.biotype) for g in read_annotation(path).values()] == [
        ("ENSG00000000001", "ABC", "protein_coding")
    ]


def test_an_unknown_end_keeps_its_bases(tmp_path: Path) -> None:
    """A transcript that ends in its coding sequence has neither a stop codon nor a 3' UTR."""
    fasta, path = gene(tmp_path, "+", "gtf")
    (found,) = read_annotation(path).values()
    transcript = found.transcripts[0]
    transcript.exons[-1] = (transcript.exons[-1][0], transcript.coding[-1][1])
    with Genome(fasta) as genome:
        features = half_life_features(transcript, genome, "chr1")
    assert (features["CDSLEN"], features["UTR3LEN"], features["UTR3GC"]) == (9, 0, 0.0)


def test_a_transcript_without_coding_sequence_has_no_features(tmp_path: Path) -> None:
    fasta, path = gene(tmp_path, "+", "gtf")
    (found,) = read_annotation(path).values()
    found.transcripts[0].coding.clear()
    with Genome(fasta) as genome:
        assert all(value != value for value in half_life_features(found.transcripts[0], genome, "chr1").values())


def test_a_transcript_of_two_genes_is_taken_for_neither(tmp_path: Path) -> None:
    rows = [("G", "T", 31), ("G", "U", 41), ("H", "T", 21)]
    lines = [f'1\tx\texon\t{at}\t{at + 5}\t.\t+\t.\tgene_id "{gene}"; transcript_id "{name}";\n'
             for gene, name, at in rows]  # fmt: skip
    (tmp_path / "a.gtf").write_text("".join(lines))
    found = read_annotation(tmp_path / "a.gtf")
    assert {name: [one.transcript_id for one in gene.transcripts] for name, gene in found.items()} == {
        "G": ["U"],
        "H": [],
    }
    assert found["H"].shared == found["G"].shared == "T"


# --- which transcript -------------------------------------------------------------------------------------------------
def transcript(name: str, utr5: int, coding: int, utr3: int, pieces: int = 1) -> Transcript:
    """A transcript of parts of these lengths on the plus strand, the coding one in several exons."""
    edges = [0, utr5, utr5 + coding, utr5 + coding + utr3]
    found = Transcript(name, "G", "chr1", "+", 1)
    step = coding // pieces
    found.coding = [(edges[1] + n * step, edges[1] + (n + 1) * step) for n in range(pieces)] if coding else []
    inner = found.coding or [(0, edges[3])]
    found.exons = [(0 if part is inner[0] else part[0], edges[3] if part is inner[-1] else part[1]) for part in inner]
    return found


@pytest.mark.parametrize(
    ("transcripts", "chosen"),
    [
        ([("a", 5, 30, 9), ("b", 5, 33, 1)], "b"),  # longest coding sequence
        ([("a", 5, 30, 9), ("b", 6, 30, 1)], "b"),  # then 5' UTR
        ([("a", 5, 30, 8), ("b", 5, 30, 9)], "b"),  # then 3' UTR
        ([("b", 5, 30, 9), ("a", 5, 30, 9)], "b"),  # then the first
        ([("a", 0, 90, 9), ("b", 1, 30, 0)], "b"),  # a 5' UTR goes first
        ([("a", 0, 30, 9), ("b", 0, 60, 0)], "b"),  # but is not needed
        ([("a", 500, 0, 0), ("b", 0, 3, 0)], "b"),  # coding before all
        ([("a", 50, 0, 0), ("b", 60, 0, 0)], "b"),  # else the longest
    ],
)
def test_the_transcript_of_a_gene(transcripts: list[tuple], chosen: str) -> None:
    assert choose_transcript([transcript(*row) for row in transcripts]).transcript_id == chosen


def test_lengths_as_published_decide_as_published() -> None:
    pair = [transcript("a", 5, 30, 9, pieces=2), transcript("b", 5, 29, 9)]
    assert choose_transcript(pair).transcript_id == "a"
    pair[1].coding, pair[1].exons = [(5, 34)], [(0, 43)]
    assert choose_transcript([transcript("a", 5, 30, 9, pieces=3), pair[1]], "xpresso").transcript_id == "b"


def test_no_exon_no_transcript() -> None:
    assert choose_transcript([Transcript("a", "G", "chr1", "+", 1)]) is None
    assert choose_transcript([]) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('1\tx\texon\t1\t9\t.\t+\t.\tgene_id "G";', "names no transcript"),
        ('1\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "T";', "names no gene"),
        ('1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "G";', "no transcript and no exon"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.gtf").write_text(line + "\n")
    with pytest.raises(CisweaveError, match=message):
        read_annotation(tmp_path / "a.gtf")


# --- Ensembl's own lines ----------------------------------------------------------------------------------------------
@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_lengths_are_those_of_ensembls_utr_lines() -> None:
    """Ensembl writes UTRs and coding parts as lines of their own; only these lines are read here."""
    gtf = FOLDER / "annotation/Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf"
    parts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in gtf.read_text().splitlines():
        fields = line.split("\t")
        name = re.search(r'transcript_id "(\w+)"', line)
        if len(fields) == 9 and name:
            parts[name[1], fields[2]].append(int(fields[4]) - int(fields[3]))
    compared = 0
    with Genome(FOLDER / "genome/hg38_pieces.fa.gz") as genome:
        for found in read_annotation(gtf).values():
            for transcript in found.transcripts:
                if not transcript.coding or transcript.exons[-1][1] > 1_000_000:
                    continue
                names = ("five_prime_utr", "CDS", "three_prime_utr")
                lines = [parts[transcript.transcript_id, name] for name in names]
                keys = ("UTR5LEN", "CDSLEN", "UTR3LEN")
                features = half_life_features(transcript, genome, "chr9")
                assert [features[key] for key in keys] == [sum(line) + len(line) for line in lines]
                if sum(lines[1]):
                    features = half_life_features(transcript, genome, "chr9", "xpresso")
                    assert [features[key] for key in keys] == [sum(line) for line in lines]
                    (span,) = parts[transcript.transcript_id, "transcript"]
                    assert features["INTRONLEN"] == span - sum(map(sum, lines))
                compared += 1
    assert compared > 20
