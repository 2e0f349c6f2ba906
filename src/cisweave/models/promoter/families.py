"""How the networks of each family are put together from their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.blocks import Head
from cisweave.models.promoter.cnn import ConvolutionalTrunk
from cisweave.models.promoter.divide import IntervalTrunk
from cisweave.models.promoter.fronts import KmerSegments, OneHot
from cisweave.models.promoter.recurrent import RecurrentTrunk
from cisweave.models.promoter.registry import ModelType
from cisweave.models.promoter.segments import SegmentTransformer
from cisweave.models.promoter.settings import (
    ConvolutionalSettings,
    HeadSettings,
    IntervalSettings,
    RecurrentSettings,
    SegmentSettings,
    SegmentTransformerSettings,
    TokenSettings,
    WholeTransformerSettings,
)
from cisweave.models.promoter.tokens import TokenTrunk, WholeTransformer

Parts = tuple[nn.Module | None, nn.Module | None, int]
"""Front, trunk, and the number of features that the trunk gives."""


def convolutional(settings: ConvolutionalSettings, window: int) -> Parts:
    """Xpresso."""
    dilations = settings.dilations or [1] * len(settings.filters)
    trunk = ConvolutionalTrunk(window, settings.filters, settings.widths, dilations, settings.pools)
    return OneHot(), trunk, trunk.features


def intervals(settings: IntervalSettings, window: int) -> Parts:
    """DivideEtImpera."""
    trunk = IntervalTrunk(window, settings.intervals, settings.filters, settings.width)
    return OneHot(), trunk, trunk.features


def recurrent(settings: RecurrentSettings, _: int) -> Parts:
    """BioLSTM."""
    trunk = RecurrentTrunk(settings.size, settings.units)
    return segment_front(settings), trunk, trunk.features


def segment_transformer(settings: SegmentTransformerSettings, window: int) -> Parts:
    """The DeepLncLoc transformer."""
    trunk = SegmentTransformer(
        window // settings.segment,
        settings.size,
        settings.heads,
        settings.hidden,
        settings.blocks,
        settings.block_dropout,
    )
    return segment_front(settings), trunk, trunk.features


def factors(*_: object) -> Parts:
    """TFNet: no promoter is read."""
    return None, None, 0


def tokens(settings: TokenSettings, window: int) -> Parts:
    """Token transformers."""
    trunk = TokenTrunk(window, settings)
    return OneHot(), trunk, trunk.features


def whole_transformer(settings: WholeTransformerSettings, window: int) -> Parts:
    """The "Original" transformer."""
    trunk = WholeTransformer(window, settings)
    return OneHot(), trunk, trunk.features


def segment_front(settings: SegmentSettings) -> KmerSegments:
    """The front of networks that read segments."""
    return KmerSegments(settings.segment, settings.k, settings.size)


def build_head(settings: HeadSettings, features: int) -> Head:
    """The dense head on features of the trunk and extras."""
    return Head(features, settings.dense, settings.dropout, settings.activation)


def start_orthogonal(trunk: ConvolutionalTrunk, head: Head) -> None:
    """Draw all convolutions and hidden layers anew as orthogonal matrices; the output layer stays as it is."""
    convolutions = [layer.weight for layer in trunk.convolutions]
    hidden = [layer.weight for layer in head.dense_layers[:-1]]
    for weight in (*convolutions, *hidden):
        nn.init.orthogonal_(weight)


PARTS: dict[str, Callable[[Any, int], Parts]] = {
    "cnn": convolutional,
    "divide": intervals,
    "lstm": recurrent,
    "tfnet": factors,
    "deeplncloc": segment_transformer,
    "token": tokens,
    "whole": whole_transformer,
}
"""Front, trunk and number of features for settings and a window, by family."""


def make_parts(kind: ModelType, settings: HeadSettings, window: int) -> Parts:
    """Front, trunk and number of features of a type; a window that it cannot read is an error."""
    problem = settings.window_problem(window)
    if problem is not None:
        raise CisweaveError(f"{kind.name}: {problem}")
    return PARTS[kind.shape](settings, window)
