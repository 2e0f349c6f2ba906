"""The results of a run as the page's sections ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, read_json
from cisweave.genome.figures import TABLES
from cisweave.models.folders import HISTORY, METRICS, SPEC
from cisweave.seal.figures import TABLES as SEAL_TABLES
from cisweave.seqlets.annotate import ANNOTATED_COLUMNS
from cisweave.seqlets.effects import MOTIF_EFFECT_COLUMNS
from cisweave.seqlets.loci import rank_variants
from cisweave.tables.frames import read_table
from cisweave.tables.receipts import receipt_path
from cisweave.xpresso.figures import NAME_COLUMNS
from cisweave.xpresso.figures import TABLES as XPRESSO_TABLES


@dataclass(frozen=True)
class ReportFiles:
    """What goes into the page; everything may be absent.

    Attributes
    ----------
    run
        Name of the run.
    config
        The whole configuration, as JSON text or the path of a YAML or JSON file.
    chromatin, pretrained, models
        Model folders; ``models`` are the fine-tuned ones.
    evaluations, effects, ledgers
        Per context set (the name of the folder a file stands in; of the folder above for a ``model`` folder).
    genome
        Folder of the genome room's figures and tables.
    seal, xpresso
        Folders of the rooms' figures and tables.
    qc
        Quality of the attributions.
    annotated, motif_effects, logos
        Per motif database (the name of the folder a file stands in).
    truth
        The truth check.
    """

    run: str = "run"
    config: str | None = None
    chromatin: Path | None = None
    pretrained: Path | None = None
    models: Sequence[Path] = field(default_factory=list)
    evaluations: Sequence[Path] = field(default_factory=list)
    effects: Sequence[Path] = field(default_factory=list)
    ledgers: Sequence[Path] = field(default_factory=list)
    genome: Path | None = None
    seal: Path | None = None
    xpresso: Path | None = None
    qc: Path | None = None
    annotated: Sequence[Path] = field(default_factory=list)
    motif_effects: Sequence[Path] = field(default_factory=list)
    logos: Sequence[Path] = field(default_factory=list)
    truth: Path | None = None

    def results(self) -> Iterator[tuple[str, Path]]:
        """Name and file of every result that may have a receipt."""
        for name, folder in self.model_folders().items():
            yield name, folder / SPEC
        for name, paths in (
            ("evaluation", self.evaluations),
            ("variant effects", self.effects),
            ("seqlets", self.annotated),
            ("motif effects", self.motif_effects),
        ):
            for path in paths:
                yield f"{name}, {path.parent.name}", path
        counts = None if self.genome is None else self.genome / "summary.tsv"
        performance = None if self.seal is None else self.seal / "performance.tsv"
        comparison = None if self.xpresso is None else self.xpresso / "comparison.tsv"
        for name, single in (
            ("allele counts", counts),
            ("performance", performance),
            ("promoter models", comparison),
            ("attribution quality", self.qc),
            ("truth check", self.truth),
        ):
            if single is not None:
                yield name, single

    def model_folders(self) -> dict[str, Path]:
        """Model folders by the name they are shown under."""
        folders = {"chromatin": self.chromatin, "expression, pre-trained": self.pretrained}
        named = {name: folder for name, folder in folders.items() if folder is not None}
        return named | {f"expression, {folder.parent.name}": folder for folder in self.models}

    def inputs(self) -> list[Path]:
        """All files that are read, for the receipt."""
        models = [folder / SPEC for folder in self.model_folders().values()]
        single = [path for path in (self.qc, self.truth) if path is not None]
        many = (self.evaluations, self.effects, self.ledgers, self.annotated, self.motif_effects, self.logos)
        counts = [] if self.genome is None else [self.genome / f"{name}.tsv" for name in TABLES]
        tables = [] if self.seal is None else [self.seal / f"{name}.tsv" for name in SEAL_TABLES]
        compared = [] if self.xpresso is None else [self.xpresso / f"{name}.tsv" for name in XPRESSO_TABLES]
        return [*models, *counts, *tables, *compared, *(path for paths in many for path in paths), *single]


class ReportData:
    """Reads each table when a section asks for it, and once."""

    def __init__(self, files: ReportFiles):
        self.files = files

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration; empty where none was given."""
        text = self.files.config
        if text is None:
            return {}
        if not text.lstrip().startswith("{"):
            text = existing(text).read_text(encoding="utf-8")
        try:
            parsed = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CisweaveError(f"--config is neither YAML nor JSON ({error})") from error
        return parsed if isinstance(parsed, dict) else {}

    @cached_property
    def histories(self) -> dict[str, pd.DataFrame]:
        """Training history of each model."""
        return {name: pd.read_csv(existing(folder / HISTORY)) for name, folder in self.files.model_folders().items()}

    @cached_property
    def chromatin_metrics(self) -> dict[str, Any]:
        """Metrics of the chromatin model; empty where there is none."""
        folder = self.files.chromatin
        metrics: dict[str, Any] = {} if folder is None else read_json(folder / METRICS)
        return metrics

    @cached_property
    def evaluation(self) -> pd.DataFrame:
        """Predicted and measured expression of the test genes of all context sets, with column ``set``."""
        columns = ["gene_id", "chrom", "split", "context", "measured", "predicted"]
        tables = [read_table(path, columns).assign(set=path.parent.name) for path in self.files.evaluations]
        if not tables:
            return pd.DataFrame(columns=[*columns, "set"])
        table = pd.concat(tables, ignore_index=True)
        return table[table.split == "test"].reset_index(drop=True)

    @cached_property
    def variants(self) -> pd.DataFrame:
        """Every scored variant once with its strongest context and effect, strongest first."""
        return rank_variants(self.files.effects)

    @cached_property
    def motif_effects(self) -> pd.DataFrame:
        """What the attributed variants do to motifs, by the first database."""
        if not self.files.motif_effects:
            return pd.DataFrame(columns=list(MOTIF_EFFECT_COLUMNS))
        return read_table(self.files.motif_effects[0], MOTIF_EFFECT_COLUMNS)

    @cached_property
    def seqlets(self) -> dict[str, pd.DataFrame]:
        """Seqlets with their best match, per database."""
        tables = {path.parent.name: read_table(path, ANNOTATED_COLUMNS) for path in self.files.annotated}
        return {name: table[table["rank"] == 1] for name, table in tables.items()}

    @cached_property
    def qc(self) -> pd.DataFrame | None:
        """Quality of the attributions."""
        return None if self.files.qc is None else read_table(self.files.qc, ["item_id", "delta_rel", "status"])

    @cached_property
    def ledgers(self) -> dict[str, dict[str, Any]]:
        """Summary of the reject ledger per context set."""
        return {path.parent.name: read_json(path) for path in self.files.ledgers}

    @cached_property
    def genome(self) -> dict[str, pd.DataFrame]:
        """Tables of the genome room by name; none where its figures are not given."""
        folder = self.files.genome
        return {} if folder is None else {name: read_table(folder / f"{name}.tsv") for name in TABLES}

    @cached_property
    def seal(self) -> dict[str, pd.DataFrame]:
        """Tables of the seal room by name; none where its figures are not given."""
        folder = self.files.seal
        return {} if folder is None else {name: read_table(folder / f"{name}.tsv") for name in SEAL_TABLES}

    @cached_property
    def xpresso(self) -> dict[str, pd.DataFrame]:
        """Tables of the xpresso room by name; none where its figures are not given."""
        folder = self.files.xpresso
        if folder is None:
            return {}
        return {name: read_table(folder / f"{name}.tsv", dtype=NAME_COLUMNS[name]) for name in XPRESSO_TABLES}

    @cached_property
    def logos(self) -> list[tuple[Path, dict[str, Any]]]:
        """PNG file and entry of every logo."""
        return [(path.with_suffix("") / entry["file"], entry) for path in self.files.logos for entry in read_json(path)]

    @cached_property
    def truth(self) -> dict[str, Any] | None:
        """The truth check; None for runs on real data."""
        return None if self.files.truth is None else read_json(self.files.truth)

    @cached_property
    def receipts(self) -> dict[str, dict[str, Any]]:
        """The identity part of each result's receipt, where there is one."""
        found = ((name, receipt_path(path)) for name, path in self.files.results())
        return {name: read_json(path)["identity"] for name, path in found if path.exists()}
