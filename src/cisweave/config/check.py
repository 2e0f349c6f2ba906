"""What can be wrong with a configuration beyond its own text: missing files, contexts without a column."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cisweave.config.load import read_contexts, read_databases, read_tracks, read_zoo
from cisweave.config.messages import join_mistakes, suggest
from cisweave.config.model import Config
from cisweave.config.promoters import ZooModel
from cisweave.config.sections import MotifDatabase
from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, is_gzipped, read_text

T = TypeVar("T")
MODEL = "model.yaml"
"""The file that says a model folder is whole."""
DATASET = "dataset.json"
"""The file that says a folder of promoter data is whole."""

#: Input files that are read as settings, not as inputs of a rule: no rule fetches them.
READ_AS_SETTINGS = {"genome.variants.aliases", "genome.fetch.catalogue"}


def check_run(
    config: Config,
    made: Collection[Path] = (),
    columns: Mapping[Path, Sequence[str]] | None = None,
    found: Sequence[str] = (),
) -> tuple[dict[str, list[str]], dict[str, MotifDatabase], dict[str, ZooModel]]:
    """Check everything that a run reads, before any of its jobs.

    Parameters
    ----------
    config
        A validated configuration.
    made
        Input files that a job of the run will make; they may be absent.
    columns
        Path -> contexts of the expression tables among them.
    found
        Mistakes found before, one line each, to be told with the others.

    Returns
    -------
    contexts, databases, zoo
        The contexts per set, the motif databases and the promoter models by name, as the configuration's tables list
        them.

    Raises
    ------
    CisweaveError
        Naming each mistake with the key it comes from, one line each.
    """
    problems = missing_files(input_files(config), made) + inconsistent_genome(config)
    problems += awkward_paths(config) + list(found)
    contexts: dict[str, list[str]] = {}
    databases: dict[str, MotifDatabase] = {}
    zoo: dict[str, ZooModel] = {}
    if "seal" in config.rooms:
        contexts = check_seal(problems, config, made, columns or {})
    if "xpresso" in config.rooms:
        problems += inconsistent_xpresso(config)
        zoo = gather(problems, read_zoo, config.xpresso.models) or {}
    if "seqlets" in config.rooms:
        databases = gather(problems, read_databases, config.seqlets.databases) or {}
        motif_files = {f"{config.seqlets.databases}: {name}.path": db.path for name, db in databases.items() if db.path}
        problems += missing_files(motif_files, made)
    if problems:
        raise CisweaveError(join_mistakes("the configuration", problems))
    return contexts, databases, zoo


def check_seal(
    problems: list[str], config: Config, made: Collection[Path], columns: Mapping[Path, Sequence[str]]
) -> dict[str, list[str]]:
    """Check what the seal room reads, add the mistakes to ``problems`` and return the contexts per set."""
    seal = config.seal
    problems += inconsistent_seal(config) + unknown_contigs(config, made)
    contexts = (gather(problems, read_contexts, seal.contexts) if seal.contexts else None) or {}
    problems += wrong_contexts(config, contexts, made, columns)
    if seal.imported.chromatin is None and seal.tracks not in made and seal.tracks.is_file():
        tracks = gather(problems, read_tracks, seal.tracks) or {}
        problems += missing_files({f"{seal.tracks}: {name}": path for name, path in tracks.items()}, made)
    return contexts


def input_files(config: Config) -> dict[str, Path]:
    """Key -> path of the input files that the rooms of a run read, apart from expression tables of the seal room."""
    genome, cut = config.genome, "xpresso" in config.rooms and not made_promoters(config)
    names = ["fasta"] if "seal" in config.rooms or cut or genome.vcf else []
    names += ["tss"] if "seal" in config.rooms else []
    names += ["gtf", "pairs", "vcf", "vcf_fasta", "chain"]
    files = {f"genome.{key}": getattr(genome, key) for key in names}
    files["genome.variants.aliases"] = genome.variants.aliases
    files["genome.fetch.catalogue"] = genome.fetch.catalogue
    files |= seal_files(config) if "seal" in config.rooms else {}
    files |= xpresso_files(config) if "xpresso" in config.rooms else {}
    return {key: path for key, path in files.items() if path is not None}


def made_promoters(config: Config) -> bool:
    """Whether promoters come ready-made, not from a genome."""
    return config.xpresso.promoters is not None or config.xpresso.dataset is not None


def seal_files(config: Config) -> dict[str, Path | None]:
    """Key -> path of the input files of the seal room."""
    seal = config.seal
    files: dict[str, Path | None] = {"seal.imported.profiles": seal.imported.profiles, "seal.phased": seal.phased}
    if seal.imported.chromatin is None:
        files["seal.tracks"] = seal.tracks
    else:
        files["seal.imported.chromatin"] = seal.imported.chromatin / MODEL
    if seal.imported.pretrained is not None:
        files["seal.imported.pretrained"] = seal.imported.pretrained / MODEL
    files |= {f"seal.imported.models.{name}": folder / MODEL for name, folder in seal.imported.models.items()}
    files |= {f"seal.groups.{name}": path for name, path in seal.groups.items()}
    return files | {f"seal.annotation.{name}": path for name, path in seal.annotation.items()}


def xpresso_files(config: Config) -> dict[str, Path | None]:
    """Key -> path of the input files of the xpresso room."""
    xpresso = config.xpresso
    files = {f"xpresso.split.{key}": getattr(xpresso.split, key) for key in ("groups", "table")}
    if xpresso.dataset is not None:
        return {**files, "xpresso.dataset": xpresso.dataset / DATASET}
    names = ("expression", "promoters", "windows", "cage", "halflife", "tf", "mirna", "symbols")
    return files | {f"xpresso.{key}": getattr(xpresso, key) for key in names}


def inconsistent_xpresso(config: Config) -> list[str]:
    """Keys of the xpresso room that contradict each other."""
    xpresso, genome, problems = config.xpresso, config.genome, []
    if not made_promoters(config) and xpresso.windows is None and genome.gtf is None:
        problems.append(
            "xpresso: there is nothing to take promoters from; write genome.gtf, or xpresso.promoters, "
            "xpresso.windows or xpresso.dataset"
        )
    if xpresso.predicted and genome.vcf is None:
        problems.append("xpresso.predicted: this needs genome.vcf; write it, or leave predicted empty")
    if xpresso.predicted and xpresso.promoters is not None and genome.gtf is None:
        problems.append(
            "xpresso.predicted: this needs genome.gtf, for a FASTA of promoters has no places; write it, or leave "
            "predicted empty"
        )
    return problems


def missing_files(files: Mapping[str, Path], made: Collection[Path]) -> list[str]:
    """One line for each file that neither exists nor will be made."""
    return [
        f'{key}: "{path}" does not exist; write the path of a file, from {Path.cwd()}'
        for key, path in files.items()
        if path not in made and not path.is_file()
    ]


def awkward_paths(config: Config) -> list[str]:
    """One line for each path that Snakemake would read as a pattern."""
    return [
        f'{key}: "{path}" holds braces, which Snakemake reads as wildcards; rename the file or link to it'
        for key, path in input_files(config).items()
        if set("{}") & set(str(path))
    ]


def inconsistent_genome(config: Config) -> list[str]:
    """Keys about the VCF's assembly that only make sense together."""
    genome = config.genome
    if genome.chain is not None and genome.vcf_fasta is None:
        return ["genome.vcf_fasta: null cannot go with a chain; write the FASTA of the assembly the VCF is on"]
    if genome.vcf_fasta is not None and genome.chain is None and genome.vcf_fasta != genome.fasta:
        return ["genome.chain: null cannot go with another assembly; write the chain from vcf_fasta to fasta"]
    if (genome.closest.mode == "pairs") != (genome.pairs is not None):
        return ["genome.pairs: a table of pairs and genome.closest.mode pairs go together; write both or neither"]
    return [
        f"genome.extract.{key}: reject would leave windows out that the workflow needs; write another value"
        for key in ("unknown", "edges")
        if getattr(genome.extract, key) == "reject"
    ]


def inconsistent_seal(config: Config) -> list[str]:
    """Keys of the seal room that contradict each other."""
    seal, problems = config.seal, []
    if seal.imported.chromatin is None:
        problems += shift_too_large(config, seal.chromatin.network.window, "seal.chromatin.network.window")
    if seal.predict.mode == "haplotype":
        problems += [
            f"seal.{key}: this explains scores of shifted windows; it cannot go with seal.predict.mode haplotype"
            for key, asked in (
                ("explain.tracks", seal.explain.tracks),
                ("explain.bases", seal.explain.bases),
                ("saturate.genes", seal.saturate.genes),
            )
            if asked
        ]
    named = {"groups": seal.groups, "annotation": seal.annotation}
    known = [*seal.expression, *seal.imported.models]
    problems += [
        f"seal.{key}: {name} is not a context set; {suggest(name, known)}"
        for key, files in named.items()
        for name in files
        if name not in known
    ]
    for key in ("chromatin", "model"):
        section = getattr(seal, key)
        both = sorted(set(section.valid_chromosomes) & set(section.test_chromosomes))
        if both:
            problems.append(
                f"seal.{key}.test_chromosomes: {', '.join(both)} cannot be in valid_chromosomes too; write each in one"
            )
    return problems


def shift_too_large(config: Config, window: int, source: str) -> list[str]:
    """A line if the shifted windows would not hold the variant; ``source`` tells where the window comes from."""
    predict = config.seal.predict
    if predict.mode == "haplotype" or predict.max_shift < window // 2:
        return []
    return [
        f"seal.predict.max_shift: {predict.max_shift} is too large for a window of {window} bases "
        f"({source}); write a multiple of {predict.shift_step} below {window // 2}"
    ]


def unknown_contigs(config: Config, made: Collection[Path]) -> list[str]:
    """One line for each split that names a contig the FASTA lacks, where its index is there to tell."""
    index = config.genome.fasta.with_name(config.genome.fasta.name + ".fai")
    if config.genome.fasta in made or not index.is_file():
        return []
    known = [line.split("\t")[0] for line in read_text(index).splitlines()]
    return [
        f"seal.{section}.{key}: {contig} is not a contig of {config.genome.fasta}; {suggest(contig, known)}"
        for section in trained_sections(config)
        for key in ("valid_chromosomes", "test_chromosomes")
        for contig in getattr(getattr(config.seal, section), key)
        if contig not in known
    ]


def trained_sections(config: Config) -> list[str]:
    """Sections of the models that are trained in the run, not imported."""
    seal = config.seal
    return [
        *(["chromatin"] if seal.imported.chromatin is None else []),
        *(["model"] if seal.contexts is not None or seal.imported.pretrained is not None else []),
    ]


def wrong_contexts(
    config: Config,
    contexts: Mapping[str, Sequence[str]],
    made: Collection[Path],
    columns: Mapping[Path, Sequence[str]],
) -> list[str]:
    """One line for each context set without a table and each context that is not a column of its table."""
    seal, problems = config.seal, []
    if not contexts and seal.contexts is None and not seal.imported.models:
        problems.append("seal.contexts: null goes with imported models only; write the table, or seal.imported.models")
    if contexts and seal.general not in contexts and seal.imported.pretrained is None:
        problems.append(
            f'seal.general: "{seal.general}" is not a set of {seal.contexts}; {suggest("", list(contexts))}'
        )
    for name, wanted in contexts.items():
        key, table = f"seal.expression.{name}", seal.expression.get(name)
        if table is None:
            problems.append(f"{key} is missing; write the expression table of the set {name} of {seal.contexts}")
            continue
        absent = missing_files({key: table}, made)
        problems += absent
        if absent:
            continue
        known = columns[table] if table in columns else gather(problems, table_columns, table)
        if known is None:
            continue
        problems += [
            f"{seal.contexts}: {context!r} (set {name}) is not a column of {table}; {suggest(context, list(known))}"
            for context in wanted
            if context not in known
        ]
    return problems


def table_columns(path: Path) -> list[str]:
    """The columns of an expression table after ``gene_id``, from its first line (plain or gzip)."""
    opener = gzip.open if is_gzipped(existing(path)) else open
    with opener(path, "rt", encoding="utf-8") as handle:
        header = handle.readline().rstrip("\r\n").split("\t")
    if header[0] != "gene_id":
        raise CisweaveError(f"the first column must be gene_id, not {header[0]!r}", path=path, line=1)
    return header[1:]


def gather(problems: list[str], read: Callable[[Path], T], path: Path) -> T | None:
    """Read a file; if it is wrong, add the mistake to ``problems`` and go on without."""
    try:
        return read(path)
    except CisweaveError as error:
        problems.append(str(error))
        return None
