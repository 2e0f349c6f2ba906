"""Checks of the xpresso room on real data, for its tests and for ``scripts/check_xpresso.py``.

Each takes the folder that the environment variable CISWEAVE_REAL_DATA names and returns figures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from cisweave.sequence.genome import Genome
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.predict import predict_promoters
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.split import reconstruct_xpresso_split

HUMAN = "weights/Xpresso_humanMedian_trainepoch.11-0.426.h5"
K562 = "weights/Xpresso_K562_trainepoch.11-0.4917.h5"
HG38 = "genome/hg38_pieces.fa.gz"
WINDOWS = "parity/kipoi_Xpresso_human_hg38_promoters.bed"
PUBLISHED = "parity/kipoi_Xpresso_predictions.tsv"
PROMOTERS = "annotation/Xpresso_hg38_promoters_cage_corrected.bed"
DICTIONARY = "expression/zoo_gene_dictionary_human.tsv"


BED = ["chrom", "start", "end", "gene_id", "score", "strand"]
RANGES = ["metadata/ranges/chr", "metadata/ranges/start", "metadata/ranges/end"]


def known_windows(folder: Path) -> pd.DataFrame:
    """Rows of the published promoters that lie in the pieces of hg38, with the published prediction."""
    windows, published = pd.read_csv(folder / WINDOWS, sep="\t", names=BED), pd.read_csv(folder / PUBLISHED, sep="\t")
    assert (windows[BED[:3]].to_numpy() == published[RANGES].to_numpy()).all()
    windows["published"] = published["preds/expression_pred"]
    with Genome(folder / HG38) as genome:
        inside = [
            row.chrom in genome.contigs
            and row.end <= genome.length(row.chrom)
            and "N" not in genome.fetch(row.chrom, row.start, row.end).upper()
            for row in windows.itertuples()
        ]
    return windows[inside].reset_index(drop=True)


def predict_published(folder: Path, weights: str, out: Path, **options: Any) -> pd.DataFrame:
    """Import Keras weights (``options`` as the importer has them) and predict the published promoters of the pieces.

    Gives columns ``prediction_z`` and ``published``.
    """
    windows = known_windows(folder)
    bed = out / "windows.bed"
    windows[BED].to_csv(bed, sep="\t", header=False, index=False)
    import_model(folder / weights, out / "model", **options)
    predict_promoters(out / "model", out / "predictions.tsv", PromoterFiles(bed=bed, fasta=folder / HG38), device="cpu")
    table = pd.read_csv(out / "predictions.tsv", sep="\t")
    return windows.merge(table[["gene_id", "prediction_z"]], on="gene_id", validate="one_to_one")


def promoters_check(folder: Path) -> dict[str, Any]:
    """The official human-median weights against their published predictions; the K562 weights run."""
    with tempfile.TemporaryDirectory(prefix="cisweave-xpresso-") as temporary:
        human, k562 = Path(temporary) / "human", Path(temporary) / "k562"
        human.mkdir()
        k562.mkdir()
        found = predict_published(folder, HUMAN, human)
        other = predict_published(folder, K562, k562)
    return {
        "promoters": len(found),
        "promoters_max_abs_diff": float((found["prediction_z"] - found["published"]).abs().max()),
        "k562_promoters": int(other["prediction_z"].notna().sum()),
        "k562_correlation": float(other["prediction_z"].corr(other["published"])),
    }


def split_check(folder: Path) -> dict[str, Any]:
    """Xpresso's split, made anew from its promoters, against the published order of genes."""
    made = reconstruct_xpresso_split(folder / PROMOTERS, folder / DICTIONARY)
    published = pd.read_csv(folder / DICTIONARY, sep="\t", names=["gene_id", "symbol"])["gene_id"]
    same = made["gene_id"].to_numpy() == published.to_numpy()
    return {
        "split_ids": len(published),
        "split_ids_in_order": int(same.sum()),
        "split_sizes": made["split"].value_counts(sort=False).to_dict(),
    }
