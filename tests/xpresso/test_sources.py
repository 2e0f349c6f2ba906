"""Promoters from a FASTA, a BED and an annotation give what promoter data give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterDataSettings
from cisweave.core.errors import CisweaveError
from cisweave.tables.ledger import read_ledger
from cisweave.xpresso.build import build_data
from cisweave.xpresso.dataset import HALF_LIFE, open_data
from cisweave.xpresso.models import load_promoter_model
from cisweave.xpresso.predict import predict_promoters
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.scaling import Scaling
from cisweave.xpresso.sources import open_source
from cisweave.xpresso.variants import predict_variants
from tests.xpresso.linear_promoters import (
    ANCHOR,
    DOWN,
    GENES,
    LEFT,
    RAW,
    RIGHT,
    UP,
    WINDOW,
    World,
    build_world,
    make_data,
    save_linear_model,
    scaled_halflife,
    write_bed,
)

WHOLE = (0, UP + DOWN)
SLICE = (LEFT, RIGHT)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = build_world(tmp_path_factory.mktemp("sources"))
    make_data(world, world.folder / "data")
    table = GENES[["gene_id"]].assign(**dict(zip(HALF_LIFE, np.tile(RAW[0][:, None], 4), strict=True)))
    table.iloc[:2, 1:] = RAW
    table.iloc[:2].to_csv(world.folder / "halflife.tsv", sep="\t", index=False)
    return world


def predict(world: World, out: Path, files: PromoterFiles, model: str = "model") -> pd.DataFrame:
    return predict_promoters(world.folder / model, out, files, rejects=out.with_suffix(".rejects.tsv"), device="cpu")


def write_promoters(world: World, path: Path, left: int, right: int, width: int = 50) -> Path:
    with open(path, "w") as handle:
        for gene in GENES.gene_id:
            bases = world.promoter(gene, left, right)
            handle.write(f">{gene} of the test\n")
            handle.writelines(bases[at : at + width] + "\n" for at in range(0, len(bases), width))
    return path


@pytest.mark.parametrize("bounds", [SLICE, WHOLE])
def test_all_sources_agree(world: World, tmp_path: Path, bounds: tuple[int, int]) -> None:
    expected = predict(world, tmp_path / "data.tsv", PromoterFiles(data=world.folder / "data"))
    halflife = world.folder / "halflife.tsv"
    fasta = write_promoters(world, tmp_path / "promoters.fa", *bounds)
    bed = write_bed(world, tmp_path / "promoters.bed", *bounds)
    of_fasta = predict(world, tmp_path / "a.tsv", PromoterFiles(promoters=fasta, halflife=halflife))
    of_bed = predict(world, tmp_path / "b.tsv", PromoterFiles(bed=bed, fasta=world.fasta, halflife=halflife))
    assert of_bed.equals(expected)
    for column in ("gene_id", "prediction_z", "log10_expression", "unknown_bases"):
        assert of_fasta[column].equals(expected[column])
    assert of_fasta.start.isna().all()
    assert not list(tmp_path.glob(".partial*"))


def test_promoters_of_a_wrong_length_are_named_with_both_lengths(world: World, tmp_path: Path) -> None:
    short = write_promoters(world, tmp_path / "short.fa", LEFT, RIGHT - 1)
    with pytest.raises(CisweaveError, match=r"'plus' has 69 bases; give the model's window of 70 bases.*pad it with N"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(promoters=short))
    long = write_bed(world, tmp_path / "long.bed", LEFT, RIGHT + 5)
    with pytest.raises(CisweaveError, match=r"'plus' has 75 bases; .* or the whole promoter of 100 bases \(60 before"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(bed=long, fasta=world.fasta))
    mixed = tmp_path / "mixed.fa"
    whole, record = write_promoters(world, tmp_path / "whole.fa", *SLICE).read_text(), ">another\nACGT\n"
    mixed.write_text(whole + record)
    with pytest.raises(CisweaveError, match="'another' has 4 bases"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(promoters=mixed))
    (tmp_path / "empty.fa").write_text("")
    with pytest.raises(CisweaveError, match="no FASTA"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(promoters=tmp_path / "empty.fa"))
    (tmp_path / "empty.bed").write_text("# nothing\n")
    with pytest.raises(CisweaveError, match="this BED holds no promoter"):
        predict(world, tmp_path / "out.tsv", PromoterFiles(bed=tmp_path / "empty.bed", fasta=world.fasta))
    assert not (tmp_path / "out.tsv").exists()


# --- an annotation ----------------------------------------------------------------------------------------------------
def write_gtf(path: Path) -> Path:
    """The genes with an exon of 200 bases each, 30 of them before the CDS; one gene on no contig, one non-coding."""
    lines = []
    for gene, chrom, tss, strand in GENES.itertuples(index=False):
        if gene == "edge":
            continue
        start, end = (tss + 1, tss + 200) if strand == "+" else (tss - 198, tss + 1)
        coding = (start + 30, end - 50) if strand == "+" else (start + 50, end - 30)
        for kind, (first, last) in {"gene": (start, end), "transcript": (start, end), "exon": (start, end),
                                    "CDS": coding}.items():  # fmt: skip
            extra = "" if kind == "gene" else f' transcript_id "{gene}.t";'
            lines.append(
                f'{chrom}\tx\t{kind}\t{first}\t{last}\t.\t{strand}\t.\tgene_id "{gene}"; gene_name "HIST1{gene}"; '
                f'gene_biotype "protein_coding";{extra}\n'
            )
    for gene, chrom, biotype in (("lost", "chr9", "protein_coding"), ("rna", "chr1", "lincRNA")):
        name = f' transcript_id "{gene}.t";'
        lines += [
            f'{chrom}\tx\t{kind}\t700\t800\t.\t+\t.\tgene_id "{gene}"; gene_biotype "{biotype}";{extra}\n'
            for kind, extra in (("gene", ""), ("transcript", name), ("exon", name))
        ]
    path.write_text("".join(lines))
    return path


def test_an_annotation_gives_tss_and_half_life(world: World, tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "genes.gtf")
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(gtf=gtf, fasta=world.fasta))
    assert table.gene_id.tolist() == ["plus", "minus", "other"]
    for row, gene in enumerate(table.gene_id):
        chrom, tss, strand = GENES.loc[GENES.gene_id == gene, ["chrom", "tss", "strand"]].iloc[0]
        transcript = world.bases(chrom, tss, tss + 200) if strand == "+" else world.bases(chrom, tss - 199, tss + 1)
        if strand == "-":
            transcript = transcript[::-1].translate(str.maketrans("ACGT", "TGCA"))
        shares = [sum(base in "GC" for base in part) / len(part)
                  for part in (transcript[:30], transcript[30:150], transcript[150:])]  # fmt: skip
        raw = np.array([30, 120, 0, 50, *[round(share, 3) for share in shares], round(1000 / 120, 2)])
        extras = scaled_halflife(world.scaling, raw)
        assert table.prediction_z[row] == pytest.approx(
            world.score(world.promoter(gene, LEFT, RIGHT), extras), abs=1e-4
        )
    rejects = pd.read_csv(tmp_path / "out.rejects.tsv", sep="\t").set_index("gene_id")
    assert rejects.code.to_dict() == {"lost": "unknown_contig", "rna": "other_type"}


def test_an_annotation_beside_promoters_gives_half_life_alone(world: World, tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "genes.gtf")
    bed = write_bed(world, tmp_path / "promoters.bed", *SLICE)
    both = predict(world, tmp_path / "a.tsv", PromoterFiles(gtf=gtf, bed=bed, fasta=world.fasta))
    alone = predict(world, tmp_path / "b.tsv", PromoterFiles(gtf=gtf, fasta=world.fasta))
    merged = both.merge(alone, on="gene_id")
    assert both.gene_id.tolist() == GENES.gene_id.tolist()
    np.testing.assert_allclose(merged.prediction_z_x, merged.prediction_z_y, atol=1e-5)


def test_computed_half_life_is_of_no_use_to_a_model_of_z_scores(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scaling = Scaling(label_unit="standardised", halflife_unit="standardised")
    save_linear_model(tmp_path / "model", world.weights, world.extras, scaling, halflife=8)
    gtf = write_gtf(tmp_path / "genes.gtf")
    with caplog.at_level("WARNING", logger="cisweave"):
        table = predict_promoters(tmp_path / "model", tmp_path / "out.tsv", PromoterFiles(gtf=gtf, fasta=world.fasta))
    assert "z-scores of unknown scale" in caplog.text
    expected = [world.score(world.promoter(gene, LEFT, RIGHT)) for gene in table.gene_id]
    np.testing.assert_allclose(table.prediction_z, expected, atol=1e-4)


def test_variants_find_the_same_effects_through_annotation_bed_and_data(world: World, tmp_path: Path) -> None:
    bases = world.genome["chr1"]
    lines = [f"chr1\t{at + 1}\t.\t{bases[at]}\t{bases[at] + 'ACG'}\n" for at in (470, 499, 515, 545)]
    (tmp_path / "v.vcf").write_text("".join(lines))
    sources = {
        "gtf": PromoterFiles(gtf=write_gtf(tmp_path / "genes.gtf"), fasta=world.fasta),
        "slice": PromoterFiles(bed=write_bed(world, tmp_path / "slice.bed", *SLICE), fasta=world.fasta),
        "whole": PromoterFiles(bed=write_bed(world, tmp_path / "whole.bed", *WHOLE), fasta=world.fasta),
        "data": PromoterFiles(data=world.folder / "data", fasta=world.fasta),
    }
    tables = {}
    for name, files in sources.items():
        out = tmp_path / f"{name}.parquet"
        predict_variants(world.folder / "promoter_only", tmp_path / "v.vcf", out, files, rejects=tmp_path / "r.tsv")
        tables[name] = pd.read_parquet(out)
        assert len(tables[name]) == 5
        assert len(read_ledger(tmp_path / "r.tsv")) == 0
    for table in tables.values():
        assert table.equals(tables["data"])


# --- geometry ---------------------------------------------------------------------------------------------------------
def test_windows_that_do_not_hold_the_tss_are_cut_where_they_belong(world: World, tmp_path: Path) -> None:
    for name, left in (("before", 0), ("after", 65)):
        weights = world.weights[:30]
        save_linear_model(
            tmp_path / name, weights, np.zeros(0), world.scaling, "cnn/Xpresso_nohalf", "P", slice_=(left, left + 30)
        )
        bed = write_bed(world, tmp_path / f"{name}.bed", left, left + 30)
        gtf = write_gtf(tmp_path / "genes.gtf")
        for files in (PromoterFiles(bed=bed, fasta=world.fasta), PromoterFiles(gtf=gtf, fasta=world.fasta)):
            table = predict_promoters(tmp_path / name, tmp_path / "out.tsv", files)
            for row, gene in enumerate(table.gene_id):
                window = world.promoter(gene, left, left + 30)
                expected = sum(weights[at, "ACGT".index(base)] for at, base in enumerate(window) if base != "N")
                assert table.prediction_z[row] == pytest.approx(expected, abs=1e-4)
            with open_source(load_promoter_model(tmp_path / name, "cpu"), files, tmp_path) as source:
                tss = dict(zip(GENES.gene_id, GENES.tss, strict=True))
                assert source.tss.tolist() == [tss[gene] for gene in source.data.gene_ids]


def test_published_windows_lie_a_base_further_on_the_plus_strand(world: World, tmp_path: Path) -> None:
    loaded = load_promoter_model(world.model, "cpu")
    place = {"upstream": UP, "downstream": DOWN, "slice": list(SLICE), "compat": "xpresso"}
    loaded.spec.preprocessing["promoter"] = place
    from cisweave.models.folders import LoadedModel
    from cisweave.xpresso.models import PromoterModel

    model = PromoterModel(LoadedModel(loaded.network, loaded.spec, loaded.folder, loaded.device))
    files = PromoterFiles(gtf=write_gtf(tmp_path / "genes.gtf"), fasta=world.fasta)
    with open_source(model, files, tmp_path) as source:
        assert source.tss.tolist() == [500, 540, 300]
        assert source.starts.tolist() == [500 - ANCHOR + 1, 540 + 1 + ANCHOR - WINDOW, 300 + 1 + ANCHOR - WINDOW]


def test_data_are_left_as_they_are(world: World) -> None:
    before = (world.folder / "data" / "dataset.json").read_bytes()
    with open_source(load_promoter_model(world.model, "cpu"), PromoterFiles(data=world.folder / "data"), world.folder):
        pass
    assert (world.folder / "data" / "dataset.json").read_bytes() == before
    assert open_data(world.folder / "data").has_halflife.tolist() == [True, True, False, False]


@pytest.mark.parametrize(("trained", "cut"), [("xpresso", None), (None, "xpresso")])
def test_data_cut_by_another_rule_than_the_models_are_read_where_the_model_had_them(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, trained: str | None, cut: str | None
) -> None:
    model = tmp_path / "model"
    save_linear_model(model, world.weights, np.zeros(0), world.scaling, "cnn/Xpresso_nohalf", "P")
    text = (model / "model.yaml").read_text()
    (model / "model.yaml").write_text(text.replace("  promoter:\n", f"  promoter:\n    compat: {trained or 'null'}\n"))
    gtf = write_gtf(tmp_path / "genes.gtf")
    settings = PromoterDataSettings(
        upstream=UP, downstream=DOWN, compat=cut, contigs=["chr1", "chr2"], skip_histones=False
    )
    files = PromoterFiles(gtf=gtf, fasta=world.fasta)
    build_data(tmp_path / "data", files, settings=settings)
    expected = predict_promoters(model, tmp_path / "gtf.tsv", files, device="cpu")
    found = predict_promoters(model, tmp_path / "data.tsv", PromoterFiles(data=tmp_path / "data"), device="cpu")
    assert found.equals(expected)
    assert "beside" not in caplog.text
    with open_source(load_promoter_model(model, "cpu"), PromoterFiles(data=tmp_path / "data"), tmp_path) as source:
        assert source.tss.tolist() == [500, 540, 300]


def test_data_whose_promoters_cannot_be_moved_are_read_with_a_warning(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_data(world, tmp_path / "data", notes={"source": "fasta", "compat": "xpresso"}, genes=GENES.assign(strand=""))
    table = predict(world, tmp_path / "out.tsv", PromoterFiles(data=tmp_path / "data"), "promoter_only")
    assert "compat: xpresso" in caplog.text
    assert "a base beside" in caplog.text
    assert len(table) == len(GENES)
