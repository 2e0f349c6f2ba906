"""Building a world: one pass from the seed to the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.files import atomic_text, sha256, write_json
from cisweave.core.logs import get_logger
from cisweave.core.seeds import generator
from cisweave.simulate import accessibility, expression, genes, layout, promoters, tracks, truth, variants, xpresso
from cisweave.simulate.assembly import Assembly, chain_lines, make_assembly
from cisweave.simulate.background import Contig, make_contig
from cisweave.simulate.bad import plan_bad
from cisweave.simulate.dna import LETTERS, Codes
from cisweave.simulate.elements import deplete, plant
from cisweave.simulate.lifted import plan_lifted
from cisweave.simulate.motifs import Motif, aliases, load_motif
from cisweave.simulate.occupancy import Sites, scan
from cisweave.simulate.planner import Planner, plan_good
from cisweave.tables.frames import write_tsv

LINE = 60
logger = get_logger(__name__)


@dataclass(frozen=True)
class Manifest:
    """What a world holds; the content of ``manifest.json``."""

    size: str
    seed: int
    contigs: dict[str, int]
    valid_chromosomes: list[str]
    test_chromosomes: list[str]
    files: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain data in a fixed order."""
        return dict(vars(self))


@dataclass(frozen=True)
class World:
    """Everything that the files are written from."""

    layout: layout.Layout
    seed: int
    motifs: list[Motif]
    genes: list[genes.Gene]
    contigs: dict[str, Contig]
    assemblies: dict[str, Assembly]
    sites: dict[str, Sites]
    weights: expression.Weights

    @property
    def codes(self) -> dict[str, Codes]:
        """Bases of each sim19 contig."""
        return {name: contig.codes for name, contig in self.contigs.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each sim19 contig."""
        return {name: len(contig.codes) for name, contig in self.contigs.items()}


def build_world(out: str | Path, size: str = "demo", seed: int = 1) -> Manifest:
    """Build the built-in world in a folder.

    Parameters
    ----------
    out
        Folder that takes the files of :func:`cisweave.simulate.layout.files` and, last of all, ``manifest.json``.
    size
        ``tiny``, ``demo`` or ``large``.
    seed
        The same seed gives the same bytes.

    Returns
    -------
    Manifest
        Sizes, splits and the SHA-256 of every file.

    Raises
    ------
    CisweaveError
        If the size is unknown.
    """
    dimensions = layout.layout(size)
    out = Path(out)
    (out / layout.MANIFEST).unlink(missing_ok=True)
    logger.info("building the %s world (seed %d) in %s", size, seed, out)
    world = make_world(dimensions, seed)
    write_genome(world, out / "genome")
    write_annotation(world, out / "annotation")
    write_tracks(world, size, out)
    write_expression(world, out)
    write_xpresso(world, out)
    write_library(world, out)
    write_accessibility(world, out)
    write_transcripts(world, out / "transcripts")
    write_variants(world, out)
    write_tsv(truth.motif_table(world.motifs, [aliases(motif) for motif in world.motifs]), out / "truth/motifs.tsv")
    write_tsv(truth.instance_table(world.sites, world.motifs), out / "truth/instances.tsv")
    manifest = Manifest(
        size=size,
        seed=seed,
        contigs=dimensions.contigs,
        valid_chromosomes=list(dimensions.valid),
        test_chromosomes=list(dimensions.test),
        files={path: sha256(out / path) for path in layout.files(size)},
    )
    write_json(out / layout.MANIFEST, manifest.as_dict())
    logger.info("%d genes, %d files", len(world.genes), len(manifest.files))
    return manifest


def make_world(dimensions: layout.Layout, seed: int) -> World:
    """Make the sequence first; everything else is read off it by the one occupancy scan."""
    motifs = [load_motif(factor) for factor in dimensions.factors]
    found = genes.make_genes(dimensions, seed)
    contigs = {}
    for name in dimensions.contigs:
        local = [gene for gene in found if gene.contig == name]
        contig = make_contig(dimensions, name, local, seed)
        for gene in local:
            rng = generator(seed, "simulate", "coding", gene.number)
            genes.write_coding(contig.codes, contig.fixed, gene, rng)
        plant(dimensions, contig, local, motifs, seed)
        deplete(contig, motifs, seed)
        contigs[name] = contig
    sites = {name: scan(contig.codes, motifs) for name, contig in contigs.items()}
    assemblies = {name: make_assembly(dimensions, contig, seed) for name, contig in contigs.items()}
    weights = expression.make_weights(motifs, seed)
    return World(dimensions, seed, motifs, found, contigs, assemblies, sites, weights)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write text lines atomically."""
    with atomic_text(path) as handle:
        handle.writelines(lines)


def write_genome(world: World, folder: Path) -> None:
    """Both assemblies with their indices, and the chain files between them."""
    write_fasta(folder / "sim19.fa", {name: (contig.codes, contig.masked) for name, contig in world.contigs.items()})
    write_fasta(folder / "sim38.fa", {name: (found.codes, found.masked) for name, found in world.assemblies.items()})
    assemblies = list(world.assemblies.values())
    write_lines(folder / "sim38ToSim19.over.chain", chain_lines(assemblies, from_sim38=True))
    write_lines(folder / "sim19ToSim38.over.chain", chain_lines(assemblies, from_sim38=False))


def write_fasta(path: Path, contigs: dict[str, tuple[Codes, NDArray[np.bool_]]]) -> None:
    """A FASTA (soft-masked bases in lower case) and its ``.fai`` index."""
    index, offset = [], 0
    with atomic_text(path) as handle:
        for name, (codes, masked) in contigs.items():
            handle.write(f">{name}\n")
            offset += len(name) + 2
            text = (LETTERS[codes] + np.where(masked, 32, 0).astype(np.uint8)).tobytes().decode("ascii")
            handle.writelines(f"{text[start : start + LINE]}\n" for start in range(0, len(text), LINE))
            index.append(f"{name}\t{len(text)}\t{offset}\t{LINE}\t{LINE + 1}\n")
            offset += len(text) + -(-len(text) // LINE)
    write_lines(path.with_name(path.name + ".fai"), index)


def write_annotation(world: World, folder: Path) -> None:
    """Gene models and the TSS BED (sim19)."""
    write_lines(folder / "genes.gtf", genes.gtf_lines(world.genes))
    write_lines(folder / "tss.bed", genes.tss_lines(world.genes))


def write_tracks(world: World, size: str, out: Path) -> None:
    """Peaks and signal of every chromatin track, the table that lists them, and the true weights."""
    names = layout.tracks(size)
    members = tracks.track_factors(world.motifs, world.layout.accessibility, world.layout.repressive, world.seed)
    for track, row in zip(names, members, strict=True):
        lines = tracks.peak_lines(track, row, world.sites, world.sizes)
        write_lines(out / f"chromatin/{track}.narrowPeak", lines)
        tracks.write_signal(out / f"chromatin/{track}.bw", track, row, world.sites, world.sizes, world.seed)
    table = pd.DataFrame({"track": list(names)})
    table["peaks"] = [f"{track}.narrowPeak" for track in names]
    table["signal"] = [f"{track}.bw" for track in names]
    table["tf"] = list(names.values())
    write_tsv(table, out / "chromatin/tracks.tsv")
    write_tsv(truth.weight_table(world.motifs, world.weights, list(names), members), out / "truth/weights.tsv")


def write_expression(world: World, out: Path) -> None:
    """Expression with noise per context set (linear scale), and without noise in the truth (natural log)."""
    decayed = expression.gene_features(world.genes, world.sites, len(world.motifs))
    noise_free = expression.log_expression(decayed, world.weights)
    table = expression.expression_table(world.genes, expression.measured(noise_free, world.seed))
    for context_set in layout.CONTEXTS:
        write_tsv(table[layout.expression_columns(context_set)], out / f"expression/{context_set}.tsv", "%.6g")
    write_tsv(expression.expression_table(world.genes, noise_free), out / "truth/expression.tsv", "%.6f")


def write_xpresso(world: World, out: Path) -> None:
    """Half-life features, factor and microRNA matrices, expression (linear scale), and the true weights."""
    halflife = xpresso.half_life(world.genes, world.codes)
    factors = xpresso.factor_matrix(world.genes, world.sites, world.motifs)
    mirna = xpresso.mirna_matrix(world.genes, world.codes)
    known = xpresso.weights(world.motifs, world.seed)
    decayed = expression.gene_features(world.genes, world.sites, len(world.motifs))
    general = expression.log_expression(decayed, world.weights)[:, : len(layout.CONTEXTS["general"])]
    noise_free = xpresso.log10_expression(general.mean(axis=1), halflife, factors, mirna, known)
    write_tsv(halflife, out / "xpresso/halflife.tsv")
    write_tsv(factors, out / "xpresso/tf.tsv")
    write_tsv(mirna, out / "xpresso/mirna.tsv")
    table = halflife[["gene_id"]]
    write_tsv(table.assign(expression=xpresso.measured(noise_free, world.seed)), out / "xpresso/expression.tsv", "%.6g")
    write_tsv(known, out / "truth/xpresso_weights.tsv")
    write_tsv(table.assign(log10_expression=noise_free), out / "truth/xpresso_expression.tsv", "%.6f")


def write_library(world: World, out: Path) -> None:
    """The promoter library: sequences and tables of promoter models, and the truth behind them."""
    library = promoters.make_library(world.layout.promoters, world.motifs, world.seed)
    write_lines(out / "xpresso/library/promoters.fa", promoters.fasta_lines(library))
    for name in ("halflife", "tf", "mirna"):
        write_tsv(getattr(library, name), out / f"xpresso/library/{name}.tsv")
    write_tsv(library.expression, out / "xpresso/library/expression.tsv", "%.6g")
    write_tsv(library.instances, out / "truth/library_instances.tsv")
    write_tsv(library.weights, out / "truth/library_weights.tsv")
    write_tsv(library.parts, out / "truth/library_expression.tsv", "%.6f")


def write_accessibility(world: World, out: Path) -> None:
    """Peaks with their sequences, the accessibility matrix, lineages, and the true weights."""
    peaks = accessibility.choose_peaks(world.layout, world.codes, world.sites, world.seed)
    known = accessibility.lineage_weights(world.layout, world.motifs, world.seed)
    occupied = accessibility.occupancy_matrix(peaks, world.sites, len(world.motifs))
    values = accessibility.matrix(world.layout, peaks, occupied, known, world.seed)
    write_tsv(values, out / "accessibility/matrix.tsv", "%.5f")
    write_lines(out / "accessibility/peaks.bed", accessibility.bed_lines(peaks))
    write_lines(out / "accessibility/peaks.fa", accessibility.fasta_lines(peaks, world.codes))
    write_tsv(accessibility.cell_types(), out / "accessibility/cell_types.tsv")
    write_tsv(known, out / "truth/accessibility_weights.tsv")


def write_transcripts(world: World, folder: Path) -> None:
    """Transcript sequences and their translation starts."""
    write_lines(folder / "transcripts.fa", genes.transcript_lines(world.genes, world.codes))
    write_lines(folder / "tis.tsv", genes.start_lines(world.genes))


def write_variants(world: World, out: Path) -> None:
    """The VCF (sim38), the true effects (sim19) and the records that must be rejected."""
    oracle = truth.Oracle(world.codes, world.sites, world.genes, world.motifs, world.weights)
    planner = Planner(world.layout, oracle, world.assemblies, world.seed)
    plan_good(planner)
    bad = plan_bad(planner) + plan_lifted(planner, world.seed)
    records = variants.sort_records(world.layout, planner.records + bad)
    write_lines(out / "variants/variants.vcf", variants.vcf_lines(world.layout, world.assemblies, records))
    write_tsv(variants.effect_table(oracle, records), out / "truth/effects.tsv", "%.6f")
    write_tsv(variants.bad_table(records), out / "truth/bad_records.tsv")
