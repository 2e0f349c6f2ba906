"""What a configuration points to is checked before any job."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from cisweave.config import load_config
from cisweave.config.check import check_run
from cisweave.core.errors import CisweaveError


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration of which every file exists."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracks.tsv").write_text("track\tpeaks\nCTCF\tctcf.bed\n")
    for name in ("genome.fa", "tss.bed", "ctcf.bed", "own.meme"):
        Path(name).touch()
    Path("contexts.tsv").write_text("set\tcontext\ngeneral\tLiver\ntissue\tfetal liver\n")
    Path("general.tsv").write_text("gene_id\tLiver\tBrain\n")
    with gzip.open("tissue.tsv.gz", "wt") as handle:
        handle.write("gene_id\tfetal liver\tadult liver\n")
    Path("motifs.yaml").write_text("own: {source: meme, path: own.meme}\n")
    return {
        "genome": {"fasta": "genome.fa", "tss": "tss.bed"},
        "seal": {
            "tracks": "tracks.tsv",
            "contexts": "contexts.tsv",
            "expression": {"general": "general.tsv", "tissue": "tissue.tsv.gz"},
        },
        "seqlets": {"databases": "motifs.yaml"},
    }


def mistakes(config: dict[str, Any]) -> list[str]:
    with pytest.raises(CisweaveError) as caught:
        check_run(load_config(config))
    lines = str(caught.value).splitlines()
    return lines if len(lines) == 1 else [line.strip() for line in lines[1:]]


def test_complete_configuration_gives_contexts_and_databases(complete: dict[str, Any]) -> None:
    contexts, databases, zoo = check_run(load_config(complete))
    assert zoo == {}
    assert contexts == {"general": ["Liver"], "tissue": ["fetal liver"]}
    assert list(databases) == ["own"]


def test_missing_files_are_all_named(complete: dict[str, Any], tmp_path: Path) -> None:
    complete["genome"]["vcf"] = "absent.vcf"
    Path("genome.fa").unlink()
    Path("own.meme").unlink()
    assert mistakes(complete) == [
        f'genome.fasta: "genome.fa" does not exist; write the path of a file, from {tmp_path}',
        f'genome.vcf: "absent.vcf" does not exist; write the path of a file, from {tmp_path}',
        f'motifs.yaml: own.path: "own.meme" does not exist; write the path of a file, from {tmp_path}',
    ]


def test_context_must_be_a_column(complete: dict[str, Any]) -> None:
    with Path("contexts.tsv").open("a") as handle:
        handle.write("tissue\tfetal livre\n")
    assert mistakes(complete) == [
        "contexts.tsv: 'fetal livre' (set tissue) is not a column of tissue.tsv.gz; did you mean fetal liver?"
    ]


def test_set_needs_a_table(complete: dict[str, Any]) -> None:
    del complete["seal"]["expression"]["tissue"]
    complete["seal"]["general"] = "base"
    assert mistakes(complete) == [
        'seal.general: "base" is not a set of contexts.tsv; use one of general, tissue',
        "seal.expression.tissue is missing; write the expression table of the set tissue of contexts.tsv",
    ]


def test_table_must_start_with_gene_id(complete: dict[str, Any]) -> None:
    Path("general.tsv").write_text("gene\tLiver\n")
    assert mistakes(complete) == ["general.tsv, line 1: the first column must be gene_id, not 'gene'"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"chain": "tss.bed"}, "genome.vcf_fasta: null cannot go with a chain"),
        ({"vcf_fasta": "tss.bed"}, "genome.chain: null cannot go with another assembly"),
    ],
)
def test_chain_and_assembly_go_together(complete: dict[str, Any], keys: dict[str, str], message: str) -> None:
    complete["genome"].update(keys)
    assert mistakes(complete)[0].startswith(message)


def test_shift_must_leave_the_variant_in_the_window(complete: dict[str, Any]) -> None:
    complete["seal"]["chromatin"] = {"network": {"window": 600}}
    assert mistakes(complete) == [
        "seal.predict.max_shift: 800 is too large for a window of 600 bases (seal.chromatin.network.window); "
        "write a multiple of 200 below 300"
    ]


def test_contigs_are_for_validation_or_for_testing(complete: dict[str, Any]) -> None:
    complete["seal"]["model"] = {"valid_chromosomes": ["chr7", "chr8"], "test_chromosomes": ["chr8"]}
    assert mistakes(complete) == [
        "seal.model.test_chromosomes: chr8 cannot be in valid_chromosomes too; write each in one"
    ]


def test_files_that_jobs_make_may_be_absent(complete: dict[str, Any]) -> None:
    Path("general.tsv").unlink()
    Path("genome.fa").unlink()
    made = {Path("general.tsv"), Path("genome.fa")}
    contexts, _, _ = check_run(load_config(complete), made, {Path("general.tsv"): ["Liver"]})
    assert contexts["general"] == ["Liver"]
    with pytest.raises(
        CisweaveError, match="'Liver' \\(set general\\) is not a column of general.tsv; use one of Lung"
    ):
        check_run(load_config(complete), made, {Path("general.tsv"): ["Lung"]})


def test_missing_peak_files_are_named(complete: dict[str, Any]) -> None:
    Path("tracks.tsv").write_text("track\tpeaks\nCTCF\tnone.bed\n")
    with pytest.raises(CisweaveError, match=r'tracks\.tsv: CTCF: "none\.bed" does not exist'):
        check_run(load_config(complete))


def test_contigs_must_be_in_the_fasta(complete: dict[str, Any]) -> None:
    Path("genome.fa.fai").write_text("chr1\t10\t6\t10\t11\nchr7\t10\t6\t10\t11\nchr8\t10\t6\t10\t11\n")
    complete["seal"]["model"] = {"test_chromosomes": ["8"]}
    found = mistakes(complete)
    assert [line.split(";")[0] for line in found] == [
        "seal.chromatin.test_chromosomes: chr9 is not a contig of genome.fa",
        "seal.model.test_chromosomes: 8 is not a contig of genome.fa",
    ]


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"explain": {"tracks": ["deeplift"]}}, "explain.tracks"),
        ({"explain": {"bases": True}}, "explain.bases"),
        ({"saturate": {"genes": ["G1"]}}, "saturate.genes"),
    ],
)
def test_what_explains_windows_needs_windows(complete: dict[str, Any], keys: dict[str, Any], key: str) -> None:
    complete["seal"] |= keys
    check_run(load_config(complete))
    complete["seal"]["predict"] = {"mode": "haplotype"}
    with pytest.raises(CisweaveError, match=rf"seal\.{key}: this explains scores of shifted windows"):
        check_run(load_config(complete))
