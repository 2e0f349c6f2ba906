"""What a change re-runs, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cisweave.genome.resources.catalogue import COLUMNS
from tests.workflow.snake import Folder

ANNOTATION = {
    "seqlets_annotate",
    "seqlets_motif_effects",
    "seqlets_logos",
    "report_html",
    "report_truth",
    "report_check",
}
AFTER_FINETUNING = {
    "seal_finetune",
    "seal_evaluate",
    "seal_predict",
    "seal_gather",
    "seal_interpret",
    "seal_attribute",
    "seal_saturate",
    "seal_figures",
    "genome_ledger",
    "genome_figures",
    "genome_extract",
    "seqlets_select",
    "seqlets_attribute",
    "seqlets_call",
    *ANNOTATION,
}
IN_SETS = {
    "seal_finetune",
    "seal_evaluate",
    "seal_predict",
    "seal_gather",
    "seal_interpret",
    "seal_attribute",
    "seal_saturate",
    "genome_ledger",
}
"""Rules that run once for each context set."""


def test_finished_run_has_nothing_to_do(finished: Folder) -> None:
    done = finished.dry_run()
    assert done.status == 0
    assert "Nothing to be done" in done.text


def test_touched_tables_rerun_nothing(finished: Folder) -> None:
    for name in ("config/motifs.yaml", "config/demo_contexts.tsv", "config/demo.yaml", "config/config.yaml"):
        os.utime(finished.path / name)
    assert "Nothing to be done" in finished.dry_run().text


def test_changed_database_reruns_only_annotation(finished: Folder) -> None:
    finished.edit("config/motifs.yaml", "tax_group: [vertebrates]", "tax_group: [vertebrates, insects]")
    assert finished.dry_run().rules() == {"seqlets_prepare_motifs", *ANNOTATION}


def test_new_database_is_annotated_and_nothing_else_runs(finished: Folder) -> None:
    with (finished.path / "config/motifs.yaml").open("a") as handle:
        handle.write("own: {source: meme, path: own.meme}\n")
    (finished.path / "own.meme").write_text("MEME version 4\n")
    done = finished.dry_run()
    annotation = {job["rule"] for job in done.jobs if job["wildcards"].get("database") == "own"}
    assert annotation == {"seqlets_prepare_motifs", "seqlets_annotate", "seqlets_motif_effects", "seqlets_logos"}
    assert done.rules() == annotation | {"report_html", "report_check"}
    assert not [job for job in done.jobs if job["wildcards"].get("database") == "jaspar2024"]


def test_added_context_reruns_its_set_and_what_follows(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path / "run")
    folder.edit("config/demo_contexts.tsv", "cell\tmicroglia\n", "")
    folder.finish()
    assert "Nothing to be done" in folder.dry_run().text
    with (folder.path / "config/demo_contexts.tsv").open("a") as handle:
        handle.write("cell\tmicroglia\n")
    done = folder.dry_run()
    assert done.rules() == AFTER_FINETUNING
    in_sets = {(job["rule"], job["wildcards"]["context_set"]) for job in done.jobs if "context_set" in job["wildcards"]}
    assert {context_set for _, context_set in in_sets} == {"cell"}
    assert {rule for rule, _ in in_sets} == {rule for rule in AFTER_FINETUNING if rule in IN_SETS}
    command = done.job("seal_finetune", context_set="cell")["command"]
    assert "--contexts excitatory_neuron,astrocyte,microglia " in command


def test_less_contexts_rerun_one_set_and_what_follows(finished: Folder) -> None:
    finished.edit("config/demo_contexts.tsv", "cell\tmicroglia\n", "")
    done = finished.dry_run()
    assert done.rules() == AFTER_FINETUNING
    assert {job["wildcards"].get("context_set") for job in done.jobs} == {None, "cell"}


def test_another_device_trains_nothing_again(finished: Folder) -> None:
    done = finished.dry_run("--config", "device=cpu")
    assert done.rules() == {"report_html", "report_check"}  # the page shows the configuration


def test_a_grid_trains_every_combination_and_chooses(finished: Folder) -> None:
    grid = "  grid: {hidden: [32, 64], pretrain: {l2: [0.0, 0.001]}, finetune: {learning_rate: [0.01, 0.001]}}\n"
    finished.edit("config/demo.yaml", "  shards:", f"{grid}  shards:")
    done = finished.dry_run()
    assert done.status == 0, done.text
    assert not done.rules() & {"seal_train_chromatin", "seal_profile_tss", "simulate"}
    tried = [job for job in done.jobs if job["rule"] == "seal_pretrain"]
    assert len(tried) == 4
    assert len({job["command"] for job in tried}) == 4
    assert len([job for job in done.jobs if job["rule"] == "seal_finetune"]) == 2 * 2
    chosen = [job for job in done.jobs if job["rule"] == "seal_select"]
    assert {job["wildcards"]["chosen"] for job in chosen} == {"pretrained/best", "tissue/best", "cell/best"}
    first = next(job for job in chosen if job["wildcards"]["chosen"] == "pretrained/best")
    assert first["command"].count("--candidate ") == 4


def test_settings_rerun_the_rules_that_read_them(finished: Folder) -> None:
    finished.edit("config/demo.yaml", "seqlets:\n", "seqlets:\n  annotation:\n    nearest: 2\n")
    assert finished.dry_run().rules() == ANNOTATION


def test_new_vcf_reruns_no_training(finished: Folder) -> None:
    vcf = finished.path / "results/demo/simulate/variants/variants.vcf"
    Path(finished.path / "own.vcf").write_bytes(vcf.read_bytes())
    finished.edit("config/demo.yaml", "results/{run}/simulate/variants/variants.vcf", "own.vcf")
    rules = finished.dry_run().rules()
    assert {"genome_normalize", "seal_predict"} <= rules
    assert not rules & {"seal_train_chromatin", "seal_profile_tss", "seal_pretrain", "seal_finetune", "seal_evaluate"}


@pytest.fixture(scope="module")
def fetched_run(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A finished run on files that it fetched; tests must not change it."""
    folder = Folder.of_own_data(
        tmp_path_factory.mktemp("fetched") / "run", "accept_licences: [expecto-academic], attempts: 4"
    )
    folder.finish("--configfile", "own.yaml", demo=False)
    return folder


@pytest.mark.parametrize("setting", ["attempts: 9", "accept_licences: []", "offline: true", "catalogue: own.tsv"])
def test_settings_of_fetching_rerun_nothing(fetched_run: Folder, tmp_path: Path, setting: str) -> None:
    folder = fetched_run.copy(tmp_path / "run")
    assert (folder.path / "resources/hg19.fa").is_file()
    assert "Nothing to be done" in folder.dry_run("--configfile", "own.yaml", demo=False).text
    (folder.path / "own.tsv").write_text("\t".join(COLUMNS) + "\n")
    folder.edit("own.yaml", "accept_licences: [expecto-academic], attempts: 4", setting)
    done = folder.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 0, done.text
    assert done.rules() == {"report_html"}  # the page shows the configuration


def test_a_job_that_parses_the_workflow_anew_takes_what_was_fetched(fetched_run: Folder, tmp_path: Path) -> None:
    folder = fetched_run.copy(tmp_path / "run")
    (folder.path / "results/own/genome/tss.bed").unlink()
    one_job = ("--allowed-rules", "genome_genes", "--force", "results/own/genome/tss.bed")
    for rules in (one_job, one_job[2:]):  # as the executor of a cluster calls it, and as a person does
        done = folder.dry_run("--configfile", "own.yaml", *rules, demo=False)
        assert done.status == 0, done.text
        assert done.rules() == {"genome_genes"}
