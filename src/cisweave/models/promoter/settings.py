"""Hyper-parameters of each family of promoter networks, with the published values as defaults."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cisweave.config.sections import Section

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Activation = Literal["relu", "leaky_relu"]
INTERVAL_POOL = 5
"""Positions per maximum in DivideEtImpera, twice within an interval and once over all."""


class HeadSettings(Section):
    """The fully connected layers at the end of every network."""

    dense: list[Count] = Field([64, 2], description="Units of each hidden layer.")
    dropout: list[Share] = Field([0.00099, 0.01546], description="Dropout after each hidden layer.")
    activation: Activation = Field("relu", description="leaky_relu keeps a narrow layer from dying.")

    @model_validator(mode="after")
    def check_lengths(self) -> HeadSettings:
        """Every hidden layer has its dropout."""
        if len(self.dense) != len(self.dropout):
            raise ValueError("dense and dropout need as many values each, one for every hidden layer")
        return self

    def window_problem(self, window: int) -> str | None:
        """Why a network cannot read a window of so many bases, and what it can read; ``None``: it can."""
        return None


class ConvolutionalSettings(HeadSettings):
    """Xpresso."""

    filters: list[Count] = Field([128, 32], min_length=1, description="Filters of each convolution.")
    widths: list[Count] = Field([6, 9], min_length=1, description="Width of each convolution.")
    pools: list[Count] = Field([30, 10], min_length=1, description="Positions per maximum, after each convolution.")
    dilations: list[Count] | None = Field(None, description="Dilation of each convolution; null: 1.")
    initialiser: Literal["glorot", "orthogonal"] = Field("glorot", description="How weights are drawn at the start.")

    @model_validator(mode="after")
    def check_convolutions(self) -> ConvolutionalSettings:
        """Every convolution has its width, pool and dilation."""
        lengths = {len(values) for values in (self.filters, self.widths, self.pools, self.dilations) if values}
        if len(lengths) != 1:
            raise ValueError("filters, widths, pools and dilations need as many values each, one per convolution")
        return self

    def window_problem(self, window: int) -> str | None:
        """Something must be left after all pools."""
        return pooled_away(window, self.pools)


class IntervalSettings(HeadSettings):
    """DivideEtImpera."""

    dense: list[Count] = Field([64, 64], description="Units of each hidden layer.")
    intervals: int = Field(10, ge=1, description="Intervals of the promoter.")
    filters: int = Field(128, ge=1, description="Filters of every convolution.")
    width: int = Field(3, ge=1, description="Width of every convolution.")

    def window_problem(self, window: int) -> str | None:
        """Intervals are equal, and their pools and the one over all leave nothing out and something over."""
        step = self.intervals * INTERVAL_POOL**2
        if window % step == 0 and window >= INTERVAL_POOL**3:
            return None
        return (
            f"a window of {window} bases cannot be cut into {self.intervals} equal intervals that are pooled by "
            f"{INTERVAL_POOL} twice; give a multiple of {step} bases, at least {INTERVAL_POOL**3}"
        )


class SegmentSettings(HeadSettings):
    """Networks that read a promoter as segments of k-mer vectors."""

    segment: int = Field(50, ge=1, description="Bases per segment.")
    k: int = Field(3, ge=1, le=6, description="Bases per word.")
    size: int = Field(64, ge=1, description="Length of a word's vector.")

    @model_validator(mode="after")
    def check_words(self) -> SegmentSettings:
        """A segment holds a word."""
        if self.segment < self.k:
            raise ValueError(f"a segment of {self.segment} holds no word of {self.k}")
        return self

    def window_problem(self, window: int) -> str | None:
        """A window holds a segment."""
        if window >= self.segment:
            return None
        return (
            f"a window of {window} bases holds no segment of {self.segment}; give at least {self.segment} bases, or "
            "shorter segments"
        )


class RecurrentSettings(SegmentSettings):
    """BioLSTM."""

    dense: list[Count] = Field([90], description="Units of each hidden layer.")
    dropout: list[Share] = Field([0.3], description="Dropout after each hidden layer.")
    units: int = Field(100, ge=1, description="Units of the LSTM.")


class SegmentTransformerSettings(SegmentSettings):
    """The DeepLncLoc transformer."""

    dense: list[Count] = Field([100], description="Units of each hidden layer.")
    dropout: list[Share] = Field([0.1], description="Dropout after each hidden layer.")
    heads: int = Field(4, ge=1, description="Attention heads, each with `size` channels.")
    hidden: int = Field(384, ge=1, description="Units of the first dense layer of an attention block.")
    blocks: int = Field(1, ge=1, description="Attention blocks.")
    block_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the blocks and after the code of positions.")


class FactorSettings(HeadSettings):
    """TFNet."""


class TokenSettings(HeadSettings):
    """Token transformers."""

    dense: list[Count] = Field([64, 64], description="Units of each hidden layer.")
    dropout: list[Share] = Field([0.1, 0.1], description="Dropout after each hidden layer.")
    vocabulary: Literal[4, 5] = Field(4, description="Tokens: 5 where an unknown base has a vector of its own.")
    size: int = Field(32, ge=1, description="Channels of a token.")
    positions: Literal["learned", "sinusoid"] = Field("learned", description="Vectors of positions.")
    filters: int = Field(32, ge=1, description="Filters of the first convolution; the second has `size`.")
    widths: list[Count] = Field([6, 9], min_length=2, max_length=2, description="Widths of the two convolutions.")
    pools: list[Count] = Field([30, 10], min_length=2, max_length=2, description="Positions per pool.")
    pooling: Literal["average", "max"] = Field("average", description="How the convolutions are pooled.")
    skip: Literal["tokens", "positions"] = Field("tokens", description="What the path without convolutions pools.")
    heads: int = Field(1, ge=1, description="Attention heads, each with `size` channels.")
    hidden: int = Field(64, ge=1, description="Units of the first dense layer of an attention block.")
    blocks: int = Field(1, ge=1, description="Attention blocks.")
    block_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the attention blocks.")
    readout: Literal["flatten", "mean"] = Field("flatten", description="All positions side by side, or their mean.")
    token_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of the token vectors.")

    def window_problem(self, window: int) -> str | None:
        """Something must be left after both pools."""
        return pooled_away(window, self.pools)


class WholeTransformerSettings(HeadSettings):
    """The "Original" transformer."""

    dense: list[Count] = Field([64, 64], description="Units of each hidden layer.")
    dropout: list[Share] = Field([0.005, 0.005], description="Dropout after each hidden layer.")
    vocabulary: Literal[4, 5] = Field(5, description="Tokens: 5 where an unknown base has a vector of its own.")
    size: int = Field(128, ge=1, description="Channels of a token.")
    heads: int = Field(2, ge=1, description="Attention heads, which share `size` out among them.")
    hidden: int = Field(512, ge=1, description="Units of the first dense layer of an attention block.")
    blocks: int = Field(1, ge=1, description="Attention blocks.")
    block_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of the tokens and in the blocks.")

    @model_validator(mode="after")
    def check_heads(self) -> WholeTransformerSettings:
        """Every head has as many channels."""
        if self.size % self.heads:
            raise ValueError(
                f"size {self.size} cannot be shared out among {self.heads} heads; give a multiple of {self.heads}"
            )
        return self


def pooled_away(window: int, pools: Sequence[int]) -> str | None:
    """What to say of a window of which pools leave nothing."""
    if window >= prod(pools):
        return None
    return f"a window of {window} bases is pooled away; give at least {prod(pools)} bases, or smaller pools"


FAMILY_SETTINGS: dict[str, type[HeadSettings]] = {
    "cnn": ConvolutionalSettings,
    "divide": IntervalSettings,
    "lstm": RecurrentSettings,
    "tfnet": FactorSettings,
    "deeplncloc": SegmentTransformerSettings,
    "token": TokenSettings,
    "whole": WholeTransformerSettings,
}
"""Hyper-parameters by family. ``token/Original`` alone is of the family ``whole``."""
