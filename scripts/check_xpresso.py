"""Prove the xpresso room: published weights, splits and parameter counts, real factors, the whole zoo on the world.

The last line printed is one line of JSON, kept as results/checks/xpresso.json. Figures of real data are null where the
environment variable CISWEAVE_REAL_DATA names no folder. Exit status 1 means that something is not as it must be; speed
is only reported.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from scripts.checks import Found, run_checks
from tests.real.checks import data_folder
from tests.real.tfnet import tfnet_on_real
from tests.real.xpresso_checks import promoters_check, split_check

from cisweave.models.promoter.build import build_network
from cisweave.models.promoter.keras import count_parameters
from cisweave.models.promoter.registry import TYPES
from cisweave.report.sections.xpresso import CAPTION

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results/checks/xpresso.json"
RESULTS = ROOT / "results/demo/xpresso"
REPORT = ROOT / "results/demo/report.html"
FIGURES = (
    "promoters",
    "promoters_max_abs_diff",
    "tfnet_r2",
    "ridge_r2",
    "split_ids_in_order",
    "model_types",
    "parameter_counts_right",
    "zoo_smoke_s",
)
"""The figures in the order in which they are printed; others follow."""
MOST_PARITY = 1e-6
PUBLISHED_PROMOTERS = 25
PUBLISHED_GENES = 18_377
EXTRAS = {"H": ("halflife", 8), "T": ("tf", 181), "M": ("mirna", 2064)}
"""Inputs of the published networks beside the promoter: name and width, by letter."""
MUST_BEAT = ("cnn/Xpresso", "divide/DivideEtImpera", "lstm/classic", "deeplncloc/DeepLncLoc", "token/best")
"""Types that read promoters and half-life features: each must beat the baselines that do."""


def counts() -> Found:
    """Every network at its published size: the number of its parameters against the published one."""
    published = {name: kind for name, kind in TYPES.items() if kind.parameters is not None}
    wrong = []
    for name, kind in published.items():
        left, right = (int(part) for part in (kind.slice or "0:0").split(":"))
        widths = dict(EXTRAS[letter] for letter in kind.inputs if letter in EXTRAS)
        found = count_parameters(build_network(name, right - left, **widths, **kind.network))
        if found != kind.parameters:
            wrong.append(f"{name} has {found} parameters, published are {kind.parameters}")
    figures = {"parameter_counts": len(published), "parameter_counts_right": len(published) - len(wrong)}
    return figures, wrong


def promoters() -> Found:
    """Official Keras weights against their published predictions."""
    folder, reason = data_folder()
    if folder is None:
        return {"real_data": reason}, []
    found = promoters_check(folder)
    problems = []
    if found["promoters"] != PUBLISHED_PROMOTERS:
        problems.append(f"{found['promoters']} promoters lie in the pieces, not {PUBLISHED_PROMOTERS}")
    if not found["promoters_max_abs_diff"] <= MOST_PARITY:
        problems.append(f"predictions are off the published ones by {found['promoters_max_abs_diff']}")
    if found["k562_promoters"] != found["promoters"]:
        problems.append("the K562 weights do not predict every promoter")
    return {"real_data": "used", **found}, problems


def split() -> Found:
    """The published split, made anew."""
    folder, _ = data_folder()
    if folder is None:
        return {}, []
    found = split_check(folder)
    right = found["split_ids"] == found["split_ids_in_order"] == PUBLISHED_GENES
    return found, [] if right else [f"{found['split_ids_in_order']} of {found['split_ids']} genes are in their places"]


def tfnet() -> Found:
    """TFNet against ridge regression on real factors and expression, the same test genes."""
    folder, _ = data_folder()
    if folder is None:
        return {}, []
    found = tfnet_on_real(folder)
    better = found["tfnet_r2"] > found["ridge_r2"]
    return found, [] if better else [f"TFNet ({found['tfnet_r2']}) does not beat ridge ({found['ridge_r2']})"]


def zoo() -> Found:
    """Train every type of the zoo on the built-in world, from nothing, and compare them."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    demo = ROOT / "scripts/demo.sh"
    subprocess.run([demo, "--all-rooms", "results/demo/simulate/manifest.json"], stdout=sys.stderr, check=False)
    started = time.monotonic()
    status = subprocess.run(
        [demo, "--all-rooms", "results/demo/xpresso/comparison/comparison.tsv"], stdout=sys.stderr, check=False
    ).returncode
    figures: dict[str, Any] = {"zoo_smoke_s": round(time.monotonic() - started)}
    if status:
        return figures, [f"the zoo ended with status {status}"]
    table = pd.read_csv(RESULTS / "comparison/comparison.tsv", sep="\t").query("epoch == 'best'")
    return figures | zoo_figures(table), zoo_problems(table)


def zoo_figures(table: pd.DataFrame) -> dict[str, Any]:
    """Test r² per type, and the best baseline of each kind."""
    scores = table.set_index("model")["r2"].round(3)
    types = table.set_index("model")["type"]
    trained = {types[name]: scores[name] for name in scores.index if types[name] in TYPES}
    return {
        "model_types": len(trained),
        "zoo_r2": trained,
        "baseline_r2": {name: score for name, score in scores.items() if types[name] not in TYPES},
    }


def zoo_problems(table: pd.DataFrame) -> list[str]:
    """Types that are absent, and those that do not beat what they must."""
    absent = sorted(set(TYPES) - set(table["type"]))
    problems = [f"not trained: {', '.join(absent)}"] if absent else []
    linear = table[~table["type"].isin(TYPES) & table["inputs"].fillna("").isin(["H", "P", "PH"])]
    if not len(linear):
        return [*problems, "there is no baseline of half-life features and k-mers"]
    strongest = linear.loc[linear["r2"].idxmax()]
    for name in MUST_BEAT:
        best = table.loc[table["type"] == name, "r2"].max()
        if not best > strongest["r2"]:
            problems.append(f"{name} (r2 {best:.3f}) does not beat {strongest['model']} ({strongest['r2']:.3f})")
    return problems


def report() -> Found:
    """The page holds the table: a row per model."""
    status = subprocess.run(
        [ROOT / "scripts/demo.sh", "--all-rooms", "all", "figures_xpresso"], stdout=sys.stderr, check=False
    ).returncode
    if status:
        return {}, [f"the demo ended with status {status}"]
    models = pd.read_csv(RESULTS / "comparison/comparison.tsv", sep="\t")["model"].unique().tolist()
    shown = [row[0] for row in table_rows(REPORT.read_text(), CAPTION)]
    problems = [f"not in the table of the report: {name}" for name in models if name not in shown]
    if not problems and sorted(shown) != sorted(models):
        problems.append(f"the table of the report has {len(shown)} rows for {len(models)} models")
    return {"models_in_report": len(set(models) & set(shown))}, problems


def table_rows(page: str, caption: str) -> list[list[str]]:
    """Texts of the cells of a table of the report, row by row."""
    tables = re.findall(r'<table aria-label="([^"]*)">(.*?)</table>', page, re.DOTALL)
    text = next((text for label, text in tables if unescape(label) == caption), "")
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)[1:]  # the first has the names of the columns
    cells = [re.findall(r"<td\b[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [[unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in cells]


PARTS: dict[str, tuple[str, Callable[[], Found]]] = {
    "zoo": ("every type of the zoo on the built-in world (minutes)", zoo),
    "counts": ("parameters of the published networks", counts),
    "promoters": ("official weights against their published predictions", promoters),
    "split": ("the published split", split),
    "tfnet": ("TFNet on real factors against ridge regression", tfnet),
    "report": ("the table in the report (the whole demo, where it has not run)", report),
}
"""The parts in the order in which they run: what is timed comes first."""


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(run_checks("xpresso", __doc__ or "", PARTS, FIGURES, OUT))
