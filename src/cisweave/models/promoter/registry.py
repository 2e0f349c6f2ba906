"""The zoo: every named type of promoter network, its inputs, shape and training, and what was published of it.

Names and numbers only: nothing here needs PyTorch (:mod:`cisweave.models.promoter.build` makes the networks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from cisweave.config.messages import describe_errors, join_mistakes, suggest
from cisweave.core.errors import CisweaveError
from cisweave.models.promoter.published import RESULTS, PublishedResult
from cisweave.models.promoter.settings import FAMILY_SETTINGS, HeadSettings, SegmentSettings

EXTRAS = {"H": "halflife", "T": "tf", "M": "mirna"}
"""Letters of a type's inputs beside P, the promoter, in the order in which a network takes them."""

FROM_SEARCH = "3000:13500"
"""7,000 bases before the TSS and 3,500 from it on, what the search for Xpresso's hyper-parameters ended with."""
AFTER_TSS = "9500:20000"
"""500 bases before the TSS and 10,000 from it on, what the token transformers read."""


@dataclass(frozen=True)
class ModelType:
    """One type of the zoo.

    Attributes
    ----------
    name
        ``family/type``.
    inputs
        P promoter, H half-life, T factors, M microRNAs.
    shape
        Key of :data:`cisweave.models.promoter.settings.FAMILY_SETTINGS`.
    slice
        Part of a promoter of 10,000 + 10,000 bases that the published network reads; empty without a promoter.
    aliases
        Further names, those of the originals.
    network
        Hyper-parameters that differ from the defaults of the family.
    training
        Published choices, keys of :class:`cisweave.config.PromoterTrainingSettings`.
    parameters
        Total parameters of the published network (its window, 8 half-life features, 181 factors, 2,064 microRNAs);
        ``None`` where no count was published.
    note
        What else a user should know.
    """

    name: str
    inputs: str
    shape: str
    slice: str
    aliases: tuple[str, ...]
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    note: str = ""

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]

    @property
    def embedding(self) -> bool:
        """Whether it reads the promoter as segments of k-mer vectors."""
        return issubclass(FAMILY_SETTINGS[self.shape], SegmentSettings)

    @property
    def published(self) -> tuple[PublishedResult, ...]:
        """Published test r²."""
        return RESULTS.get(self.name, ())


def xpresso_training(batch_size: int, patience: int) -> dict[str, Any]:
    """Training of the Xpresso family in the zoo of Turin."""
    return training("sgd", 5e-4, batch_size, 300, patience)


def training(
    optimizer: str, learning_rate: float | None, batch_size: int, max_epochs: int, patience: int, **more: Any
) -> dict[str, Any]:
    """A published way of training; squared error unless ``loss`` is given."""
    chosen = {"loss": "mse", "optimizer": optimizer, "batch_size": batch_size, "max_epochs": max_epochs}
    if learning_rate is not None:
        chosen["learning_rate"] = learning_rate
    return {**chosen, "patience": patience, **more}


DIVIDE = training("sgd", 1e-3, 256, 300, 15, reduce_epoch=70, reduce_factor=0.1)
LSTM = training("adam", 3e-4, 128, 140, 15)
SEGMENTS = training("adam", 5e-4, 256, 300, 20)
TOKENS = training("sgd", 1e-3, 256, 300, 20, reduce_epoch=60, reduce_factor=0.2)

CNN_TYPES = (
    ModelType(
        "cnn/Xpresso",
        "PH",
        "cnn",
        FROM_SEARCH,
        ("Xpresso", "CNN1D"),
        training=xpresso_training(256, 30),
        parameters=112_485,
    ),
    ModelType(
        "cnn/Xpresso_nohalf",
        "P",
        "cnn",
        FROM_SEARCH,
        ("Xpresso_nohalf",),
        training=xpresso_training(128, 7),
        parameters=111_973,
    ),
    ModelType(
        "cnn/Xpresso_TF",
        "PHT",
        "cnn",
        FROM_SEARCH,
        ("Xpresso_TF",),
        training=xpresso_training(128, 10),
        parameters=124_069,
    ),
    ModelType(
        "cnn/Xpresso_micro",
        "PHM",
        "cnn",
        FROM_SEARCH,
        ("Xpresso_micro",),
        training=xpresso_training(128, 7),
        parameters=244_581,
    ),
    ModelType(
        "cnn/Xpresso_ort",
        "PH",
        "cnn",
        AFTER_TSS,
        ("Xpresso_ort",),
        network={"initialiser": "orthogonal"},
        training=xpresso_training(256, 30),
        parameters=112_485,
        note="The stored run of the authors collapsed to one prediction for all genes.",
    ),
)

DIVIDE_TYPES = (
    ModelType(
        "divide/DivideEtImpera",
        "PH",
        "divide",
        FROM_SEARCH,
        ("DivideEtImpera", "tritacarne"),
        training=DIVIDE,
        parameters=1_892_289,
    ),
    ModelType(
        "divide/DivideEtImpera_TF",
        "PHT",
        "divide",
        FROM_SEARCH,
        ("DivideEtImpera_TF",),
        training=DIVIDE,
        parameters=1_903_873,
    ),
    ModelType(
        "divide/DivideEtImpera_onlyPromo",
        "P",
        "divide",
        FROM_SEARCH,
        ("DivideEtImpera_onlyPromo",),
        training=DIVIDE,
        parameters=1_891_777,
    ),
)

LSTM_TYPES = (
    ModelType(
        "lstm/classic",
        "PH",
        "lstm",
        FROM_SEARCH,
        ("classic", "BioLSTM", "BioLSTM_classic"),
        training=LSTM,
        parameters=76_157,
    ),
    ModelType(
        "lstm/tf",
        "PHT",
        "lstm",
        FROM_SEARCH,
        ("tf", "BioLSTM_tf"),
        training={**LSTM, "learning_rate": 5e-5},
        parameters=92_447,
    ),
    ModelType(
        "lstm/only_promoter",
        "P",
        "lstm",
        FROM_SEARCH,
        ("only promoter", "BioLSTM_only_promoter"),
        training=LSTM,
        parameters=75_437,
    ),
)

TFNET_TYPES = (
    ModelType(
        "tfnet/TF",
        "T",
        "tfnet",
        "",
        ("TF", "TFNet", "TF_net", "FC_net"),
        training=training("sgd", 5e-4, 128, 300, 30, loss="mae"),
        parameters=11_781,
    ),
)

SEGMENT_TYPES = (
    ModelType(
        "deeplncloc/DeepLncLoc",
        "PH",
        "deeplncloc",
        FROM_SEARCH,
        ("DeepLncLoc", "new_embedding"),
        training=SEGMENTS,
        parameters=123_881,
    ),
    ModelType(
        "deeplncloc/DeepLncLoc_TF",
        "PHT",
        "deeplncloc",
        FROM_SEARCH,
        ("DeepLncLoc_TF",),
        training=SEGMENTS,
        parameters=141_981,
    ),
    ModelType(
        "deeplncloc/DeepLncLoc_onlyPromo",
        "P",
        "deeplncloc",
        FROM_SEARCH,
        ("DeepLncLoc_onlyPromo", "DeepLncLoc_Promoter"),
        training=SEGMENTS,
        parameters=123_081,
    ),
)

TOKEN_TYPES = (
    ModelType("token/best", "PH", "token", AFTER_TSS, ("best",), training=TOKENS, parameters=436_833),
    ModelType(
        "token/TF",
        "PHT",
        "token",
        AFTER_TSS,
        ("TF", "transformer_TF"),
        network={"vocabulary": 5},
        training=TOKENS,
        parameters=448_449,
    ),
    ModelType(
        "token/onlyPromo",
        "P",
        "token",
        AFTER_TSS,
        ("onlyPromo",),
        network={"heads": 4},
        training=TOKENS,
        parameters=448_897,
    ),
    ModelType(
        "token/globalP",
        "PH",
        "token",
        AFTER_TSS,
        ("globalP",),
        network={"positions": "sinusoid", "token_dropout": 0.1, "readout": "mean"},
        training=TOKENS,
    ),
    ModelType(
        "token/posSkip",
        "PH",
        "token",
        AFTER_TSS,
        ("posSkip",),
        network={"skip": "positions", "blocks": 3},
        training=TOKENS,
    ),
    ModelType(
        "token/best_max",
        "PH",
        "token",
        AFTER_TSS,
        ("best_max",),
        network={"filters": 128, "pooling": "max", "dropout": [0.2, 0.2]},
        training=TOKENS,
        parameters=483_009,
    ),
    ModelType(
        "token/Original",
        "PH",
        "whole",
        FROM_SEARCH,
        ("Original",),
        training=training("noam", None, 32, 300, 20, warmup=4000),
        parameters=211_905,
        note="Attends over every base: a GPU is needed at the published window.",
    ),
)

TYPES: dict[str, ModelType] = {
    kind.name: kind for kind in (*CNN_TYPES, *DIVIDE_TYPES, *LSTM_TYPES, *TFNET_TYPES, *SEGMENT_TYPES, *TOKEN_TYPES)
}
"""All types by name."""


def find_type(name: str) -> ModelType:
    """The type of a name, an alias or the part of a name after the slash; capitals, spaces and - do not matter.

    Raises
    ------
    CisweaveError
        For a name that is unknown, or that several types have.
    """
    wanted = plain_name(name)
    for kind in TYPES.values():
        if plain_name(kind.name) == wanted:
            return kind
    found = [kind for kind in TYPES.values() if wanted in short_names(kind)]
    if len(found) > 1:
        names = ", ".join(kind.name for kind in found)
        raise CisweaveError(f"several types are called {name}; write one of {names}")
    if not found:
        raise CisweaveError(f"{name} is no type of promoter model; {suggest(name, list(TYPES))}")
    return found[0]


def short_names(kind: ModelType) -> set[str]:
    """All names of a type but its full one, in their plain form."""
    return {plain_name(alias) for alias in (kind.name.split("/")[1], *kind.aliases)}


def plain_name(name: str) -> str:
    """A name without what does not matter."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def network_settings(kind: ModelType, network: Mapping[str, Any]) -> HeadSettings:
    """Hyper-parameters of a type with ``network`` put over them; a wrong one is an error that names it."""
    lines = network_mistakes(kind, network)
    if lines:
        raise CisweaveError(f"{kind.name}: {join_mistakes('network', lines)}")
    return FAMILY_SETTINGS[kind.shape].model_validate({**kind.network, **network})


def network_mistakes(kind: ModelType, network: Mapping[str, Any]) -> list[str]:
    """One line, with its key, for each hyper-parameter that a type does not have or cannot use."""
    section = FAMILY_SETTINGS[kind.shape]
    try:
        section.model_validate({**kind.network, **network})
    except ValidationError as error:
        return describe_errors(section, error.errors(), ("network",))
    return []
