"""Checksums of the catalogue against real files, where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cisweave.config.sections import FetchSettings
from cisweave.genome.resources.fetch import fetch_resources

FILES = {
    "geneanno.csv": "annotation/ExPecto_geneanno.csv",
    "geneanno.pc.sorted.bed": "annotation/ExPecto_geneanno.pc.sorted.bed",
    "deepsea_beluga_2002_features.tsv": "annotation/deepsea_beluga_2002_features.tsv",
    "hg38ToHg19.over.chain.gz": "chain/hg38ToHg19.over.chain.gz",
    "xpresso_orthologs_expression.txt": "expression/Xpresso_1to1_orthologs_expression.txt",
    "cisBP_mouse.meme": "motifs/ATAConv_cisBP_mouse.meme",
    "tis_ensembl102_chr13.npy.gz": "tis/chr13.npy.gz",
    "tis_ensembl102_chr21.npy.gz": "tis/chr21.npy.gz",
    "tis_ensembl102_chr22.npy.gz": "tis/chr22.npy.gz",
    "tis_ensembl102_chrY.npy.gz": "tis/chrY.npy.gz",
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", FILES)
def test_the_catalogue_knows_the_real_file(name: str, tmp_path: Path) -> None:
    folder = os.environ.get("CISWEAVE_REAL_DATA")
    if not folder:
        pytest.skip("CISWEAVE_REAL_DATA is not set to the folder of real data")
    local = Path(folder) / FILES[name]
    settings = FetchSettings(local_paths={name: local}, offline=True, accept_licences=["expecto-academic"])
    (place,) = fetch_resources([name], tmp_path, settings)
    assert place.parent == tmp_path
    assert place.resolve() == local.resolve()
