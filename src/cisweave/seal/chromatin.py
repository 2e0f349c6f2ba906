"""Training a chromatin model from peaks (Seal, Module 1).

Dimension legend
    bins - genomic bins with labels, length - bases of a window, tracks - chromatin outputs
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from cisweave.config import ChromatinSettings, TrainingSettings, read_tracks
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import sha256
from cisweave.core.logs import get_logger
from cisweave.core.seeds import generator
from cisweave.models.beluga import Beluga
from cisweave.models.folders import ModelSpec, save_model
from cisweave.models.predict import predict_probabilities
from cisweave.seal.tracks import label_bins, read_peaks
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, Codes, one_hot, reverse_complement_tensor
from cisweave.tables.receipts import write_receipt
from cisweave.training.data import Batch
from cisweave.training.loop import TrainedModule, fit
from cisweave.training.schedule import warmup_cosine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

logger = get_logger(__name__)


@dataclass
class LabelledBins:
    """Bins of some contigs: where they are and which tracks have a peak there.

    Attributes
    ----------
    centres
        Index (bins,) of each bin's middle in the padded codes of its contig.
    contigs
        Index (bins,) into ``codes``.
    codes
        Per contig, codes of all bases with half a window of N on each side.
    labels
        Labels (bins, tracks), 0 or 1.
    """

    centres: NDArray[np.int64]
    contigs: NDArray[np.int64]
    codes: list[Codes]
    labels: NDArray[np.uint8]
    window: int

    def __len__(self) -> int:
        return len(self.centres)

    def windows(self, indices: NDArray[np.int64] | list[int]) -> Codes:
        """Codes (len(indices), length) of the windows centred on the bins ``indices``."""
        half = self.window // 2
        starts = self.centres[indices] - half
        return np.stack(
            [
                self.codes[contig][start : start + self.window]
                for contig, start in zip(self.contigs[indices], starts, strict=True)
            ]
        )

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """Codes uint8 (batch, length) and labels float (batch, tracks)."""
        return torch.from_numpy(self.windows(indices)), torch.from_numpy(self.labels[indices]).float()

    def subset(self, keep: NDArray[np.bool_]) -> LabelledBins:
        """The bins where ``keep`` is true."""
        return LabelledBins(self.centres[keep], self.contigs[keep], self.codes, self.labels[keep], self.window)


def labelled_bins(
    genome: Genome, tracks: Mapping[str, Path], contigs: Iterable[str], bin_size: int, window: int
) -> LabelledBins:
    """Tile contigs into bins and label them; bins that hold an unknown base are left out."""
    contigs = list(contigs)
    peaks = [read_peaks(path) for path in tracks.values()]
    centres, members, codes, labels = [], [], [], []
    for number, chrom in enumerate(contigs):
        bases = genome.codes(chrom, 0, genome.length(chrom))
        starts = np.arange(0, len(bases) - bin_size + 1, bin_size)
        unknown_before = np.concatenate([[0], np.cumsum(bases == UNKNOWN)])
        starts = starts[unknown_before[starts + bin_size] == unknown_before[starts]]
        codes.append(np.pad(bases, window // 2, constant_values=UNKNOWN))
        centres.append(starts + bin_size // 2 + window // 2)
        members.append(np.full(len(starts), number))
        labels.append(np.stack([label_bins(track, chrom, starts, bin_size) for track in peaks], axis=1))
    return LabelledBins(np.concatenate(centres), np.concatenate(members), codes, np.concatenate(labels), window)


def thin_negatives(bins: LabelledBins, per_positive: float | None, seed: int) -> LabelledBins:
    """Keep every bin with a peak, and at random ``per_positive`` times as many without."""
    if per_positive is None:
        return bins
    positive = bins.labels.max(axis=1) > 0
    wanted = round(per_positive * positive.sum())
    negative = np.flatnonzero(~positive)
    drawn = generator(seed, "negatives").permutation(negative)[:wanted]
    keep = positive.copy()
    keep[drawn] = True
    return bins.subset(keep)


class ChromatinModule(TrainedModule):
    """Multi-label training: cross-entropy on logits, half of the windows reverse-complemented."""

    def __init__(self, network: Beluga, settings: ChromatinSettings, seed: int):
        super().__init__(network, settings.learning_rate, seed)
        from torchmetrics.classification import BinaryAUROC, MultilabelAUROC

        self.settings = settings
        self.auc = BinaryAUROC() if network.tracks == 1 else MultilabelAUROC(network.tracks, average="none")

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        codes, labels = batch
        flipped = torch.rand(len(codes)) < 0.5
        codes = torch.where(flipped[:, None].to(codes.device), reverse_complement_tensor(codes), codes)
        loss = binary_cross_entropy_with_logits(self.network(one_hot(codes, self.device)), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect loss and ranks of one batch."""
        codes, labels = batch
        logits = self.network(one_hot(codes, self.device))
        loss = binary_cross_entropy_with_logits(logits, labels)
        self.auc.update(logits, labels.int())
        self.log("valid_loss", loss, on_epoch=True, batch_size=len(labels), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the median area under the ROC curve over tracks that have both labels."""
        self.log("valid_auc", self.auc.compute().nanmedian())
        self.auc.reset()

    def configure_optimizers(self) -> Any:
        """AdamW with a linear warm-up and a cosine."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.learning_rate, weight_decay=self.settings.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = warmup_cosine(optimizer, steps, self.settings.warmup_fraction)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def split_contigs(genome: Genome, settings: ChromatinSettings) -> tuple[list[str], list[str], list[str]]:
    """Contigs for training, validation and test; a configured contig the genome lacks is an error."""
    for chrom in (*settings.valid_chromosomes, *settings.test_chromosomes):
        genome.length(chrom)
    held_out = {*settings.valid_chromosomes, *settings.test_chromosomes}
    train = [chrom for chrom in genome.contigs if chrom not in held_out]
    if not train:
        raise CisweaveError("no contig is left to train on; shorten valid_chromosomes or test_chromosomes")
    return train, settings.valid_chromosomes, settings.test_chromosomes


def train_chromatin(
    fasta: str | Path,
    tracks: str | Path,
    model: str | Path,
    settings: ChromatinSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Train a Beluga-shaped network on the peaks of chromatin tracks and write a model folder.

    A window's labels are the tracks with a peak over its central bin. Training stops early on the median validation
    AUC, and fails with a message if that stays below ``settings.min_auc``.

    Parameters
    ----------
    fasta
        Genome (FASTA).
    tracks
        Track table: columns ``track`` and ``peaks`` (BED, 0-based half-open).
    model
        Model folder to write; run files go to ``<model>/run``.

    Returns
    -------
    dict
        The metrics also written to ``metrics.json``: AUC per track on the validation and test contigs.
    """
    settings, training = settings or ChromatinSettings(), training or TrainingSettings()
    table = read_tracks(tracks)
    torch_device = resolve_device(device)
    with Genome(fasta) as genome:
        train, valid, test = (
            labelled_bins(genome, table, contigs, settings.bin_size, settings.network.window)
            for contigs in split_contigs(genome, settings)
        )
        strangers = peaks_off_the_genome(table, genome)
    train = thin_negatives(train, settings.negatives_per_positive, seed)
    require_labels(train, table)
    logger.info("%d windows to train on, %d to validate, %d to test", len(train), len(valid), len(test))
    data_hashes = {str(path): sha256(path) for path in (fasta, *table.values())}
    torch.manual_seed(seed)
    network = Beluga.from_settings(len(table), settings.network, settings.batch_norm)
    network.start_at_prior(torch.from_numpy(train.labels.mean(axis=0)).float())
    module = ChromatinModule(network, settings, seed)
    result = fit(
        module,
        train,
        valid,
        batch_size=settings.batch_size,
        folder=Path(model) / "run",
        settings=training,
        identity={
            "settings": settings.model_dump(mode="json"),
            "training": training.model_dump(mode="json"),
            "seed": seed,
            "data": data_hashes,
        },
        monitor="valid_auc",
        mode="max",
        max_epochs=settings.max_epochs,
        patience=settings.patience,
        device=torch_device,
    )
    if not result.best_score >= settings.min_auc:
        raise CisweaveError(
            f"the chromatin model did not learn: median validation AUC {result.best_score:.3f} after {result.epochs} "
            f"epochs, below min_auc {settings.min_auc}; give it more windows, epochs or another learning rate"
        )
    network = network.folded().to(torch_device)
    metrics = {
        "epochs": result.epochs,
        "windows": {"train": len(train), "valid": len(valid), "test": len(test)},
        "peaks_off_the_genome": strangers,
        "valid_auc_median": result.best_score,
        "valid_auc": track_auc(network, valid, table, torch_device, settings.batch_size),
        "test_auc": track_auc(network, test, table, torch_device, settings.batch_size),
    }
    spec = ModelSpec(
        architecture="beluga",
        hyperparameters={"tracks": len(table), **settings.network.model_dump()},
        outputs=list(table),
        preprocessing={
            "bin_size": settings.bin_size,
            "valid_chromosomes": settings.valid_chromosomes,
            "test_chromosomes": settings.test_chromosomes,
        },
        training_data=data_hashes,
    )
    save_model(model, network, spec, metrics, result.history)
    write_receipt(
        Path(model) / "model.yaml",
        settings=settings.model_dump(mode="json"),
        inputs=[fasta, tracks, *table.values()],
        seed=seed,
        device=str(torch_device),
        dtype="float32",
    )
    return metrics


def peaks_off_the_genome(tracks: Mapping[str, Path], genome: Genome) -> int:
    """Count peaks on contigs the genome lacks, and warn of them: they label nothing."""
    strangers = 0
    for path in tracks.values():
        for chrom, peaks in read_peaks(path).items():
            if chrom not in genome.contigs:
                logger.warning("%s: %d peaks on %s, a contig that is not in the FASTA", path, len(peaks), chrom)
                strangers += len(peaks)
    return strangers


def require_labels(bins: LabelledBins, tracks: Iterable[str]) -> None:
    """Every track needs at least one bin with a peak on the training contigs."""
    empty = [track for track, any_peak in zip(tracks, bins.labels.max(axis=0), strict=True) if not any_peak]
    if empty:
        raise CisweaveError(
            f"track(s) {', '.join(empty)} have no peak on any training contig; are the contig names equal?"
        )


def track_auc(
    network: Beluga, bins: LabelledBins, tracks: Iterable[str], device: torch.device, batch_size: int
) -> dict[str, float | None]:
    """Area under the ROC curve per track (both strands averaged); None where a label is missing altogether."""
    from sklearn.metrics import roc_auc_score

    probability = np.concatenate(
        [
            predict_probabilities(network, bins.windows(indices.tolist()), device, batch_size)
            for indices in np.array_split(np.arange(len(bins)), max(1, len(bins) // 4096))
        ]
    )
    return {
        track: None
        if bins.labels[:, number].min() == bins.labels[:, number].max()
        else round(float(roc_auc_score(bins.labels[:, number], probability[:, number])), 5)
        for number, track in enumerate(tracks)
    }
