"""Draw the workflow by room as docs/workflow.svg, from the rule graph that Snakemake gives for the demo."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ("config/demo.yaml", "config/demo_all.yaml")
ROOMS = {
    "simulate": ("the built-in world", "#f3efe6", "#8a7a4f"),
    "genome": ("variants, sequences", "#e6f0f5", "#2f6f8f"),
    "seal": ("chromatin, expression, effects", "#e9f3ea", "#3b7d46"),
    "xpresso": ("promoters to expression", "#eeedf8", "#5a4fa2"),
    "seqlets": ("attribution, motifs", "#f4e9f2", "#8a3f7d"),
    "report": ("reads all rooms", "#f6eae6", "#a4502f"),
}
BOX, GAP, ROW, BOX_HEIGHT, TOP, MARGIN = 138, 12, 52, 32, 66, 16

Graph = dict[str, set[str]]


def rule_graph() -> Graph:
    """Rule -> rules that read its output, without the target rule."""
    command = ["snakemake", "--configfile", *CONFIGS, "--rulegraph", "dot", "--forceall", "--quiet", "all"]
    text = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', text))
    graph: Graph = {name: set() for name in names.values() if name != "all"}
    for source, target in re.findall(r"(\d+) -> (\d+)", text):
        if names[target] != "all":
            graph[names[source]].add(names[target])
    return graph


def reachable(graph: Graph, start: str) -> set[str]:
    """Every rule that depends on ``start``, directly or not."""
    found: set[str] = set()
    stack = list(graph[start])
    while stack:
        rule = stack.pop()
        if rule not in found:
            found.add(rule)
            stack.extend(graph[rule])
    return found


def essential(graph: Graph) -> Graph:
    """The graph without arrows that a longer way implies."""
    below = {rule: reachable(graph, rule) for rule in graph}
    return {rule: {t for t in targets if not any(t in below[o] for o in targets)} for rule, targets in graph.items()}


def depths(graph: Graph) -> dict[str, int]:
    """The row of each rule: below everything it reads, and just above its first reader outside the report."""
    parents: Graph = {rule: {p for p, targets in graph.items() if rule in targets} for rule in graph}
    depth: dict[str, int] = {}
    while len(depth) < len(graph):
        for rule in graph:
            if rule not in depth and parents[rule] <= depth.keys():
                depth[rule] = 1 + max((depth[parent] for parent in parents[rule]), default=-1)
    for rule in sorted(graph, key=depth.__getitem__, reverse=True):
        readers = [target for target in graph[rule] if not target.startswith("report_")]
        if readers:
            depth[rule] = min(depth[target] for target in readers) - 1
    return depth


def places(graph: Graph) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]], int]:
    """Centre of each rule, left edge and width of each room, number of rows."""
    depth = depths(graph)
    rows: dict[tuple[str, int], list[str]] = {}
    for rule in sorted(graph):
        rows.setdefault((rule.partition("_")[0], depth[rule]), []).append(rule)
    lanes, left = {}, float(MARGIN)
    for room in ROOMS:
        widest = max((len(rules) for (name, _), rules in rows.items() if name == room), default=0)
        if widest:
            lanes[room] = (left, widest * (BOX + GAP) + GAP)
            left += lanes[room][1] + GAP
    centres = {}
    for (room, row), rules in rows.items():
        start, width = lanes[room]
        for number, rule in enumerate(rules):
            x = start + width * (number + 1) / (len(rules) + 1)
            if len(rules) > 1:
                x = start + GAP + BOX / 2 + number * (BOX + GAP)
            centres[rule] = (x, TOP + ROW * row + ROW / 2)
    return centres, lanes, max(depth.values()) + 1


def text(x: float, y: float, words: str, style: str) -> str:
    """One centred line of text."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" {style}>{words}</text>'


def draw(graph: Graph) -> str:
    """The figure as SVG."""
    centres, lanes, rows = places(graph)
    last_left, last_width = list(lanes.values())[-1]
    width, height = last_left + last_width + MARGIN, TOP + ROW * rows + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="system-ui, sans-serif" role="img" aria-label="Rules of cisweave by room">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#7a828a"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#ffffff"/>',
    ]
    for room, (left, wide) in lanes.items():
        title, fill, ink = ROOMS[room]
        tall = height - 2 * MARGIN
        lines.append(f'<rect x="{left:g}" y="{MARGIN}" width="{wide:g}" height="{tall:g}" rx="8" fill="{fill}"/>')
        lines.append(text(left + wide / 2, MARGIN + 20, room, f'font-size="15" font-weight="600" fill="{ink}"'))
        lines.append(text(left + wide / 2, MARGIN + 37, title, f'font-size="11" fill="{ink}"'))
    for rule, targets in sorted(essential(graph).items()):
        for target in sorted(targets):
            if target.startswith("report_") and not rule.startswith(("report_", "seqlets_")):
                continue  # the heading says that the report reads all rooms
            (x1, y1), (x2, y2) = centres[rule], centres[target]
            y1, y2 = y1 + BOX_HEIGHT / 2, y2 - BOX_HEIGHT / 2
            bend = max((y2 - y1) / 2, 10)
            lines.append(
                f'<path d="M{x1:g} {y1:g} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}" fill="none" '
                'stroke="#7a828a" stroke-width="1.3" marker-end="url(#tip)"/>'
            )
    for rule, (x, y) in sorted(centres.items()):
        room, _, verb = rule.partition("_")
        ink = ROOMS[room][2]
        lines.append(
            f'<rect x="{x - BOX / 2:g}" y="{y - BOX_HEIGHT / 2:g}" width="{BOX}" height="{BOX_HEIGHT}" rx="6" '
            f'fill="#ffffff" stroke="{ink}" stroke-width="1.4"/>'
        )
        lines.append(text(x, y + 4, (verb or room).replace("_", "-"), 'font-size="12.5" fill="#1f2428"'))
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/workflow.svg", help="the SVG file to write")
    parser.parse_args().out.write_text(draw(rule_graph()), encoding="utf-8")
