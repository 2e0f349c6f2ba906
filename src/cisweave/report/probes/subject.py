"""What the probes look at: a chromatin model, a genome and the factors whose motifs drive its tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.seeds import generator
from cisweave.models.predict import predict_probabilities
from cisweave.report.probes.dna import Matrix, channels, consensus, jaspar_matrix

if TYPE_CHECKING:
    from cisweave.models.folders import LoadedModel
    from cisweave.sequence.onehot import Codes

Floats = NDArray[np.float64]
NOTHING = "there is nothing to look at"
"""Reason of a probe without a value whose inputs are empty."""
SMALLEST = 1e-7


@dataclass(frozen=True)
class Probe:
    """The outcome of one probe.

    Attributes
    ----------
    name
        Short name.
    value
        The figure that is judged.
    bound
        What it must not pass.
    sense
        ``at most`` or ``at least``.
    meaning
        What the value is, in words, with its unit.
    detail
        Figures that help to see why, not judged.
    reason
        Why there is no value, where there is none; such a probe fails.
    """

    name: str
    value: float
    bound: float
    sense: Literal["at most", "at least"]
    meaning: str
    detail: dict[str, object]
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value keeps to its bound; a value that is not a number does not."""
        return bool(self.value <= self.bound if self.sense == "at most" else self.value >= self.bound)

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON; a value that is not finite becomes null."""
        value = round(self.value, 8) if np.isfinite(self.value) else None
        return {
            "value": value,
            "bound": round(self.bound, 8),
            "sense": self.sense,
            "passed": self.passed,
            "meaning": self.meaning,
            "detail": self.detail,
            "reason": self.reason,
        }


def largest(values: Iterable[float]) -> float:
    """The largest value; not a number where one is not a number or there is none, which ``max`` would hide."""
    found = np.array(list(values), dtype=np.float64)
    return float(found.max()) if len(found) else float("nan")


@dataclass(frozen=True)
class Factor:
    """A transcription factor with a chromatin track of its own.

    Attributes
    ----------
    tf
        Name.
    matrix
        Base probabilities (4, width), rows A, C, G, T.
    track
        Index of its track among the model's outputs.
    """

    tf: str
    matrix: Matrix
    track: int

    @property
    def consensus(self) -> str:
        """The likeliest site."""
        return consensus(self.matrix)


@dataclass(frozen=True)
class Subject:
    """A chromatin model with what is needed to probe it.

    Attributes
    ----------
    model
        The loaded model folder.
    factors
        The factors to probe.
    fasta
        The modelled assembly; backgrounds have its base composition.
    contigs
        Contigs the backgrounds are drawn from (those never trained on).
    seed
        Seed of the backgrounds.
    """

    model: LoadedModel
    factors: list[Factor]
    fasta: Path
    contigs: list[str]
    seed: int = 0
    batch_size: int = 256

    @property
    def window(self) -> int:
        """Input length of the model in bases."""
        return int(self.model.spec.hyperparameters["window"])

    @property
    def bin_size(self) -> int:
        """Bases in the middle of the window that the labels speak of."""
        return int(self.model.spec.preprocessing["bin_size"])

    def predict(self, codes: Codes) -> Floats:
        """Probabilities (n, tracks) through the workflow's own prediction, both strands averaged."""
        found = predict_probabilities(self.model.module, codes, self.model.device, self.batch_size)
        return found.astype(np.float64)

    def predict_channels(self, sequences: Sequence[str]) -> Floats:
        """Probabilities (n, tracks) of the bare network on the probes' own one-hot, both strands averaged."""
        import torch

        batches = []
        with torch.inference_mode():
            for start in range(0, len(sequences), self.batch_size):
                x = torch.from_numpy(channels(sequences[start : start + self.batch_size])).to(self.model.device)
                both = torch.sigmoid(self.model.module(x)) + torch.sigmoid(self.model.module(x.flip(1, 2)))
                batches.append((both / 2).cpu().numpy())
        return np.concatenate(batches).astype(np.float64)

    def backgrounds(self, number: int, length: int | None = None) -> list[str]:
        """DNA strings with the genome's base composition and no motif: shuffled windows of its contigs."""
        import pysam

        length = length or self.window
        rng = generator(self.seed, "backgrounds", number, length)
        found: list[str] = []
        with pysam.FastaFile(str(self.fasta)) as fasta:
            sizes = {chrom: fasta.get_reference_length(chrom) - length for chrom in self.contigs}
            chosen = [chrom for chrom, size in sizes.items() if size > 0]
            if not chosen:
                names = ", ".join(self.contigs)
                raise CisweaveError(f"no contig of {names} is longer than {length} bp", path=self.fasta)
            while len(found) < number:
                chrom = chosen[rng.integers(len(chosen))]
                start = int(rng.integers(sizes[chrom]))
                sequence = fasta.fetch(chrom, start, start + length).upper()
                if set(sequence) <= set("ACGT"):
                    found.append("".join(rng.permutation(list(sequence))))
        return found


def logit(probability: Floats) -> Floats:
    """Log-odds; probabilities of exactly 0 and 1 stay finite."""
    clipped = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(clipped / (1 - clipped)))


def factors_of(motifs: pd.DataFrame, tracks: dict[str, str], outputs: Sequence[str]) -> list[Factor]:
    """The factors of the truth table that have a track among the model's outputs."""
    found = [
        Factor(str(tf), jaspar_matrix(str(matrix_id)), list(outputs).index(tracks[tf]))
        for tf, matrix_id in zip(motifs.tf, motifs.matrix_id, strict=True)
        if tracks.get(tf) in outputs
    ]
    if not found:
        raise CisweaveError("no output of the chromatin model is the track of a planted factor; is it this world's?")
    return found
