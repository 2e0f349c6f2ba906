"""Every rule has the form the project promises: names, logs, resources, and a command that exists."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from cisweave.cli import build
from cisweave.genome import figures as genome_figures
from cisweave.genome.resources.catalogue import COLUMNS
from cisweave.seal import figures as seal_figures
from cisweave.xpresso import figures as xpresso_figures
from tests.workflow.snake import ROOT, Done, Folder

GPU_RULES = {
    "seal_train_chromatin",
    "seal_profile_tss",
    "seal_pretrain",
    "seal_finetune",
    "seal_predict",
    "seal_interpret",
    "seal_attribute",
    "seal_saturate",
    "seal_haplotype",
    "xpresso_train",
    "xpresso_predict_variants",
    "seqlets_attribute",
}
SCRIPTS = {"genome_figures", "seal_figures", "xpresso_figures", "seqlets_logos"}
RULES = sorted((ROOT / "rules").glob("*.smk"))


def all_blocks() -> dict[str, str]:
    """Name of a rule or target -> its text."""
    found = {}
    for path in RULES:
        for block in re.split(r"^(?=[ ]*rule \w+:)", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.match(r"\s*rule (\w+):", block)
            assert name is not None
            found[name[1]] = block
    return found


def blocks() -> dict[str, str]:
    """Rule name -> its text."""
    return {name: block for name, block in all_blocks().items() if not name.startswith("figures_")}


def targets() -> dict[str, str]:
    """Target figures_<room> -> its text."""
    return {name: block for name, block in all_blocks().items() if name not in blocks()}


def test_snakefile_is_short() -> None:
    assert len((ROOT / "workflow/Snakefile").read_text().splitlines()) < 40


def test_there_is_no_default_profile() -> None:
    # Snakemake would load it by itself and let it override --profile.
    assert {path.name for path in (ROOT / "profiles").iterdir()} == {"local", "slurm"}
    assert not (ROOT / "workflow/profiles").exists()


def test_there_are_no_checkpoints() -> None:
    assert not [path for path in RULES if re.search(r"^\s*checkpoint ", path.read_text(), flags=re.MULTILINE)]


@pytest.mark.parametrize(("name", "block"), sorted(blocks().items()))
def test_rule_is_complete(name: str, block: str) -> None:
    assert re.match(r'\s*rule \w+:\n\s+"""[A-Z]', block), "a docstring comes first"
    for part in ("output", "log", "benchmark", "conda", "threads", "resources", "params", "message", "shell"):
        assert re.search(rf"^\s+{part}:", block, flags=re.MULTILINE), part
    for part in ("mem_mb=", "runtime=", "version=VERSIONS["):
        assert part in block, part
    assert ("gpu=" in block) == (name in GPU_RULES)


@pytest.mark.parametrize(("name", "block"), sorted(targets().items()))
def test_target_only_gathers_the_figures_of_its_room(name: str, block: str, new_folder: Folder) -> None:
    assert re.match(r'\s*rule \w+:\n\s+"""[A-Z]', block), "a docstring comes first"
    assert set(re.findall(r"^    (\w+):$", block, flags=re.MULTILINE)) == {"input", "message"}
    done = new_folder.dry_run(name)
    assert done.status == 0, done.text
    room = name.removeprefix("figures_")
    programs = {rule for rule in SCRIPTS if rule.startswith(f"{room}_")}
    assert programs
    assert programs | {name} <= done.rules()
    assert not {rule for rule in done.rules() if rule.startswith("report_")}


def test_every_program_for_figures_has_a_target() -> None:
    assert {f"figures_{rule.partition('_')[0]}" for rule in SCRIPTS} == set(targets())


def test_demo_all_makes_every_figure() -> None:
    command = ["make", "--no-print-directory", "-n", "demo-all"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # under make itself too
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=plain)
    assert done.stdout.splitlines()[-1].split() == ["scripts/demo.sh", "--all-rooms", "all", *sorted(targets())]


def test_program_and_rule_name_the_same_figures(plan: Done) -> None:
    for room, module in (("genome", genome_figures), ("seal", seal_figures), ("xpresso", xpresso_figures)):
        names = {f"{name}.{kind}" for name in module.FIGURES for kind in ("png", "svg")}
        names |= {f"{name}.tsv" for name in module.TABLES}
        written = plan.job(f"{room}_figures")["output"]
        assert sorted(written) == sorted(f"results/demo/{room}/figures/{name}" for name in names)


def test_every_rule_is_part_of_the_demo(plan: Done) -> None:
    assert plan.rules() == set(blocks()) - {"genome_fetch", "seal_select", "seal_haplotype"}


def test_rule_command_log_and_benchmark_share_a_name(plan: Done) -> None:
    for job in plan.jobs:
        if job["rule"] == "all":
            continue
        room, _, verb = job["rule"].partition("_")
        verb = verb.replace("_", "-")
        instance = "/".join(job["wildcards"].values()) or "all"
        words = shlex.split(job["command"])
        if job["rule"] in SCRIPTS:
            assert words[0] == "python"
            assert Path(words[1]).name == f"{job['rule']}.py"
        else:
            assert words[: 2 + bool(verb)] == ["cisweave", room, *([verb] if verb else [])]
        place = "/".join(part for part in (room, verb, instance) if part)
        assert job["log"] == [f"results/demo/logs/{place}.log"]
        assert job["benchmark"] == f"results/demo/benchmarks/{place}.tsv"
        assert words[-3:] == [">", job["log"][0], "2>&1"]


def test_commands_are_accepted_by_the_command_line(plan: Done) -> None:
    top: Any = typer.main.get_command(build())
    for job in plan.jobs:
        if job["rule"] == "all" or job["rule"] in SCRIPTS:
            continue
        words = shlex.split(job["command"])[1:-3]
        command, context = top, top.make_context("cisweave", list(words), resilient_parsing=True)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
            if hasattr(command, "commands"):
                continue
            context = command.make_context(command.name, list(words), parent=context)
        assert context.params, job["rule"]


def test_local_run_asks_for_no_more_than_there_is(plan: Done) -> None:
    # The local profile sets no limit on gpu, so a machine without one still runs (device: auto means cpu there).
    assert plan.job("seal_train_chromatin")["resources"]["gpu"] == 1
    assert plan.job("seal_train_chromatin")["threads"] >= 1


@pytest.fixture(scope="module")
def slurm_plan(new_folder: Folder) -> Done:
    done = new_folder.dry_run(profile="slurm")
    assert done.status == 0, done.text
    return done


def test_gpu_rules_carry_gpu_and_partition_under_slurm(slurm_plan: Done) -> None:
    for job in slurm_plan.jobs:
        resources = job["resources"]
        if job["rule"] in GPU_RULES:
            assert (resources["gpu"], resources["slurm_partition"]) == (1, "gpu"), job["rule"]
        elif job["rule"] != "all":
            assert "gpu" not in resources
            assert resources["slurm_partition"] == "main"
        if job["rule"] != "all":
            assert resources["mem_mb"] >= 1000
            assert resources["runtime"] >= 1


def test_cpu_configuration_asks_for_no_gpu(new_folder: Folder) -> None:
    done = new_folder.dry_run("--config", "device=cpu", profile="slurm")
    assert {job["resources"].get("gpu", 0) for job in done.jobs} == {0}


def test_several_devices_ask_for_several_gpus(new_folder: Folder) -> None:
    done = new_folder.dry_run("--config", "training={trainer: {devices: 4}}", profile="slurm")
    assert done.job("seal_train_chromatin")["resources"]["gpu"] == 4
    assert done.job("seal_predict", context_set="cell", part="1")["resources"]["gpu"] == 1


def test_workflow_can_be_a_module_of_another(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path / "run")
    (folder.path / "Snakefile").write_text(
        'configfile: "config/demo.yaml"\n'
        f'module cisweave:\n    snakefile: "{ROOT}/workflow/Snakefile"\n    config: config\n'
        "use rule * from cisweave as cisweave_*\n"
    )
    done = folder.dry_run("--snakefile", "Snakefile", "results/demo/seal/tissue/effects.tsv")
    assert done.status == 0, done.text
    assert "cisweave_seal_predict" in done.rules()


def test_files_of_the_catalogue_are_fetched_where_they_are_not_there(tmp_path: Path) -> None:
    folder = Folder.of_own_data(tmp_path / "run")
    done = folder.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 0, done.text
    fetched = {job["output"][0]: shlex.split(job["command"]) for job in done.jobs if job["rule"] == "genome_fetch"}
    names = ["geneanno.pc.sorted.bed", "hg19.fa.gz", "hg38.fa.gz", "hg38ToHg19.over.chain.gz"]
    assert sorted(fetched) == [f"resources/{name.removesuffix('.gz') if '.fa' in name else name}" for name in names]
    assert fetched["resources/hg19.fa"][:6] == ["cisweave", "genome", "fetch", "hg19.fa.gz", "--folder", "resources"]
    (folder.path / "resources").mkdir(exist_ok=True)
    for name in fetched:
        (folder.path / name).write_text("chr1\t0\t1\t+\tg\n")
    assert "genome_fetch" not in folder.dry_run("--configfile", "own.yaml", demo=False).rules()


def test_local_files_are_linked_to_and_used(tmp_path: Path) -> None:
    local = {
        "hg19.fa.gz": ("data/hg19.fa", b">chr1\nACGT\n"),  # unpacked already
        "hg38ToHg19.over.chain.gz": ("data/my.chain.gz", gzip.compress(b"chain\n")),  # never unpacked
        "geneanno.pc.sorted.bed": ("data/genes.bed", b"chr1\t9\t10\tg1\t.\t+\n"),
    }
    paths = ", ".join(f"{name}: {path}" for name, (path, _) in local.items())
    catalogue = tmp_path / "run/own_catalogue.tsv"
    folder = Folder.of_own_data(tmp_path / "run", f"catalogue: own_catalogue.tsv, local_paths: {{{paths}}}")
    row = "{}\t1\thttps://example.invalid/{}\t\t\t\tfree\t\t\tgenome\t{}\n"
    rows = [row.format(name, name, "gz" if ".fa." in name else "none") for name in (*local, "hg38.fa.gz")]
    catalogue.write_text("\t".join(COLUMNS) + "\n" + "".join(rows))
    (folder.path / "data").mkdir()
    for path, content in local.values():
        (folder.path / path).write_bytes(content)
    targets = ("results/own/genome/tss.bed", "resources/hg19.fa", "resources/hg38ToHg19.over.chain.gz")
    done = folder.snakemake(*targets, "--configfile", "own.yaml", demo=False)
    assert done.status == 0, done.text
    assert sorted(done.rules()) == ["genome_fetch", "genome_genes"]
    for name, (path, _) in local.items():
        link = folder.path / "resources" / name.replace(".fa.gz", ".fa")
        assert link.readlink() == folder.path / path
    assert (folder.path / "results/own/genome/tss.bed").read_text().startswith("chr1\t")
    assert "Nothing to be done" in folder.dry_run(targets[0], "--configfile", "own.yaml", demo=False).text

    (folder.path / "data/hg19.fa").unlink()
    done = folder.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 1
    assert 'genome.fetch.local_paths.hg19.fa.gz: "data/hg19.fa" does not exist; write the path of a file' in done.text
    assert done.jobs == []


def test_own_data_without_variants_need_neither_world_nor_truth(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path / "run")
    for name in ("genome.fa", "tss.bed", "ctcf.bed"):
        (folder.path / name).touch()
    (folder.path / "tracks.tsv").write_text("track\tpeaks\nCTCF\tctcf.bed\n")
    (folder.path / "general.tsv").write_text("gene_id\tLiver\tLung\n")
    (folder.path / "own.yaml").write_text(
        "run: own\ngenome: {fasta: genome.fa, tss: tss.bed}\n"
        "seal: {tracks: tracks.tsv, expression: {general: general.tsv}}\n"
    )
    done = folder.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 0, done.text
    left_out = {
        "simulate",
        "genome_fetch",
        "genome_normalize",
        "genome_liftover",
        "genome_closest_tss",
        "genome_ledger",
    }
    left_out |= {"genome_figures", "seal_finetune", "seal_select", "seal_predict", "seal_gather", "seal_interpret"}
    left_out |= {"seal_attribute", "seal_saturate", "seal_haplotype", "report_truth", "report_check"}
    left_out |= {name for name in blocks() if name.startswith("xpresso_")}
    assert done.rules() == set(blocks()) - left_out
    assert "results/own/report.html" in done.job("report_html")["output"]
    assert "--genome-figures" not in done.job("report_html")["command"]
    assert folder.dry_run("figures_genome", "--configfile", "own.yaml", demo=False).rules() == {"figures_genome"}


@pytest.fixture
def ready_made(tmp_path: Path) -> Folder:
    """A folder with ready-made models in ``models/`` and a configuration that imports them."""
    folder = Folder.make(tmp_path / "run")
    for name in ("genome.fa", "tss.bed", "my.vcf", "profiles.json"):
        (folder.path / name).touch()
    beluga = {"architecture": "beluga", "hyperparameters": {"window": 2000}, "outputs": ["CTCF"]}
    expression = {"architecture": "expression", "hyperparameters": {}, "outputs": ["early.A1C", "early.AMY"]}
    for name, spec in (("chromatin", beluga), ("tissue", expression)):
        place = folder.path / "models" / name
        place.mkdir(parents=True)
        (place / "model.yaml").write_text(json.dumps(spec))
        for file in ("weights.safetensors", "history.csv", "metrics.json"):
            (place / file).touch()
    (folder.path / "own.yaml").write_text(
        "run: own\ngenome: {fasta: genome.fa, tss: tss.bed, vcf: my.vcf}\n"
        "seal:\n  contexts: null\n"
        "  imported: {chromatin: models/chromatin, profiles: profiles.json, models: {tissue: models/tissue}}\n"
    )
    return folder


def test_imported_models_are_scored_with_and_nothing_is_trained(ready_made: Folder) -> None:
    done = ready_made.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 0, done.text
    training = {"seal_train_chromatin", "seal_profile_tss", "seal_pretrain", "seal_finetune", "seal_evaluate"}
    assert not done.rules() & training
    command = done.job("seal_predict", context_set="tissue", part="1")["command"]
    assert "--chromatin models/chromatin --model models/tissue" in command
    assert "--profiles profiles.json" in command
    assert "--pretrained" not in done.job("report_html")["command"]


def test_windows_of_an_imported_model_must_hold_the_shifts(ready_made: Folder) -> None:
    spec = ready_made.path / "models/chromatin/model.yaml"
    spec.write_text(spec.read_text().replace("2000", "600"))
    done = ready_made.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 1
    assert "seal.predict.max_shift: 800 is too large for a window of 600 bases (seal.imported.chromatin)" in done.text


def test_phased_genotypes_are_scored_whole(ready_made: Folder) -> None:
    (ready_made.path / "phased.vcf").touch()
    ready_made.edit("own.yaml", "  contexts: null\n", "  contexts: null\n  phased: phased.vcf\n")
    done = ready_made.dry_run("--configfile", "own.yaml", demo=False)
    assert "--vcf phased.vcf" in done.job("seal_haplotype", context_set="tissue")["command"]


def test_training_as_published_needs_types_of_genes(new_folder: Folder) -> None:
    done = new_folder.dry_run("--config", "seal={model: {compat: seal}}")
    assert done.status == 1
    assert "does not tell the types of genes, which seal.model.compat: seal needs" in done.text
