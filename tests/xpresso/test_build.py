"""Building promoter data: the built-in world's own truth, all sources of promoters, and balanced books."""

from __future__ import annotations

import base64
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterDataSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.sequence.onehot import decode
from cisweave.simulate import build_world
from cisweave.xpresso.build import build_data
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.tables import read_expression
from tests.real.checks import data_folder
from tests.simulate.reader import World, revcomp

FOLDER, REASON = data_folder()
UP, DOWN = 700, 300


def build(
    folder: Path, settings: dict[str, Any] | None = None, expression: Path | None = None, **files: Any
) -> PromoterData:
    chosen = PromoterDataSettings(**{"upstream": UP, "downstream": DOWN, **(settings or {})})
    return build_data(
        folder / "data",
        PromoterFiles(**files),
        expression=expression,
        rejects=folder / "rejects.tsv",
        settings=chosen,
    )


def rejects(folder: Path) -> dict[str, str]:
    table = pd.read_csv(folder / "rejects.tsv", sep="\t", keep_default_na=False)
    assert list(table.columns) == ["gene_id", "code", "message"]
    assert table["message"].str.len().min() > 10 or not len(table)
    return dict(zip(table["gene_id"], table["code"], strict=True))


# --- the built-in world -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tiny")
    build_world(folder, "tiny", 1)
    return World(folder)


def annotated(world: World, **more: Any) -> dict[str, Any]:
    return {"gtf": world.folder / "annotation/genes.gtf", "fasta": world.folder / "genome/sim19.fa", **more}


@cache
def start_sites(folder: Path) -> pd.DataFrame:
    """The world's BED of TSS."""
    columns = ["chrom", "start", "end", "strand", "gene_id"]
    return pd.read_csv(folder / "annotation/tss.bed", sep="\t", names=columns).set_index("gene_id")


def promoter(world: World, gene: str, up: int, down: int) -> str:
    """The promoter of a gene, cut with plain text from the genome around the TSS that the world's BED tells."""
    row = start_sites(world.folder).loc[gene]
    text = world.sim19[row.chrom].upper()
    padded = "N" * up + "N" * down + text + "N" * up + "N" * down
    tss = int(row.start) + up + down
    return padded[tss - up : tss + down] if row.strand == "+" else revcomp(padded[tss - down + 1 : tss + up + 1])


def test_all_of_a_world(world: World, tmp_path: Path) -> None:
    tables = {name: world.folder / f"xpresso/{name}.tsv" for name in ("expression", "tf", "mirna")}
    data = build(tmp_path, **annotated(world, **tables))
    expression, tf, mirna, halflife = (world.table(f"xpresso/{name}.tsv") for name in (*tables, "halflife"))
    assert data.gene_ids == expression["gene_id"].tolist()
    assert rejects(tmp_path) == {}
    np.testing.assert_array_equal(data.genes["expression"], expression["expression"])
    np.testing.assert_array_equal(data.genes[list(HALF_LIFE)], halflife.set_index("gene_id").loc[data.gene_ids])
    np.testing.assert_array_equal(data.tf, tf.set_index("gene_id").loc[data.gene_ids])
    np.testing.assert_array_equal(data.mirna, mirna.set_index("gene_id").loc[data.gene_ids])
    assert data.tf_names == list(tf.columns[1:])
    assert data.has_tf.all()
    assert data.has_mirna.all()
    assert data.genes["symbol"].str.startswith("GENE").all()
    assert {*data.genes["strand"]} == {"+", "-"}
    for row, gene in enumerate(data.gene_ids):
        assert decode(data.windows([row])[0]) == promoter(world, gene, UP, DOWN)


def test_places_and_tss(world: World, tmp_path: Path) -> None:
    data = build(tmp_path, {"upstream": 9000}, **annotated(world))
    assert not data.has_expression.any()
    beyond = 0
    for row in data.genes.itertuples():
        tss = start_sites(world.folder).loc[row.gene_id]
        assert row.end - row.start == 9300
        assert (row.start + 9000 if row.strand == "+" else row.end - 1 - 9000) == tss.start
        text = decode(data.windows([row.Index])[0])
        assert text == promoter(world, row.gene_id, 9000, DOWN)
        assert row.unknown_bases == text.count("N")
        beyond += row.start < 0
    assert beyond


def test_windows_as_published(world: World, tmp_path: Path) -> None:
    plain = build(tmp_path / "a", **annotated(world)).genes
    published = build(tmp_path / "b", {"compat": "xpresso"}, **annotated(world)).genes
    shift = published["start"] - plain["start"]
    assert (shift == (plain["strand"] == "+")).all()
    wide = build(tmp_path / "c", {"compat": "xpresso", "upstream": 9000}, **annotated(world))
    assert (wide.genes["start"] > 0).all()
    left_out = rejects(tmp_path / "c")
    assert left_out
    assert set(left_out.values()) == {"window_off_contig"}
    assert len(left_out) + len(wide) == len(plain)


def test_the_three_sources_agree(world: World, tmp_path: Path) -> None:
    data = build(tmp_path / "gtf", **annotated(world))
    bed, fasta = tmp_path / "a.bed", tmp_path / "a.fa"
    genes = data.genes
    bed.write_text("".join(f"{g.chrom}\t{g.start}\t{g.end}\t{g.gene_id}\t0\t{g.strand}\n" for g in genes.itertuples()))
    records = [f">{gene}::chr1:1-2({strand})\n" for gene, strand in zip(genes["gene_id"], genes["strand"], strict=True)]
    texts = [decode(row) for row in data.windows(np.arange(len(data)))]
    fasta.write_text(
        "".join(f"{head}{text[:500]}\n{text[500:].lower()}\n" for head, text in zip(records, texts, strict=True))
    )
    files = annotated(world)
    of_bed = build(tmp_path / "bed", bed=bed, **files)
    pd.testing.assert_frame_equal(of_bed.genes, genes)
    of_fasta = build(tmp_path / "fasta", promoters=fasta, **files)
    assert of_fasta.genes["start"].eq(-1).all()
    pd.testing.assert_frame_equal(of_fasta.genes[list(HALF_LIFE)], genes[list(HALF_LIFE)])
    for other in (of_bed, of_fasta):
        assert (other.windows(np.arange(len(data))) == data.windows(np.arange(len(data)))).all()
    bare = build(tmp_path / "bare", bed=bed, fasta=files["fasta"])
    assert not bare.has_halflife.any()
    assert build(tmp_path / "alone", promoters=fasta).gene_ids == data.gene_ids


def test_order_and_rejected_genes(world: World, tmp_path: Path) -> None:
    expression = world.table("xpresso/expression.tsv")
    ids = expression["gene_id"].tolist()
    measured = expression.iloc[:4:-1].assign(other=lambda table: table["expression"] * 3)
    measured = pd.concat([measured, pd.DataFrame({"gene_id": ["UNKNOWN"], "expression": [1.0], "other": [1.0]})])
    measured.to_csv(tmp_path / "e.tsv", sep="\t", index=False)
    (tmp_path / "names.tsv").write_text(f"{ids[6]}\tHIST1H4A\n{ids[7]}\tH2BC5\n{ids[8]}\tHist1h4a\n{ids[9]}\tGENE\n")
    data = build(
        tmp_path,
        {"columns": ["other"]},
        **annotated(world),
        expression=tmp_path / "e.tsv",
        symbols=tmp_path / "names.tsv",
    )
    expected = [gene for gene in ids[:4:-1] if gene not in ids[6:9]]
    assert data.gene_ids == expected
    np.testing.assert_allclose(
        data.genes["expression"], 3 * expression.set_index("gene_id").loc[expected, "expression"]
    )
    found = rejects(tmp_path)
    assert found == {
        **dict.fromkeys(ids[:5], "no_expression"),
        **dict.fromkeys(ids[6:9], "histone"),
        "UNKNOWN": "no_promoter",
    }
    assert data.genes.set_index("gene_id").loc[ids[9], "symbol"] == "GENE"
    kept = build(tmp_path, {"skip_histones": False}, **annotated(world), symbols=tmp_path / "names.tsv")
    assert kept.gene_ids == ids
    receipt = read_json(tmp_path / "data/dataset.json.receipt.json")["identity"]
    assert receipt["genes"] == len(ids)
    assert str(tmp_path / "names.tsv") in receipt["inputs"]


def test_contigs(world: World, tmp_path: Path) -> None:
    contigs = sorted({*start_sites(world.folder)["chrom"]})
    data = build(tmp_path, {"contigs": [contigs[0].removeprefix("chr")]}, **annotated(world))
    assert {*data.genes["chrom"]} == {contigs[0]}
    assert set(rejects(tmp_path).values()) == {"contig_not_wanted"}
    assert len(data) + len(rejects(tmp_path)) == len(start_sites(world.folder))


def test_half_life_features_of_a_table_go_first(world: World, tmp_path: Path) -> None:
    table = world.table("xpresso/halflife.tsv").iloc[1:]
    table.assign(CDSLEN=7).to_csv(tmp_path / "h.tsv", sep="\t", index=False)
    data = build(tmp_path, **annotated(world, halflife=tmp_path / "h.tsv"))
    assert data.has_halflife.tolist() == [False] + [True] * (len(data) - 1)
    assert (data.genes["CDSLEN"][1:] == 7).all()


def test_ids_of_another_kind_are_told(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = world.table("xpresso/tf.tsv")
    table.assign(gene_id=[f"X{n}" for n in range(len(table))]).to_csv(tmp_path / "tf.tsv", sep="\t", index=False)
    assert not build(tmp_path, **annotated(world, tf=tmp_path / "tf.tsv")).has_tf.any()
    assert "tf.tsv has a row for no gene of the data" in caplog.text


def test_data_without_promoters(world: World, tmp_path: Path) -> None:
    data = build(tmp_path, expression=world.folder / "xpresso/expression.tsv", tf=world.folder / "xpresso/tf.tsv")
    assert not data.has_promoters
    assert data.has_tf.all()
    assert data.gene_ids == world.table("xpresso/expression.tsv")["gene_id"].tolist()


def test_same_files_same_bytes(world: World, tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, **annotated(world, tf=world.folder / "xpresso/tf.tsv"))
    for file in sorted((tmp_path / "a/data").iterdir()):
        if "receipt" not in file.name:
            assert file.read_bytes() == (tmp_path / "b/data" / file.name).read_bytes(), file.name


# --- hand-made --------------------------------------------------------------------------------------------------------
GENOME = {"1": "ACGTTGCA" * 4, "2": "AACCGGTT" * 4}


def small(folder: Path, lines: list[str]) -> dict[str, Path]:
    (folder / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in GENOME.items()))
    (folder / "genes.gtf").write_text("".join(line + "\n" for line in lines))
    return {"gtf": folder / "genes.gtf", "fasta": folder / "genome.fa"}


def exon(gene: str, chrom: str, start: int, end: int, strand: str = "+", kind: str = "protein_coding") -> str:
    ids = f'gene_id "{gene}"; transcript_id "T{gene}"; gene_biotype "{kind}"; gene_name "N{gene}";'
    place = f"{start}\t{end}\t.\t{strand}\t.\t{ids}"
    return f"{chrom}\tx\ttranscript\t{place}\n{chrom}\tx\texon\t{place}"


def test_why_genes_are_left_out(tmp_path: Path) -> None:
    lines = [
        exon("A", "chr1", 11, 20),
        exon("B", "1", 11, 20, kind="lincRNA"),
        exon("C", "chr9", 11, 20),
        exon("D", "1", 11, 99),
        '1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "E"; gene_biotype "protein_coding";',
        exon("F", "1", 11, 20, "-"),
    ]
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, **small(tmp_path, lines))
    assert data.gene_ids == ["A", "F"]
    # the TSS are bases 11 and, on the minus strand, 20
    assert decode(data.windows([0])[0]) == GENOME["1"][6:12]
    assert decode(data.windows([1])[0]) == revcomp(GENOME["1"][18:24])
    assert rejects(tmp_path) == {"B": "other_type", "C": "unknown_contig", "D": "exon_off_contig", "E": "no_exon"}
    assert not data.has_halflife.any()
    everything = build(tmp_path, {"upstream": 4, "downstream": 2, "biotypes": None}, **small(tmp_path, lines))
    assert everything.gene_ids == ["A", "B", "F"]


def test_no_gene_left(tmp_path: Path) -> None:
    files = small(tmp_path, [exon("A", "9", 11, 20)])
    with pytest.raises(CisweaveError, match="no gene is left: 1 unknown_contig"):
        build(tmp_path, {"upstream": 4, "downstream": 2}, **files)
    assert rejects(tmp_path) == {"A": "unknown_contig"}


CAGE = (
    "chr1\t9\t14\tp1@NA,p2@NB\t5\t+\t12\t13\t0,0,0\n"
    "chr1\t2\t5\tp1@NA\t5\t+\t3\t4\t0,0,0\n"
    "chr2\t9\t14\tp1@NB\t5\t+\t12\t13\t0,0,0\n"
    "chr1\t9\t14\tp1@NB\t5\t-\t12\t13\t0,0,0\n"
    "chr1\t20\t25\tp@chr1:20..25,+\t5\t+\t22\t23\t0,0,0\n"
)


def test_cage_peaks_move_the_tss(tmp_path: Path) -> None:
    files = small(tmp_path, [exon("A", "1", 11, 20), exon("B", "1", 11, 20), exon("C", "1", 5, 20, "-")])
    (tmp_path / "cage.bed").write_text(CAGE + "chr1\t15\t18\tp1@C\t1\t-\t16\t17\t0\n")
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, **files, cage=tmp_path / "cage.bed")
    # A: base 12 (0-based) instead of 10; B: its peaks lie on another contig or strand; C: named by its id
    assert data.genes["start"].tolist() == [8, 6, 15]
    (tmp_path / "cage.bed").write_text("chr1\t12\t13\t+\tA\nchr1\t13\t14\t-\tB\n")
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, **files, cage=tmp_path / "cage.bed")
    assert data.genes["start"].tolist() == [8, 6, 18]


def test_cage_peaks_far_from_the_gene_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = small(tmp_path, [exon("A", "1", 200_011, 200_020), exon("B", "1", 11, 20)])
    text = (tmp_path / "genome.fa").read_text().replace(GENOME["1"], GENOME["1"] * 7000)
    (tmp_path / "genome.fa").write_text(text)
    window = {"upstream": 4, "downstream": 2}
    (tmp_path / "cage.bed").write_text("1\t9\t14\tp1@NA,p1@NB\t5\t+\t12\t13\t0\n")
    data = build(tmp_path, window, **files, cage=tmp_path / "cage.bed")
    assert data.genes["start"].tolist() == [200_006, 8]
    assert "no gene" not in caplog.text
    (tmp_path / "cage.bed").write_text("1\t9\t14\tp1@NA,p1@other\t5\t+\t12\t13\t0\n")
    build(tmp_path, window, **files, cage=tmp_path / "cage.bed")
    assert "CAGE moves the TSS of no gene" in caplog.text


def test_a_transcript_of_two_genes_is_told(tmp_path: Path) -> None:
    lines = [exon("A", "1", 11, 20), exon("B", "1", 14, 20), exon("C", "1", 11, 20).replace('"TC"', '"TB"')]
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, **small(tmp_path, lines))
    assert data.gene_ids == ["A"]
    assert rejects(tmp_path) == {"B": "shared_transcript", "C": "shared_transcript"}


def test_a_table_without_expression_is_told(tmp_path: Path) -> None:
    files = small(tmp_path, [exon("A", "1", 11, 20)])
    (tmp_path / "e.tsv").write_text("gene_id\tx\nA\t\n")
    with pytest.raises(CisweaveError, match="gives no gene an expression"):
        build(tmp_path, {"columns": ["x"]}, expression=tmp_path / "e.tsv", **files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t9\t14\tp1@NA\t5\t+\n", "6 tab-separated field"),
        ("chr1\t9\t14\tp1@NA\t5\t.\t12\t13\t0\n", "column 6 must be the strand"),
        ("chr1\t9\t14\tp1@NA\t5\t+\t12\t15\t0\n", "column 8"),
    ],
)
def test_bad_cage_peaks(tmp_path: Path, text: str, message: str) -> None:
    files = small(tmp_path, [exon("A", "1", 11, 20)])
    (tmp_path / "cage.bed").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        build(tmp_path, {"upstream": 4, "downstream": 2}, **files, cage=tmp_path / "cage.bed")


BIGBED = (
    "c-njYsk5Dhfq`Ke69X7%Lg`0Pni&WU7$Iy%s8~D0$OT*_iAg!B3Q4Ic##~ClnYjfJjuMv!mjVzJmlS2@r7I+76y@hyD?ou#P-<FgQEFatszPyUVJ"
    "VmaR*_$vpPQ<XU!+i+oS2rDp93@oq`ovWuLMYel?0b07L|ZZQUbFS3i69HOEUBG6f*OW%)r#=nwJ8xUkS*<sY{cKK>)>jAMBwF2MA>frR^P9p%N8"
    "yk{OuP6w+89F*&o_yZZ(E<@zQ23Hve2Dx@$l`YAkXKKWWi!t#e@W2mH5p_J6)0QR7T-3y!KJ6aXA=2-GNa-Ff@J!{D;!SMbFzZcN7l!Sx_EJ=0>d"
    "IlvQiXWLgz4FY&<dKQVGm{I37Yq{^7>s$Ck4@}3RlxvEg`kwm0mMvbvBC%x0s6}j#8v=eAlrx$%6_mWLj|N4Sq~Ff4+8@qQc4FK4mFDb$qpePHiU"
    "Bg;Px>va3Yye50zJk%D)EYDgfbXfIa"
)
"""The peaks of CAGE and one of gene C as another program (pybigtools 0.2) packed them, sorted by place."""


def test_cage_peaks_of_a_bigbed(tmp_path: Path) -> None:
    files = small(tmp_path, [exon("A", "1", 11, 20), exon("B", "1", 11, 20), exon("C", "1", 5, 20, "-")])
    content = zlib.decompress(base64.b85decode(BIGBED))
    (tmp_path / "cage.bb").write_bytes(content)
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, **files, cage=tmp_path / "cage.bb")
    # of A the peak at base 3 (0-based) comes first here, and its window begins a base before the contig
    assert data.genes["start"].tolist() == [-1, 6, 15]
    (tmp_path / "cage.bb").write_bytes(content[:400])
    with pytest.raises(CisweaveError, match="damaged"):
        build(tmp_path, **files, cage=tmp_path / "cage.bb")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t0\t6\tA\t0\t+\n1\t0\t6\tA\t0\t+\n", "line 2: gene A is already on line 1"),
        ("1\t0\t7\tA\t0\t+\n", "the promoter of 'A' has 7 bases; upstream \\(4\\) \\+ downstream \\(2\\) make 6"),
        ("1\t0\t6\tA\t0\t.\n", "column 6 must be the strand"),
        ("1\t0\t6\t\t0\t+\n", "the gene id .* is empty"),
        ("1\t0\t6\tA\n", "4 tab-separated field"),
        ("# nothing\n", "holds no promoter"),
    ],
)
def test_bad_beds(tmp_path: Path, text: str, message: str) -> None:
    files = small(tmp_path, [exon("A", "1", 11, 20)])
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        build(tmp_path, {"upstream": 4, "downstream": 2}, bed=tmp_path / "a.bed", fasta=files["fasta"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">A\nACGTAC\n>A\nACGTAC\n", "line 3: gene A is already on line 1"),
        (">A\nACG\nTA\n", "line 1: 'A' has 5 bases; upstream \\+ downstream make 6"),
        (">\nACGTAC\n", "this record has no name"),
        (">A\nACGT!C\n", "line 2: '!' is no base"),
        ("ACGTAC\n", "does not begin with '>'"),
        ("", "no line begins with '>'"),
    ],
)
def test_bad_promoter_fastas(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(CisweaveError, match=message):
        build(tmp_path, {"upstream": 4, "downstream": 2}, promoters=tmp_path / "a.fa")


def test_a_promoter_fasta(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">ENSG00000000001.3 x\nACG\nRNc\n\n>B(-)\nacgtac\n")
    data = build(tmp_path, {"upstream": 4, "downstream": 2}, promoters=tmp_path / "a.fa")
    assert data.gene_ids == ["ENSG00000000001", "B"]
    assert [decode(row) for row in data.windows([0, 1])] == ["ACGNNC", "ACGTAC"]
    assert data.genes["unknown_bases"].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "nothing to build data from"),
        ({"gtf": "a"}, "an? annotation alone holds no sequence"),
        ({"bed": "a"}, "a BED alone holds no sequence"),
        ({"bed": "a", "promoters": "a", "fasta": "a"}, "give one source of promoters"),
        ({"promoters": "a", "cage": "a"}, "CAGE peaks move the TSS of an annotation"),
        ({"promoters": "a", "fasta": "a"}, "goes with an annotation or a BED"),
    ],
)
def test_files_that_do_not_go_together(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(CisweaveError, match=message):
        build(tmp_path, **{name: Path(path) for name, path in files.items()})


# --- as published ----------------------------------------------------------------------------------------------------
def test_as_published_genes_without_coding_sequence_and_on_other_contigs_are_left_out(tmp_path: Path) -> None:
    coding = [exon(gene, chrom, 11, 20) + "\n" + exon(gene, chrom, 12, 18).splitlines()[1].replace("exon", "CDS")
              for gene, chrom in (("A", "chr1"), ("Y", "chrY"))]  # fmt: skip
    files = small(tmp_path, [*coding, exon("B", "1", 11, 20)])
    with open(tmp_path / "genome.fa", "a") as handle:
        handle.write(">Y\n" + GENOME["1"] + "\n")
    window = {"upstream": 4, "downstream": 2}
    assert build(tmp_path, {**window, "compat": "xpresso"}, **files).gene_ids == ["A"]
    assert rejects(tmp_path) == {"Y": "contig_not_wanted", "B": "no_cds"}
    assert build(tmp_path, {**window, "compat": "xpresso", "contigs": None}, **files).gene_ids == ["A", "Y"]
    assert build(tmp_path, window, **files).gene_ids == ["A", "Y", "B"]


def test_settings_as_published_survive_being_written_out() -> None:
    for given in ({"compat": "xpresso"}, {"compat": "xpresso", "contigs": None}, {}):
        settings = PromoterDataSettings(**given)
        assert PromoterDataSettings.model_validate_json(settings.model_dump_json()) == settings


def test_as_published_the_universal_reference_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "rpkm.tsv"
    table.write_text("gene_id\tE000\tE003\tE004\nA\t9\t1\t2\n")
    assert read_expression(table)["A"] == 2
    assert "universal reference" in caplog.text
    assert read_expression(table, compat="xpresso")["A"] == 1.5
    assert read_expression(table, ["E000"])["A"] == 9


# --- real data --------------------------------------------------------------------------------------------------------
@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_published_windows(tmp_path: Path) -> None:
    """Xpresso's 20-kb windows hold the 10.5-kb windows of its predictions at 3000:13500, on both strands."""
    fasta = FOLDER / "genome/hg38_pieces.fa.gz"
    wide = build(
        tmp_path / "wide",
        {"upstream": 10_000, "downstream": 10_000, "skip_histones": False},
        bed=FOLDER / "annotation/Xpresso_hg38_promoters_cage_corrected.bed",
        fasta=fasta,
    )
    narrow = build(
        tmp_path / "narrow",
        {"upstream": 7000, "downstream": 3500, "skip_histones": False},
        bed=FOLDER / "parity/kipoi_Xpresso_human_hg38_promoters.bed",
        fasta=fasta,
    )
    assert len(wide) + len(rejects(tmp_path / "wide")) == 18_413
    shared = [gene for gene in wide.gene_ids if gene in set(narrow.gene_ids)]
    assert len(shared) == len(wide)
    assert {*wide.genes["strand"]} == {"+", "-"}
    rows = wide.rows(shared)
    assert (wide.windows(rows, 3000, 13_500) == narrow.windows(narrow.rows(shared))).all()
    assert (~wide.unknown()).sum() > 20


@pytest.mark.real_data
@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_published_windows_from_the_annotation(tmp_path: Path) -> None:
    """Genes whose TSS CAGE did not move have the published window, from Ensembl's annotation alone."""
    data = build(
        tmp_path,
        {"upstream": 10_000, "downstream": 10_000, "compat": "xpresso"},
        gtf=FOLDER / "annotation/Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf",
        fasta=FOLDER / "genome/hg38_pieces.fa.gz",
    )
    published = pd.read_csv(
        FOLDER / "annotation/Xpresso_hg38_promoters_cage_corrected.bed", sep="\t", header=None, index_col=3
    )
    genes = data.genes.set_index("gene_id")
    shared = genes.index.intersection(published.index)
    assert (genes.loc[shared, "strand"] == published.loc[shared, 5]).all()
    distance = (genes.loc[shared, "start"] - published.loc[shared, 1]).abs()
    assert distance.loc[["ENSG00000170122", "ENSG00000172785"]].tolist() == [0, 0]
    assert distance.max() < 400
    assert set(rejects(tmp_path).values()) <= {"other_type", "exon_off_contig"}
