"""The published predictions: the same genes for the same variants, and the same file from the same numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import ClosestSettings, VariantSettings
from cisweave.genome.closest import closest_tss
from cisweave.genome.normalize import normalize_variants
from cisweave.genome.table import GENE_COLUMNS, VARIANT_COLUMNS
from cisweave.seal.assigned import SEAL_COLUMNS, AssignedVariants
from cisweave.seal.outputs import Views, write_views
from cisweave.tables.frames import read_table
from tests.real.checks import SEAL_TABLE, SEAL_VCF, TSS, data_folder

FOLDER, REASON = data_folder()
SUMMARY = "parity/tissue_state_early_fetal_to_adult_seal_model_summary.txt"
ANNOTATION = "annotation/Seal_cell_state_annotation.xlsx"

pytestmark = [pytest.mark.real_data, pytest.mark.skipif(FOLDER is None, reason=REASON)]


@pytest.fixture(scope="module")
def assigned(tmp_path_factory) -> Path:
    """The published test variants with their genes, as the commands make them."""
    folder = tmp_path_factory.mktemp("parity")
    compat = VariantSettings(compat="seal", ref_policy="warn", left_align=False)
    normalize_variants(FOLDER / SEAL_VCF, folder / "normal.vcf", folder / "r1.tsv", None, compat)
    closest_tss(
        folder / "normal.vcf", FOLDER / TSS, folder / "assigned.parquet", folder / "r2.tsv", ClosestSettings(), None
    )
    return folder / "assigned.parquet"


@pytest.fixture(scope="module")
def written(assigned: Path) -> Path:
    """Effects of these variants that are the published numbers, and all that is made of them."""
    table = pd.concat(AssignedVariants(assigned).blocks(50), ignore_index=True).assign(reference_genome_match=True)
    published = read_table(FOLDER / SEAL_TABLE)
    contexts = published.iloc[:, len(SEAL_COLUMNS) :].astype(np.float32)
    folder = assigned.parent
    pd.concat([table, contexts], axis=1).to_parquet(folder / "effects.parquet")
    outputs = Views(
        folder / "effects.tsv",
        folder / "effects.vcf.gz",
        folder / "best.tsv",
        folder / "contexts.tsv",
        FOLDER / ANNOTATION,
    )
    write_views(folder / "effects.parquet", outputs)
    return folder


def test_variants_and_genes_are_the_published_ones(assigned: Path) -> None:
    """P1: 206 of 500 rows, in their order."""
    published = read_table(FOLDER / SEAL_TABLE).iloc[:, :7]
    table = pd.concat(AssignedVariants(assigned).blocks(50), ignore_index=True)
    assert len(table) == 206
    assert set(table.columns) <= {*VARIANT_COLUMNS, *GENE_COLUMNS}
    pd.testing.assert_frame_equal(table[SEAL_COLUMNS[:7]], published, check_dtype=False)


def test_the_file_is_the_published_one_to_the_character(written: Path) -> None:
    """P2: eight names and those of the model's 122 contexts, five decimals, True."""
    found = (written / "effects.tsv").read_bytes()
    assert found == (FOLDER / SEAL_TABLE).read_bytes()
    names = next(
        line.split(": ", 1)[1].split(",")
        for line in (FOLDER / SUMMARY).read_text().splitlines()
        if line.startswith("Name of specific contexts")
    )
    assert len(names) == 122
    assert found.decode().split("\n", 1)[0].split("\t") == [*SEAL_COLUMNS, *names]


def test_the_strongest_published_effect_is_found_and_named(written: Path) -> None:
    best = read_table(written / "best.tsv")
    first = best.set_index("rank").loc[1]
    assert (first["pos"], first["alt"], first["gene_id"]) == (1141800, "T", "ENSG00000186891")
    assert (first["context"], first["stage"]) == ("infancy.IPC", "infancy")
    assert first["effect"] == pytest.approx(-0.08243)
    assert first["context_name"] != first["context"]
    zero = best[best["effect"] == 0]
    assert zero["pos"].tolist() == [3704927]
    contexts = read_table(written / "contexts.tsv")
    assert len(contexts) == 122
    assert contexts["stage"].notna().all()
