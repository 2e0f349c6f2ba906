"""The page: self-contained, deterministic, complete, and honest about what is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cisweave.cli.report import app
from cisweave.core.errors import CisweaveError
from cisweave.genome.figures import draw_genome_figures
from cisweave.report import figures
from cisweave.report.blocks import Column, Figure, Table, Text, Tiles, cell, number_text
from cisweave.report.data import ReportData
from cisweave.report.html import ReportFiles, write_report
from cisweave.report.sections import SECTIONS, Section
from cisweave.report.sections.genome import percent
from cisweave.report.sections.variants import shorten
from cisweave.seal.figures import draw_seal_figures
from cisweave.seal.performance import performance_table
from cisweave.seqlets.annotate import ANNOTATED_COLUMNS
from cisweave.seqlets.effects import MOTIF_EFFECT_COLUMNS
from cisweave.tables.frames import write_tsv
from cisweave.tables.ledger import ledger_rows, write_ledger
from cisweave.tables.receipts import write_receipt

DEFAULTS: dict[str, Any] = {"str": "x", "int64": 1, "Int64": 1, "float64": 0.5, "bool": True}
RNG = np.random.default_rng(0)


def typed_rows(columns: dict[str, str], **values: list[Any]) -> pd.DataFrame:
    """A table with these columns: given values, defaults elsewhere."""
    count = len(next(iter(values.values())))
    return pd.DataFrame({name: values.get(name, [DEFAULTS[kind]] * count) for name, kind in columns.items()})


def write_model(folder: Path, *, auc: bool) -> Path:
    """What the page reads of a model folder."""
    folder.mkdir(parents=True)
    history = pd.DataFrame({"epoch": range(4), "valid_loss": [1.0, 0.5, 0.4, 0.4], "train_loss": [1.2, 0.6, 0.4, 0.3]})
    history.assign(**({"valid_auc": [0.5, 0.7, 0.8, 0.9]} if auc else {})).to_csv(folder / "history.csv", index=False)
    metrics = {"valid_auc": {"A": 0.9, "B": None}, "test_auc": {"A": 0.81, "B": 0.77}} if auc else {}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "model.yaml").write_text("architecture: any\n")
    write_receipt(folder / "model.yaml", settings={"a": 1}, inputs=[folder / "history.csv"], seed=7, device="cpu")
    return folder


def write_evaluation(path: Path, contexts: list[str]) -> Path:
    """Expression of 30 test genes and one training gene."""
    frames = []
    for context in contexts:
        measured = RNG.normal(size=31)
        frame = pd.DataFrame({"gene_id": [f"G{n}" for n in range(31)], "chrom": "chr4", "split": "test"})
        frames.append(frame.assign(context=context, measured=measured, predicted=measured + RNG.normal(size=31)))
    table = pd.concat(frames)
    table.loc[table.gene_id == "G30", "split"] = "train"
    path.parent.mkdir(parents=True)
    table.to_csv(path, sep="\t", index=False)
    return path


def write_performance(path: Path, contexts: list[str]) -> Path:
    """Accuracy on 30 test genes."""
    measured = RNG.normal(size=(30, len(contexts)))
    predicted = measured + RNG.normal(size=measured.shape)
    write_tsv(performance_table(predicted, measured, contexts, "evaluate", 20), path)
    return path


def write_effects(path: Path) -> Path:
    """Effects of three variants in two contexts."""
    table = pd.DataFrame(
        {
            "record": [1, 2, 3],
            "allele": 1,
            "name": "rs1",
            "source_chrom": "chr4",
            "source_pos": [10, 20, 30],
            "source_ref": "A",
            "source_alt": "C",
            "chrom": "chr4",
            "pos": [1234, 20, 30],
            "ref": ["A", "ACGTACGTACGTACGT", "G"],
            "alt": ["C", "A", "T"],
            "line": [11, 12, 13],
            "reference_genome_match": True,
            "swapped": [True, False, False],
            "lift_strand": "+",
            "gene_id": ["GENE1", "<b>GENE2</b>", "GENE3"],
            "gene_strand": ["-", "+", "+"],
            "tss": [1000, 10, 10],
            "dist_to_tss": [234, 10, 20],
            "cortex": [0.1, -0.9, 0.0],
            "liver": [-0.5, 0.2, 0.01],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return path


def write_genome(folder: Path, assigned: Path) -> Path:
    """Figures of the genome room: three of six alleles are left."""
    steps: dict[str, str | Path] = {"normalize": folder / "normalized.vcf.gz", "closest_tss": assigned}
    counts = {"in": 6, "kept": 3, "rejected": 3, "reasons": {"ref_mismatch": 1, "duplicate": 2}}
    write_receipt(steps["normalize"], notes={"alleles": counts})
    write_receipt(assigned, notes={"alleles": {"in": 3, "kept": 3, "rejected": 0, "reasons": {}}})
    rejected = pd.read_parquet(assigned).assign(record=[4, 5, 6])
    codes = pd.Series(["ref_mismatch", "duplicate", "duplicate"])
    write_ledger([ledger_rows(rejected, "normalize", codes)], folder / "tissue" / "ledger.tsv")
    draw_genome_figures(steps, [folder / "tissue" / "ledger.tsv"], folder / "figures")
    return folder / "figures"


@pytest.fixture
def files(tmp_path: Path) -> ReportFiles:
    """Results of a small run with everything in it."""
    database = tmp_path / "seqlets" / "jaspar"
    (database / "logos").mkdir(parents=True)
    annotated = typed_rows(
        ANNOTATED_COLUMNS,
        seqlet_id=[0, 0, 1, 2],
        rank=[1, 2, 1, 1],
        assigned=[True, True, False, True],
        label=["CTCF", "CTCF", "unassigned", "CTCF"],
    )
    annotated.to_parquet(database / "annotated.parquet")
    events = typed_rows(
        MOTIF_EFFECT_COLUMNS, record=[1, 2], allele=[1, 1], event=["breaks", "none"], motif=["CTCF", "unassigned"]
    )
    events.to_csv(database / "motif_effects.tsv", sep="\t", index=False)
    (database / "logos" / "v.png").write_bytes(figures.ranked_bars(["a"], [1], "x"))
    logo: dict[str, Any] = {
        "file": "v.png",
        "title": "chr4:1234 A>C, breaks CTCF",
        "kind": "variant",
        "event": "breaks",
    }
    logo |= {"motif": "CTCF", "gene_id": "GENE1", "effect": -0.5, "context": "liver"}
    (database / "logos.json").write_text(json.dumps([logo]))
    ledger = tmp_path / "genome" / "tissue" / "ledger.json"
    ledger.parent.mkdir(parents=True)
    summary: dict[str, Any] = {"records": 5, "alleles": 6, "scored": 3, "rejected": 3}
    summary |= {"reasons": {"ref_mismatch": 1, "duplicate": 2}, "explanations": {"duplicate": "Seen before."}}
    ledger.write_text(json.dumps(summary))
    effects = write_effects(tmp_path / "seal" / "tissue" / "effects.parquet")
    qc = tmp_path / "qc.tsv"
    qc.write_text("item_id\tdelta_rel\tstatus\n0\t0.001\tok\n1\t0.5\tdelta\n")
    model = write_model(tmp_path / "seal" / "tissue" / "model", auc=False)
    evaluation = write_evaluation(tmp_path / "eval" / "tissue" / "evaluation.tsv", ["cortex", "liver"])
    performance = write_performance(tmp_path / "seal" / "tissue" / "performance.tsv", ["cortex", "liver"])
    draw_seal_figures([performance], [effects], {"tissue": model}, "general", tmp_path / "seal" / "figures")
    return ReportFiles(
        run="my <run>",
        config='{"run": "my run", "seal": {"general": "general"}}',
        chromatin=write_model(tmp_path / "seal" / "chromatin", auc=True),
        pretrained=write_model(tmp_path / "seal" / "pretrained", auc=False),
        models=[model],
        evaluations=[evaluation],
        effects=[effects],
        ledgers=[ledger],
        genome=write_genome(tmp_path / "genome", effects),
        seal=tmp_path / "seal" / "figures",
        qc=qc,
        annotated=[database / "annotated.parquet"],
        motif_effects=[database / "motif_effects.tsv"],
        logos=[database / "logos.json"],
    )


class Page(HTMLParser):
    """What of a page matters here: what it loads, its anchors, its text."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.anchors.append(str(found["href"]))
        else:
            self.loads += [str(found[name]) for name in ("src", "href") if name in found]
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag not in {"meta", "link", "img", "input", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself(files: ReportFiles, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report(files, out)
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.loads
    assert all(load.startswith("data:") for load in page.loads)
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(anchor.startswith("#") and anchor[1:] in page.ids for anchor in page.anchors)
    assert [name for name in page.ids if f"{name}-title" in page.ids] == [
        section.key for section in SECTIONS if section.key not in ("truth", "xpresso")
    ]


def test_the_seal_section_tells_performance_and_effects(files: ReportFiles, tmp_path: Path) -> None:
    write_report(files, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = text[text.index('id="seal"') :]
    assert "Spearman ρ, tissue" in section
    assert "median of 2 contexts" in section
    assert "Large effect, tissue" in section
    assert "not a calibrated fold change" in section
    without = replace(files, seal=None)
    write_report(without, tmp_path / "without.html")
    assert 'id="seal"' not in (tmp_path / "without.html").read_text(encoding="utf-8")


def test_the_same_results_give_the_same_bytes(files: ReportFiles, tmp_path: Path) -> None:
    first, second = tmp_path / "1.html", tmp_path / "2.html"
    write_report(files, first)
    write_report(files, second)
    assert first.read_bytes() == second.read_bytes()


def test_what_the_page_says(files: ReportFiles, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report(files, out)
    text = out.read_text(encoding="utf-8")
    assert "my &lt;run&gt;" in text
    assert "&lt;b&gt;GENE2&lt;/b&gt;" in text
    assert "<b>GENE2" not in text
    for words in (
        "30 genes on chr4",
        "median AUC of 2 chromatin tracks",
        "breaks CTCF",
        "chr4:1,234",
        "ACGTACGT… (16 bp)",
        "The same allele came earlier in the file.",
        "Context set tissue: 6 alleles of 5 records were read, 3 scored, 3 rejected. The books balance.",
        "of 6 read; 3 genes",
        "2 of 3 seqlets have a name",
        "1 of 2 attributed windows pass",
        "GENE1 changes by −0.50 (ln expression) in liver",
        "general: general",
    ):
        assert words in text, words


def test_top_variants_are_in_the_order_of_their_strength(files: ReportFiles) -> None:
    variants = next(section for section in SECTIONS if section.key == "variants").build(ReportData(files))
    table = next(block for block in variants if isinstance(block, Table))
    shown = [[entry.text for entry in row] for row in table.rows]
    # Distance in gene orientation: GENE1 is on the reverse strand.
    assert shown[0][1:] == ["chr4:20", "ACGTACGT… (16 bp) → A", "<b>GENE2</b>", "+10", "cortex", "−0.900", "–"]
    assert shown[1][1:] == ["chr4:1,234", "C → A", "GENE1", "−234", "liver", "−0.500", "breaks CTCF"]
    assert [row[6].width for row in table.rows] == pytest.approx([100, 100 * 5 / 9, 100 / 90])


def test_an_empty_run_still_gives_a_page(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report(ReportFiles(run="nothing"), out)
    assert "<h1>nothing</h1>" in out.read_text()
    assert "<section" not in out.read_text()


def test_a_room_adds_a_section_by_one_function(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    section = Section("new", "A new room", lambda data: [Text(f"of {data.files.run}")])
    write_report(ReportFiles(run="r"), out, [*SECTIONS, section])
    assert '<section id="new"' in out.read_text()
    assert "<p>of r</p>" in out.read_text()


def truth() -> dict[str, Any]:
    """A truth check that failed."""
    names = ["expression_spearman", "effect_sign_agreement", "effect_spearman", "motif_recall"]
    good = {"gc_content": 0.1, "tss_distance": 0.1, "limit": 0.3, "passed": True}
    return {
        "passed": False,
        "failures": ["motif_recall is 0.5, below its floor 0.6"],
        "summary": {"probes": 2, "probes_passed": 1},
        "figures": dict.fromkeys(names, 0.5) | {"motif_found": 0.9},
        "baselines": dict.fromkeys(names, good),
        "floors": {"motif_recall": {"value": 0.5, "floor": 0.6, "passed": False}},
        "probes": {
            "strand": {"value": 0.0, "bound": 1e-4, "sense": "at most", "passed": True, "meaning": "m", "detail": {}},
            "leakage": {"value": None, "bound": 0.1, "sense": "at most", "passed": False, "meaning": "m", "detail": {}},
        },
        "counts": {"test_genes": 10, "motif_variants": 20, "instances": 30, "loci": 40},
        "min_effect": 0.1,
        "per_tf": [{"tf": "A", "variants": 3, "pairs": 9, "sign_agreement": 0.9, "spearman": None}],
        "recall_per_tf": [{"tf": "A", "found": 0.9, "named": 0.5, "named_exactly": 0.4, "instances": 30}],
    }


def test_the_truth_check_has_lights(tmp_path: Path) -> None:
    path, out = tmp_path / "truth.json", tmp_path / "report.html"
    path.write_text(json.dumps(truth()))
    write_report(ReportFiles(truth=path), out)
    text = out.read_text(encoding="utf-8")
    assert "motif_recall is 0.5, below its floor 0.6" in text
    assert text.count('<div class="tile bad">') == 2
    assert text.count('<div class="tile good">') == 3
    assert "not a number" in text
    assert '<span class="light bad">failed</span>' in text


def genome_blocks(files: ReportFiles) -> list[Any]:
    """What the section on the genome room holds."""
    return list(next(section for section in SECTIONS if section.key == "genome").build(ReportData(files)))


def test_equal_ledgers_are_shown_once(files: ReportFiles, tmp_path: Path) -> None:
    names = ["tissue", "cell", "organ"]
    summary = json.loads(files.ledgers[0].read_text())
    other = summary | {"scored": 2, "rejected": 4}
    for name, content in zip(names, (summary, summary, other), strict=True):
        path = tmp_path / name / "ledger.json"
        path.parent.mkdir()
        path.write_text(json.dumps(content))
    files = ReportFiles(ledgers=[tmp_path / name / "ledger.json" for name in names])
    blocks = genome_blocks(files)
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert [text.partition(":")[0] for text in texts] == ["Context sets tissue and cell alike", "Context set organ"]
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [[cell.text for cell in row] for row in tables[0].rows] == [
        ["duplicate", "2", "Seen before."],
        ["ref_mismatch", "1", "–"],
    ]
    assert len(tables) == 2


def test_the_genome_section_shows_the_figures_of_the_room(files: ReportFiles) -> None:
    blocks = genome_blocks(files)
    pictures = [block for block in blocks if isinstance(block, Figure)]
    folder = files.genome
    assert folder is not None
    assert [block.png for block in pictures] == [
        (folder / f"{name}.png").read_bytes() for name in ("flow", "rejects", "alleles", "distance", "contigs")
    ]
    assert all(block.alt and block.caption for block in pictures)
    tile = {tile.label: tile.value for block in blocks if isinstance(block, Tiles) for tile in block.tiles}
    assert tile == {
        "Alleles with a gene": "3",
        "REF is the genome's": "50 %",
        "Swapped": "1",
        "Reverse-complemented": "0",
        "Distance to TSS": "20 bp",
    }
    contigs = next(block for block in blocks if isinstance(block, Table) and block.columns[0].name == "contig")
    assert [column.label for column in contigs.columns] == [
        *("contig", "alleles", "SNV", "deletion", "swapped", "reverse-complemented")
    ]
    assert [[cell.text for cell in row] for row in contigs.rows] == [["chr4", "3", "2", "1", "1", "0"]]


def test_a_share_is_whole_only_where_nothing_is_missing() -> None:
    assert [percent(share) for share in (1.0, 0.999999, 0.75, 0.0)] == ["100 %", "99.99 %", "75 %", "0 %"]


def test_the_command_takes_what_there_is(files: ReportFiles, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    words = ["html", "--out", str(out), "--run", "r", "--evaluation", str(files.evaluations[0])]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert 'id="expression"' in out.read_text()
    assert 'id="variants"' not in out.read_text()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CisweaveError, match=r"gone\.tsv"):
        write_report(ReportFiles(evaluations=[tmp_path / "gone.tsv"]), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_cells() -> None:
    number = Column("n", "n", "+.2f", bar=2.0)
    assert cell(-1.0, number).text == "−1.00"
    assert cell(-1.0, number).width == 50.0
    assert cell(float("nan"), number).text == "–"
    assert cell(None, Column("n", "n", "status")).text == "–"
    assert cell(np.bool_(True), Column("n", "n", "status")).status == "good"
    assert number_text(1234.5, ",.0f") == "1,234"
    assert shorten("ACGTACGTACGT") == "ACGTACGTACGT"


def test_many_contexts_are_shown_from_best_to_worst(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path / "many" / "evaluation.tsv", [f"c{number}" for number in range(40)])
    data = ReportData(ReportFiles(evaluations=[path]))
    blocks = next(section for section in SECTIONS if section.key == "expression").build(data)
    assert "16 of 40 contexts" in blocks[1].caption  # type: ignore[union-attr]
    table = blocks[2]
    assert isinstance(table, Table)
    assert len(table.rows) == 40
