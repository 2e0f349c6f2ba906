# What all rules share: the checked configuration, the names in it, wildcard constraints, final targets.
# Checks and look-ups are cisweave.workflow's; this file only hands them to the rules.
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# The package of this checkout, if there is one, goes before an installed one, here and in the jobs.
CHECKOUT = Path(str(workflow.current_basedir)).parent
PACKAGE, SCRIPTS = CHECKOUT / "src", os.path.relpath(CHECKOUT / "scripts")
sys.path.insert(0, str(PACKAGE))

from cisweave.core.errors import CisweaveError
from cisweave.workflow import VERSIONS, open_run

try:
    RUN = open_run(config)
except CisweaveError as error:
    raise WorkflowError(str(error)) from None
config.update(RUN.config.model_dump(mode="json"))

# A shell line is a command that can be pasted. In a job, cisweave means the package of this checkout under the job's own
# Python (a conda environment has no cisweave of its own); compiled functions are kept between jobs.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
NUMBA_CACHE = os.environ.get("NUMBA_CACHE_DIR") or Path.cwd() / ".cache" / "numba"
PREFIX = [
    "set -euo pipefail",
    f"export PYTHONPATH={shlex.quote(str(PACKAGE))} NUMBA_CACHE_DIR={shlex.quote(str(NUMBA_CACHE))}",
    *([] if CONDA else [f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"']),
    'cisweave() { python -m cisweave "$@"; }; ',
]
# Snakemake formats the prefix, so braces are doubled.
shell.prefix("; ".join(PREFIX).replace("{", "{{").replace("}", "}}"))


def any_of(names):
    """A pattern that just these names fit; none where there is no name."""
    return "|".join(map(re.escape, names)) or "(?!)"


pathvars:
    results=str(RUN.folder),


wildcard_constraints:
    context_set=any_of(RUN.contexts),
    database=any_of(RUN.databases),
    part=r"\d+",
    method="[A-Za-z]+",
    product=any_of(RUN.resources),
    promoter_model=any_of(RUN.zoo),
    measured=any_of(RUN.measured),
    embedding=any_of(RUN.embeddings),
    fold=r"\d+",
    seed=r"\d+",


def megabytes(base):
    """Memory of a job in MB; a retry (profiles set them) gets as much again."""
    return lambda wildcards, attempt: base * attempt


def minutes(base):
    """Longest run time of a job in minutes; a retry gets as much again."""
    return lambda wildcards, attempt: base * attempt


def contexts_of(wildcards):
    """The contexts of a set (the general one where none is named) as their table lists them, separated by commas."""
    return ",".join(RUN.contexts[wildcards.get("context_set", RUN.config.seal.general)])


def general_expression(wildcards):
    """The expression table of the general set, if there is one."""
    return RUN.expression(RUN.config.seal.general) or []


def phased_genotypes(wildcards):
    """The VCF with phased genotypes, if there is one."""
    return RUN.config.seal.phased or []


def context_groups(wildcards):
    """The groups of contexts of a set, if there is a table of them."""
    return RUN.groups(wildcards.context_set)


def candidate_settings(wildcards):
    """Hyper-parameters of a candidate as JSON."""
    context_set = wildcards.get("context_set")
    folder = f"{context_set}/{wildcards.candidate}" if context_set else wildcards.candidate
    return RUN.candidate_settings(context_set or RUN.config.seal.general, folder)


def candidate_weights(wildcards):
    """Weights of the models that are chosen from."""
    return [f"<results>/seal/{folder}/weights.safetensors" for folder in RUN.chosen[wildcards.chosen]]


def expression_model(name):
    """A file of the expression model of a set."""
    return lambda wildcards: f"{RUN.model(wildcards.context_set)}/{name}"


def model_split(wildcards):
    """The split of genes of a set's expression model; an imported model may be without."""
    split = f"{RUN.model(wildcards.context_set)}/genes.tsv"
    return split if wildcards.context_set in RUN.learnt_sets or Path(split).is_file() else []


def context_annotation(wildcards):
    """The file that names the contexts of a set, if there is one."""
    return RUN.config.seal.annotation.get(wildcards.context_set, [])


def options_of(sources):
    """Options of a verb, each with its file, or with the folder of data that the file makes whole."""

    def words(wildcards, input):
        files = {option: Path(input.get(option)) for option in sources}
        return [
            word
            for option, file in files.items()
            for word in (f"--{option}", str(file.parent if file.name == "dataset.json" else file))
        ]

    return words


def embedding_settings(wildcards):
    """Settings of an embedding of promoters as JSON."""
    return RUN.embeddings[wildcards.embedding].model_dump_json()


def embedding_file(wildcards):
    """The embedding that a promoter model reads, if it reads one."""
    name = RUN.embedding(wildcards.promoter_model)
    return f"<results>/xpresso/embeddings/{name}/fold{wildcards.fold}.h5" if name else []


def model_entry(wildcards):
    """The entry of a promoter model as JSON."""
    return RUN.model_entry(wildcards.promoter_model)


def run_files(name):
    """A file of every training of a promoter model, or of the baselines of every fold."""
    return lambda wildcards: [f"<results>/xpresso/{run}/{name}" for run in RUN.measured[wildcards.measured]]


def histories(wildcards):
    """Losses of every training of a promoter model; baselines have none."""
    return run_files("history.csv")(wildcards) if wildcards.measured in RUN.zoo else []


def evaluations(wildcards):
    """Evaluations of all promoter models and of the baselines."""
    if not RUN.zoo:
        raise WorkflowError("rooms: xpresso is not among them; add it")
    return expand("<results>/xpresso/evaluations/{measured}/evaluation.tsv", measured=RUN.measured)


def motif_file(wildcards):
    """The MEME file of a motif database; a JASPAR release needs none."""
    return RUN.databases[wildcards.database].path or []


def database_entry(wildcards):
    """The entry of a motif database as JSON."""
    return RUN.database_entry(wildcards.database)


def each(option, name, folder=False):
    """Repeat an option before every file of a named input, or before the folder each stands in."""

    def words(wildcards, input):
        files = [input.get(name)] if isinstance(input.get(name), str) else input.get(name)
        return [word for path in files for word in (option, str(Path(path).parent) if folder else path)]

    return words


def final_targets():
    """All files the configuration asks for."""
    targets = ["<results>/report.html", *(["<results>/passed.json"] if RUN.proves else [])]
    for room, of_room in (("seal", seal_targets), ("xpresso", xpresso_targets), ("seqlets", seqlets_targets)):
        targets += of_room() if RUN.runs(room) else []
    return targets


def seal_targets():
    """All files of the seal room, and what becomes of its variants in the genome room."""
    targets = expand("<results>/seal/{context_set}/evaluation.tsv", context_set=RUN.evaluated_sets)
    targets += expand("<results>/seal/{context_set}/effects.tsv", context_set=RUN.scored_sets)
    targets += expand("<results>/genome/{context_set}/ledger.json", context_set=RUN.scored_sets)
    explain = RUN.config.seal.explain
    places = expand("<results>/seal/{context_set}", context_set=RUN.scored_sets)
    targets += expand("{place}/interpret/{method}/tracks.parquet", place=places, method=explain.tracks)
    targets += expand("{place}/attribute/qc.tsv", place=places) if explain.bases else []
    places = expand("<results>/seal/{context_set}", context_set=RUN.specific_sets)
    targets += expand("{place}/saturate/effects.parquet", place=places) if RUN.config.seal.saturate.genes else []
    targets += expand("{place}/haplotype/effects.parquet", place=places) if RUN.config.seal.phased else []
    return targets


def xpresso_targets():
    """All files of the xpresso room."""
    scored = [run for name in RUN.config.xpresso.predicted for run in RUN.zoo_runs(name)]
    return ["<results>/xpresso/comparison/comparison.tsv", *expand("<results>/xpresso/effects/{run}.tsv", run=scored)]


def seqlets_targets():
    """All files of the seqlets room."""
    names = ["annotated", *(["motif_effects"] if RUN.scored_sets else [])]
    return expand("<results>/seqlets/{database}/{name}.tsv", database=RUN.databases, name=names)
