"""A tiny pair of assemblies with the chains between them, and valid files of every kind the genome room reads."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.genome.assemblies import Assemblies, Segment, make_assemblies, random_bases

VCF_HEADER = [
    "##fileformat=VCFv4.2",
    '##FILTER=<ID=PASS,Description="All filters passed">',
    "##contig=<ID=chr1>",
    "##contig=<ID=chr2>",
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">',
    '##ALT=<ID=DEL,Description="Deletion">',
]
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
ALIASES = {"chr1": ("chr1", "chr1", "1", "NC_000001.11"), "chr2": ("chr2", "chr2", "2"), "chrM": ("chrM", "MT")}


@dataclass(frozen=True)
class World:
    """The files that every case can rely on; sequences by contig."""

    source: dict[str, str]
    target: dict[str, str]
    fasta: Path
    target_fasta: Path
    chain: Path
    chain_back: Path
    chain_text: str


def build_world(folder: Path) -> World:
    """Write both assemblies and both chains."""
    first = make_assemblies(
        [
            Segment("same", 400),
            Segment("lost", 30),
            Segment("same", 300),
            Segment("gained", 25),
            Segment("same", 200),
            Segment("inverted", 350),
            Segment("same", 300),
            Segment("lost", 3),
            Segment("same", 400),
        ],
        seed=1,
        bases=with_repeats(random_bases(1983, 11)),
    )
    second = make_assemblies([Segment("same", 500), Segment("inverted", 200), Segment("same", 300)], seed=2)
    mitochondrion = make_assemblies([Segment("same", 250)], seed=3)
    pieces = {"chr1": first, "chr2": second, "chrM": mitochondrion}
    source = {name: piece.source for name, piece in pieces.items()}
    target = {name: piece.target for name, piece in pieces.items() if name != "chrM"}
    target["chr2"] = "".join(
        "ACGT"[("ACGT".index(base) + 1) % 4] if at % 97 == 5 else base for at, base in enumerate(target["chr2"])
    )
    text = "\n".join(piece.chain.replace("chrS", name).replace("chrT", name) for name, piece in pieces.items())
    text += f"\nchain 1 chr2 1000 + 100 150 chr1 {len(target['chr1'])} + 10 60 99\n50\n"
    world = World(
        source,
        target,
        folder / "source.fa",
        folder / "target.fa",
        folder / "there.chain",
        folder / "back.chain",
        text,
    )
    world.fasta.write_bytes(fasta(source))
    world.target_fasta.write_bytes(fasta(target))
    world.chain.write_text(text)
    world.chain_back.write_text("".join(chain_back(name, piece) for name, piece in pieces.items()))
    for path in (world.fasta, world.target_fasta):
        index_fasta(path)
    return world


def index_fasta(path: Path) -> None:
    """Write the index of a FASTA once, so that no case has to."""
    import pysam

    pysam.faidx(str(path))


def with_repeats(bases: str) -> str:
    """Bases with a few repeats and a gap."""
    for at, repeat in ((120, "CA" * 9), (300, "T" * 11), (520, "GATA" * 4), (1100, "N" * 12), (1400, "ACG" * 6)):
        bases = bases[:at] + repeat + bases[at + len(repeat) :]
    return bases


def chain_back(name: str, piece: Assemblies) -> str:
    """The chain from target to source."""
    lines = []
    for number, (start, end, to, strand) in enumerate(piece.blocks, start=1):
        length = end - start
        begin = start if strand == "+" else len(piece.source) - end
        lines.append(
            f"chain 1 {name} {len(piece.target)} + {to} {to + length} "
            f"{name} {len(piece.source)} {strand} {begin} {begin + length} {number}\n{length}\n\n"
        )
    return "".join(lines)


def fasta(contigs: dict[str, str], width: int = 60) -> bytes:
    """Contigs as FASTA."""
    lines = []
    for name, bases in contigs.items():
        lines += [f">{name} some words", *(bases[at : at + width] for at in range(0, len(bases), width))]
    return ("\n".join(lines) + "\n").encode()


# --- variants ---------------------------------------------------------------------------------------------------------
def variant(rng: random.Random, world: World) -> tuple[str, int, str, str]:
    """Contig (by one of its names), 1-based position, REF and ALT: mostly right."""
    chrom = rng.choice(("chr1", "chr1", "chr1", "chr2", "chr2", "chrM"))
    bases = world.source[chrom]
    at = rng.randrange(len(bases) - 8)
    length = rng.choice((1, 1, 1, 1, 1, 2, 3, 5))
    ref = bases[at : at + length]
    alts = [other_allele(rng, ref) for _ in range(rng.choice((1, 1, 1, 1, 2, 3)))]
    if rng.random() < 0.1:
        ref = "".join(rng.choices("ACGT", k=length))
    return rng.choice(ALIASES[chrom]), at + 1, ref, ",".join(alts)


def other_allele(rng: random.Random, ref: str) -> str:
    """An ALT for a REF, now and then one that is not to be scored."""
    kind = rng.random()
    if kind < 0.05:
        return rng.choice(("<DEL>", "*", ".", "N", "A[chr2:5[", "<INS:ME>"))
    if kind < 0.2:
        return ref[0]
    if kind < 0.35:
        return ref + "".join(rng.choices("ACGT", k=rng.randint(1, 4)))
    return "".join(rng.choices("ACGT", k=len(ref)))


def variant_rows(rng: random.Random, world: World, most: int = 25) -> list[tuple[str, int, str, str]]:
    """Variants, sorted or not, some twice."""
    rows = [variant(rng, world) for _ in range(rng.randint(1, most))]
    if rng.random() < 0.3:
        rows += rng.choices(rows, k=2)
    if rng.random() < 0.6:
        rows.sort(key=lambda row: (row[0].removeprefix("chr"), row[1]))
    return rows


def vcf(rng: random.Random, world: World, samples: bool = True) -> bytes:
    """A VCF, with samples now and then where it may."""
    columns, tail = COLUMNS, "\t50\tPASS\tAF=0.1"
    if samples and rng.random() < 0.2:
        columns, tail = columns + "\tFORMAT\tone\ttwo", tail + "\tGT\t0/1\t1|1"
    lines = [*VCF_HEADER, columns]
    for number, (chrom, pos, ref, alt) in enumerate(variant_rows(rng, world)):
        name = rng.choice((".", f"rs{number}", f"rs{number};x{number}", "NA"))
        lines.append(f"{chrom}\t{pos}\t{name}\t{ref}\t{alt}{tail}")
    return ("\n".join(lines) + "\n").encode()


def five_columns(rng: random.Random, world: World) -> bytes:
    """The bare columns CHROM, POS, ID, REF, ALT."""
    rows = variant_rows(rng, world)
    return "".join(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\n" for chrom, pos, ref, alt in rows).encode()


def bcf(rng: random.Random, world: World, path: Path) -> bytes:
    """A BCF (bgzip, or not packed)."""
    import pysam

    text = path.with_name("for_bcf.vcf")
    lines = [line for line in vcf(rng, world, samples=False).decode().split("\n") if "[" not in line]
    known = [
        f"##contig=<ID={name}>"
        for names in ALIASES.values()
        for name in sorted(set(names))
        if name not in ("chr1", "chr2")
    ]
    text.write_text("\n".join(lines[:1] + known + lines[1:]))
    mode = rng.choice(("wb", "wb", "wb0"))
    with pysam.VariantFile(str(text)) as records, pysam.VariantFile(str(path), mode, header=records.header) as out:
        for record in records:
            out.write(record)
    text.unlink()
    return path.read_bytes()


# --- genes ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class GeneModel:
    """A gene with one transcript; intervals 0-based half-open, in the order of the genome."""

    chrom: str
    strand: str
    gene_id: str
    exons: list[tuple[int, int]]
    coding: list[tuple[int, int]]

    @property
    def start(self) -> int:
        """First base."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """Behind the last base."""
        return self.exons[-1][1]

    @property
    def tss(self) -> int:
        """1-based TSS."""
        return self.start + 1 if self.strand == "+" else self.end


def gene_models(rng: random.Random, world: World) -> list[GeneModel]:
    """Genes at random places of the source assembly."""
    models = []
    for number in range(rng.randint(1, 10)):
        chrom = rng.choice(("chr1", "chr1", "chr2"))
        count = rng.randint(1, 3)
        edges = sorted(rng.sample(range(len(world.source[chrom])), 2 * count))
        exons = list(zip(edges[::2], edges[1::2], strict=True))
        coding = exons[: rng.randint(0, count)]
        models.append(GeneModel(chrom, rng.choice("+-"), f"ENSG{number:011d}.{number}", exons, coding))
    return models


def seal_bed(models: list[GeneModel]) -> bytes:
    """Seal's TSS BED."""
    rows = (f"{gene.chrom}\t{gene.tss - 1}\t{gene.tss}\t{gene.strand}\t{gene.gene_id}\n" for gene in models)
    return "".join(rows).encode()


def gene_bed(models: list[GeneModel]) -> bytes:
    """BED6 of genes."""
    rows = (f"{gene.chrom}\t{gene.start}\t{gene.end}\t{gene.gene_id}\t0\t{gene.strand}\n" for gene in models)
    return "".join(rows).encode()


def gene_csv(models: list[GeneModel]) -> bytes:
    """ExPecto's table of genes."""
    lines = ["id,symbol,seqnames,strand,TSS,CAGE_representative_TSS,type"]
    for number, gene in enumerate(models):
        cage = "" if number % 3 else str(gene.tss + 5)
        lines.append(f"{gene.gene_id},S{number},{gene.chrom},{gene.strand},{gene.tss},{cage},protein_coding")
    return ("\n".join(lines) + "\n").encode()


def features(gene: GeneModel) -> list[tuple[str, int, int]]:
    """Kind, start and end (1-based, closed) of the lines of a gene."""
    found = [("gene", gene.start + 1, gene.end), ("transcript", gene.start + 1, gene.end)]
    found += [("exon", start + 1, end) for start, end in gene.exons]
    found += [("CDS", start + 1, end) for start, end in gene.coding]
    if gene.coding:
        start = gene.coding[0][0] + 1 if gene.strand == "+" else max(1, gene.coding[-1][1] - 2)
        found.append(("start_codon", start, start + 2))
    return found


def gtf(models: list[GeneModel]) -> bytes:
    """GTF."""
    lines = ["#!genome-build small"]
    for gene in models:
        for kind, start, end in features(gene):
            text = f'gene_id "{gene.gene_id}"; gene_type "protein_coding"; level 2;'
            if kind != "gene":
                text += f' transcript_id "T{gene.gene_id}"; tag "basic"; tag "Ensembl_canonical";'
            lines.append(f"{gene.chrom}\thavana\t{kind}\t{start}\t{end}\t.\t{gene.strand}\t{phase(kind)}\t{text}")
    return ("\n".join(lines) + "\n").encode()


def gff3(models: list[GeneModel]) -> bytes:
    """GFF3."""
    lines = ["##gff-version 3"]
    for gene in models:
        for kind, start, end in features(gene):
            own = {
                "gene": f"ID=gene:{gene.gene_id};biotype=protein_coding",
                "transcript": f"ID=transcript:T{gene.gene_id};Parent=gene:{gene.gene_id}",
            }
            text = own.get(kind, f"Parent=transcript:T{gene.gene_id};Note=a%20b")
            name = "mRNA" if kind == "transcript" else kind
            if kind != "start_codon":
                lines.append(f"{gene.chrom}\tensembl\t{name}\t{start}\t{end}\t.\t{gene.strand}\t{phase(kind)}\t{text}")
    return ("\n".join(lines) + "\n###\n").encode()


def phase(kind: str) -> str:
    """Column 8."""
    return "0" if kind in ("CDS", "start_codon") else "."


GENE_FORMATS: dict[str, Callable[[list[GeneModel]], bytes]] = {
    "genes.seal.bed": seal_bed,
    "genes.bed": gene_bed,
    "genes.gtf": gtf,
    "genes.gff3": gff3,
    "genes.csv": gene_csv,
}


def pairs(rng: random.Random, rows: list[tuple[str, int, str, str]], models: list[GeneModel]) -> bytes:
    """A table of pairs for some variants, by place or by name."""
    if rng.random() < 0.3:
        lines = ["gene_id\tname"] + [f"{rng.choice(models).gene_id}\trs{number}" for number in range(len(rows))]
    else:
        lines = ["gene_id\tchrom\tpos\tref\talt"]
        for chrom, pos, ref, alt in rows:
            lines.append(
                f"{rng.choice(models).gene_id}\t{chrom}\t{pos}\t{rng.choice((ref, '.', ''))}\t{alt.split(',')[0]}"
            )
    return ("\n".join(lines) + "\n").encode()


# --- intervals, loci, motifs ------------------------------------------------------------------------------------------
def bed(rng: random.Random, world: World) -> bytes:
    """BED3, BED6, BED9, BED12 or narrowPeak."""
    form = rng.choice((3, 4, 6, 9, 10, 12))
    lines = ["track name=peaks", "# some peaks"] if rng.random() < 0.3 else []
    for number in range(rng.randint(1, 20)):
        chrom = rng.choice(("chr1", "chr1", "chr2", "chrM"))
        start = rng.randrange(len(world.source[chrom]) - 30)
        end = min(len(world.source[chrom]), start + rng.choice((1, 10, 20, 20, 100, 300)))
        fields = [chrom, str(start), str(end), f"peak{number}", "10", rng.choice("+-."), str(start), str(end), "0,0,0"]
        if form == 10:
            fields[6:] = ["1.5", "2.5", "3.5", str((end - start) // 2)]
        elif form == 12:
            fields += ["1", f"{end - start},", "0,"]
        lines.append("\t".join(fields[:form]))
    return ("\n".join(lines) + "\n").encode()


def loci(rng: random.Random, world: World) -> bytes:
    """A table of loci, plain windows or haplotypes."""
    haplotypes = rng.random() < 0.4
    lines = ["locus_id\tchrom\tstart\tend\tstrand" + ("\tpos\tref\talt\tallele" if haplotypes else "")]
    for number in range(rng.randint(1, 15)):
        chrom, pos, ref, alt = variant(rng, world)
        line = f"l{number}\t{chrom}\t{pos - 32}\t{pos + 32}\t{rng.choice('+-.')}"
        lines.append(line + (f"\t{pos}\t{ref}\t{alt}\t{rng.choice(('ref', 'alt', ''))}" if haplotypes else ""))
    return ("\n".join(lines) + "\n").encode()


def meme(rng: random.Random) -> bytes:
    """Motifs in MEME's format."""
    lines = [
        "MEME version 4",
        "",
        "ALPHABET= ACGT",
        "",
        "strands: + -",
        "",
        "Background letter frequencies",
        "A 0.25 C 0.25 G 0.25 T 0.25",
    ]
    for number in range(rng.randint(1, 4)):
        width = rng.randint(1, 8)
        lines += [
            "",
            f"MOTIF M{number} name{number}",
            f"letter-probability matrix: alength= 4 w= {width} nsites= 20 E= 0",
        ]
        for _ in range(width):
            weights = [rng.random() for _ in range(4)]
            lines.append(" ".join(f"{weight / sum(weights):.6f}" for weight in weights))
        if rng.random() < 0.3:
            lines.append("URL https://example.org")
    return ("\n".join(lines) + "\n").encode()


def aliases(rng: random.Random) -> bytes:
    """A table of names of contigs."""
    return b"# mine\nchr1\tone\tfirst\nchr2\ttwo\n"
