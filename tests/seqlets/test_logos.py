"""Logos."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.seqlets.logos import Row, draw_logos, file_name, make_figure
from tests.seqlets.conftest import Chain

SCRIPT = Path(__file__).parents[2] / "scripts" / "seqlets_logos.py"


def draw(chain: Chain, folder: Path) -> list[dict[str, object]]:
    return draw_logos(
        chain.folder / "attributions.h5",
        chain.folder / "annotated.parquet",
        chain.folder / "loci.tsv",
        chain.folder / "motif_effects.tsv",
        folder / "logos",
        folder / "logos.json",
        variants=2,
        promoters=1,
    )


def test_figures_and_index_are_written_and_the_same_each_time(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "a" / "logos").mkdir(parents=True)
    (tmp_path / "a" / "logos" / "stale.png").touch()
    entries = draw(chain, tmp_path / "a")
    draw(chain, tmp_path / "b")
    assert json.loads((tmp_path / "a" / "logos.json").read_text()) == entries
    assert [entry["kind"] for entry in entries] == ["variant", "variant", "promoter"]
    assert {path.name for path in (tmp_path / "a" / "logos").iterdir()} == {entry["file"] for entry in entries}
    for entry in entries:
        png = (tmp_path / "a" / "logos" / str(entry["file"])).read_bytes()
        assert png == (tmp_path / "b" / "logos" / str(entry["file"])).read_bytes()
        width, height = struct.unpack(">II", png[16:24])
        assert width > 600
        assert height > 150
    assert entries[0]["event"] in {"breaks", "makes"}
    assert "neuron" in str(entries[0]["title"])


def test_trap_18_seqlets_at_the_edge_of_the_view_are_drawn() -> None:
    heights = np.zeros((4, 20), dtype=np.float32)
    heights[0] = 1.0
    seqlets = pd.DataFrame(
        {"label": ["EDGE", "OTHER", "unassigned"], "start": [100, 112, 105], "end": [106, 120, 109], "strand": "+"}
    ).assign(example_idx=0)
    figure = make_figure("title", [Row("row", heights, seqlets, 100, (104, 105))])
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert texts == {"EDGE (+)", "OTHER (+)", "?"}


def test_trap_12_file_names_hold_no_awkward_letters() -> None:
    assert file_name("variant", 3, "chr1", "MAX::MYC/a b") == "variant-03-chr1-MAX-MYC-a-b.png"


def test_no_variant_and_no_promoter_give_an_empty_index(chain: Chain, tmp_path: Path) -> None:
    entries = draw_logos(
        chain.folder / "attributions.h5",
        chain.folder / "annotated.parquet",
        chain.folder / "loci.tsv",
        chain.folder / "motif_effects.tsv",
        tmp_path / "logos",
        tmp_path / "logos.json",
        variants=0,
        promoters=0,
    )
    assert entries == json.loads((tmp_path / "logos.json").read_text()) == []


def test_the_script_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    import subprocess

    text = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True).stdout
    assert "--motif-effects" in text
