"""The truth check: what the workflow found against what the built-in world planted, on contigs never trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.config import AnnotationSettings, ExpressionSettings, TruthSettings
from cisweave.core.devices import DeviceName, resolve_device
from cisweave.core.errors import CisweaveError
from cisweave.core.files import write_json
from cisweave.core.logs import get_logger
from cisweave.models.folders import load_model, read_spec
from cisweave.models.profiles import ProfileStore, read_profiles
from cisweave.report import probes, scores
from cisweave.report.baselines import (
    compare,
    effect_features,
    effect_sign_baselines,
    effect_spearman_baselines,
    expression_baselines,
    recall_baselines,
    skill,
)
from cisweave.report.naming import tomtom_namer
from cisweave.report.world import World, read_world
from cisweave.seqlets.annotate import ANNOTATED_COLUMNS
from cisweave.seqlets.stores import read_attributions, read_sequences
from cisweave.seqlets.table import read_loci
from cisweave.sequence import Genome
from cisweave.tables.frames import read_table
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

FIGURES = [
    "expression_spearman",
    "expression_spearman_measured",
    "effect_sign_agreement",
    "effect_spearman",
    "motif_recall",
    "motif_recall_exact",
    "motif_found",
]
"""Figures of ``truth.json``; a floor may be set for each."""

EVALUATION_COLUMNS = ["gene_id", "chrom", "split", "context", "measured", "predicted"]
VARIANT_COLUMNS = ["record", "allele", "chrom", "pos", "ref", "alt", "gene_id", "gene_strand", "dist_to_tss"]


@dataclass(frozen=True)
class TruthFiles:
    """The results that are checked.

    Attributes
    ----------
    world
        Folder of the built-in world.
    evaluations, effects, chromatin_effects
        Per context set: evaluation table, variant effects, chromatin effects.
    loci, sequences, attributions, annotated, motifs, motif_table
        The seqlets room's files.
    chromatin, pretrained
        Model folders.
    profiles
        Store of TSS profiles.
    fasta
        The modelled assembly.
    """

    world: Path
    evaluations: Sequence[Path]
    effects: Sequence[Path]
    chromatin_effects: Sequence[Path]
    loci: Path
    sequences: Path
    attributions: Path
    annotated: Path
    motifs: Path
    motif_table: Path
    chromatin: Path
    pretrained: Path
    profiles: Path
    fasta: Path

    def inputs(self) -> list[Path]:
        """All files, for the receipt."""
        single = (self.loci, self.sequences, self.attributions, self.annotated, self.motifs, self.profiles, self.fasta)
        models = (self.chromatin / "weights.safetensors", self.pretrained / "weights.safetensors")
        return [*self.evaluations, *self.effects, *self.chromatin_effects, *single, *models]


@dataclass
class Scores:
    """Figures, their baselines, and the tables behind them."""

    figures: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def check_truth(
    files: TruthFiles,
    out: str | Path,
    settings: TruthSettings | None = None,
    annotation: AnnotationSettings | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
) -> dict[str, Any]:
    """Score the results against the truth, run the probes, and write everything to ``out`` (JSON).

    Figures (all on the world's test contigs): Spearman of predicted against noise-free ln expression over genes, median
    over contexts; sign agreement over all pairs of motif variant and context whose true |effect| reaches
    ``settings.min_effect``, and their Spearman over variants, median over contexts; the share of planted motif
    instances inside the attributed core bins that a seqlet covers at least half and Tomtom names right. Each has
    baselines of GC content and distance to the TSS, which must stay below half of it.

    Parameters
    ----------
    files
        What is checked.
    out
        JSON to write; it is written whether the check passes or not.
    settings
        Least true effect, and the floors.
    annotation
        Settings of the motif annotation, for the baselines of recall.

    Returns
    -------
    dict
        What was written; ``failures`` lists, in words, what did not pass.
    """
    settings = settings or TruthSettings()
    check_floor_names(settings)
    world = read_world(files.world)
    found = score(files, world, settings, annotation or AnnotationSettings())
    outcomes = run_probes(files, world, seed, device)
    result = summarise(found, outcomes, settings)
    write_json(out, result)
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=files.inputs(), seed=seed)
    for name, value in found.figures.items():
        logger.info("%s %.3f", name, value)
    for failure in result["failures"]:
        logger.error("%s", failure)
    return result


def check_floor_names(settings: TruthSettings) -> None:
    """A floor for a figure that does not exist is a mistake."""
    unknown = [name for name in settings.floors if name not in FIGURES]
    if unknown:
        raise CisweaveError(f"truth.floors.{unknown[0]}: no such figure; write one of {', '.join(FIGURES)}")


# --- scores -----------------------------------------------------------------------------------------------------------
def score(files: TruthFiles, world: World, settings: TruthSettings, annotation: AnnotationSettings) -> Scores:
    """All figures with their baselines."""
    found = Scores()
    store = read_profiles(files.profiles)
    with Genome(files.fasta) as genome:
        score_expression(found, files, world, store, genome)
        score_effects(found, files, world, settings, genome)
        score_recall(found, files, world, annotation, genome)
    return found


def score_expression(found: Scores, files: TruthFiles, world: World, store: ProfileStore, genome: Genome) -> None:
    """Predicted against true expression."""
    tables = [read_table(path, EVALUATION_COLUMNS) for path in files.evaluations]
    joined = scores.join_expression(tables, world.expression, world.test_chromosomes)
    by_context = scores.expression_by_context(joined)
    value = float(by_context.spearman.median())
    found.figures["expression_spearman"] = value
    found.figures["expression_spearman_measured"] = float(by_context.spearman_measured.median())
    tss = store.genes[store.genes.chrom.isin(world.test_chromosomes)]
    found.baselines["expression_spearman"] = compare(value, expression_baselines(joined, tss, genome))
    found.counts["test_genes"] = int(joined.gene_id.nunique())
    found.counts["contexts"] = len(by_context)
    found.tables["per_context"] = by_context


def score_effects(found: Scores, files: TruthFiles, world: World, settings: TruthSettings, genome: Genome) -> None:
    """Predicted against true effects of motif variants."""
    tables = [read_table(path, VARIANT_COLUMNS) for path in files.effects]
    pairs = scores.join_effects(tables, world.effects, world.contexts, world.test_chromosomes, settings.min_effect)
    agreement, correlation = scores.sign_agreement(pairs.true, pairs.predicted), scores.median_spearman(pairs)
    features = effect_features(pairs, genome)
    found.figures["effect_sign_agreement"] = agreement
    found.figures["effect_spearman"] = correlation
    signs = compare(agreement, effect_sign_baselines(pairs, features), skill)
    found.baselines["effect_sign_agreement"] = {**signs, "compared": "skill, 2 * agreement - 1"}
    found.baselines["effect_spearman"] = compare(correlation, effect_spearman_baselines(pairs, features))
    found.counts["motif_variants"] = len(pairs[["record", "allele"]].drop_duplicates())
    found.counts["variant_context_pairs"] = len(pairs)
    found.counts["positive_true_effects"] = int((pairs.true > 0).sum())
    found.tables["per_tf"] = scores.effects_by(pairs, "tf")
    found.tables["per_kind"] = scores.effects_by(pairs, "kind")
    found.tables["effects_per_context"] = scores.effects_by(pairs, "context")


def score_recall(
    found: Scores, files: TruthFiles, world: World, annotation: AnnotationSettings, genome: Genome
) -> None:
    """Planted instances found and named by seqlets."""
    loci = scores.reference_loci(read_loci(files.loci), world.test_chromosomes)
    instances = scores.instances_in_cores(world.instances, loci)
    if instances.empty:
        raise CisweaveError("no planted motif lies in the core of an attributed locus on the test contigs")
    annotated = read_table(files.annotated, ANNOTATED_COLUMNS)
    seqlets = annotated[(annotated["rank"] == 1) & annotated.locus_id.isin(loci.locus_id)].reset_index(drop=True)
    names = scores.SeqletNames.of(
        seqlets.chrom, seqlets.g_start, seqlets.g_end, seqlets.matrix_id.where(seqlets.assigned, "")
    )
    marked = scores.mark_recall(instances, names, world.motifs)
    value = float(marked.named.mean())
    found.figures["motif_recall"] = value
    found.figures["motif_recall_exact"] = float(marked.named_exactly.mean())
    found.figures["motif_found"] = float(marked.found.mean())
    namer = tomtom_namer(files.sequences, files.attributions, files.motifs, files.motif_table, annotation)
    baselines = recall_baselines(instances, seqlets, loci, world.motifs, genome, namer)
    found.baselines["motif_recall"] = compare(value, baselines)
    found.counts |= {"loci": len(loci), "instances": len(instances), "seqlets": len(seqlets)}
    found.counts["named_seqlets"] = int(seqlets.assigned.sum())
    found.tables["recall_per_tf"] = scores.recall_by_tf(marked)


# --- probes -----------------------------------------------------------------------------------------------------------
def run_probes(files: TruthFiles, world: World, seed: int, device: DeviceName) -> list[probes.Probe]:
    """One sharp probe for each defect."""
    model = load_model(files.chromatin, resolve_device(device))
    subject = probes.Subject(
        model,
        probes.factors_of(world.motifs, world.tracks, model.spec.outputs),
        files.fasta,
        world.test_chromosomes,
        seed,
    )
    store = read_profiles(files.profiles)
    effects = [read_table(path, VARIANT_COLUMNS) for path in files.effects]
    evaluations = [read_table(path, EVALUATION_COLUMNS) for path in files.evaluations]
    specs = {"chromatin model": model.spec, "expression model": read_spec(files.pretrained)}
    found = [
        probes.strand_probe(subject),
        probes.decoy_probe(subject),
        probes.channel_probe(subject),
        probes.position_probe(subject),
        probes.registration_probe(subject),
        probes.label_probe(
            files.fasta,
            world.folder / "chromatin" / "tracks.tsv",
            world.test_chromosomes[0],
            subject.bin_size,
            subject.window,
        ),
        probes.profile_probe(store, subject),
        probes.reference_probe(effects, files.fasta),
        probes.window_probe(effects, files.fasta, subject.window, window_shifts(subject.window)),
        probes.effect_probe(effects, [read_table(path) for path in files.chromatin_effects], subject),
        loci_sequences(files),
        attribution(files, world),
        probes.split_probe(evaluations, specs, world.test_chromosomes),
        leakage(files, world, seed),
    ]
    for probe in found:
        logger.info("probe %s: %s (%.6g, bound %.6g)", probe.name, outcome(probe), probe.value, probe.bound)
    return found


def loci_sequences(files: TruthFiles) -> probes.Probe:
    """The locus probe on the loci, their sequences and their seqlets."""
    loci = read_loci(files.loci)
    annotated = read_table(files.annotated, ANNOTATED_COLUMNS)
    seqlets = annotated[annotated["rank"] == 1]
    return probes.locus_probe(loci, read_sequences(files.sequences, loci), files.fasta, seqlets)


def attribution(files: TruthFiles, world: World) -> probes.Probe:
    """The attribution probe on the motif-breaking variants of the test contigs."""
    effects = world.effects[world.effects.chrom.isin(world.test_chromosomes)]
    store, loci = read_attributions(files.attributions), read_loci(files.loci)
    return probes.attribution_probe(store, loci, effects, world.instances, world.tracks)


def outcome(probe: probes.Probe) -> str:
    """In a word."""
    return "passed" if probe.passed else "FAILED"


def window_shifts(window: int) -> list[int]:
    """Shifts at which windows are compared: none, and two odd ones that keep a long allele inside."""
    reach = window // 2 - 120
    return [0, -(reach // 3), reach // 2]


def leakage(files: TruthFiles, world: World, seed: int) -> probes.Probe:
    """The leakage probe with the split that the pre-trained model was trained with."""
    spec = read_spec(files.pretrained)
    split = ("valid_chromosomes", "test_chromosomes", "excluded_chromosomes")
    settings = ExpressionSettings(**{name: spec.preprocessing[name] for name in split})
    expression = world.folder / "expression" / "general.tsv"
    fit = probes.SealFit(files.profiles, spec.outputs, settings, seed)
    return probes.leakage_probe(expression, spec.outputs, world.test_chromosomes, fit)


# --- the outcome ------------------------------------------------------------------------------------------------------
def summarise(found: Scores, outcomes: Sequence[probes.Probe], settings: TruthSettings) -> dict[str, Any]:
    """Everything as plain data."""
    floors = {
        name: {"value": rounded(found.figures[name]), "floor": floor, "passed": bool(found.figures[name] >= floor)}
        for name, floor in settings.floors.items()
    }
    failures = list_failures(floors, found.baselines, outcomes)
    baseline = found.baselines["expression_spearman"]
    return {
        "passed": not failures,
        "failures": failures,
        "summary": {
            "expression_spearman": rounded(found.figures["expression_spearman"]),
            "baseline_spearman": rounded(max(baseline["gc_content"], baseline["tss_distance"])),
            "effect_sign_agreement": rounded(found.figures["effect_sign_agreement"]),
            "effect_spearman": rounded(found.figures["effect_spearman"]),
            "motif_recall": rounded(found.figures["motif_recall"]),
            "probes": len(probes.PROBES),
            "probes_passed": sum(probe.passed for probe in outcomes),
        },
        "figures": {name: rounded(found.figures[name]) for name in FIGURES},
        "baselines": rounded(found.baselines),
        "baselines_passed": all(entry["passed"] for entry in found.baselines.values()),
        "floors": floors,
        "floors_passed": all(entry["passed"] for entry in floors.values()),
        "probes": {probe.name: rounded(probe.as_dict(), 8) for probe in outcomes},
        "probes_passed": all(probe.passed for probe in outcomes) and not wrong_probes(outcomes),
        "counts": found.counts,
        "min_effect": settings.min_effect,
        **{name: rounded(table.to_dict("records")) for name, table in found.tables.items()},
    }


def list_failures(
    floors: dict[str, dict[str, Any]], baselines: dict[str, dict[str, Any]], outcomes: Sequence[probes.Probe]
) -> list[str]:
    """What did not pass, in words."""
    below = [
        f"{name} is {entry['value']}, below its floor {entry['floor']}"
        for name, entry in floors.items()
        if not entry["passed"]
    ]
    high = [
        f"a baseline of {name} reaches half of it or more (GC content {entry['gc_content']:.3f}, "
        f"TSS distance {entry['tss_distance']:.3f})"
        for name, entry in baselines.items()
        if not entry["passed"]
    ]
    failed = [f"probe {probe.name} failed: {shortfall(probe)}" for probe in outcomes if not probe.passed]
    return [*below, *high, *failed, *wrong_probes(outcomes)]


def shortfall(probe: probes.Probe) -> str:
    """Why a probe failed, in words."""
    if probe.reason:
        return f"{probe.meaning} has no value, {probe.reason}"
    return f"{probe.meaning} is {probe.value:.6g}, must be {probe.sense} {probe.bound:.6g}"


def wrong_probes(outcomes: Sequence[probes.Probe]) -> list[str]:
    """What is wrong with the set of probes that ran, in words: each of :data:`probes.PROBES` must run, once."""
    ran = [probe.name for probe in outcomes]
    missing = [f"probe {name} did not run" for name in probes.PROBES if name not in ran]
    expected = [name for name in probes.PROBES if name in ran]
    strange = [f"probe {name} ran unexpectedly" for name in sorted(Counter(ran) - Counter(expected))]
    return [*missing, *strange]


def rounded(value: Any, digits: int = 6) -> Any:
    """Plain data with rounded numbers; what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, digits) if np.isfinite(value) else None
    return value
