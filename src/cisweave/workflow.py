"""What the Snakemake workflow asks the package while it is parsed: a checked configuration and the names in it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cisweave.config.check import READ_AS_SETTINGS, check_run, input_files, missing_files, shift_too_large
from cisweave.config.load import load_config, read_tracks
from cisweave.config.messages import join_mistakes, suggest
from cisweave.config.model import Config
from cisweave.config.promoters import EmbeddingSettings, ZooModel
from cisweave.config.sections import MotifDatabase
from cisweave.core.errors import CisweaveError
from cisweave.genome.resources.catalogue import Resource, check_licence, read_catalogue, resource_at
from cisweave.models.folders import read_spec
from cisweave.seal.grid import GridPoint, grid_points
from cisweave.simulate import layout
from cisweave.xpresso.split import read_split
from cisweave.xpresso.zoo import BASELINES, check_zoo, embedding_name, embedding_of, embeddings

RESOURCES = Path("resources")
"""Where fetched files are placed."""

#: Raised when the outputs of a room's rules change their meaning; a change re-runs them.
VERSIONS = {"simulate": 2, "genome": 2, "seal": 3, "xpresso": 1, "seqlets": 2, "report": 4}


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
    zoo
        Name -> entry of the promoter models that are trained; none where the room is left out.
    resources
        File in ``resources/`` -> name in the catalogue, of those input files that are fetched: the catalogue knows
        them and they are not there.
    """

    config: Config
    contexts: dict[str, list[str]]
    databases: dict[str, MotifDatabase]
    zoo: dict[str, ZooModel]
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
    def trained_sets(self) -> list[str]:
        """Context sets whose model is fine-tuned in this run, not imported."""
        return [name for name in self.specific_sets if name not in self.config.seal.imported.models]

    @property
    def learnt_sets(self) -> list[str]:
        """Context sets whose model is trained in this run, the pre-trained one included."""
        general = self.pretrained is not None and self.config.seal.imported.pretrained is None
        return [*([self.config.seal.general] if general else []), *self.trained_sets]

    @property
    def evaluated_sets(self) -> list[str]:
        """Context sets with an expression table and a model."""
        modelled = [*self.specific_sets, *([self.config.seal.general] if self.pretrained else [])]
        return [name for name in self.contexts if name in modelled and self._is_measured(name)]

    def _is_measured(self, context_set: str) -> bool:
        """Whether there is an expression table of a set; an imported model does without."""
        imported = {*self.config.seal.imported.models, *([self.config.seal.general] if self._imports_general else [])}
        table = self.config.seal.expression.get(context_set)
        return table is not None and (context_set not in imported or table.is_file() or str(table) in self.world)

    @property
    def _imports_general(self) -> bool:
        """Whether the pre-trained model is imported."""
        return self.config.seal.imported.pretrained is not None

    @property
    def scored_sets(self) -> list[str]:
        """Context sets in which variants are scored; none without a VCF."""
        return self.specific_sets if self.config.genome.vcf else []

    @property
    def proves(self) -> bool:
        """Whether the results are compared with the truth of the built-in world: it has one for these rooms."""
        return bool(self.world) and self.runs("seal") and self.runs("seqlets")

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

    def runs(self, room: str) -> bool:
        """Whether a room is part of the run."""
        return room in self.config.rooms

    def expression(self, context_set: str) -> str:
        """Expression table of a context set; empty where there is none."""
        return str(self.config.seal.expression.get(context_set, ""))

    @property
    def chromatin(self) -> str:
        """Folder of the chromatin model."""
        return str(self.config.seal.imported.chromatin or self.folder / "seal/chromatin")

    @property
    def profiles(self) -> str:
        """Store of the TSS profiles."""
        return str(self.config.seal.imported.profiles or self.folder / "seal/tss_profiles.json")

    @property
    def pretrained(self) -> str | None:
        """Folder of the pre-trained expression model; none where no model needs it."""
        imported = self.config.seal.imported.pretrained
        if imported is None and self.config.seal.general not in self.contexts:
            return None
        return str(imported or self.folder / "seal" / self.trained_folder(self.config.seal.general))

    def candidates(self, context_set: str) -> dict[str, GridPoint]:
        """Folder below ``seal/`` -> hyper-parameters of every model trained for a set; several are chosen from."""
        seal, general = self.config.seal, context_set == self.config.seal.general
        points = grid_points(seal.grid, seal.model, "pretrain" if general else "finetune")
        if len(points) == 1:
            return {"pretrained" if general else f"{context_set}/model": points[0]}
        return {f"{'pretrained' if general else context_set}/grid/{point.name}": point for point in points}

    def trained_folder(self, context_set: str) -> str:
        """Folder below ``seal/`` of the model that is trained for a set, or chosen from several."""
        candidates = list(self.candidates(context_set))
        if len(candidates) == 1:
            return candidates[0]
        return f"{'pretrained' if context_set == self.config.seal.general else context_set}/best"

    @property
    def chosen(self) -> dict[str, list[str]]:
        """Folder below ``seal/`` of a model that is chosen -> the folders it is chosen from."""
        tried = {self.trained_folder(name): list(self.candidates(name)) for name in self.learnt_sets}
        return {folder: found for folder, found in tried.items() if len(found) > 1}

    @property
    def finetune_candidates(self) -> list[str]:
        """Folders below that of a context set in which candidates of fine-tuning stand."""
        found = [folder.partition("/")[2] for name in self.trained_sets for folder in self.candidates(name)]
        return list(dict.fromkeys(found))

    @property
    def typed_genes(self) -> list[str]:
        """The annotation that tells the types of genes; none where the genes come as a BED."""
        genes = self.config.genome.tss
        return [str(genes)] if re.search(r"\.(csv|gtf|gff3?)(\.gz)?$", genes.name) else []

    def groups(self, context_set: str) -> list[str]:
        """Groups of contexts of a set, for the weights of genes; none where there are no groups."""
        path = self.config.seal.groups.get(context_set)
        return [] if path is None else [str(path)]

    def candidate_settings(self, context_set: str, folder: str) -> str:
        """Hyper-parameters of a candidate as JSON text for ``--settings``."""
        return json.dumps(self.candidates(context_set)[folder].settings.model_dump(mode="json"))

    def model(self, context_set: str) -> str:
        """Folder of the expression model of a context set; the general set has the pre-trained one."""
        if context_set == self.config.seal.general and self.pretrained:
            return self.pretrained
        imported = self.config.seal.imported.models.get(context_set)
        return str(imported or self.folder / "seal" / self.trained_folder(context_set))

    def parts(self, step: str) -> list[str]:
        """Names of the jobs that a large step (a key of ``seal.shards``) is cut into, counted from 1."""
        return [str(part) for part in range(1, getattr(self.config.seal.shards, step) + 1)]

    @property
    def promoters(self) -> str:
        """Folder of the promoter models' data."""
        return str(self.config.xpresso.dataset or self.folder / "xpresso/data")

    @cached_property
    def folds(self) -> list[str]:
        """Folds of the promoter models' split, counted from 1."""
        split, number = self.config.xpresso.split, 1
        if split.method == "kfold":
            number = split.folds
        elif split.table is not None:
            number = int(read_split(split.table)["fold"].max())
        return [str(fold) for fold in range(1, number + 1)]

    @cached_property
    def embeddings(self) -> dict[str, EmbeddingSettings]:
        """Name -> settings of the embeddings that promoter models read."""
        return embeddings(self.zoo)

    def embedding(self, name: str) -> str | None:
        """Name of the embedding that a promoter model reads; none where it reads bases."""
        settings = embedding_of(self.zoo[name])
        return None if settings is None else embedding_name(settings)

    def zoo_seeds(self, name: str) -> list[str]:
        """Seeds that a promoter model is trained with."""
        return [str(seed) for seed in self.zoo[name].seeds or self.config.xpresso.seeds]

    def zoo_runs(self, name: str) -> list[str]:
        """Folders, below ``xpresso/models/``, of every training of a promoter model."""
        return [f"{name}/fold{fold}/seed{seed}" for fold in self.folds for seed in self.zoo_seeds(name)]

    @cached_property
    def measured(self) -> dict[str, list[str]]:
        """Folders, below ``xpresso/``, of all trainings of each promoter model, and of the baselines."""
        baselines = {BASELINES: [f"baselines/fold{fold}" for fold in self.folds]} if self.zoo else {}
        return {name: [f"models/{run}" for run in self.zoo_runs(name)] for name in self.zoo} | baselines

    @property
    def promoter_variants(self) -> str:
        """The VCF, on the modelled assembly, whose variants are scored in promoters; empty without one."""
        genome = self.config.genome
        return str(self.folder / f"genome/{'lifted' if genome.chain else 'normalized'}.vcf.gz") if genome.vcf else ""

    def model_entry(self, name: str) -> str:
        """The entry of a promoter model as JSON text: what was written of it, but not its seeds, which are jobs."""
        return self.zoo[name].model_dump_json(exclude_unset=True, exclude={"seeds"})

    @property
    def promoter_sources(self) -> dict[str, str]:
        """Option of ``xpresso build`` -> file, of what the data are made from."""
        xpresso, genome = self.config.xpresso, self.config.genome
        files: dict[str, Path | None] = {"expression": xpresso.expression, **self._gene_tables}
        if xpresso.promoters is not None:
            files["promoters"] = xpresso.promoters
        else:
            cage = xpresso.cage if xpresso.windows is None else None
            files |= {"fasta": genome.fasta, "gtf": genome.gtf, "cage": cage, "bed": xpresso.windows}
        return {option: str(path) for option, path in files.items() if path is not None}

    @property
    def variant_sources(self) -> dict[str, str]:
        """Option of ``xpresso predict-variants`` -> file, of the genes that variants are scored with.

        They are those of the data, as long as these tell where their promoters lie.
        """
        xpresso = self.config.xpresso
        if xpresso.promoters is None:
            return {"data": f"{self.promoters}/dataset.json"}
        files = {"gtf": self.config.genome.gtf, "cage": xpresso.cage, **self._gene_tables}
        return {option: str(path) for option, path in files.items() if path is not None}

    @property
    def _gene_tables(self) -> dict[str, Path | None]:
        """Tables of what is known of genes, by option."""
        return {key: getattr(self.config.xpresso, key) for key in ("halflife", "tf", "mirna", "symbols")}

    @property
    def peaks(self) -> list[str]:
        """Peak files of the chromatin tracks; none where no model is trained on them."""
        if self.config.seal.imported.chromatin is not None or not self.runs("seal"):
            return []
        if self.config.simulate.enabled:
            tracks = layout.tracks(self.config.simulate.size)
            return [str(world_folder(self.config) / f"chromatin/{track}.narrowPeak") for track in tracks]
        return [str(path) for path in read_tracks(self.config.seal.tracks).values()]

    @property
    def first_database(self) -> str:
        """The motif database by which the truth check counts names; empty without any."""
        return next(iter(self.databases), "")

    @property
    def text(self) -> str:
        """The whole configuration as JSON text."""
        return self.config.model_dump_json()

    def settings(self, key: str, *left_out: str) -> str:
        """Return the section at ``key`` (parts separated by dots) as JSON text for a verb's ``--settings``.

        Keys that the verb does not look at are ``left_out``, so that they do not run it again.
        """
        section: Any = self.config
        for part in key.split("."):
            section = getattr(section, part)
        return json.dumps(section.model_dump(mode="json", exclude=set(left_out)))

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
    contexts, databases, zoo = check_run(
        checked, made, columns if files else {}, unready_fetches(checked, resources.values())
    )
    if "seal" in checked.rooms:
        contexts |= imported_contexts(checked, contexts)
        check_imported_chromatin(checked)
    run = Run(checked, contexts, databases, zoo, {product: resource.name for product, resource in resources.items()})
    check_types(run)
    check_promoter_models(run)
    return run


def imported_contexts(config: Config, listed: Collection[str]) -> dict[str, list[str]]:
    """Contexts of imported expression models, by set: the outputs of each model."""
    imported, folders = config.seal.imported, dict(config.seal.imported.models)
    if imported.pretrained is not None:
        folders[config.seal.general] = imported.pretrained
    twice = sorted(set(folders) & set(listed))
    if twice:
        raise CisweaveError(
            f"the model of {', '.join(twice)} is imported, which tells its contexts; take the set out of the table",
            path=config.seal.contexts,
        )
    return {name: read_spec(folder).outputs for name, folder in folders.items()}


def check_promoter_models(run: Run) -> None:
    """Raise if the table of promoter models, their split, or what the configuration says of them is wrong."""
    table, zoo = run.config.xpresso.models, run.zoo
    problems = [f"{table}: {line}" for line in check_zoo(zoo, run.config.xpresso)]
    problems += [
        f"xpresso.predicted: {name} is not a model of {table}; {suggest(name, list(zoo))}"
        for name in run.config.xpresso.predicted
        if zoo and name not in zoo
    ]
    if problems:
        raise CisweaveError(join_mistakes("the configuration", problems))
    if zoo:
        assert run.folds  # a table of folds is read here, where its mistakes are told


def check_types(run: Run) -> None:
    """Raise if models are trained as the published Seal trains and nothing tells the types of genes."""
    if run.learnt_sets and run.config.seal.model.compat and not run.typed_genes:
        raise CisweaveError(
            f'genome.tss: "{run.config.genome.tss}" does not tell the types of genes, which seal.model.compat: seal '
            "needs; write ExPecto's CSV or a GTF"
        )


def check_imported_chromatin(config: Config) -> None:
    """Raise if an imported chromatin model is of another kind, or its window too short for the configured shifts."""
    folder = config.seal.imported.chromatin
    if folder is None:
        return
    spec = read_spec(folder)
    if spec.architecture != "beluga":
        raise CisweaveError(
            f"seal.imported.chromatin needs a model of kind beluga, not {spec.architecture}", path=folder
        )
    problems = shift_too_large(config, int(spec.hyperparameters["window"]), "seal.imported.chromatin")
    if problems:
        raise CisweaveError(problems[0])


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
