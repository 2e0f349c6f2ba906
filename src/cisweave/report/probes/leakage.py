"""Leakage probe: with labels shuffled over genes, nothing can be predicted on genes that were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from cisweave.config import ExpressionSettings, TrainingSettings
from cisweave.core.seeds import generator
from cisweave.report.probes.subject import Probe
from cisweave.report.scores import spearman
from cisweave.tables.frames import read_table, write_tsv

if TYPE_CHECKING:
    from cisweave.models.folders import ModelSpec

EPOCHS = 200
LEARNING_RATE = 1e-3
HIDDEN = 1000
BATCH = 16
MEDIAN_WIDENING = 1.2533
"""Standard deviation of a median over that of a mean, for many normal values."""


class FitExpression(Protocol):
    """Trains on an expression table with the room's own split and predicts every gene of it."""

    def __call__(self, expression: Path, folder: Path) -> pd.DataFrame:
        """Table of ``gene_id, chrom, context, measured, predicted``."""
        ...


def leakage_probe(
    expression: str | Path, contexts: Sequence[str], test_chromosomes: Sequence[str], fit: FitExpression
) -> Probe:
    """Held-out Spearman after training on shuffled labels, median over contexts, is at chance.

    Each context is shuffled over all genes on its own, so the contexts are independent draws and the median over C
    contexts and n held-out genes has a standard deviation of about 1.25 / sqrt(C n); the bound is three of
    them. A gene that was trained on although it counts as held out is remembered, and lifts the correlation.
    """
    table = shuffled(read_table(expression, ["gene_id", *contexts], dtype={"gene_id": "str"}), contexts)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shuffled.tsv"
        write_tsv(table, path)
        predicted = fit(path, Path(folder))
    held_out = predicted.chrom.isin(list(test_chromosomes))
    value, train = median_over_contexts(predicted[held_out]), median_over_contexts(predicted[~held_out])
    genes = predicted[held_out].gene_id.nunique()
    bound = 3 * MEDIAN_WIDENING / np.sqrt(max(1, genes * len(contexts)))
    meaning = "Spearman on held-out genes after training on shuffled labels, median over contexts"
    detail: dict[str, object] = {"genes": genes, "spearman_of_other_genes": round(train, 4), "epochs": EPOCHS}
    # A model that cannot even remember its training genes would never show a leak.
    judged = value if train > bound else np.nan
    reason = "" if np.isfinite(judged) else "the model does not remember its training genes, so no leak could show"
    return Probe("leakage", judged, float(bound), "at most", meaning, detail, reason)


def shuffled(table: pd.DataFrame, contexts: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """The table with each context's values dealt anew to the genes."""
    return table.assign(
        **{name: generator(seed, "shuffle", name).permutation(table[name].to_numpy()) for name in contexts}
    )


def median_over_contexts(predicted: pd.DataFrame) -> float:
    """Spearman of predicted and measured over genes, median over contexts."""
    values = [spearman(table.predicted, table.measured) for _, table in predicted.groupby("context")]
    return float(np.median(values)) if values else float("nan")


class SealFit:
    """:class:`FitExpression` by the seal room: its split, its network, its loop, for a fixed number of epochs.

    The averaged weights of the last epochs count, not the best epoch's: early stopping on shuffled labels would give an
    untrained model, in which no leak could show.

    Parameters
    ----------
    profiles
        Store of TSS profiles.
    settings
        The room's settings; contigs are taken from them; epochs and rates are the probe's own, and all genes count.
    """

    def __init__(self, profiles: str | Path, contexts: Sequence[str], settings: ExpressionSettings, seed: int = 0):
        self.profiles, self.contexts, self.seed = Path(profiles), list(contexts), seed
        phase = settings.pretrain.model_copy(
            update={
                "max_epochs": EPOCHS,
                "patience": EPOCHS,
                "l2": 0.0,
                "learning_rate": LEARNING_RATE,
                "gene_weight": 1.0,
            }
        )
        own = {"pretrain": phase, "hidden": HIDDEN, "batch_size": BATCH, "compat": None, "gene_types": None}
        self.settings = settings.model_copy(update=own)

    def __call__(self, expression: Path, folder: Path) -> pd.DataFrame:
        """Train on ``expression`` and predict all genes."""
        import torch

        from cisweave.models.folders import load_model
        from cisweave.models.profiles import read_profiles
        from cisweave.seal.expression import long_table, prepare_expression, pretrain, read_expression

        training = TrainingSettings(csv_log=False, tensorboard=False, weight_averaging=LEARNING_RATE)
        pretrain(
            self.profiles, expression, self.contexts, folder / "model", self.settings, training, self.seed, device="cpu"
        )
        module = load_model(folder / "model").module
        measured = read_expression(expression, self.contexts)
        data = prepare_expression(read_profiles(self.profiles), measured, self.settings)
        with torch.inference_mode():
            return long_table(data, module(torch.from_numpy(data.features)).numpy())


def split_probe(
    evaluations: Sequence[pd.DataFrame], specs: Mapping[str, ModelSpec], test_chromosomes: Sequence[str]
) -> Probe:
    """Everything on a test contig is held out, in the evaluation tables and in every model's description."""
    genes = sum(
        int((table.chrom.isin(list(test_chromosomes)) & (table.split != "test")).sum()) for table in evaluations
    )
    contigs = [
        f"{chrom} ({name})"
        for name, spec in specs.items()
        for chrom in test_chromosomes
        if chrom not in spec.preprocessing.get("test_chromosomes", [])
    ]
    meaning = "rows of genes on test contigs that are not labelled test, and contigs that a model did not hold out"
    detail: dict[str, object] = {"rows": genes, "contigs": contigs}
    return Probe("held_out", float(genes + len(contigs)), 0.0, "at most", meaning, detail)
