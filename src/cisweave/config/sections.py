"""One model per command: what a verb can be told beyond its files. Every key has a default and a description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


# --- simulate ---------------------------------------------------------------------------------------------------------
class SimulateSettings(Section):
    """The built-in world."""

    enabled: bool = Field(False, description="Build the built-in world and use its files as input.")
    size: Literal["tiny", "demo", "large"] = Field("demo", description="How large a world to build.")
    seed: int = Field(1, ge=0, description="The same seed gives the same bytes.")


RefPolicy = Literal["exclude", "error", "warn", "set", "swap"]
ClosestMode = Literal["closest", "window", "pairs"]
ClosestEngine = Literal["auto", "bedops", "builtin"]


# --- genome -----------------------------------------------------------------------------------------------------------
class VariantSettings(Section):
    """Reading variants."""

    ref_policy: RefPolicy = Field(
        "exclude",
        description="A REF that is not the genome's: reject the allele, stop, keep it with a warning, write the "
        "genome's bases as REF, or exchange REF and ALT where ALT is the genome's (and negate the effect).",
    )
    left_align: bool = Field(True, description="Move indels left as far as they go and write them with fewest bases.")
    max_allele_length: int = Field(100, ge=1, description="Longest REF or ALT that is scored, in bases.")
    aliases: Path | None = Field(
        None,
        description="TSV of further contig names: each row holds the names of one contig; null: the built-in table.",
    )
    compat: Literal["seal"] | None = Field(
        None, description="seal: as the published Seal reads variants (ref_policy warn, no left-alignment)."
    )


class LiftoverSettings(Section):
    """Moving variants and intervals to another assembly."""

    swapped: Literal["swap", "reject"] = Field(
        "swap",
        description="An allele whose ALT is what the target holds: exchange REF and ALT (and negate the effect), or "
        "reject.",
    )
    source_fasta: Path | None = Field(
        None,
        description="FASTA of the assembly lifted from; with it more indels in repeats can be judged, and a round trip "
        "compares alleles; null: go without.",
    )
    min_match: float = Field(
        0.95, gt=0, le=1, description="Share of a BED interval, and of what it becomes, that must lie in one chain."
    )
    bed_fields: int | None = Field(
        None,
        ge=3,
        le=12,
        description="Columns of a BED that are standard ones, the others are carried; null: as they look.",
    )


class GeneSettings(Section):
    """Which genes count, and where their transcription start sites (TSS) are."""

    types: list[str] | None = Field(
        None, description="Only genes of these types (gene_type or gene_biotype of a GTF, type of a CSV); null: all."
    )
    tss: Literal["gene", "canonical"] = Field(
        "gene",
        description="TSS from a GTF: the 5' end of the gene, or of its canonical transcript where one is marked.",
    )
    strip_version: bool = Field(False, description="Cut the version off Ensembl gene ids (ENSG00000000003.15).")


class ClosestSettings(Section):
    """Assigning variants to genes by their transcription start sites (TSS)."""

    mode: ClosestMode = Field(
        "closest", description="The closest gene, all genes within max_distance, or the pairs of a table."
    )
    engine: ClosestEngine = Field(
        "auto", description="BEDOPS closest-features, the identical in-process search, or BEDOPS where it is found."
    )
    max_distance: int = Field(
        20_000, ge=0, description="Farthest TSS that counts, in bases (modes closest and window)."
    )
    pair_places: Literal["source", "current"] = Field(
        "source",
        description="Places in a table of pairs are those of the user's VCF, or those after normalising and lifting.",
    )
    pair_max_distance: int | None = Field(
        None, ge=0, description="Farthest TSS that counts in mode pairs, in bases; null: no limit."
    )


class ExtractSettings(Section):
    """Cutting sequences out of the genome."""

    window: int = Field(2000, ge=2, description="Bases per window around TSS, peak middles and variants.")
    centre: Literal["middle", "summit", "whole"] = Field(
        "middle", description="Of peaks: the window around the middle or the summit, or the whole peak (of one length)."
    )
    strand: Literal["forward", "as_annotated"] = Field(
        "forward",
        description="Loci, TSS and peaks: all from the forward strand, or reverse-complemented where theirs is -.",
    )
    unknown: Literal["keep", "reject", "error"] = Field(
        "keep",
        description="Letters other than A, C, G, T in a window or transcript: code 4 (zeros when one-hot), reject, "
        "stop.",
    )
    edges: Literal["pad", "reject"] = Field(
        "pad", description="Windows that leave their contig: pad with N, or reject."
    )
    coding_start: Literal["start_codon", "cds"] = Field(
        "start_codon",
        description="Of transcripts: the start is that of the annotated start codon, or the first coding base where "
        "none is.",
    )


class FetchSettings(Section):
    """Downloading public files."""

    catalogue: Path | None = Field(None, description="Catalogue (TSV) in place of the built-in one.")
    accept_licences: list[str] = Field(
        default_factory=list,
        description="Keys (column accept of the catalogue) of licences that you have read and accept.",
    )
    local_paths: dict[str, Path] = Field(
        default_factory=dict,
        description="Files that you have already, by resource: taken instead of a download, checked as one.",
    )
    offline: bool = Field(False, description="Use no network: what is there is checked, what is not there is an error.")
    attempts: int = Field(5, ge=1, description="Tries per address without progress, before the next address.")
    backoff_s: float = Field(1.0, ge=0, description="Wait before the second try, in seconds; doubled before each next.")
    longest_wait_s: float = Field(120.0, ge=0, description="Longest wait between tries that is agreed to, in seconds.")
    connect_timeout_s: float = Field(20.0, gt=0, description="Longest wait for a connection, in seconds.")
    read_timeout_s: float = Field(60.0, gt=0, description="Longest silence of a server, in seconds.")
    lowest_speed: int = Field(
        1000, ge=0, description="Bytes per second, over read_timeout_s, below which a try counts as failed."
    )
    queue_timeout_s: float = Field(
        86_400.0, gt=0, description="Longest wait for another process that fetches the same file, in seconds."
    )
    keep_archives: bool = Field(False, description="Keep archives after they were unpacked.")
    recheck: bool = Field(False, description="Hash files that are there again, also where size and time are unchanged.")
    max_unpacked_gb: float = Field(200.0, gt=0, description="Largest unpacked archive, in GB (1e9 bytes).")
    max_files: int = Field(200_000, ge=1, description="Most files in an archive.")
    max_ratio: float = Field(200.0, gt=1, description="Largest ratio of unpacked to packed bytes.")


# --- training ---------------------------------------------------------------------------------------------------------
class TrainerSettings(Section):
    """Passed through to Lightning's Trainer; the names and meanings are Lightning's."""

    accelerator: str | None = Field(
        None,
        description="Kind of accelerator in place of what device says, for example mps or tpu (passed on, untried).",
    )
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
    decay: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        [0.01, 0.02, 0.05, 0.1, 0.2], description="Decay constants per 200 bp."
    )
    dtype: Literal["float16", "float32"] = Field("float32", description="How the profiles are stored.")
    grid: Literal["centred", "edge", "edge-weights"] = Field(
        "centred",
        description="Places of the features that models are trained on: the bins' centres (-19900 to +19900), windows "
        "of their own at the bins' edges (-20000 to +19800, as ExPecto's features), or the bins' windows weighted as "
        "if at the edges. The profiles, and all predictions, keep to the centres.",
    )
    precision: Literal["auto", "float32", "tf32"] = Field(
        "auto", description="Arithmetic of the network; auto: float32 on a CPU, TF32 on a GPU."
    )

    @model_validator(mode="after")
    def check_bins(self) -> ProfileSettings:
        """Half of the bins lie on each side of the TSS."""
        if self.bins % 2:
            raise ValueError(f"bins must be even, not {self.bins}")
        return self


PhaseName = Literal["pretrain", "finetune"]
"""The two phases of transfer learning: on general contexts, then on specific ones."""


class PhaseSettings(Section):
    """One phase of transfer learning."""

    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam.")
    l2: float = Field(1e-5, ge=0, description="Classic L2 penalty (Adam's weight_decay).")
    gene_weight: float = Field(1.0, gt=0, description="Weight of genes that vary much between contexts; 1 is off.")
    max_epochs: int = Field(200, ge=1, description="Most epochs.")
    patience: int = Field(20, ge=1, description="Epochs without improvement before stopping.")


class FinetuneSettings(PhaseSettings):
    """The specific phase of transfer learning."""

    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of Adam.")
    l2: float = Field(1e-4, ge=0, description="Classic L2 penalty (Adam's weight_decay).")


class ExpressionSettings(Section):
    """Pre-training on general contexts and fine-tuning on specific ones (Seal, Module 3)."""

    hidden: int = Field(1000, ge=1, description="Units of the shared layer.")
    batch_size: int = Field(32, ge=1, description="Genes per batch.")
    pretrain: PhaseSettings = Field(default_factory=PhaseSettings, description="The general phase.")
    finetune: FinetuneSettings = Field(default_factory=FinetuneSettings, description="The specific phase.")
    validation: Literal["chromosomes", "random"] = Field(
        "chromosomes",
        description="Genes for early stopping: those of valid_chromosomes, or a share drawn at random (neighbours and "
        "paralogues of training genes are then among them).",
    )
    valid_chromosomes: list[str] = Field(["chr7"], description="Contigs for early stopping.")
    valid_share: float = Field(0.125, gt=0, lt=1, description="Share of genes drawn (validation: random).")
    valid_seed: int = Field(0, ge=0, lt=2**32, description="Seed of that draw.")
    test_chromosomes: list[str] = Field(["chr8", "chr9"], description="Contigs never seen in training.")
    excluded_chromosomes: list[str] = Field(["chrX", "chrY"], description="Contigs whose genes are left out.")
    gene_types: list[str] | None = Field(
        None, description="Only genes of these types, as the gene annotation names them; null: all."
    )
    excluded_types: list[str] = Field(["rRNA"], description="Types of genes that are left out.")
    bootstrap: int = Field(
        500, ge=0, description="Resamples of the test genes behind the intervals of performance.tsv; 0: no intervals."
    )
    compat: Literal["seal"] | None = Field(
        None,
        description="seal: as the published Seal trains: validation at random, pseudocounts from all genes, seed 0, "
        "1e-4 as the learning rate of pretrain where none is given, and a training that was not stopped early goes on "
        "with its last epoch. Needs a gene annotation.",
    )

    @model_validator(mode="before")
    @classmethod
    def published_rate(cls, data: Any) -> Any:
        """With ``compat: seal`` the published program's learning rate of the general phase, where none is given."""
        if not isinstance(data, Mapping) or data.get("compat") != "seal":
            return data
        phase = data.get("pretrain", {})
        if isinstance(phase, PhaseSettings):
            phase = phase.model_dump(exclude_unset=True)
        return {**data, "pretrain": {"learning_rate": 1e-4, **phase}} if isinstance(phase, Mapping) else data


class PhaseGrid(Section):
    """Values of a phase that are tried; an empty list stands for the one value of seal.model."""

    learning_rate: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list, description="Learning rates.")
    l2: list[Annotated[float, Field(ge=0)]] = Field(default_factory=list, description="L2 penalties.")
    gene_weight: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list, description="Gene weights.")


class GridSettings(Section):
    """Hyper-parameters that are tried, every combination of a phase; the best by validation goes on."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field(
        default_factory=list, description="Units of the shared layer (chosen with the general phase)."
    )
    pretrain: PhaseGrid = Field(default_factory=PhaseGrid, description="The general phase.")
    finetune: PhaseGrid = Field(default_factory=PhaseGrid, description="The specific phase.")
    by: Literal["mse", "spearman"] = Field(
        "mse", description="What decides on the validation genes: least mean squared error, or best median Spearman."
    )


class EngineSettings(Section):
    """How the chromatin of two alleles is computed; no choice but the precision changes a result beyond rounding."""

    path: Literal["fast", "plain"] = Field(
        "fast", description="The exact engine that shares work between windows and alleles, or window by window."
    )
    precision: Literal["auto", "float32", "tf32", "float16", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the fast engine's convolutions; auto: float32 on a CPU, TF32 on a GPU. Window by "
        "window it is float32 on both.",
    )
    batch_size: int = Field(64, ge=1, description="Variants (or windows) per batch of the fast engine.")

    @model_validator(mode="after")
    def check_precision(self) -> EngineSettings:
        """Window by window is the judge of the others, and computes in float32."""
        if self.path == "plain" and self.precision not in ("auto", "float32"):
            raise ValueError(f"path plain computes in float32, not in {self.precision}; set precision: auto")
        return self


class PredictSettings(Section):
    """Variant effects by shifted windows or whole haplotypes (Seal, Modules 1 to 3)."""

    mode: Literal["seal", "haplotype"] = Field(
        "seal",
        description="seal: as published, each shifted window in the place of one bin, differences summed; haplotype: "
        "all bins the variant touches are predicted again together.",
    )
    max_shift: int = Field(800, ge=0, description="Largest shift of the window; must be a multiple of shift_step.")
    shift_step: int = Field(200, ge=1, description="Bases between windows.")
    compat: Literal["seal"] | None = Field(
        None,
        description="seal: reference_genome_match compares REF with the genome anew, as the published Seal does "
        "(otherwise it is what reading the variants found); mode must be seal.",
    )

    @model_validator(mode="after")
    def check_shifts(self) -> PredictSettings:
        """The grid of shifts must hold 0."""
        if self.max_shift % self.shift_step:
            raise ValueError(f"max_shift ({self.max_shift}) must be a multiple of shift_step ({self.shift_step})")
        return self

    @model_validator(mode="after")
    def check_compat(self) -> PredictSettings:
        """The published algorithm is the nine windows."""
        if self.compat and self.mode != "seal":
            raise ValueError("compat: seal goes with mode: seal")
        return self


class SaturateSettings(Section):
    """Saturation mutagenesis: every substitution around transcription start sites."""

    genes: list[str] = Field(
        default_factory=list, description="Genes whose promoters are saturated where the command names none."
    )
    upstream: int = Field(1000, ge=0, description="Bases before the TSS, as the gene is transcribed.")
    downstream: int = Field(1000, ge=1, description="Bases from the TSS on, the TSS among them.")
    deletions: bool = Field(False, description="Also delete every single base.")


class ShardSettings(Section):
    """How many jobs large steps are cut into; the results are the same."""

    profiles: int = Field(1, ge=1, description="Jobs that predict the chromatin around TSS, each a stretch of genes.")
    variants: int = Field(1, ge=1, description="Jobs per context set that score variants.")


class ImportedModels(Section):
    """Ready-made models and stores, used in place of training one's own."""

    chromatin: Path | None = Field(None, description="Folder of a chromatin model; null: it is trained on seal.tracks.")
    profiles: Path | None = Field(None, description="Store of TSS profiles; null: it is predicted.")
    pretrained: Path | None = Field(None, description="Folder of a pre-trained expression model; null: it is trained.")
    models: dict[str, Path] = Field(
        default_factory=dict,
        description="Folder of a fine-tuned expression model per context set; its contexts are the model's outputs.",
    )


TrackMethod = Literal["saliency", "integratedGradients", "deeplift", "kernelShap", "gradientShap", "lime"]


class ExplainSettings(Section):
    """What a run explains beyond the scores; each is a job of its own per context set."""

    tracks: list[TrackMethod] = Field(
        default_factory=list, description="Methods that attribute the scores of variants to chromatin tracks."
    )
    bases: bool = Field(False, description="Attribute the strongest variants to single bases (seal.attribute).")


class InterpretSettings(Section):
    """Attribution of a variant's score to the chromatin tracks (Seal, section "Interpret")."""

    backend: Literal["native", "captum"] = Field(
        "native", description="All contexts in one pass, or Captum, one context after the other (for comparison; slow)."
    )
    contexts: list[str] = Field(default_factory=list, description="Only these contexts; empty means all of the model.")
    times_change: bool = Field(
        True, description="saliency: gradient times change of the track, in units of the score; false: gradient alone."
    )
    steps: int | None = Field(
        None, ge=1, description="integratedGradients: Gauss-Legendre steps (Captum's default is 50); null: exact."
    )
    samples: int | None = Field(
        None,
        ge=1,
        description="gradientShap: draws on the path (null: 50); kernelShap and lime: coalitions of tracks "
        "(null: twice the players and 2048 more).",
    )
    players: int | None = Field(
        None,
        ge=1,
        description="kernelShap and lime: so many tracks, each variant's strongest by DeepLIFT, play for themselves, "
        "the others together as one player; null: every track plays for itself.",
    )
    seed: int = Field(0, ge=0, description="Seed of gradientShap, kernelShap and lime.")
    top_tracks: int = Field(20, ge=1, description="Strongest tracks per variant and context in the TSV.")
    top_variants: int | None = Field(
        None,
        ge=0,
        description="Only the strongest variants, by the contexts' columns of a table of effects; null: all.",
    )
    batch_size: int = Field(16, ge=1, description="Variants attributed at a time.")
    max_delta: float = Field(
        1e-6, gt=0, description="Largest |sum of attributions - score| of deeplift, kernelShap and exact integration."
    )
    on_delta: Literal["warn", "fail"] = Field("warn", description="What happens where it is larger.")


class BaseAttributionSettings(Section):
    """Attribution of predicted expression to single bases, through the expression model and the chromatin model."""

    method: Literal["deeplift", "integratedGradients"] = Field(
        "deeplift", description="DeepLIFT/SHAP (tangermeme) or integrated gradients (Captum), both against shuffles."
    )
    contexts: list[str] = Field(
        default_factory=list, description="Contexts to explain; empty means the strongest of each variant or gene."
    )
    contexts_each: int = Field(
        1, ge=1, description="Contexts per variant (largest |score|) or gene (highest prediction) where none is named."
    )
    top_variants: int | None = Field(
        None,
        ge=0,
        description="Only the strongest variants, by the contexts' columns of a table of effects; null: all.",
    )
    reach: int | None = Field(
        None, ge=0, description="Genes: bins with their centre so near to the TSS, in bases, are explained; null: all."
    )
    shuffles: int = Field(20, ge=1, description="Dinucleotide-shuffled references.")
    steps: int = Field(50, ge=1, description="integratedGradients: Gauss-Legendre steps from reference to sequence.")
    seed: int = Field(0, ge=0, description="Seed of the references.")
    batch_size: int = Field(4, ge=1, description="Sequence-reference pairs at a time.")
    max_relative_delta: float = Field(0.01, gt=0, description="Convergence delta over output difference that passes.")
    on_delta: Literal["warn", "fail"] = Field("warn", description="What happens where it is larger.")


class HaplotypeSettings(Section):
    """Whole haplotypes: phased genotypes, or sequences of the user's own."""

    unphased: Literal["error", "reject", "haplotype_1"] = Field(
        "error",
        description="A heterozygous genotype without phase: stop, leave its alleles out of that sample (they go to the "
        "ledger), or take its first ALT for haplotype 1, a second one for haplotype 2.",
    )
    ref_policy: Literal["exclude", "error", "swap"] = Field(
        "exclude",
        description="A REF that is not the genome's: reject the allele, stop, or, where ALT is the genome's, take "
        "those that carry REF as the carriers of the change.",
    )
    max_allele_length: int = Field(1000, ge=1, description="Longest REF or ALT that is put into a haplotype, in bases.")
    reference_rows: bool = Field(
        False, description="Also write the haplotypes that are the reference around a gene (all differences are 0)."
    )
    flanks: Literal["auto", "genome", "unknown"] = Field(
        "auto",
        description="What stands around a sequence of one's own that is shorter than the bins: the genome's bases at "
        "the same distance from the TSS of its gene, or N; auto: the genome's where a gene is named.",
    )


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
