"""A run has the rooms it asks for and needs only their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.snake import Done, Folder

FILES = {
    "promoters.fa": ">gene1\nACGT\n",
    "expression.tsv": "gene_id\tLiver\ngene1\t1\n",
    "tf.tsv": "gene_id\tMYC\ngene1\t1\n",
    "models.yaml": "A: {type: cnn/Xpresso_nohalf}\nB: {type: lstm/only_promoter, seeds: [7]}\n",
    "own.yaml": "run: own\nrooms: [xpresso]\n"
    "xpresso: {models: models.yaml, promoters: promoters.fa, expression: expression.tsv, tf: tf.tsv, seeds: [1, 2]}\n",
}


@pytest.fixture
def own(tmp_path: Path) -> Folder:
    """A folder with the small files of a run of the xpresso room alone."""
    folder = Folder.make(tmp_path / "run")
    for name, text in FILES.items():
        (folder.path / name).write_text(text)
    return folder


def plan(folder: Folder, *arguments: str) -> Done:
    done = folder.dry_run("--configfile", "own.yaml", *arguments, demo=False)
    assert done.status == 0, done.text
    return done


def trained(done: Done) -> set[tuple[str, str, str]]:
    """Model, fold and seed of every training."""
    jobs = [job["wildcards"] for job in done.jobs if job["rule"] == "xpresso_train"]
    return {(job["promoter_model"], job["fold"], job["seed"]) for job in jobs}


def test_one_room_runs_without_the_files_of_the_others(own: Folder) -> None:
    done = plan(own)
    assert {rule.partition("_")[0] for rule in done.rules()} == {"xpresso", "report"}
    assert trained(done) == {("A", "1", "1"), ("A", "1", "2"), ("B", "1", "7")}
    assert len([job for job in done.jobs if job["rule"] == "xpresso_embed"]) == 1


def test_one_more_model_trains_alone(own: Folder) -> None:
    own.finish("--configfile", "own.yaml", demo=False)
    assert plan(own).jobs == []
    with (own.path / "models.yaml").open("a") as handle:
        handle.write("C: {type: tfnet/TF}\n")
    done = plan(own)
    assert trained(done) == {("C", "1", "1"), ("C", "1", "2")}
    assert not done.rules() & {"xpresso_build", "xpresso_split", "xpresso_embed", "xpresso_baselines"}


@pytest.mark.parametrize("change", ["mirna: tf.tsv", "data: {pseudocount: 1}", "halflife: tf.tsv"])
def test_other_data_are_built_anew(own: Folder, change: str) -> None:
    own.finish("--configfile", "own.yaml", demo=False)
    own.edit("own.yaml", "seeds: [1, 2]", f"seeds: [1, 2], {change}")
    assert "xpresso_build" in plan(own).rules()


def test_one_more_seed_trains_alone(own: Folder) -> None:
    own.finish("--configfile", "own.yaml", demo=False)
    own.edit("models.yaml", "seeds: [7]", "seeds: [7, 8]")
    assert trained(plan(own)) == {("B", "1", "8")}


def test_a_setting_runs_what_looks_at_it(own: Folder) -> None:
    own.finish("--configfile", "own.yaml", demo=False)
    own.edit("own.yaml", "seeds: [1, 2]", "seeds: [1, 2], evaluation: {published: false}")
    assert plan(own).rules() - {"report_html", "report_check"} == {"xpresso_compare", "xpresso_figures"}
    own.edit("own.yaml", "evaluation: {published: false}", "baselines: {kmer: 2}")
    done = plan(own)
    assert [job["wildcards"] for job in done.jobs if job["rule"] == "xpresso_evaluate"] == [{"measured": "baselines"}]
    assert not done.rules() & {"xpresso_build", "xpresso_split", "xpresso_train"}


def test_folds_are_jobs(own: Folder) -> None:
    own.edit("own.yaml", "seeds: [1, 2]", "seeds: [1], split: {method: kfold, folds: 3}")
    done = plan(own)
    assert trained(done) == {("A", fold, "1") for fold in "123"} | {("B", fold, "7") for fold in "123"}
    assert len([job for job in done.jobs if job["rule"] == "xpresso_embed"]) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rooms: [xpresso]", "rooms: [seqlets]", "seqlets needs seal"),
        ("rooms: [xpresso]", "rooms: [lobby]", "rooms"),
        ("promoters: promoters.fa, ", "", "there is nothing to take promoters from"),
        ("tf: tf.tsv", "tf: absent.tsv", 'xpresso.tf: "absent.tsv" does not exist'),
        ("seeds: [1, 2]", "seeds: [1, 1]", "seeds must differ"),
        ("seeds: [1, 2]", "predicted: [A]", "xpresso.predicted: this needs genome.vcf"),
        ("seeds: [1, 2]", "predicted: [A]", "xpresso.predicted: this needs genome.gtf"),
        ("seeds: [1, 2]", "split: {method: table, table: tf.tsv}", "tf.tsv"),
    ],
)
def test_mistakes_are_told_before_any_job(own: Folder, old: str, new: str, said: str) -> None:
    own.edit("own.yaml", old, new)
    done = own.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status != 0
    assert said in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("C: {type: cnn/Xpreso}", "C.type: "),
        ("C: {type: TF}", "C.type: "),
        ("C: {type: cnn/Xpresso, embedding: {k: 3}}", "C.embedding: cnn/Xpresso reads bases"),
        ("C: {type: lstm/tf, embedding: {slice: '0:500'}, train: {slice: '0:600'}}", "C.train.slice"),
        ("C: {type: cnn/Xpresso, seeds: [3, 3]}", "C.seeds: a seed stands twice"),
        ("C: {type: cnn/Xpresso, speed: 3}", "C.speed"),
        ("C/D: {type: cnn/Xpresso}", "is not a name for a model"),
    ],
)
def test_mistakes_in_the_table_of_models_are_told(own: Folder, entry: str, said: str) -> None:
    with (own.path / "models.yaml").open("a") as handle:
        handle.write(entry + "\n")
    done = own.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status != 0
    assert said in done.text
