"""The published Xpresso weights through the verbs: published predictions from genome and BED, variants in balance."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterPredictSettings
from cisweave.tables.ledger import read_ledger
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.predict import predict_promoters
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.variants import predict_variants
from tests.real.checks import data_folder
from tests.real.xpresso_checks import BED, HUMAN, PROMOTERS, WINDOWS, known_windows

FOLDER, REASON = data_folder()
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(FOLDER is None, reason=REASON)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_model(FOLDER / HUMAN, tmp_path_factory.mktemp("weights") / "model")


def test_published_predictions_come_back_from_whole_promoters(model: Path, tmp_path: Path) -> None:
    """Of 20,000 bases the model reads its slice."""
    windows = known_windows(FOLDER)
    bed = pd.read_csv(FOLDER / PROMOTERS, sep="\t", names=BED)
    bed = bed.set_index("gene_id").loc[windows.gene_id].reset_index()[BED]
    bed.to_csv(tmp_path / "promoters.bed", sep="\t", header=False, index=False)
    files = PromoterFiles(bed=tmp_path / "promoters.bed", fasta=FOLDER / "genome/hg38_pieces.fa.gz")
    table = predict_promoters(model, tmp_path / "out.tsv", files, device="cpu")
    assert len(table) == 25
    np.testing.assert_allclose(table.prediction_z, windows.published, atol=1e-6, rtol=0)
    for column in ("start", "end", "strand"):
        assert table[column].tolist() == windows[column].tolist()


def test_windows_of_an_annotation_are_the_published_ones_where_the_tss_is(model: Path, tmp_path: Path) -> None:
    files = PromoterFiles(
        gtf=FOLDER / "annotation/Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf",
        fasta=FOLDER / "genome/hg38_pieces.fa.gz",
    )
    table = predict_promoters(model, tmp_path / "out.tsv", files, rejects=tmp_path / "rejects.tsv", device="cpu")
    published = pd.read_csv(FOLDER / WINDOWS, sep="\t", names=BED)
    both = table.merge(published, on="gene_id", suffixes=("", "_published"))
    assert len(both) >= 5
    assert (both.strand == both.strand_published).all()
    assert ((both.start - both.start_published).abs() < 500).all()
    unmoved = both.set_index("gene_id").loc[["ENSG00000170122", "ENSG00000172785"]]  # not moved by a CAGE peak
    assert (unmoved.start == unmoved.start_published).all()
    assert len(table) + len(pd.read_csv(tmp_path / "rejects.tsv", sep="\t")) > len(both)


def test_real_variants_are_scored_or_rejected(model: Path, tmp_path: Path) -> None:
    genes = pd.read_csv(FOLDER / "annotation/ExPecto_geneanno.pc.sorted.bed", sep="\t", header=None)
    genes = genes.set_axis(["chrom", "start", "end", "strand", "gene_id"], axis=1)
    genes = genes[genes.chrom.astype(str).isin(["chr20", "20"]) & genes.end.between(1_050_000, 1_150_000)]
    up, down = 7000, 3500
    start = np.where(genes.strand == "+", genes.start - up, genes.end - down)
    bed = pd.DataFrame({"chrom": genes.chrom, "start": start, "end": start + up + down, "gene_id": genes.gene_id})
    bed.assign(score=0, strand=genes.strand).to_csv(tmp_path / "genes.bed", sep="\t", header=False, index=False)
    low, high = start.min(), start.max() + up + down
    vcf = tmp_path / "v.vcf.gz"
    counts = subset_vcf(FOLDER / "variants/1000G_p3.hg19.chr20_1M-2M.vcf.gz", vcf, low, high, 400)
    files = PromoterFiles(bed=tmp_path / "genes.bed", fasta=FOLDER / "genome/hg19_pieces.fa.gz")
    began = time.monotonic()
    found = predict_variants(model, vcf, tmp_path / "out.parquet", files, rejects=tmp_path / "rejects.tsv",
                             settings=PromoterPredictSettings(), device="cpu")  # fmt: skip
    assert time.monotonic() - began < 300
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert found["in"] == counts
    assert found["kept"] + len(read_ledger(tmp_path / "rejects.tsv")) == counts
    assert found["kept"] > 50
    assert np.isfinite(table.effect_z).all()
    assert table.effect_z.abs().max() < 3
    assert (table.effect_z != 0).mean() > 0.5
    assert table.reference_genome_match.all()


def subset_vcf(source: Path, out: Path, low: int, high: int, most: int) -> int:
    """The first records between two places; how many alleles they have."""
    import gzip

    kept = alleles = 0
    with gzip.open(source, "rt") as lines, gzip.open(out, "wt") as handle:
        for line in lines:
            if line.startswith("#"):
                handle.write(line)
                continue
            fields = line.split("\t", 5)
            if low <= int(fields[1]) <= high and kept < most:
                handle.write(line)
                kept, alleles = kept + 1, alleles + len(fields[4].split(","))
    return alleles
