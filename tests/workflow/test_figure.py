"""The committed picture of the workflow shows the rules as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.workflow.snake import ROOT


def test_picture_does_not_drift(tmp_path: Path) -> None:
    out = tmp_path / "workflow.svg"
    subprocess.run([sys.executable, ROOT / "scripts/workflow_figure.py", "--out", out], cwd=tmp_path, check=True)
    assert (ROOT / "docs/workflow.svg").read_text() == out.read_text(), (
        "draw it anew: python scripts/workflow_figure.py"
    )
