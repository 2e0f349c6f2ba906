"""One model per command: what a verb can be told beyond its files. Every key has a default and a description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


# --- simulate ---------------------------------------------------------------------------------------------------------
class SimulateSettings(Section):
    """The built-in world."""

    enabled: bool = Field(False, description="Build the built-in world and use its files as input.")
    size: Literal["tiny", "demo", "large"] = Field("demo", description="How large a world to build.")
    seed: int = Field(1, ge=0, description="The same seed gives the same bytes.")


# --- genome -----------------------------------------------------------------------------------------------------------
class VariantSettings(Section):
    """Reading variants."""

    ref_policy: Literal["reject", "error", "warn"] = Field(
        "reject",
        description="A REF that disagrees with the genome: reject the allele, stop, or keep it with a warning.",
    )
    max_allele_length: int = Field(100, ge=1, description="Longest REF or ALT that is scored, in bases.")


class ClosestSettings(Section):
    """Assigning each variant to the closest transcription start site (TSS)."""

    method: Literal["auto", "bedops", "internal"] = Field(
        "auto", description="BEDOPS closest-features, the identical in-process search, or BEDOPS where it is found."
    )
    max_distance: int = Field(20_000, ge=0, description="Farthest TSS that counts, in bases.")


# --- training ---------------------------------------------------------------------------------------------------------
class TrainerSettings(Section):
    """Passed through to Lightning's Trainer; the names and meanings are Lightning's."""

    devices: int | list[int] | Literal["auto"] = Field(1, description="How many devices, or which.")
    num_nodes: int = Field(1, ge=1, description="How many nodes.")
    strategy: Literal["auto", "ddp", "ddp_spawn", "fsdp", "deepspeed"] = Field(
        "auto", description="Distribution strategy, for example ddp."
    )
    precision: Literal["32-true", "64-true", "16-mixed", "bf16-mixed", "bf16-true", "16-true"] = Field(
        "32-true", description="Floating-point precision."
    )
    gradient_clip_val: float | None = Field(None, ge=0, description="Clip gradients to this norm or value.")
    gradient_clip_algorithm: Literal["norm", "value"] | None = Field(None, description="How gradients are clipped.")
    accumulate_grad_batches: int = Field(1, ge=1, description="Batches per optimiser step.")
    max_time: str | None = Field(
        None, pattern=r"^\d\d:\d\d:\d\d:\d\d$", description="Stop after this wall time, DD:HH:MM:SS."
    )
    max_steps: int = Field(-1, ge=-1, description="Stop after this many optimiser steps; -1 means no limit.")
    limit_train_batches: int | float | None = Field(None, gt=0, description="Use only part of each training epoch.")
    limit_val_batches: int | float | None = Field(None, gt=0, description="Use only part of each validation epoch.")
    overfit_batches: int | float = Field(0.0, description="Overfit this many batches, to debug a model.")
    fast_dev_run: int | bool = Field(False, description="Run a few batches through all loops, to debug.")
    profiler: Literal["simple", "advanced", "pytorch"] | None = Field(None, description="Lightning's profiler.")
    deterministic: bool | Literal["warn"] = Field(False, description="Deterministic algorithms only.")
    detect_anomaly: bool = Field(False, description="Find the operation that made a NaN; slow.")

    @model_validator(mode="after")
    def check_devices(self) -> TrainerSettings:
        """Training needs a device."""
        if isinstance(self.devices, int) and self.devices < 1:
            raise ValueError(f"devices must be at least 1, not {self.devices}")
        return self


class TrainingSettings(Section):
    """What all training runs share."""

    trainer: TrainerSettings = Field(default_factory=TrainerSettings, description="Options for Lightning's Trainer.")
    csv_log: bool = Field(True, description="Write Lightning's CSV log to the run folder.")
    tensorboard: bool = Field(True, description="Write TensorBoard events to the run folder.")
    progress: bool = Field(False, description="Show Lightning's progress bar.")
    weight_averaging: float | None = Field(
        None, gt=0, description="Learning rate of stochastic weight averaging; null switches it off."
    )
    find_learning_rate: bool = Field(False, description="Run Lightning's learning-rate finder before training.")
    find_batch_size: bool = Field(False, description="Run Lightning's batch-size finder before training.")


# --- seal -------------------------------------------------------------------------------------------------------------
class NetworkSettings(Section):
    """Beluga's shape; the defaults are the published network (149,536,251 parameters)."""

    channels: Annotated[list[int], Field(min_length=6, max_length=6)] = Field(
        [320, 320, 480, 480, 640, 640], description="Channels of the six convolutions."
    )
    hidden: int = Field(2003, ge=1, description="Units of the first fully connected layer.")
    window: int = Field(2000, ge=310, description="Input length in bases; shorter ones leave nothing after the pools.")
    dropout_conv: float = Field(0.2, ge=0, lt=1, description="Dropout after the first two blocks.")
    dropout_dense: float = Field(0.5, ge=0, lt=1, description="Dropout before the fully connected layers.")

    @model_validator(mode="after")
    def check_window(self) -> NetworkSettings:
        """Windows must be even, so that a bin has a centre."""
        if self.window % 2:
            raise ValueError(f"window must be even, not {self.window}")
        return self


class ChromatinSettings(Section):
    """Training a chromatin model from peaks."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="The shape of the network.")
    batch_norm: bool = Field(
        True, description="Train with batch normalisation, folded into the weights afterwards: learns sooner."
    )
    bin_size: int = Field(200, ge=1, description="Bases in the middle of a window whose peaks are its labels.")
    valid_chromosomes: list[str] = Field(["chr7"], description="Contigs for validation and early stopping.")
    test_chromosomes: list[str] = Field(["chr8", "chr9"], description="Contigs never seen in training.")
    negatives_per_positive: float | None = Field(
        None, gt=0, description="Bins without any peak kept per bin with one; null keeps all."
    )
    batch_size: int = Field(64, ge=1, description="Windows per batch.")
    max_epochs: int = Field(30, ge=1, description="Most epochs.")
    patience: int = Field(5, ge=1, description="Epochs without improvement before stopping.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(1e-6, ge=0, description="Decoupled weight decay.")
    warmup_fraction: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    min_auc: float = Field(0.6, ge=0, le=1, description="Training fails if the median validation AUC stays below this.")


class ProfileSettings(Section):
    """The chromatin profile around each TSS and its spatial features (Seal, Module 2)."""

    bins: int = Field(200, ge=2, description="Bins per TSS, half of them on each side.")
    bin_size: int = Field(200, ge=1, description="Bases from bin centre to bin centre.")
    decay: list[float] = Field([0.01, 0.02, 0.05, 0.1, 0.2], description="Decay constants per 200 bp.")
    dtype: Literal["float16", "float32"] = Field("float32", description="How the profiles are stored.")

    @model_validator(mode="after")
    def check_bins(self) -> ProfileSettings:
        """Half of the bins lie on each side of the TSS."""
        if self.bins % 2:
            raise ValueError(f"bins must be even, not {self.bins}")
        return self


class PhaseSettings(Section):
    """One phase of transfer learning."""

    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam.")
    l2: float = Field(1e-5, ge=0, description="Classic L2 penalty (Adam's weight_decay).")
    gene_weight: float = Field(1.0, gt=0, description="Weight of genes that vary much between contexts; 1 is off.")
    max_epochs: int = Field(200, ge=1, description="Most epochs.")
    patience: int = Field(20, ge=1, description="Epochs without improvement before stopping.")


class ExpressionSettings(Section):
    """Pre-training on general contexts and fine-tuning on specific ones (Seal, Module 3)."""

    hidden: int = Field(1000, ge=1, description="Units of the shared layer.")
    batch_size: int = Field(32, ge=1, description="Genes per batch.")
    pretrain: PhaseSettings = Field(default_factory=PhaseSettings, description="The general phase.")
    finetune: PhaseSettings = Field(
        default_factory=lambda: PhaseSettings(learning_rate=1e-4, l2=1e-4), description="The specific phase."
    )
    valid_chromosomes: list[str] = Field(["chr7"], description="Contigs for early stopping.")
    test_chromosomes: list[str] = Field(["chr8", "chr9"], description="Contigs never seen in training.")
    excluded_chromosomes: list[str] = Field(["chrX", "chrY"], description="Contigs whose genes are left out.")


class PredictSettings(Section):
    """Variant effects by the nine-window algorithm (Seal, Modules 1 to 3)."""

    max_shift: int = Field(800, ge=0, description="Largest shift of the window; must be a multiple of shift_step.")
    shift_step: int = Field(200, ge=1, description="Bases between windows.")
    batch_size: int = Field(64, ge=1, description="Variants per batch.")

    @model_validator(mode="after")
    def check_shifts(self) -> PredictSettings:
        """The grid of shifts must hold 0."""
        if self.max_shift % self.shift_step:
            raise ValueError(f"max_shift ({self.max_shift}) must be a multiple of shift_step ({self.shift_step})")
        return self


# --- seqlets ----------------------------------------------------------------------------------------------------------
class LociSettings(Section):
    """Which loci are attributed."""

    top_variants: int = Field(100, ge=0, description="Strongest variants of all context sets, by absolute effect.")
    promoters: int = Field(100, ge=0, description="Promoter windows with the strongest predicted chromatin.")
    tracks_per_locus: int = Field(3, ge=1, description="Most chromatin tracks attributed at one locus.")
    min_probability: float = Field(0.3, ge=0, le=1, description="A promoter's track must be predicted above this.")
    chromosomes: list[str] = Field(default_factory=list, description="Only these contigs; empty means all.")


class AttributionSettings(Section):
    """DeepLIFT/SHAP."""

    shuffles: int = Field(20, ge=1, description="Dinucleotide-shuffled references per locus.")
    seed: int = Field(0, ge=0, description="Seed of the references.")
    batch_size: int = Field(64, ge=1, description="Sequence-reference pairs per step.")
    max_relative_delta: float = Field(0.01, gt=0, description="Convergence delta over output difference that passes.")
    on_delta: Literal["warn", "drop", "fail"] = Field("warn", description="What happens to a locus above it.")


class CallingSettings(Section):
    """Calling seqlets in attributions."""

    threshold: float = Field(0.01, gt=0, le=1, description="Seqlet p-value threshold (a ranking cut-off).")
    min_length: int = Field(4, ge=1, description="Shortest seqlet core, in bases.")
    max_length: int = Field(25, ge=2, description="Longest seqlet core, in bases.")
    flanks: int = Field(2, ge=0, description="Bases added on each side before annotation.")
    sign: Literal["positive", "negative", "both"] = Field("both", description="Which seqlets are called.")
    min_loci: int = Field(20, ge=1, description="Fewer attributed loci than this give a poor null; a warning says so.")

    @model_validator(mode="after")
    def check_lengths(self) -> CallingSettings:
        """The shortest core must not be longer than the longest."""
        if self.min_length > self.max_length:
            raise ValueError(f"min_length ({self.min_length}) must not exceed max_length ({self.max_length})")
        return self


class AnnotationSettings(Section):
    """Naming seqlets by Tomtom."""

    nearest: int = Field(3, ge=1, description="Matches kept per seqlet.")
    max_qvalue: float = Field(0.05, gt=0, le=1, description="Best matches above this are 'unassigned'.")
    min_overlap: int = Field(5, ge=1, description="Least overlap of seqlet and motif, in bases.")


class MotifDatabase(Section):
    """One motif database: a JASPAR release bundled with pyjaspar, or a MEME file."""

    source: Literal["jaspar", "meme"] = Field(description="Where the motifs come from.")
    path: Path | None = Field(None, description="The MEME file (source: meme).")
    release: str = Field("JASPAR2024", description="The JASPAR release (source: jaspar).")
    collection: str = Field("CORE", description="The JASPAR collection (source: jaspar).")
    tax_group: list[str] = Field(["vertebrates"], description="JASPAR taxonomic groups; empty means all.")
    species: list[str] = Field(default_factory=list, description="NCBI taxonomy ids; empty means all.")
    data_type: list[str] = Field(default_factory=list, description="JASPAR data types, e.g. ChIP-seq; empty means all.")

    @model_validator(mode="after")
    def check_source(self) -> MotifDatabase:
        """A MEME source needs its file."""
        if self.source == "meme" and self.path is None:
            raise ValueError("source: meme needs path: the MEME file")
        return self


# --- report -----------------------------------------------------------------------------------------------------------
class TruthSettings(Section):
    """Floors of the truth check on the built-in world; the check fails below them."""

    min_effect: float = Field(0.1, gt=0, description="True |effect| (ln expression) from which a variant counts.")
    floors: dict[str, float] = Field(default_factory=dict, description="Least value per figure of truth.json.")


def defaults(section: type[Section]) -> dict[str, Any]:
    """The defaults of a section as plain data."""
    return section().model_dump(mode="json")
