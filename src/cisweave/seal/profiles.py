"""Making the store of chromatin profiles around every TSS.

Dimension legend
    genes - TSS in genome order, bins - places around the TSS in gene orientation, tracks - chromatin outputs,
    strands - the windows as they are and reverse-complemented
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config import ProfileSettings
from cisweave.core.devices import DeviceName, choose_precision, float32_arithmetic, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import sha256
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.genome.genes import read_genes
from cisweave.models.folders import WEIGHTS, LoadedModel, load_model
from cisweave.models.profile_shards import ShardHeader, index_profiles, store_order, write_shard
from cisweave.models.profiles import ProfileStore, bin_centres, read_profiles
from cisweave.seal.spatial import spatial_features
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, one_hot, reverse_complement
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch

    from cisweave.models.beluga import Beluga

__all__ = ["ProfileStore", "index_profiles", "profile_tss", "read_profiles"]

logger = get_logger(__name__)

Grid = Literal["centred", "edge", "edge-weights"]

NEWS_SECONDS = 30
"""Seconds between two lines of the log."""
PLAIN_WINDOWS = 64
"""Windows predicted at a time where they cannot share their convolutions."""


def profile_tss(
    fasta: str | Path,
    tss: str | Path,
    model: str | Path,
    out: str | Path,
    settings: ProfileSettings | None = None,
    device: DeviceName = "auto",
    part: Part | None = None,
) -> None:
    """Predict the chromatin profile around every TSS and write the store, or one shard of it (HDF5).

    Bin j of a gene on strand s is the window centred at TSS + s * b_j, with the strand-averaged probability of
    every track (Seal, section 2.1). The profile runs upstream to downstream in gene orientation; windows that leave
    their contig are padded with N. Genes stand in genome order (contig by the bytes of its name, then TSS).

    A job that is killed goes on after its last whole gene when it is started again with the same inputs and settings;
    the result is the same.

    Parameters
    ----------
    fasta
        Genome (FASTA).
    tss
        Genes with one TSS each, as :func:`cisweave.genome.genes.read_genes` reads them.
    model
        Folder of the chromatin model.
    out
        HDF5, described in :mod:`cisweave.models.profile_shards`.
    part
        Which stretch of the genes to predict; ``None``: all. The shards of all parts become one store by
        :func:`~cisweave.models.profile_shards.index_profiles`.

    Raises
    ------
    CisweaveError
        If a gene lies outside the FASTA, before anything is computed.
    """
    settings, part = settings or ProfileSettings(), part or Part()
    loaded = load_model(model, resolve_device(device), "beluga")
    genes = read_genes(tss)[["gene_id", "chrom", "tss", "strand"]]
    genes = genes.iloc[store_order(genes)].reset_index(drop=True)
    with Genome(fasta) as genome:
        check_places(genes, genome, tss)
        own = genes.iloc[part.rows(len(genes))].reset_index(drop=True)
        weights = sha256(Path(model) / WEIGHTS)
        header = ShardHeader(own, loaded.spec.outputs, settings, weights, sha256(fasta), part)
        arithmetic = float32_arithmetic(choose_precision(settings.precision, loaded.device) == "tf32")
        with arithmetic, write_shard(out, header, {"device": loaded.device.type}) as writer:
            predicted = predict_profiles(own.iloc[writer.whole :], genome, loaded, settings)
            for profile, features in with_progress(predicted, writer.whole, len(own)):
                writer.append(profile, features)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[fasta, tss, Path(model) / WEIGHTS],
        device=str(loaded.device),
        dtype=settings.dtype,
        notes={"part": str(part), "genes": len(own)},
    )


Predicted = tuple[NDArray[np.floating], NDArray[np.floating]]


def predict_profiles(
    genes: pd.DataFrame, genome: Genome, model: LoadedModel, settings: ProfileSettings
) -> Iterator[Predicted]:
    """For each gene its profile (bins, tracks) as it is stored, and its spatial features (basis * tracks,).

    Each gene is predicted by itself, so that its bytes do not depend on the genes beside it.
    """
    network = cast("Beluga", model.module)
    for chrom, tss, strand in zip(genes.chrom, genes.tss, genes.strand, strict=True):
        stored = gene_profile(network, genome, chrom, tss, strand, settings, model.device).astype(settings.dtype)
        weighted: NDArray[np.floating] = stored
        if settings.grid == "edge":
            weighted = gene_profile(network, genome, chrom, tss, strand, settings, model.device, "edge")
        yield stored, spatial_features(weighted[None], settings.decay, settings.bin_size, settings.grid)[0]


def gene_profile(
    network: Beluga,
    genome: Genome,
    chrom: str,
    tss: int,
    strand: str,
    settings: ProfileSettings,
    device: torch.device,
    grid: Grid = "centred",
) -> NDArray[np.float32]:
    """Strand-averaged probabilities (bins, tracks) of the windows around a TSS (1-based), in gene orientation."""
    codes = tss_region(genome, chrom, tss, strand, network.window, settings, grid)
    return region_profile(network, codes, strand, settings, device)


def tss_region(
    genome: Genome,
    chrom: str,
    tss: int,
    strand: str,
    window: int,
    settings: ProfileSettings,
    grid: Grid = "centred",
) -> Codes:
    """Codes of the union of all windows of a TSS (1-based), lowest coordinate first; N outside the contig."""
    offsets = bin_centres(settings.bins, settings.bin_size, grid) * (1 if strand == "+" else -1)
    start = tss + int(offsets.min()) - window // 2
    return genome.codes(chrom, start, start + window + (settings.bins - 1) * settings.bin_size)


def region_profile(
    network: Beluga, codes: Codes, strand: str, settings: ProfileSettings, device: torch.device
) -> NDArray[np.float32]:
    """Strand-averaged probabilities (bins, tracks) of a TSS region, in gene orientation."""
    import torch

    with torch.inference_mode():
        both = one_hot(np.stack([codes, reverse_complement(codes)]), device)
        forward, backward = torch.sigmoid(region_logits(network, both, settings.bin_size))
        genomic: NDArray[np.float32] = ((forward + backward.flip(0)) / 2).cpu().numpy()
    return genomic if strand == "+" else genomic[::-1]


def region_logits(network: Beluga, x: torch.Tensor, step: int) -> torch.Tensor:
    """Logits (strands, bins, tracks) of the windows that start at multiples of ``step`` in regions (strands, 4, bases).

    Windows share their convolutions where the step is a multiple of the first pool; else each is predicted by itself.
    """
    import torch

    from cisweave.models.beluga import POOL, tiled_logits

    if step % POOL == 0:
        return tiled_logits(network, x, step)
    windows = x.unfold(-1, network.window, step).movedim(2, 1)
    logits = [network(batch) for batch in torch.split(windows.flatten(0, 1), PLAIN_WINDOWS)]
    return torch.cat(logits).reshape(*windows.shape[:2], -1)


def check_places(genes: pd.DataFrame, genome: Genome, path: str | Path) -> None:
    """Raise unless every TSS lies on a contig of the FASTA."""
    lengths = genes.chrom.map(genome.contigs)
    outside = genes[~(genes.tss <= lengths)]
    if not len(outside):
        return
    gene = outside.iloc[0]
    where = f"{len(outside)} of {len(genes)} genes lie outside the FASTA, the first is {gene.gene_id}"
    if gene.chrom not in genome.contigs:
        known = ", ".join(list(genome.contigs)[:3])
        raise CisweaveError(
            f"{where} on {gene.chrom} (the FASTA has {known}, …); give the genes of this assembly", path=path
        )
    raise CisweaveError(
        f"{where} at {gene.chrom}:{gene.tss}, beyond the {genome.contigs[gene.chrom]} bases of its contig; give the "
        "genes of this assembly",
        path=path,
    )


def with_progress(predicted: Iterator[Predicted], whole: int, total: int) -> Iterator[Predicted]:
    """What is given, with a line in the log now and then."""
    begin = last = time.monotonic()
    for done, result in enumerate(predicted, start=1):
        yield result
        now = time.monotonic()
        if now - last >= NEWS_SECONDS or whole + done == total:
            logger.info("%d of %d TSS, %.2f s each", whole + done, total, (now - begin) / done)
            last = now
