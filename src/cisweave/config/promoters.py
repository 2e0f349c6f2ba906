"""What the verbs of the xpresso room can be told beyond their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from cisweave.config.sections import Section
from cisweave.core.errors import CisweaveError, shorten

EmbeddingMode = Literal["random_projection", "word2vec", "kmer_freq"]
Optimizer = Literal["sgd", "adam", "adadelta", "adamax", "noam"]
Loss = Literal["mse", "mae"]
Requirement = Literal["halflife", "tf", "mirna", "known_bases"]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
SplitMethod = Literal["random", "xpresso", "xpresso_tf", "xpresso_mirna", "chromosomes", "kfold", "table"]

PUBLISHED_CONTIGS = (*(str(number) for number in range(1, 23)), "X")
"""Contigs of Xpresso's data, without ``chr``."""


SLICE = r"^[0-9]{1,9}:[0-9]{1,9}$"


def slice_bounds(text: str) -> tuple[int, int]:
    """Left and right of a :data:`Slice`; text that is none is a :class:`CisweaveError`."""
    if not re.fullmatch(SLICE, text):
        raise CisweaveError(f"{shorten(text)} is no part of a promoter; write left:right, for example 3000:13500")
    left, right = (int(part) for part in text.split(":"))
    if left >= right:
        raise CisweaveError(f"{text} holds no base; write left:right with left below right")
    return left, right


def check_slice(value: Any) -> Any:
    """Refuse text that is no part of a promoter."""
    if isinstance(value, str):
        try:
            slice_bounds(value)
        except CisweaveError as error:
            raise ValueError(error.problem) from error
    return value


Slice = Annotated[str, StringConstraints(pattern=SLICE), BeforeValidator(check_slice)]
"""Part of the promoter that a model reads, ``left:right``, 0-based half-open from the promoter's first base."""


class PromoterDataSettings(Section):
    """Making the data of promoter models from a genome and its annotation."""

    upstream: int = Field(10_000, ge=1, description="Bases of a promoter before its TSS.")
    downstream: int = Field(10_000, ge=1, description="Bases of a promoter from its TSS on.")
    biotypes: list[str] | None = Field(
        ["protein_coding"], description="Only genes of these types (where the annotation tells types); null: all."
    )
    contigs: list[str] | None = Field(
        None, description="Only genes on these contigs; null: all. Default with compat xpresso: 1 to 22 and X."
    )
    skip_histones: bool = Field(True, description="Leave histone genes out (their mRNA has no poly(A) tail).")
    expression: Literal["linear", "log10", "standardised"] = Field(
        "linear", description="Unit of the expression table: linear (RPKM, TPM), log10, or ready z-scores."
    )
    columns: list[str] | None = Field(
        None, description="Columns of the expression table; several give their median; null: all columns."
    )
    pseudocount: float = Field(0.1, gt=0, description="Added to linear expression, lengths and density before log10.")
    compat: Literal["xpresso"] | None = Field(
        None,
        description="xpresso: as published: the TSS lies one base off on one strand, lengths are one base short per "
        "exon, windows that leave their contig, genes without coding sequence and Roadmap's universal reference are "
        "left out.",
    )

    @model_validator(mode="before")
    @classmethod
    def published_contigs(cls, data: Any) -> Any:
        """With ``compat: xpresso`` the contigs of the published data, where none are given."""
        if not isinstance(data, Mapping) or data.get("compat") != "xpresso":
            return data
        return {"contigs": list(PUBLISHED_CONTIGS), **data}


class PromoterSplitSettings(Section):
    """Which genes train, validate and test."""

    method: SplitMethod = Field(
        "random",
        description="At random; as Xpresso, its TF variant or its microRNA variant; by contig; k folds; from a table.",
    )
    valid: int | float = Field(1000, gt=0, description="Validation genes: their number, or below 1 their share.")
    test: int | float = Field(
        1000, gt=0, description="Test genes: their number, or below 1 their share (method kfold: a fold)."
    )
    folds: int = Field(10, ge=2, description="Folds (method kfold).")
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of random and kfold.")
    valid_chromosomes: list[str] = Field(default_factory=list, description="Contigs (method chromosomes).")
    test_chromosomes: list[str] = Field(default_factory=list, description="Contigs (method chromosomes).")
    groups: Path | None = Field(
        None,
        description="TSV gene_id, group: genes of one group (paralogues) stay together (random, kfold); null: off.",
    )
    table: Path | None = Field(None, description="TSV gene_id, split, and fold where there are several (method table).")
    require: list[Requirement] = Field(
        default_factory=list, description="Leave out genes that lack one of these, so that all models see the same."
    )

    @field_validator("valid", "test", mode="before")
    @classmethod
    def check_number(cls, value: Any) -> Any:
        """Genes are counted, or taken as a share of all."""
        if isinstance(value, bool) or (isinstance(value, float) and value >= 1):
            raise ValueError(f"{value} is neither a whole number of genes nor a share; write 100, or 0.1")
        return value

    @model_validator(mode="after")
    def check_method(self) -> PromoterSplitSettings:
        """A method needs what it splits by."""
        if self.method == "chromosomes" and not (self.valid_chromosomes and self.test_chromosomes):
            raise ValueError("method: chromosomes needs valid_chromosomes and test_chromosomes")
        if (self.method == "table") != (self.table is not None):
            raise ValueError("method: table and table: FILE go together")
        if self.groups is not None and self.method not in ("random", "kfold"):
            raise ValueError("groups go with method random or kfold")
        return self


class EmbeddingSettings(Section):
    """Promoters as segments, each the mean of the vectors of its k-mers."""

    mode: EmbeddingMode = Field(
        "kmer_freq",
        description="Shares of k-mers, word2vec trained on the training genes, or fixed random vectors (what the "
        "published DeepLncLoc models in truth used).",
    )
    slice: Slice = Field("3000:13500", description="Part of the promoter, left:right.")
    segment: int = Field(50, ge=1, description="Bases per segment.")
    k: int = Field(3, ge=1, le=6, description="Bases per word.")
    size: int = Field(64, ge=1, description="Length of a vector (word2vec, random_projection); kmer_freq has 4^k.")
    standardise: bool = Field(
        True, description="Bring every channel to mean 0 and standard deviation 1 over the training genes."
    )
    context: int = Field(5, ge=1, description="Words on each side that word2vec looks at.")
    epochs: int = Field(10, ge=1, description="Passes of word2vec.")
    max_sentences: int | None = Field(None, ge=1, description="Most promoters word2vec learns from; null: all.")
    seed: int = Field(1, ge=0, description="Seed of the vectors.")

    @model_validator(mode="after")
    def check_slice(self) -> EmbeddingSettings:
        """A slice holds a segment, a segment a word."""
        left, right = slice_bounds(self.slice)
        if right - left < self.segment:
            raise ValueError(f"slice {self.slice} is shorter than a segment of {self.segment}")
        if self.segment < self.k:
            raise ValueError(f"a segment of {self.segment} holds no word of {self.k}")
        return self


class PromoterTrainingSettings(Section):
    """Training a promoter model; null stands for the published choice of its type."""

    slice: Slice | None = Field(None, description="Part of the promoter that is read, left:right.")
    optimizer: Optimizer | None = Field(
        None, description="sgd (momentum), adam, adadelta, adamax, or noam (Adam with the Transformer's schedule)."
    )
    learning_rate: float | None = Field(None, gt=0, description="Learning rate (not with noam).")
    momentum: float | None = Field(None, ge=0, lt=1, description="Momentum of sgd; null: 0.9.")
    warmup: int | None = Field(
        None, ge=1, description="Steps in which noam's learning rate rises; null: as published, else 8000."
    )
    loss: Loss | None = Field(None, description="Mean squared or mean absolute error.")
    batch_size: int | None = Field(None, ge=1, description="Genes per batch.")
    max_epochs: int | None = Field(None, ge=1, description="Most epochs.")
    patience: int | None = Field(None, ge=1, description="Epochs without improvement before stopping.")
    reduce_epoch: int | None = Field(None, ge=0, description="Epoch (from 0) at which the learning rate drops once.")
    reduce_factor: float | None = Field(None, gt=0, lt=1, description="What it is multiplied with there.")
    restarts: int = Field(
        3, ge=0, description="New starts with another seed when a model collapses to one prediction for all genes."
    )
    scaling: Literal["train", "all", "none"] = Field(
        "train", description="Genes that mean and spread are taken from; all is Xpresso's; none: data are z-scores."
    )


class ZooModel(Section):
    """One entry of the table of models: a type of the zoo, and what differs from its defaults."""

    type: str = Field(description="A type of the zoo (cisweave xpresso models lists them), for example cnn/Xpresso.")
    embedding: EmbeddingSettings | None = Field(None, description="Of types that read segments; null: the defaults.")
    network: dict[str, Any] = Field(default_factory=dict, description="Hyper-parameters of the network.")
    train: PromoterTrainingSettings = Field(default_factory=PromoterTrainingSettings, description="How it is trained.")
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = Field(
        None, description="Seeds; null: those of the room."
    )


class PromoterBaselineSettings(Section):
    """Linear models that every promoter model must beat."""

    kmer: int = Field(4, ge=1, le=6, description="Longest k-mers of the k-mer baselines.")
    kmer_slice: Slice | None = Field(
        None, description="Part of the promoter they count in; null: 1,500 bases on each side of the TSS."
    )


class PromoterEvaluationSettings(Section):
    """Measuring promoter models and their baselines."""

    bootstrap: int = Field(1000, ge=0, description="Resamples of the test genes behind intervals and paired tests.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Coverage of intervals.")
    published: bool = Field(
        True, description="Put the published figures of each type beside it; they are of human median expression."
    )
    seed: int = Field(1, ge=0, description="Seed of the resamples.")


class PromoterPredictSettings(Section):
    """Predicting with promoter models."""

    batch_size: int = Field(128, ge=1, description="Promoters per step.")
    missing: Literal["mean", "reject", "error"] = Field(
        "mean",
        description="A gene without half-life features, factors or microRNAs: take the mean of the training genes, "
        "reject it, stop.",
    )
    unknown: Literal["keep", "reject", "error"] = Field(
        "keep", description="Promoters with letters other than A, C, G, T: keep, reject, stop."
    )
    ref_policy: Literal["exclude", "error", "warn"] = Field(
        "exclude", description="A REF that is not the genome's: reject the allele, stop, or keep it with a warning."
    )
