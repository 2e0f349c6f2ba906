"""The published predictions of Xpresso's human median, and what the imported weights give for them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cisweave.models.folders import load_model
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import encode, one_hot, reverse_complement
from cisweave.xpresso.importing.models import import_model

HUMAN = "weights/Xpresso_humanMedian_trainepoch.11-0.426.h5"
K562 = "weights/Xpresso_K562_trainepoch.11-0.4917.h5"
BED_COLUMNS = ["chrom", "start", "end", "gene_id", "score", "strand"]
RANGES = {"metadata/ranges/chr": "chrom", "metadata/ranges/start": "start", "metadata/ranges/end": "end"}


def published_promoters(folder: Path) -> pd.DataFrame:
    """Promoters inside the hg38 pieces, with the published prediction of each."""
    bed = pd.read_csv(folder / "parity/kipoi_Xpresso_human_hg38_promoters.bed", sep="\t", names=BED_COLUMNS)
    published = pd.read_csv(folder / "parity/kipoi_Xpresso_predictions.tsv", sep="\t").rename(columns=RANGES)
    assert (published[["chrom", "start", "end"]] == bed[["chrom", "start", "end"]]).all(axis=None)
    bed["published"] = published["preds/expression_pred"]
    inside = np.zeros(len(bed), dtype=bool)
    for piece in pd.read_csv(folder / "genome/hg38_pieces.bed", sep="\t", names=BED_COLUMNS[:3]).itertuples():
        inside |= (bed.chrom == piece.chrom) & (bed.start >= piece.start) & (bed.end <= piece.end)
    return bed[inside].reset_index(drop=True)


def promoter_codes(folder: Path, promoters: pd.DataFrame) -> np.ndarray:
    """Codes (promoters, length) in gene orientation."""
    codes = []
    with Genome(folder / "genome/hg38_pieces.fa.gz") as genome:
        for row in promoters.itertuples():
            forward = encode(genome.fetch(row.chrom, row.start, row.end))
            codes.append(forward if row.strand == "+" else reverse_complement(forward))
    return np.stack(codes)


def predictions(model: Path, codes: np.ndarray, halflife: int = 0) -> np.ndarray:
    """What a model folder gives for promoters, half-life at its mean."""
    network = load_model(model, architecture="promoter").module
    with torch.inference_mode():
        return network(one_hot(codes), torch.zeros(len(codes), halflife))[:, 0].numpy()


def xpresso_weights_check(folder: Path) -> dict[str, Any]:
    """Number of published predictions inside the pieces, and the largest difference to ours."""
    promoters = published_promoters(folder)
    with tempfile.TemporaryDirectory() as work:
        found = predictions(import_model(folder / HUMAN, Path(work) / "model"), promoter_codes(folder, promoters))
    return {"promoters": len(promoters), "largest_difference": float(np.abs(found - promoters.published).max())}
