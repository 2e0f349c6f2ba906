"""What the Snakemake workflow asks the package while it is parsed: a checked configuration and the names in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cisweave.config.check import READ_AS_SETTINGS, check_run, input_files, missing_files
from cisweave.config.load import load_config, read_tracks
from cisweave.config.model import Config
from cisweave.config.sections import MotifDatabase
from cisweave.core.errors import CisweaveError
from cisweave.genome.resources.catalogue import Resource, check_licence, read_catalogue, resource_at
from cisweave.simulate import layout

RESOURCES = Path("resources")
"""Where fetched files are placed."""

#: Raised when the outputs of a room's rules change their meaning; a change re-runs them.
VERSIONS = {"simulate": 1, "genome": 2, "seal": 2, "seqlets": 2, "report": 2}


@dataclass(frozen=True)
class Run:
    """A run that may start: its configuration and tables are free of mistakes.

    Attributes
    ----------
    config
        The configuration with all defaults.
    contexts
        Context set -> contexts.
    databases
        Name -> motif database.
    resources
        File in ``resources/`` -> name in the catalogue, of those input files that are fetched: the catalogue knows
        them and they are not there.
    """

    config: Config
    contexts: dict[str, list[str]]
    databases: dict[str, MotifDatabase]
    resources: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where all output stands."""
        return Path("results") / self.config.run

    @property
    def specific_sets(self) -> list[str]:
        """Context sets that are fine-tuned; variants are scored in their contexts."""
        return [name for name in self.contexts if name != self.config.seal.general]

    @property
    def scored_sets(self) -> list[str]:
        """Context sets in which variants are scored; none without a VCF."""
        return self.specific_sets if self.config.genome.vcf else []

    @property
    def vcf_fasta(self) -> Path:
        """FASTA of the assembly the VCF is on."""
        return self.config.genome.vcf_fasta or self.config.genome.fasta

    @property
    def world_folder(self) -> str:
        """Folder of the built-in world."""
        return str(world_folder(self.config))

    @property
    def world(self) -> list[str]:
        """Files the built-in world consists of, its manifest last; none when it is off."""
        return [str(path) for path in world_files(self.config)]

    def expression(self, context_set: str) -> str:
        """Expression table of a context set."""
        return str(self.config.seal.expression[context_set])

    @property
    def peaks(self) -> list[str]:
        """Peak files of the chromatin tracks."""
        if self.config.simulate.enabled:
            tracks = layout.tracks(self.config.simulate.size)
            return [str(world_folder(self.config) / f"chromatin/{track}.narrowPeak") for track in tracks]
        return [str(path) for path in read_tracks(self.config.seal.tracks).values()]

    @property
    def first_database(self) -> str:
        """The motif database by which the truth check counts names."""
        return next(iter(self.databases))

    @property
    def text(self) -> str:
        """The whole configuration as JSON text."""
        return self.config.model_dump_json()

    def settings(self, key: str) -> str:
        """Return the section at ``key`` (parts separated by dots) as JSON text for a verb's ``--settings``."""
        section: Any = self.config
        for part in key.split("."):
            section = getattr(section, part)
        return json.dumps(section.model_dump(mode="json"))

    def database_entry(self, name: str) -> str:
        """Return the entry of a motif database as JSON text."""
        return json.dumps(self.databases[name].model_dump(mode="json"))

    def gpus(self, training: bool = False) -> int:
        """GPUs that a job asks the scheduler for: none with ``device: cpu``, those of the trainer in training."""
        if self.config.device == "cpu":
            return 0
        devices = self.config.training.trainer.devices
        if not training or devices == "auto":
            return 1
        return devices if isinstance(devices, int) else len(devices)


def open_run(config: Mapping[str, Any]) -> Run:
    """Validate a merged configuration and everything it points to.

    Raises
    ------
    CisweaveError
        Naming each mistake, one line each.
    """
    checked = load_config(config)
    files = world_files(checked)
    folder = world_folder(checked)
    columns = {folder / f"expression/{name}.tsv": contexts for name, contexts in layout.CONTEXTS.items()}
    resources = fetchable(checked)
    made = [*files, *map(RESOURCES.joinpath, resources)]
    contexts, databases = check_run(
        checked, made, columns if files else {}, unready_fetches(checked, resources.values())
    )
    return Run(checked, contexts, databases, {product: resource.name for product, resource in resources.items()})


def fetchable(config: Config) -> dict[str, Resource]:
    """Input files that are not there and that the catalogue knows: file in ``resources/`` -> resource.

    A file that is there is no output of any rule, whoever put it there: neither the settings of fetching nor the
    version of the room re-run what was made from it, and a job that parses the workflow anew after the download sees a
    plain input.
    """
    named = config.genome.fetch.catalogue  # a missing one is told with all other mistakes
    catalogue = read_catalogue(named if named is not None and named.is_file() else None)
    paths = [path for key, path in input_files(config).items() if key not in READ_AS_SETTINGS and not path.is_file()]
    found = {path: resource_at(path, RESOURCES, catalogue) for path in paths}
    return {
        resource.product: resource
        for path, resource in found.items()
        if resource is not None and resource.unpack in ("none", "gz") and path == RESOURCES / resource.product
    }


def unready_fetches(config: Config, resources: Iterable[Resource]) -> list[str]:
    """One line for each resource whose licence was not accepted or whose local copy is not there."""
    settings, problems = config.genome.fetch, []
    local = {}
    for resource in resources:
        try:
            check_licence(resource, settings.accept_licences)
        except CisweaveError as error:
            problems.append(str(error))
        if resource.name in settings.local_paths:
            local[f"genome.fetch.local_paths.{resource.name}"] = settings.local_paths[resource.name]
    return problems + missing_files(local, ())


def world_folder(config: Config) -> Path:
    """Where the built-in world of a run stands."""
    return Path("results") / config.run / "simulate"


def world_files(config: Config) -> list[Path]:
    """Every file of the built-in world, the manifest last; none when the configuration does not ask for one."""
    if not config.simulate.enabled:
        return []
    folder = world_folder(config)
    return [folder / name for name in (*layout.files(config.simulate.size), layout.MANIFEST)]
