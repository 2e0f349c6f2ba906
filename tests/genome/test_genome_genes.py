from __future__ import annotations

import contextlib
import gzip
import os
import random
from pathlib import Path

import pytest

from cisweave.core.errors import CisweaveError
from cisweave.genome.genes import GENES_COLUMNS, read_genes, without_version

SEAL = "chr1\t99\t100\t+\tg1\nchr2\t199\t200\t-\tg2\n"
BED6 = "track name=x\nchr1\t99\t150\tg1\t0\t+\nchr2\t99\t200\tg2\t.\t-\n"
BED12 = "chr1\t99\t150\tg1\t0\t+\t99\t150\t0\t1\t51,\t0,\nchr2\t99\t200\tg2\t0\t-\t99\t99\t0\t1\t101,\t0,\n"
CSV = (
    "id,symbol,seqnames,strand,TSS,CAGE_representative_TSS,type\r\n"
    'g1,"A,B",chr1,+,90,100,protein_coding\r\ng2,C,chr2,-,200,,lincRNA\r\n'
)
GTF = """\
##description: made up
chr1\tx\tgene\t100\t150\t.\t+\t.\tgene_id "g1"; gene_type "protein_coding"; gene_name "A";
chr1\tx\ttranscript\t100\t150\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; tag "basic"; tag "Ensembl_canonical";
chr1\tx\ttranscript\t120\t150\t.\t+\t.\tgene_id "g1"; transcript_id "t2"; tag "MANE_Select";
chr1\tx\texon\t120\t150\t.\t+\t.\tgene_id "g1"; transcript_id "t2";
chr2\tx\tgene\t90\t200\t.\t-\t.\tgene_id "g2"; gene_biotype "lincRNA";
chr2\tx\ttranscript\t90\t190\t.\t-\t.\tgene_id "g2"; transcript_id "t3";
"""
ENSEMBL_GFF3 = """\
##gff-version 3
chr1\tx\tchromosome\t1\t900\t.\t.\t.\tID=chromosome:1
chr1\tx\tgene\t100\t150\t.\t+\t.\tID=gene:g1;Name=A;biotype=protein_coding;gene_id=g1;version=3
chr1\tx\tmRNA\t120\t150\t.\t+\t.\tID=transcript:t1;Parent=gene:g1;tag=basic,Ensembl_canonical
chr2\tx\tncRNA_gene\t90\t200\t.\t-\t.\tID=gene:g2;biotype=lincRNA
"""
REFSEQ_GFF3 = """\
chr1\tx\tgene\t100\t150\t.\t+\t.\tID=gene-g1;gene=A;gene_biotype=protein_coding
chr1\tx\tmRNA\t120\t150\t.\t+\t.\tID=rna-t1;Parent=gene-g1;gene=A;tag=MANE Select
chr2\tx\tpseudogene\t90\t200\t.\t-\t.\tID=gene-g2;gene_biotype=lincRNA
"""
PLACES = [["chr1", 100, "+", "g1"], ["chr2", 200, "-", "g2"]]
FIRST = ["chrom", "tss", "strand", "gene_id"]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("text", [SEAL, BED6, BED12, CSV, GTF, ENSEMBL_GFF3, REFSEQ_GFF3])
def test_every_kind_of_file_is_told_by_content(tmp_path: Path, text: str) -> None:
    for number, data in enumerate([text.encode(), gzip.compress(text.encode()), text.rstrip().encode()]):
        path = tmp_path / f"genes{number}"
        path.write_bytes(data)
        genes = read_genes(path)
        assert genes[FIRST].values.tolist() == PLACES
        assert genes.dtypes.astype(str).to_dict() == GENES_COLUMNS


@pytest.mark.parametrize("text", [CSV, GTF, ENSEMBL_GFF3, REFSEQ_GFF3])
def test_types_and_names(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "genes", text)
    assert read_genes(path)["type"].tolist() == ["protein_coding", "lincRNA"]
    assert read_genes(path)["name"][0] in ("A", "A,B")
    assert read_genes(path, types=["lincRNA"])["gene_id"].tolist() == ["g2"]
    with pytest.raises(CisweaveError, match="no gene is of type x; the types are lincRNA, protein_coding"):
        read_genes(path, types=["x"])


def test_types_of_a_file_without_types(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match="does not say the types"):
        read_genes(write(tmp_path / "a.bed", SEAL), types=["lincRNA"])


@pytest.mark.parametrize("text", [GTF, ENSEMBL_GFF3, REFSEQ_GFF3])
def test_tss_of_the_canonical_transcript(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    genes = read_genes(write(tmp_path / "genes", text), tss="canonical")
    assert genes[["gene_id", "tss"]].values.tolist() == [["g1", 120], ["g2", 200]]
    assert "1 of 2 genes have no canonical transcript" in caplog.text


def test_genes_from_transcripts_and_from_exons(tmp_path: Path) -> None:
    text = "".join(line + "\n" for line in GTF.splitlines() if "\tgene\t" not in line)
    genes = read_genes(write(tmp_path / "a.gtf", text))
    assert genes[["gene_id", "tss"]].values.tolist() == [["g1", 100], ["g2", 190]]
    text = "".join(line + "\n" for line in text.splitlines() if "\ttranscript\t" not in line)
    assert read_genes(write(tmp_path / "b.gtf", text))[["gene_id", "tss"]].values.tolist() == [["g1", 120]]


def test_a_gene_at_several_places(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = GTF + 'chrY\tx\tgene\t7\t9\t.\t+\t.\tgene_id "g1";\n'
    assert read_genes(write(tmp_path / "a.gtf", text))[FIRST].values.tolist() == PLACES
    assert "1 gene(s) stand at several places, g1 for one; kept at the first" in caplog.text


def test_versions_are_cut_off_ensembl_ids_alone(tmp_path: Path) -> None:
    names = ["ENSG00000000003.15", "ENSMUSG00000000001.4", "RP11-34P13.7", "ENSG00000002586.20_PAR_Y"]
    path = write(tmp_path / "a.bed", "".join(f"chr1\t{n}\t{n + 1}\t+\t{name}\n" for n, name in enumerate(names)))
    assert read_genes(path)["gene_id"].tolist() == names
    cut = ["ENSG00000000003", "ENSMUSG00000000001", "RP11-34P13.7", "ENSG00000002586_PAR_Y"]
    assert read_genes(path, strip_version=True)["gene_id"].tolist() == cut
    assert [without_version(name) for name in names] == cut


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no gene"),
        ("# only a comment\n", "holds no gene"),
        ("a b c\n", "line 1: this line is neither of a BED"),
        ("chr1\tx\ty\n", "line 1: this line is neither"),
        ("chr1\t1\t2\n", "line 1: .*instead of at least 5"),
        (BED6 + "chr1\t5\t9\tg3\t0\t.\n", "line 4: column 6 must be the strand"),
        (BED6 + "chr1\t9\t9\tg3\t0\t+\n", "line 4: columns 2 and 3"),
        (BED6 + "chr1\t5\t9\tg3\n", "line 4: 4 tab-separated"),
        (BED6 + "chr1\t5\t9\tg1\t0\t+\n", "line 4: gene g1 is already on line 2"),
        (BED6 + "\t5\t9\tg1\t0\t+\n", "line 4: the contig"),
        (SEAL + "chr1\t5\t9\t+\tg3\n", "line 3: columns 2 and 3"),
        (CSV + "g3,C,chr2,-,x,,lincRNA\n", "line 4: the TSS must be a position"),
        (CSV + "g3,C,chr2,*,5,,lincRNA\n", "line 4: the strand"),
        (CSV + "g3,C,,-,5,,lincRNA\n", "line 4: id and seqnames"),
        (CSV + "g3,C\n", r"line 4: 2 field\(s\) instead of 7"),
        (CSV + "g1,C,chr2,-,5,,lincRNA\n", "line 4: gene g1 is already on line 2"),
        (CSV + f'"{"x" * 200_000}",\n', "line 4: this line is no CSV"),
        ("id,symbol\n", r"column\(s\) seqnames, strand, TSS missing"),
        (CSV.splitlines()[0], "holds no gene"),
        (GTF + "chr1\tx\tgene\t7\t9\t.\t.\t.\tgene_id g3\n", "line 8: this gene of g3 has no strand"),
        (GTF + 'chr1\tx\tgene\t7\t9\t.\t+\t.\tgene_name "g3"\n', "line 8: this gene names no gene"),
        ("chr1\tx\tcontig\t7\t9\t.\t.\t.\tID=chr1\n", "holds no gene"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        read_genes(write(tmp_path / "genes", text))


def test_mutated_files_give_genes_or_one_message(tmp_path: Path) -> None:
    choose = random.Random(5)
    path = tmp_path / "genes"
    for text in (SEAL, BED6, BED12, CSV, GTF, ENSEMBL_GFF3, REFSEQ_GFF3):
        for _ in range(150):
            data = bytearray(text.encode())
            for _ in range(choose.randint(1, 4)):
                place = choose.randrange(len(data))
                data[place : place + choose.randint(0, 3)] = choose.choice(
                    [b"", b"\t", b"\n", b"\r", b'"', b"\0", b"\xff", b"-1", b"9" * 30, b";", b"=", b",", os.urandom(3)]
                )
            path.write_bytes(data)
            with contextlib.suppress(CisweaveError):
                genes = read_genes(path, tss=choose.choice(["gene", "canonical"]))
                assert len(genes)
                assert genes["gene_id"].is_unique


def test_ids_that_would_break_a_table_are_refused(tmp_path: Path) -> None:
    attributes = "ID=a%0Achr1%09499%09500%09+%09FAKE"
    (tmp_path / "g.gff3").write_text(f"##gff-version 3\nchr1\tx\tgene\t100\t200\t.\t+\t.\t{attributes}\n")
    with pytest.raises(CisweaveError, match="line 2: the gene id or the contig holds control characters"):
        read_genes(tmp_path / "g.gff3")
