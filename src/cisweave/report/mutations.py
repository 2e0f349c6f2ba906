"""Mutation tests: each probe passes on sound code and fails when the defect it is for is planted.

Everything runs on one tiny built-in world with a small chromatin model trained on it, kept in a cache folder. The
tests and ``cisweave report mutations`` share this code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import cisweave
from cisweave.config import (
    AttributionSettings,
    ChromatinSettings,
    ExpressionSettings,
    NetworkSettings,
    PredictSettings,
    ProfileSettings,
    TrainingSettings,
)
from cisweave.core.files import write_json
from cisweave.core.logs import get_logger
from cisweave.genome import extract
from cisweave.models import predict as prediction
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import LoadedModel, ModelSpec, load_model
from cisweave.report import probes
from cisweave.report.world import World, read_world
from cisweave.seal import chromatin, expression, profiles, tracks
from cisweave.seal import engine as engines
from cisweave.seal import predict as effects
from cisweave.seal.engine import AllelePredictions, ChromatinEngine
from cisweave.seqlets.attribute import attribute_items
from cisweave.sequence import Genome, onehot, windows
from cisweave.tables.frames import read_table
from cisweave.tables.receipts import settings_hash

logger = get_logger(__name__)

SEED = 1
SOURCES = ("core", "tables", "config", "simulate", "sequence", "models", "training", "seal")
"""Packages whose code shapes the cached world and model."""

TINY_CHROMATIN = ChromatinSettings(
    network=NetworkSettings(
        channels=[32, 24, 24, 24, 24, 24], hidden=32, window=368, dropout_conv=0.0, dropout_dense=0.1
    ),
    batch_size=16,
    learning_rate=0.002,
    weight_decay=0.01,
    max_epochs=12,
    patience=12,
    min_auc=0.8,
)
"""Learns the four factors of the tiny world in about half a minute of one core; contigs come from the world."""

TINY_PROFILES = ProfileSettings(bins=40)
TINY_ATTRIBUTION = AttributionSettings(shuffles=10)
GENES = 16
"""TSS that are profiled anew for the probe of profiles."""

VARIANTS = 100
"""Motif-breaking variants that are attributed for the probe of attributions."""

Builder = Callable[[Path, str, int], object]
"""Builds a world: folder, size, seed."""


# --- the tiny world ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Tiny:
    """A tiny world with what was trained on it."""

    folder: Path

    @property
    def fasta(self) -> Path:
        """The modelled assembly."""
        return self.folder / "world" / "genome" / "sim19.fa"

    @property
    def tss(self) -> Path:
        """The TSS BED."""
        return self.folder / "world" / "annotation" / "tss.bed"

    @property
    def tracks(self) -> Path:
        """The track table."""
        return self.folder / "world" / "chromatin" / "tracks.tsv"

    @property
    def profiles(self) -> Path:
        """The store of TSS profiles."""
        return self.folder / "tss_profiles.h5"

    @cached_property
    def world(self) -> World:
        """The truth."""
        return read_world(self.folder / "world")

    @property
    def split(self) -> ExpressionSettings:
        """The expression model's settings with this world's contigs."""
        return ExpressionSettings(
            valid_chromosomes=self.world.valid_chromosomes,
            test_chromosomes=self.world.test_chromosomes,
            excluded_chromosomes=[],
        )

    def model(self) -> LoadedModel:
        """The chromatin model."""
        return load_model(self.folder / "chromatin")

    def subject(self) -> probes.Subject:
        """What the probes look at."""
        model = self.model()
        factors = probes.factors_of(self.world.motifs, self.world.tracks, model.spec.outputs)
        return probes.Subject(model, factors, self.fasta, self.world.test_chromosomes)

    def variants(self) -> pd.DataFrame:
        """The good variants, each with the closest gene."""
        table = self.world.effects
        ordered = table.assign(away=table.dist_to_tss.abs()).sort_values(["record", "allele", "away"], kind="stable")
        closest = ordered.drop_duplicates(["record", "allele"]).reset_index(drop=True)
        strand = profiles.read_profiles(self.profiles).genes.set_index("gene_id").strand
        return closest.assign(gene_strand=strand.reindex(closest.gene_id).to_numpy())


def tiny_world(cache: str | Path, build: Builder) -> Tiny:
    """The tiny world and its model, made on first use and kept in ``cache``.

    The folder's name is a hash of the settings and of the code that shapes them, so a change of either starts anew. It
    appears when everything in it is complete, whichever process is first.

    Parameters
    ----------
    cache
        Folder that keeps it.
    build
        Builds a world (:func:`cisweave.simulate.build_world`).
    """
    folder = Path(cache) / cache_key()
    if not folder.exists():
        partial = folder.with_name(f".partial-{os.getpid()}-{folder.name}")
        logger.info("training the tiny model for %s", folder)
        try:
            make_tiny(Tiny(partial), build)
            with suppress(OSError):
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Tiny(folder)


def make_tiny(tiny: Tiny, build: Builder) -> None:
    """Build the tiny world, train the model and profile the TSS."""
    build(tiny.folder / "world", "tiny", SEED)
    split = {"valid_chromosomes": tiny.world.valid_chromosomes, "test_chromosomes": tiny.world.test_chromosomes}
    chromatin.train_chromatin(
        tiny.fasta,
        tiny.tracks,
        tiny.folder / "chromatin",
        TINY_CHROMATIN.model_copy(update=split),
        TrainingSettings(csv_log=False, tensorboard=False),
        SEED,
        "cpu",
    )
    profiles.profile_tss(tiny.fasta, tiny.tss, tiny.folder / "chromatin", tiny.profiles, TINY_PROFILES, "cpu")


def cache_key() -> str:
    """Hash of the settings and of the source code that shapes world and model."""
    root = Path(cisweave.__file__).parent
    settings = (TINY_CHROMATIN, TINY_PROFILES)
    digest = hashlib.sha256(settings_hash({str(n): s.model_dump(mode="json") for n, s in enumerate(settings)}).encode())
    for package in SOURCES:
        for path in sorted((root / package).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# --- what is measured -------------------------------------------------------------------------------------------------
def measure_labels(tiny: Tiny) -> probes.Probe:
    """The label probe on the test contig."""
    subject = tiny.subject()
    chrom = tiny.world.test_chromosomes[0]
    return probes.label_probe(tiny.fasta, tiny.tracks, chrom, subject.bin_size, subject.window)


def measure_profiles(tiny: Tiny) -> probes.Probe:
    """The profile probe on a store that is made anew for a few genes."""
    with TemporaryDirectory() as folder:
        bed, store = Path(folder) / "tss.bed", Path(folder) / "profiles.h5"
        bed.write_text("".join(tiny.tss.read_text().splitlines(keepends=True)[:GENES]))
        profiles.profile_tss(tiny.fasta, bed, tiny.folder / "chromatin", store, TINY_PROFILES, "cpu")
        return probes.profile_probe(profiles.read_profiles(store), tiny.subject())


def measure_alleles(tiny: Tiny) -> probes.Probe:
    """The REF probe on the variant table."""
    return probes.reference_probe([tiny.variants()], tiny.fasta)


def measure_windows(tiny: Tiny) -> probes.Probe:
    """The window probe on the variant table."""
    return probes.window_probe([tiny.variants()], tiny.fasta, tiny.subject().window, [0, 60, -60])


def measure_effects(tiny: Tiny) -> probes.Probe:
    """The effect probe on chromatin effects predicted anew."""
    subject, variants = tiny.subject(), tiny.variants()
    store = profiles.read_profiles(tiny.profiles)
    untrained = ExpressionNetwork(store.features.shape[1], 4, 1).eval()
    head = LoadedModel(untrained, ModelSpec("expression", {}, ["any"]), tiny.folder, subject.model.device)
    with Genome(tiny.fasta) as genome:
        scored = effects.score_variants(variants, genome, store, subject.model, head, PredictSettings(max_shift=0))
    changes = pd.DataFrame(scored.chromatin, columns=subject.model.spec.outputs)
    return probes.effect_probe([variants], [pd.concat([variants[["record", "allele"]], changes], axis=1)], subject)


def measure_loci(tiny: Tiny) -> probes.Probe:
    """The locus probe on sequences extracted anew for motif-breaking variants."""
    loci = breaking_loci(tiny, tiny.subject().window)
    return probes.locus_probe(loci, extract.extract_codes(loci, tiny.fasta), tiny.fasta)


def measure_attributions(tiny: Tiny) -> probes.Probe:
    """The attribution probe on attributions made anew for motif-breaking variants."""
    subject = tiny.subject()
    loci = breaking_loci(tiny, subject.window)
    codes = extract.extract_codes(loci, tiny.fasta)
    targets = np.array([subject.model.spec.outputs.index(track) for track in loci.tracks])
    found, _ = attribute_items(subject.model.module, codes, targets, TINY_ATTRIBUTION)
    found.locus_id, found.track = loci.locus_id.to_numpy(), loci.tracks.tolist()
    return probes.attribution_probe(found, loci, tiny.world.effects, tiny.world.instances, tiny.world.tracks)


def breaking_loci(tiny: Tiny, window: int) -> pd.DataFrame:
    """Locus table of motif-breaking substitutions, attributed in the track of the broken factor."""
    variants = tiny.variants()
    breaks = variants[(variants.kind == "break") & (variants.ref.str.len() == variants["alt"].str.len())].head(VARIANTS)
    start = breaks.pos - window // 2
    table = pd.DataFrame(
        {
            "region_id": np.arange(len(breaks)),
            "kind": "variant",
            "chrom": breaks.chrom.to_numpy(),
            "start": start.to_numpy(),
            "end": start.to_numpy() + window,
            **{name: breaks[name].to_numpy() for name in ("pos", "ref", "alt", "record", "gene_id")},
            "variant_allele": breaks.allele.to_numpy(),
            "tracks": [tiny.world.tracks[tf] for tf in breaks.tf],
        }
    )
    both = pd.concat([table.assign(allele="ref"), table.assign(allele="alt")], ignore_index=True)
    return both.assign(locus_id=np.arange(len(both)))


def measure_split(tiny: Tiny) -> probes.Probe:
    """The split probe on the table of genes as the expression model splits them."""
    table, contexts = expression_table(tiny)
    store = profiles.read_profiles(tiny.profiles)
    data = expression.prepare_expression(store, expression.read_expression(table, contexts), tiny.split)
    return probes.split_probe([data.genes], {"chromatin model": tiny.model().spec}, tiny.world.test_chromosomes)


def measure_leakage(tiny: Tiny) -> probes.Probe:
    """The leakage probe with the expression model's own split and training."""
    table, contexts = expression_table(tiny)
    fit = probes.SealFit(tiny.profiles, contexts, tiny.split)
    return probes.leakage_probe(table, contexts, tiny.world.test_chromosomes, fit)


def expression_table(tiny: Tiny) -> tuple[Path, list[str]]:
    """The general expression table and its contexts."""
    path = tiny.folder / "world" / "expression" / "general.tsv"
    return path, [name for name in read_table(path).columns if name != "gene_id"]


# --- what is planted --------------------------------------------------------------------------------------------------
def reversed_only(codes: Any) -> Any:
    """A reverse complement that forgets to complement."""
    return codes[..., ::-1].copy()


def unchanged(codes: Any) -> Any:
    """A reverse complement that does nothing."""
    return codes


def permuted_model(tiny: Tiny) -> LoadedModel:
    """The model as it would be if training and prediction had shared the channel order A, G, C, T."""
    import torch

    loaded = load_model(tiny.folder / "chromatin")
    first = next(layer for layer in loaded.module.modules() if isinstance(layer, torch.nn.Conv1d))
    first.weight.data = first.weight.data[:, [0, 2, 1, 3]]
    return loaded


def reversal_model(tiny: Tiny) -> LoadedModel:
    """The model as it would be if training had flipped windows without complementing them: both ways count."""
    import torch

    class Either(torch.nn.Module):
        """The larger logit of a window read forwards and backwards."""

        def __init__(self, network: torch.nn.Module):
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Logits (batch, tracks)."""
            return torch.maximum(self.network(x), self.network(x.flip(-1)))

    loaded = load_model(tiny.folder / "chromatin")
    return LoadedModel(Either(loaded.module).eval(), loaded.spec, loaded.folder, loaded.device)


def agct_codes() -> NDArray[np.uint8]:
    """The encoding table of letters with C and G exchanged."""
    table = onehot._ENCODE.copy()
    for letter, code in zip(b"CGcg", (2, 1, 2, 1), strict=True):
        table[letter] = code
    return table


def shifted_fetch(bases: int) -> Callable[[Genome, str, int, int], str]:
    """:meth:`Genome.fetch` that reads ``bases`` too far to the right."""
    fetch = Genome.fetch

    def shifted(genome: Genome, chrom: str, start: int, end: int) -> str:
        return fetch(genome, chrom, start + bases, end + bases)

    return shifted


def shifted_window(bases: int) -> Callable[..., Any]:
    """:func:`cisweave.sequence.windows.allele_window` that lies ``bases`` too far to the right."""
    cut = windows.allele_window

    def shifted(genome: Genome, chrom: str, pos: int, ref: str, allele: str, window: int = 2000, shift: int = 0) -> Any:
        return cut(genome, chrom, pos, ref, allele, window, shift + bases)

    return shifted


def shifted_labels(bases: int) -> Callable[..., Any]:
    """Labels of bins that lie ``bases`` to the right of their windows."""
    label = tracks.label_bins

    def shifted(peaks: Any, chrom: str, starts: Any, bin_size: int) -> Any:
        return label(peaks, chrom, starts + bases, bin_size)

    return shifted


def changed_variants(change: Callable[[pd.DataFrame], pd.DataFrame]) -> AbstractContextManager[object]:
    """The variant table after a change."""
    variants = Tiny.variants
    return patch.object(Tiny, "variants", lambda tiny: change(variants(tiny)))


class ExchangedEngine:
    """An engine that gives the reference where the alternative is asked for, and the other way round."""

    def __init__(self, engine: ChromatinEngine):
        self.engine, self.network, self.device = engine, engine.network, engine.device

    def predict(self, variants: pd.DataFrame, genome: Genome, shifts: Sequence[int]) -> AllelePredictions:
        """Predictions with the alleles exchanged."""
        right = self.engine.predict(variants, genome, shifts)
        return AllelePredictions(right.alternative, right.reference)


def exchanged_alleles() -> Callable[..., Any]:
    """Make engines that exchange the alleles."""
    make = engines.make_engine
    return lambda chromatin, settings: ExchangedEngine(make(chromatin, settings))


def leaky_split(chroms: pd.Series, settings: ExpressionSettings) -> pd.Series:
    """The split with all test genes but two in training."""
    split = chroms.map(lambda chrom: "valid" if chrom in settings.valid_chromosomes else "train")
    split.loc[chroms[chroms.isin(settings.test_chromosomes)].index[:2]] = "test"
    return split


# --- the mutations ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Mutation:
    """A defect, and the probe that must see it.

    Attributes
    ----------
    name
        Short name.
    defect
        What is planted, in words.
    measure
        Runs the probe.
    inject
        A context in which the defect is there.
    """

    name: str
    defect: str
    measure: Callable[[Tiny], probes.Probe]
    inject: Callable[[], AbstractContextManager[object]]


def of_subject(probe: Callable[[probes.Subject], probes.Probe]) -> Callable[[Tiny], probes.Probe]:
    """A probe that needs only the model and the genome."""
    return lambda tiny: probe(tiny.subject())


MUTATIONS = [
    Mutation(
        "strand_not_complemented",
        "the reverse strand is predicted from the reversed, not complemented sequence",
        of_subject(probes.strand_probe),
        lambda: patch.object(prediction, "reverse_complement", reversed_only),
    ),
    Mutation(
        "strand_missing",
        "the reverse strand is not predicted",
        of_subject(probes.strand_probe),
        lambda: patch.object(prediction, "reverse_complement", unchanged),
    ),
    Mutation(
        "strand_in_training",
        "training flips windows without complementing them",
        of_subject(probes.decoy_probe),
        lambda: patch.object(Tiny, "model", reversal_model),
    ),
    Mutation(
        "channels_in_training",
        "training and prediction share the channel order A, G, C, T",
        of_subject(probes.channel_probe),
        lambda: patch.object(Tiny, "model", permuted_model),
    ),
    Mutation(
        "channels_in_prediction",
        "prediction encodes in another channel order than training",
        of_subject(probes.channel_probe),
        lambda: patch.object(onehot, "_ENCODE", agct_codes()),
    ),
    Mutation(
        "extraction_off_by_one",
        "intervals are cut one base too far to the right",
        of_subject(probes.position_probe),
        lambda: patch.object(Genome, "fetch", shifted_fetch(1)),
    ),
    Mutation(
        "variant_window_off_by_one",
        "windows of variants are cut one base too far to the right",
        of_subject(probes.position_probe),
        lambda: patch.object(windows, "allele_window", shifted_window(1)),
    ),
    Mutation(
        "windows_off_by_twenty",
        "windows lie 20 bases beside their coordinates",
        of_subject(probes.registration_probe),
        lambda: patch.object(Genome, "fetch", shifted_fetch(20)),
    ),
    Mutation(
        "labels_off_by_twenty",
        "labels lie 20 bases beside the windows they are trained with",
        measure_labels,
        lambda: patch.object(chromatin, "label_bins", shifted_labels(20)),
    ),
    Mutation(
        "profiles_off_by_one",
        "the regions around TSS are cut one base too far to the right",
        measure_profiles,
        lambda: patch.object(Genome, "fetch", shifted_fetch(1)),
    ),
    Mutation(
        "loci_off_by_one",
        "attributed haplotypes lie one base beside the coordinates of their locus",
        measure_loci,
        lambda: patch.object(extract, "allele_window", shifted_window(1)),
    ),
    Mutation(
        "attributions_off_by_six",
        "what is attributed lies six bases beside the coordinates of its locus",
        measure_attributions,
        lambda: patch.object(extract, "allele_window", shifted_window(6)),
    ),
    Mutation(
        "vcf_position_off_by_one",
        "POS of the VCF is taken as 0-based",
        measure_alleles,
        lambda: changed_variants(lambda table: table.assign(pos=table.pos + 1)),
    ),
    Mutation(
        "alleles_exchanged",
        "REF and ALT are exchanged in the variant table",
        measure_alleles,
        lambda: changed_variants(lambda table: table.assign(ref=table["alt"], alt=table.ref)),
    ),
    Mutation(
        "allele_at_wrong_index",
        "windows of variants are cut one base too far to the right",
        measure_windows,
        lambda: patch.object(windows, "allele_window", shifted_window(1)),
    ),
    Mutation(
        "haplotypes_exchanged",
        "effects are reference minus alternative",
        measure_effects,
        lambda: patch.object(effects, "make_engine", exchanged_alleles()),
    ),
    Mutation(
        "test_genes_in_training",
        "all test genes but two are trained on",
        measure_leakage,
        lambda: patch.object(expression, "split_of", leaky_split),
    ),
    Mutation(
        "test_genes_not_held_out",
        "genes on test contigs are labelled as training genes",
        measure_split,
        lambda: patch.object(expression, "split_of", leaky_split),
    ),
]
"""Every defect with its probe."""


def run_mutation(tiny: Tiny, mutation: Mutation) -> dict[str, Any]:
    """Run a probe on sound code and with its defect; it is caught when the probe passes the one and fails the other.

    A probe without a value fails too, but has seen nothing: that does not count.
    """
    clean = mutation.measure(tiny)
    with mutation.inject():
        injected = mutation.measure(tiny)
    caught = clean.passed and not injected.passed and not injected.reason
    logger.info("%s: %s", mutation.name, "caught" if caught else "MISSED")
    return {
        "name": mutation.name,
        "defect": mutation.defect,
        "probe": clean.name,
        "bound": clean.as_dict()["bound"],
        "clean": clean.as_dict()["value"],
        "injected": injected.as_dict()["value"],
        "caught": caught,
    }


def run_mutations(tiny: Tiny, out: str | Path) -> dict[str, Any]:
    """Run every mutation and write the outcome (JSON): counts, the names of those missed, and the values."""
    outcomes = [run_mutation(tiny, mutation) for mutation in MUTATIONS]
    result = {
        "mutations": len(outcomes),
        "mutations_caught": sum(outcome["caught"] for outcome in outcomes),
        "missed": [outcome["name"] for outcome in outcomes if not outcome["caught"]],
        "outcomes": outcomes,
    }
    write_json(out, result)
    return result
