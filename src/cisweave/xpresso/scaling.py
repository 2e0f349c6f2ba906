"""Mean and spread of expression and of the further inputs, taken from training genes and kept with the model.

Dimension legend
    n - genes of the data, k - genes asked for, E - further inputs: half-life (H), factors (T), microRNAs (M)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError, shorten
from cisweave.xpresso.dataset import HALF_LIFE, PromoterData

ScalingMode = Literal["train", "all", "none"]
Missing = Literal["mean", "error"]

OPTIONS = {"T": "tf", "M": "mirna"}
WHAT = {"H": "half-life features", "T": "transcription factors", "M": "microRNAs"}


@dataclass(frozen=True)
class Scaling:
    """What brings data to the scale of a model and its predictions back.

    Attributes
    ----------
    label_mean, label_sd
        Of log10 expression (population standard deviation).
    halflife_mean, halflife_sd
        Of each half-life feature in ``halflife_names``, after log10 where it is taken.
    tf_names, mirna_names
        Columns the model reads, in order; ``tf_mean`` and ``mirna_mean`` are the shares of training genes that have
        them, which stand in for a gene about which nothing is known.
    label_unit, halflife_unit
        Units of the data: ``log10`` or ``standardised``, ``raw`` or ``standardised``.
    pseudocount
        Added before log10.
    """

    label_mean: float = 0.0
    label_sd: float = 1.0
    halflife_mean: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIFE))
    halflife_sd: list[float] = field(default_factory=lambda: [1.0] * len(HALF_LIFE))
    halflife_names: list[str] = field(default_factory=lambda: list(HALF_LIFE))
    tf_names: list[str] = field(default_factory=list)
    tf_mean: list[float] = field(default_factory=list)
    mirna_names: list[str] = field(default_factory=list)
    mirna_mean: list[float] = field(default_factory=list)
    label_unit: str = "log10"
    halflife_unit: str = "raw"
    pseudocount: float = 0.1

    def __post_init__(self) -> None:
        for name in ("halflife_mean", "halflife_sd", "tf_mean", "mirna_mean"):
            names = getattr(self, f"{name.split('_')[0]}_names")
            if len(getattr(self, name)) != len(names):
                raise CisweaveError(f"scaling: {name} has {len(getattr(self, name))} values for {len(names)} columns")
        unknown = [name for name in self.halflife_names if name not in HALF_LIFE]
        if unknown:
            raise CisweaveError(f"scaling: {unknown[0]} is no half-life feature; known: {', '.join(HALF_LIFE)}")
        if not all(value > 0 for value in (self.label_sd, *self.halflife_sd)):
            raise CisweaveError("scaling: a standard deviation is not above 0")
        if self.label_unit not in ("log10", "standardised") or self.halflife_unit not in ("raw", "standardised"):
            units = f"label_unit {shorten(self.label_unit)}, halflife_unit {shorten(self.halflife_unit)}"
            raise CisweaveError(f"scaling: unknown unit ({units})")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be written as YAML or JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scaling:
        """The scaling that :meth:`to_dict` gave."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise CisweaveError(f"scaling: unknown key {unknown[0]}; this model comes from another version")
        return cls(**values)

    def labels(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log10 expression on the scale the model is trained on."""
        return (values - self.label_mean) / self.label_sd

    def unlabel(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Predictions of a model as log10 expression (as they are where the data were z-scores)."""
        return np.asarray(values, dtype=np.float64) * self.label_sd + self.label_mean

    def widths(self, inputs: str) -> dict[str, int]:
        """Columns of each further input for input codes such as ``PHT``; 0 for those that are not read."""
        held = {"halflife": self.halflife_names, "tf": self.tf_names, "mirna": self.mirna_names}
        return {name: len(names) if name[0].upper() in inputs else 0 for name, names in held.items()}

    def lacks(self, data: PromoterData, rows: NDArray[np.int64], inputs: str) -> NDArray[np.bool_]:
        """Genes (k,) of which one of the further inputs is unknown; half-life features that are not read may be."""
        lacking = np.zeros(len(rows), dtype=bool)
        columns = [HALF_LIFE.index(name) for name in self.halflife_names]
        halflife = np.asarray(np.isfinite(data.halflife[:, columns]).all(axis=1))
        for code, known in (("H", halflife), ("T", data.has_tf), ("M", data.has_mirna)):
            if code in inputs:
                lacking |= ~known[rows]
        return lacking

    def extras(
        self, data: PromoterData, rows: NDArray[np.int64], inputs: str, missing: Missing = "mean"
    ) -> NDArray[np.float32]:
        """The further inputs float32 (k, E) of a model: z-scored half-life features, then factors and microRNAs as 0/1.

        Parameters
        ----------
        inputs
            Input codes, for example ``PHT``; P is passed over, the order is H, T, M whatever the text's.
        missing
            What stands for a gene's unknown features: the mean of the training genes, or an error.

        Raises
        ------
        CisweaveError
            If the data are in other units than the training data, or lack a factor or microRNA that the model reads.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if missing == "error":
            self._refuse_missing(data, rows, inputs)
        parts = [np.zeros((len(rows), 0), dtype=np.float32)]
        if "H" in inputs:
            parts.append(self._halflife(data, rows))
        if "T" in inputs:
            parts.append(binary(data, data.tf, data.tf_names, data.has_tf, rows, self.tf_names, self.tf_mean, "T"))
        if "M" in inputs:
            parts.append(
                binary(data, data.mirna, data.mirna_names, data.has_mirna, rows, self.mirna_names, self.mirna_mean, "M")
            )
        return np.concatenate(parts, axis=1)

    def _halflife(self, data: PromoterData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Half-life features float32 (k, features) as z-scores; unknown ones are 0."""
        if np.isfinite(data.halflife[rows]).any():
            self._check_units(data)
        columns = [HALF_LIFE.index(name) for name in self.halflife_names]
        z = (data.halflife[rows][:, columns] - np.array(self.halflife_mean)) / np.array(self.halflife_sd)
        return np.where(np.isfinite(z), z, 0.0).astype(np.float32)

    def _check_units(self, data: PromoterData) -> None:
        """Raise where half-life features come in another unit than those of the training data."""
        if data.halflife_unit != self.halflife_unit:
            raise CisweaveError(
                f"half-life features are {data.halflife_unit} here, but the model was trained on "
                f"{self.halflife_unit} ones; give them in that unit",
                path=data.folder,
            )
        if data.halflife_unit == "raw" and data.pseudocount != self.pseudocount:
            raise CisweaveError(
                f"{data.pseudocount} is added to half-life features here, {self.pseudocount} in the training data of "
                "the model; build the data with that pseudocount",
                path=data.folder,
            )

    def _refuse_missing(self, data: PromoterData, rows: NDArray[np.int64], inputs: str) -> None:
        """Raise if a gene lacks one of the inputs."""
        lacking = self.lacks(data, rows, inputs)
        if lacking.any():
            gene = data.gene_ids[int(rows[np.flatnonzero(lacking)[0]])]
            what = " or ".join(text for code, text in WHAT.items() if code in inputs)
            raise CisweaveError(
                f"{int(lacking.sum())} of {len(rows)} genes have no {what}, the first is {gene}", path=data.folder
            )


def binary(
    data: PromoterData,
    matrix: NDArray[np.uint8] | None,
    names: Sequence[str],
    known: NDArray[np.bool_],
    rows: NDArray[np.int64],
    wanted: Sequence[str],
    mean: Sequence[float],
    code: str,
) -> NDArray[np.float32]:
    """Columns float32 (k, wanted) of a binary matrix by their names; the mean where nothing is known of a gene."""
    if not wanted:
        raise CisweaveError(
            f"the model reads {WHAT[code]}, but its training data have none; build them with a table of these "
            f"(--{OPTIONS[code]}, or {OPTIONS[code]} of xpresso in a configuration)",
            path=data.folder,
        )
    out = np.tile(np.array(mean, dtype=np.float32), (len(rows), 1))
    found = known[rows]
    if matrix is not None and found.any():
        places = {name: place for place, name in enumerate(names)}
        absent = [name for name in wanted if name not in places]
        if absent:
            raise CisweaveError(
                f"the model reads {WHAT[code]} that the data do not have: {', '.join(absent[:5])}"
                f"{' …' if len(absent) > 5 else ''} ({len(absent)} of {len(wanted)})",
                path=data.folder,
            )
        out[found] = matrix[rows[found]][:, [places[name] for name in wanted]]
    return out


def fit_scaling(data: PromoterData, rows: NDArray[np.int64], mode: ScalingMode = "train") -> Scaling:
    """The scaling of a data set.

    Parameters
    ----------
    rows
        Training genes.
    mode
        ``train``: from these genes; ``all``: from all genes with expression, as Xpresso did it; ``none``: labels and
        half-life features stay as they are (data that are z-scores already). Means of factors and microRNAs are those
        of ``rows`` in any case.

    Raises
    ------
    CisweaveError
        If a training gene has no expression.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if not len(rows) or not np.isfinite(data.label[rows]).all():
        raise CisweaveError("training genes need expression; split the data anew", path=data.folder)
    chosen = np.flatnonzero(np.isfinite(data.label)) if mode == "all" else rows
    values: dict[str, Any] = {}
    if mode != "none":
        label_mean, label_sd = mean_sd(data.label[chosen][:, None])
        halflife_mean, halflife_sd = mean_sd(data.halflife[chosen])
        values = {
            "label_mean": label_mean[0],
            "label_sd": label_sd[0],
            "halflife_mean": halflife_mean,
            "halflife_sd": halflife_sd,
        }
    return Scaling(
        **values,
        tf_names=list(data.tf_names),
        tf_mean=column_means(data.tf, rows[data.has_tf[rows]], len(data.tf_names)),
        mirna_names=list(data.mirna_names),
        mirna_mean=column_means(data.mirna, rows[data.has_mirna[rows]], len(data.mirna_names)),
        label_unit=data.expression_unit,
        halflife_unit=data.halflife_unit,
        pseudocount=float(data.pseudocount),
    )


def mean_sd(values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of columns (genes, columns) over known values.

    A column without spread has a standard deviation of 1, one without any known value a mean of 0, too.
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
    # rounding leaves a constant column a spread of about 1e-16 of its mean
    flat = spread <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean.tolist(), np.where(flat, 1.0, spread).tolist()


def column_means(matrix: NDArray[np.uint8] | None, rows: NDArray[np.int64], width: int) -> list[float]:
    """Share of ones in each column over these rows; 0 where there is no row."""
    if matrix is None or not len(rows):
        return [0.0] * width
    means: list[float] = matrix[rows].mean(0, dtype=np.float64).tolist()
    return means
