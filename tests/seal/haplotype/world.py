"""A random genome with genes, random models, and haplotypes by plain strings and loops."""

import numpy as np
import pandas as pd
import torch

from cisweave.config import EngineSettings, ProfileSettings
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.haplotype import HaplotypeScorer, haplotype_effects
from cisweave.seal.profiles import profile_tss, read_profiles
from cisweave.tables.ledger import read_ledger
from tests.seal import plain

WINDOW, BINS, STEP = 400, 8, 200
SHAPE = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": WINDOW}
GEOMETRY = ProfileSettings(bins=BINS)
GENES = {"G1": ("chr1", 2500, "+"), "G2": ("chr1", 3400, "-"), "G3": ("chr2", 300, "+"), "G4": ("chr2", 1750, "-")}
ENGINE = EngineSettings(batch_size=4)
CONTEXTS = ["Liver", "Brain"]
TOLERANCE = 1e-6


def make_world(folder):
    """A random genome with genes in its middle and at its ends, random models with strong heads, and profiles."""
    generator = np.random.default_rng(5)
    contigs = {name: "".join(generator.choice(list("ACGT"), size)) for name, size in (("chr1", 6000), ("chr2", 2000))}
    contigs["chr1"] = contigs["chr1"][:2700] + "CAAAAAAT" + contigs["chr1"][2708:]
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    rows = [f"{chrom}\t{tss - 1}\t{tss}\t{strand}\t{gene}\n" for gene, (chrom, tss, strand) in GENES.items()]
    (folder / "tss.bed").write_text("".join(rows))
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    network = Beluga(**SHAPE)
    network.head[-1].weight.data *= 4
    save_model(folder / "chromatin", network, ModelSpec("beluga", SHAPE, ["a", "b", "c"]), {}, history)
    head = {"features": 30, "hidden": 7, "contexts": 2}
    expression = ExpressionNetwork(**head)
    expression.layers[2].weight.data *= 4
    save_model(folder / "model", expression, ModelSpec("expression", head, CONTEXTS), {}, history)
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", GEOMETRY)
    return folder, contigs


def edited(contig, tss, edits):
    """The contig with alleles (1-based pos, ref, alt) put in from the right, and its TSS, which none of them spans."""
    for pos, ref, alt in sorted(edits, reverse=True):
        assert contig[pos - 1 : pos - 1 + len(ref)] == ref
        contig = contig[: pos - 1] + alt + contig[pos - 1 + len(ref) :]
        tss += len(alt) - len(ref) if pos - 1 + len(ref) < tss else 0
    return contig, tss


def plain_profile(folder, contig, tss, strand):
    network = load_model(folder / "chromatin").module
    return plain.gene_profile(network, contig, tss, strand, BINS, STEP, WINDOW)


def plain_expression(folder, contig, tss, strand):
    """Expression from all windows of a sequence, one by one."""
    centres = [-700 + 200 * j for j in range(BINS)]
    flat = plain.features(plain_profile(folder, contig, tss, strand), centres, GEOMETRY.decay)
    head = load_model(folder / "model").module.double()
    with torch.no_grad():
        return head(torch.from_numpy(flat)[None])[0].numpy()


def plain_difference(folder, contigs, gene, edits):
    chrom, tss, strand = GENES[gene]
    after = plain_expression(folder, *edited(contigs[chrom], tss, edits), strand)
    return after - plain_expression(folder, contigs[chrom], tss, strand)


def plain_region(contig, tss):
    start = tss - 700 - WINDOW // 2
    return "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(start, start + 1800))


def make_scorer(folder, genome, engine=ENGINE):
    return HaplotypeScorer(
        genome,
        read_profiles(folder / "profiles.h5"),
        load_model(folder / "chromatin"),
        load_model(folder / "model"),
        engine,
    )


HEADER = (
    '##fileformat=VCFv4.3\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "##contig=<ID=chr1>\n##contig=<ID=chr2>\n"
)


def write_vcf(folder, rows, samples=("S1", "S2"), name="phased.vcf"):
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    lines = [
        "\t".join([chrom, str(pos), ".", ref, alt, ".", ".", ".", "GT", *gts]) for chrom, pos, ref, alt, *gts in rows
    ]
    (folder / name).write_text("\n".join([HEADER + "\t".join(columns), *lines]) + "\n")
    return folder / name


def run(folder, tmp_path, vcf, **changes):
    options = {
        "vcf": vcf,
        "fasta": folder / "genome.fa",
        "profiles": folder / "profiles.h5",
        "chromatin": folder / "chromatin",
        "model": folder / "model",
        "out": tmp_path / "haplotypes.parquet",
        "rejects": tmp_path / "rejects.tsv",
        "engine": ENGINE,
        "device": "cpu",
    }
    counts = haplotype_effects(**(options | changes))
    return pd.read_parquet(tmp_path / "haplotypes.parquet"), read_ledger(tmp_path / "rejects.tsv"), counts


def other_base(base):
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


def flip(bases):
    return bases[::-1].translate(str.maketrans("ACGTN", "TGCAN"))
