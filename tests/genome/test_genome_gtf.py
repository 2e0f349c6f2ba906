from __future__ import annotations

import contextlib
import gzip
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisweave.core.errors import CisweaveError
from cisweave.genome.genes import read_genes
from cisweave.genome.gtf import Feature, parse_attributes, parse_gtf, parse_quoted, read_features
from cisweave.genome.transcripts import read_transcripts

GTF = """\
#!genome-build GRCh38
chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "g1.2"; gene_type "lincRNA"; level 2; tag "a"; tag "b; c";
chr1\tHAVANA\ttranscript\t11\t20\t.\t+\t.\tgene_id "g1.2"; transcript_id "t1";

chr1\tENSEMBL\tCDS\t15\t17\t0.5\t-\t2\tgene_id "g1.2"; transcript_id "t1"; exon_number 1
"""
GFF3 = """\
##gff-version 3
chr1\tensembl\tgene\t11\t20\t.\t?\t.\tID=gene:g1;Name=a%3Bb;tag=x,y;
chr1\tensembl\tmRNA\t11\t20\t.\t-\t.\tID=transcript:t1;Parent=gene:g1
###
##FASTA
>chr1
ACGT
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_gtf(tmp_path: Path) -> None:
    gene, transcript, coding = read_features(write(tmp_path / "a.gtf", GTF))
    attributes = {"gene_id": "g1.2", "gene_type": "lincRNA", "level": "2", "tag": "a,b; c"}
    assert gene == Feature(2, "chr1", "HAVANA", "gene", 10, 20, "+", attributes)
    assert (transcript.line, transcript.attributes) == (3, {"gene_id": "g1.2", "transcript_id": "t1"})
    assert (coding.line, coding.start0, coding.end, coding.strand, coding.phase) == (5, 14, 17, "-", "2")
    assert coding.attributes["exon_number"] == "1"


def test_gff3(tmp_path: Path) -> None:
    gene, transcript = read_features(write(tmp_path / "a.gff3", GFF3))
    assert gene.attributes == {"ID": "gene:g1", "Name": "a;b", "tag": "x,y"}
    assert (gene.strand, transcript.kind, transcript.attributes["Parent"]) == (".", "mRNA", "gene:g1")


def test_sequences_end_the_features(tmp_path: Path) -> None:
    text = GFF3.replace("##FASTA\n", "")
    assert len(list(read_features(write(tmp_path / "a.gff3", text)))) == 2


def test_any_form_of_the_file(tmp_path: Path) -> None:
    expected = list(read_features(write(tmp_path / "a.gtf", GTF)))
    (tmp_path / "b.gtf").write_bytes(GTF.rstrip("\n").replace("\n", "\r\n").encode())
    (tmp_path / "c.gtf.gz").write_bytes(gzip.compress(GTF.encode()))
    for name in ("b.gtf", "c.gtf.gz"):
        assert list(read_features(tmp_path / name)) == expected
    assert [feature.kind for feature in read_features(tmp_path / "b.gtf", ["CDS", "exon"])] == ["CDS"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (".", {}),
        (";", {}),
        ('gene_id "a"', {"gene_id": "a"}),
        ('gene_id "a";transcript_id "b";', {"gene_id": "a", "transcript_id": "b"}),
        ('gene_id "a" transcript_id "b"', {"gene_id": "a", "transcript_id": "b"}),
        ('note "a; b=c \'d\'"; gene_id ""', {"note": "a; b=c 'd'", "gene_id": ""}),
        (r'note "a \"b\" c"; level 1;', {"note": r"a \"b\" c", "level": "1"}),
        ('level 2; tag "x"; exon 3; tag "y"; score 5', {"level": "2", "tag": "x,y", "exon": "3", "score": "5"}),
        ("gene_id a; transcript_id b", {"gene_id": "a", "transcript_id": "b"}),
        ("ID=x", {"ID": "x"}),
        ('ID=x;note="a b";;Parent=y,z;', {"ID": "x", "note": '"a b"', "Parent": "y,z"}),
        ("ID=x;empty=;ID=y", {"ID": "x,y", "empty": ""}),
        ("Name=%E2%82%AC", {"Name": "€"}),
    ],
)  # fmt: skip
def test_attributes(text: str, expected: dict[str, str]) -> None:
    assert parse_attributes(text) == expected


def test_the_fast_way_agrees_with_the_plain_one() -> None:
    choose = random.Random(1)
    pieces = ['gene_id "a"', 'tag "b"', "level 2", 'note "x; y"', 'tag "c d"', "n 1 2", '"', ";", ' k "v" ', "\t"]
    agreed = 0
    for _ in range(3000):
        text = choose.choice(["; ", ";", " ; "]).join(choose.choices(pieces, k=choose.randint(1, 5)))
        fast = parse_quoted(text)
        with contextlib.suppress(CisweaveError):
            plain = parse_gtf(text, "a", 1)
            assert fast is None or fast == plain, text
            agreed += fast is not None
    assert agreed > 300


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('chr1\tx\tgene\t1\t5\t.\t+\tgene_id "a"', r"8 tab-separated column\(s\) instead of the 9"),
        ('chr1\tx\tgene\t1\t5\t.\t+\t.\tgene_id "a"\t', r"10 tab-separated column\(s\)"),
        ('chr1\tx\tgene\t0\t5\t.\t+\t.\tgene_id "a"', "columns 4 and 5 must be start and end"),
        ('chr1\tx\tgene\t6\t5\t.\t+\t.\tgene_id "a"', "columns 4 and 5"),
        ('chr1\tx\tgene\t-1\t5\t.\t+\t.\tgene_id "a"', "columns 4 and 5"),
        ('chr1\tx\tgene\t1\t5e3\t.\t+\t.\tgene_id "a"', "columns 4 and 5"),
        (f'chr1\tx\tgene\t1\t{"9" * 5000}\t.\t+\t.\tgene_id "a"', "columns 4 and 5"),
        ('chr1\tx\tgene\t٣\t٤\t.\t+\t.\tgene_id "a"', "columns 4 and 5"),
        ('chr1\tx\tgene\t1\t5\t.\tplus\t.\tgene_id "a"', r"column 7 must be the strand .*not 'plus'"),
        ('\tx\tgene\t1\t5\t.\t+\t.\tgene_id "a"', "column 1"),
        ('chr1\tx\t\t1\t5\t.\t+\t.\tgene_id "a"', "column 3"),
        ('chr1\tx\tgene\t1\t5\t.\t+\t.\tgene_id "a', "column 9 must hold attributes"),
        ("chr1\tx\tgene\t1\t5\t.\t+\t.\tgene_id", "column 9"),
        ("chr1\tx\tgene\t1\t5\t.\t+\t.\tID=a;b", "column 9"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.gtf", f"{GTF}{line}\n")
    with pytest.raises(CisweaveError, match=rf"a.gtf, line 6: .*{message}"):
        list(read_features(path))


def test_lines_of_other_kinds_are_checked_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gtf", f"{GTF}chr1\tx\tother\t9\t5\t.\t+\t.\t\n")
    with pytest.raises(CisweaveError, match="line 6"):
        list(read_features(path, ["gene"]))


@given(text=st.text(alphabet='ab"=; \t\\%,.', max_size=60))
def test_no_attributes_break_the_reader(text: str) -> None:
    with contextlib.suppress(CisweaveError):
        parse_attributes(text, "a", 1)


@pytest.mark.parametrize("text", ['a "' + "\\" * 50_000, "a " * 50_000, '"' * 50_001, "=" * 50_000, 'a"b" ' * 20_000])
def test_long_nonsense_is_read_fast(text: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(CisweaveError):
        parse_attributes(text, "a", 1)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("kind", ["mRNA", "miRNA", "pseudogenic_transcript", "V_gene_segment"])
@pytest.mark.parametrize(("gene", "transcript"), [("gene:g", "transcript:t"), ("gene-g", "rna-t"), ("g", "t")])
def test_genes_and_transcripts_go_by_the_same_ids(tmp_path: Path, kind: str, gene: str, transcript: str) -> None:
    lines = [
        f"chr1\tx\texon\t5\t9\t.\t+\t.\tParent={transcript}\n",
        f"chr1\tx\t{kind}\t5\t9\t.\t+\t.\tID={transcript};Parent={gene}\n",
    ]
    (tmp_path / "a.gff3").write_text("".join(lines))
    (found,) = read_transcripts(tmp_path / "a.gff3")
    assert (found.transcript_id, found.gene_id, found.exons) == ("t", "g", [(4, 9)])
    assert read_genes(tmp_path / "a.gff3")["gene_id"].tolist() == ["g"]
