"""Making the store of chromatin profiles around every TSS.

Dimension legend
    genes - TSS in the order of the BED, bins - places around the TSS in gene orientation, tracks - chromatin outputs
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from cisweave.config import ProfileSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.files import atomic_path, sha256
from cisweave.core.logs import get_logger
from cisweave.genome.genes import read_genes
from cisweave.models.folders import WEIGHTS, load_model
from cisweave.models.profiles import ProfileStore, read_profiles
from cisweave.seal.spatial import spatial_features
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import Codes, one_hot, reverse_complement
from cisweave.tables.receipts import write_receipt

if TYPE_CHECKING:
    import torch

    from cisweave.models.beluga import Beluga

__all__ = ["ProfileStore", "profile_tss", "read_profiles"]

logger = get_logger(__name__)


def profile_tss(
    fasta: str | Path,
    tss: str | Path,
    model: str | Path,
    out: str | Path,
    settings: ProfileSettings | None = None,
    device: DeviceName = "auto",
) -> None:
    """Predict the chromatin profile around every TSS and write the store (HDF5).

    Bin j of a gene on strand s is the window centred at TSS + s * b_j, with the strand-averaged probability of
    every track (Seal, section 2.1). The profile runs upstream to downstream in gene orientation.

    Parameters
    ----------
    fasta
        Genome (FASTA).
    tss
        TSS BED: contig, TSS - 1, TSS, strand, gene id (0-based half-open).
    model
        Folder of the chromatin model.
    out
        HDF5 with ``profile`` (genes, bins, tracks), ``features`` (genes, basis * tracks) and the gene columns; its
        attribute ``model_sha256`` tells the weights it was made with.
    """
    import h5py

    settings = settings or ProfileSettings()
    loaded = load_model(model, resolve_device(device))
    genes = read_genes(tss)
    shape = (len(genes), settings.bins, len(loaded.spec.outputs))
    with Genome(fasta) as genome, atomic_path(out) as temporary, h5py.File(temporary, "w") as store:
        profile = store.create_dataset("profile", shape, settings.dtype, chunks=(1, *shape[1:]), track_times=False)
        features = store.create_dataset(
            "features", (shape[0], 2 * len(settings.decay) * shape[2]), "float32", track_times=False
        )
        network = cast("Beluga", loaded.module)
        for row, (chrom, position, strand) in enumerate(zip(genes.chrom, genes.tss, genes.strand, strict=True)):
            codes = tss_region(genome, chrom, position, network.window, settings)
            profile[row] = region_profile(network, codes, strand, settings, loaded.device)
            features[row] = spatial_features(profile[row][None], settings.decay, settings.bin_size)[0]
            if row % 100 == 99:
                logger.info("%d of %d TSS", row + 1, len(genes))
        for column in ("gene_id", "chrom", "strand"):
            store.create_dataset(column, data=genes[column].astype(object).to_list(), track_times=False)
        store.create_dataset("tss", data=genes.tss.to_numpy(), track_times=False)
        store.create_dataset("tracks", data=loaded.spec.outputs, track_times=False)
        store.attrs["settings"] = settings.model_dump_json()
        store.attrs["model_sha256"] = sha256(Path(model) / WEIGHTS)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[fasta, tss, Path(model) / WEIGHTS],
        device=str(loaded.device),
        dtype=settings.dtype,
    )


def tss_region(genome: Genome, chrom: str, tss: int, window: int, settings: ProfileSettings) -> Codes:
    """Codes of the union of all windows of a TSS (1-based), lowest coordinate first."""
    start = tss - settings.bins // 2 * settings.bin_size + settings.bin_size // 2 - window // 2
    return genome.codes(chrom, start, start + window + (settings.bins - 1) * settings.bin_size)


def region_profile(
    module: Beluga, codes: Codes, strand: str, settings: ProfileSettings, device: torch.device
) -> NDArray[np.float32]:
    """Strand-averaged probabilities (bins, tracks) of a TSS region, in gene orientation."""
    import torch

    from cisweave.models.beluga import tiled_logits

    with torch.inference_mode():
        forward = tiled_logits(module, one_hot(codes[None], device), settings.bin_size)[0]
        backward = tiled_logits(module, one_hot(reverse_complement(codes)[None], device), settings.bin_size)[0]
        probability = (torch.sigmoid(forward) + torch.sigmoid(backward.flip(0))) / 2
    genomic: NDArray[np.float32] = probability.cpu().numpy()
    return genomic if strand == "+" else genomic[::-1]
