"""A wrong configuration stops Snakemake before any job, with one clear message and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from cisweave.genome.resources.catalogue import COLUMNS
from tests.workflow.snake import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.make(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "sed=3"], "sed: 3 is an unknown key; did you mean seed?"),
        (["--config", "seed=many"], 'seed: "many" cannot be used; write a whole number (Seed of training'),
        (["--config", "device=gpu"], "device: \"gpu\" cannot be used; write 'auto', 'cpu' or 'cuda'"),
        (
            ["--config", "genome={vcf: mine.vcf}"],
            'genome.vcf: "mine.vcf" does not exist; write the path of a file, from',
        ),
    ],
)
def test_wrong_key_value_or_file(folder: Folder, arguments: list[str], message: str) -> None:
    done = folder.dry_run(*arguments)
    assert done.status == 1
    assert message in done.text
    assert "Traceback" not in done.text
    assert done.jobs == []


@pytest.mark.parametrize("key", ["pairs", "variants.aliases", "fetch.catalogue"])
def test_missing_tables_of_the_genome_room(folder: Folder, key: str) -> None:
    section, _, name = key.rpartition(".")
    value = f"{{{name}: none.tsv}}"
    done = folder.dry_run("--config", f"genome={{{section}: {value}}}" if section else f"genome={value}")
    assert done.status == 1
    assert f'genome.{key}: "none.tsv" does not exist; write the path of a file' in done.text
    assert done.jobs == []


def test_licence_that_was_not_accepted(tmp_path: Path) -> None:
    folder = Folder.of_own_data(tmp_path / "run", "catalogue: own.tsv")
    row = "{}\t1\thttps://example.invalid/{}\t\t\t\tacademic use only\t{}\t\tgenome\t{}\n"
    names = ("hg19.fa.gz", "hg38.fa.gz", "hg38ToHg19.over.chain.gz", "geneanno.pc.sorted.bed")
    rows = [row.format(name, name, "ours-academic", "gz" if ".fa." in name else "none") for name in names]
    (folder.path / "own.tsv").write_text("\t".join(COLUMNS) + "\n" + "".join(rows))
    done = folder.dry_run("--configfile", "own.yaml", demo=False)
    assert done.status == 1
    for name in names:
        assert f"genome.fetch.accept_licences: [] lacks ours-academic; {name} may be used only under its" in done.text
    assert "Traceback" not in done.text
    assert done.jobs == []
    folder.edit("own.yaml", "catalogue: own.tsv", "catalogue: own.tsv, accept_licences: [ours-academic]")
    assert folder.dry_run("--configfile", "own.yaml", demo=False).status == 0
    folder.edit("own.yaml", ", accept_licences: [ours-academic]", "")
    (folder.path / "resources").mkdir()
    for name in names:
        (folder.path / "resources" / name.replace(".fa.gz", ".fa")).touch()
    assert folder.dry_run("--configfile", "own.yaml", demo=False).status == 0, "what is there needs no fetching"


def test_context_that_is_no_column(folder: Folder) -> None:
    folder.edit("config/demo_contexts.tsv", "tissue\tfetal_cortex\n", "tissue\tfetal_cortx\n")
    done = folder.dry_run()
    assert done.status == 1
    assert (
        "config/demo_contexts.tsv: 'fetal_cortx' (set tissue) is not a column of "
        "results/demo/simulate/expression/tissue.tsv; did you mean fetal_cortex?" in done.text
    )


def test_several_mistakes_are_told_at_once(folder: Folder) -> None:
    done = folder.dry_run("--config", "sed=3", "device=gpu")
    assert "the configuration has 2 mistakes:" in done.text


def test_default_configuration_names_the_files_a_user_must_give(folder: Folder) -> None:
    done = folder.dry_run(demo=False)
    assert done.status == 1
    for key in ("seal.tracks", "seal.expression.general"):
        assert f'{key}: "' in done.text
    assert "genome.fasta" not in done.text, "it is in the catalogue and can be fetched"
