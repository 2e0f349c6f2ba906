"""One damaged file on its way through the genome room, and everything that must hold of what comes out."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from cisweave.config import ClosestSettings, ExtractSettings, LiftoverSettings, VariantSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.closest import closest_tss
from cisweave.genome.extract import extract_sequences
from cisweave.genome.genes import read_genes
from cisweave.genome.ledger import balance_ledger
from cisweave.genome.lift_bed import liftover_bed
from cisweave.genome.liftover import liftover_variants
from cisweave.genome.normalize import normalize_variants
from cisweave.motifs.meme import read_meme_file
from cisweave.sequence.genome import Genome
from tests.checks_genome import inputs
from tests.checks_genome.inputs import World
from tests.checks_genome.mutations import bgzip, mutate_bytes, mutate_text, write_packed
from tests.checks_genome.plain import (
    Key,
    PlainAllele,
    alleles_of,
    fasta_of,
    keys_of,
    lines_of,
    rows_of,
)

LONGEST_MESSAGE = 3010
POLICIES = ("exclude", "exclude", "warn", "set", "swap", "error")


class WrongError(Exception):
    """What must hold does not."""


def must(holds: bool, what: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise WrongError(what)


class Journey:
    """The steps of one case.

    Parameters
    ----------
    rng
        Where all choices of the case come from.
    world
        Whole files that the case can use.
    folder
        An empty folder: ``in`` takes the damaged file, ``out`` what the steps write.
    has_bedops
        Whether BEDOPS can be called.
    """

    def __init__(self, rng: random.Random, world: World, folder: Path, has_bedops: bool):
        self.rng, self.world, self.folder, self.has_bedops = rng, world, folder, has_bedops
        self.given, self.out = folder / "in", folder / "out"
        self.given.mkdir()
        self.out.mkdir()
        self.refused = ""

    # --- one step -----------------------------------------------------------------------------------------------------
    def step(self, name: str, outputs: Sequence[str], action: Callable[[], object], refusable: bool = True) -> bool:
        """Run a step: it writes all its outputs and nothing else, or refuses with a message and writes nothing."""
        before = set(self.listing())
        try:
            action()
        except CisweaveError as error:
            check_message(str(error))
            if not refusable:
                raise WrongError(f"{name} refuses what it should take: {error}") from error
            self.refused = f"{name}: {error}"
            must(self.listing() == sorted(before), f"{name} failed and left {sorted(set(self.listing()) - before)}")
            return False
        expected = {*outputs, *(f"{output}.csi" for output in outputs if output.endswith(".vcf.gz"))}
        expected |= {f"{outputs[0]}.receipt.json"} if outputs else set()
        found = set(self.listing()) - before
        must(found == expected, f"{name} wrote {sorted(found)}, not {sorted(expected)}")
        return True

    def listing(self) -> list[str]:
        """What is in the folder of outputs."""
        return sorted(path.name for path in self.out.iterdir())

    # --- variants -----------------------------------------------------------------------------------------------------
    def variants(self, path: Path, own_keys: bool = True, table: bool = False) -> None:
        """Normalise, lift, assign, extract, and close the books.

        ``own_keys``: the file has no keys of its own, so that they can be told by plain reading; ``table``: it is a
        variant table.
        """
        rng, world, out = self.rng, self.world, self.out
        settings = VariantSettings(
            ref_policy=rng.choice(POLICIES),
            left_align=rng.random() < 0.8,
            max_allele_length=rng.choice((100, 100, 4)),
            compat=rng.choice((None, None, None, None, "seal")),
        )
        fasta = world.fasta if rng.random() < 0.85 else None
        first = "normalized" + rng.choice((".vcf", ".vcf.gz", ".bcf", ".vcf", ".tsv", ".parquet"))
        if not self.step(
            "normalize",
            [first, "1.tsv"],
            lambda: normalize_variants(path, out / first, out / "1.tsv", fasta, settings),
        ):
            return
        kept = self.kept(out / first, each_row=True)
        checked = fasta is not None and settings.compat is None and settings.ref_policy != "warn"
        farthest = (5000 if fasta is not None else 0) if own_keys else 10**15
        self.check_kept(out / first, world.source if checked else None, farthest)
        rejected = rows_of(out / "1.tsv")
        if not table:
            self.check_split(alleles_of(path), kept, rejected, own_keys)
        if not own_keys and len(set(kept)) < len(kept):
            return
        all_keys = kept + keys_of(rejected)
        at, ledgers = first, ["1.tsv"]
        unique = own_keys and len(set(all_keys)) == len(all_keys)
        if checked and rng.random() < 0.7:
            at = self.lift(at, kept, ledgers)
            kept = self.kept(out / at)
        kept = self.assign(at, kept, ledgers)
        left = self.extract_variants(kept, ledgers)
        must(not unique or sorted(all_keys) == sorted(left + self.rejected(ledgers)), "alleles are lost on the way")
        self.close_books(path, first, left, ledgers, unique and not table)

    def check_split(
        self, given: dict[Key, PlainAllele], kept: list[Key], rejected: list[dict[str, str]], own_keys: bool
    ) -> None:
        """Each allele of the file is kept or rejected, once, and the ledger spells it as the file does."""
        must(
            len(kept) + len(rejected) == len(given),
            f"{len(given)} alleles in the file, {len(kept)} kept, {len(rejected)} rejected",
        )
        if not own_keys:
            return
        must(sorted(kept + keys_of(rejected)) == sorted(given), "the keys are not those of the file")
        for row in rejected:
            line, spelt = given[int(row["record"]), int(row["allele"])]
            must(int(row["line"]) == line, f"the ledger says line {row['line']}, it is {line}")
            if spelt is not None:
                named = (row["contig"], row["position"], row["ref"], row["alt"])
                same = named == spelt or (named[1].isdigit() and named == (spelt[0], str(int(spelt[1])), *spelt[2:]))
                must(same, f"the ledger spells {named}, the file {spelt}")
            must(bool(row["code"] and row["message"]), "a row of the ledger gives no reason")

    def kept(self, path: Path, each_row: bool = False) -> list[Key]:
        """The keys of what a step kept, each allele once, or each row."""
        if path.suffix in (".vcf", ".gz", ".bcf"):
            return keys_of_vcf(path)
        if path.suffix == ".parquet":
            import pandas as pd

            frame = pd.read_parquet(path, columns=["record", "allele"])
            keys = list(frame.itertuples(index=False, name=None))
        else:
            keys = keys_of(rows_of(path))
        return keys if each_row else list(dict.fromkeys(keys))

    def check_kept(self, path: Path, genome: dict[str, str] | None, farthest: int = 10**15) -> None:
        """A VCF can be read back, is sorted, and its REF is what the genome holds; nothing moved too far."""
        if path.suffix not in (".vcf", ".gz", ".bcf"):
            return
        import pysam

        places = []
        with pysam.VariantFile(str(path)) as records:
            order = list(records.header.contigs)
            for record in records:
                places.append((order.index(record.chrom), record.pos))
                source = int(str(record.info["CW_SOURCE"]).split("|")[1])
                moved = abs(record.pos - source)
                must(moved <= farthest, f"position {source} became {record.pos}")
                ref = record.ref or ""
                must(record.alts is not None and len(record.alts) == 1 and bool(ref), "not one ALT")
                if genome is not None:
                    found = genome[record.chrom][record.start : record.start + len(ref)]
                    must(found == ref, f"REF {ref} at {record.chrom}:{record.pos} is not {found}")
        must(places == sorted(places), f"{path.name} is not sorted")

    def lift(self, at: str, kept: list[Key], ledgers: list[str]) -> str:
        """Lift what a step kept."""
        rng, world, out = self.rng, self.world, self.out
        name = "lifted" + rng.choice((".vcf", ".vcf.gz", ".bcf", ".tsv", ".parquet"))
        settings = LiftoverSettings(
            swapped=rng.choice(("swap", "reject")), source_fasta=world.fasta if rng.random() < 0.4 else None
        )
        back = world.chain_back if rng.random() < 0.4 else None
        self.step(
            "liftover",
            [name, "2.tsv"],
            lambda: liftover_variants(
                out / at, world.chain, world.target_fasta, out / name, out / "2.tsv", settings, back
            ),
            refusable=False,
        )
        self.check_kept(out / name, world.target)
        self.check_same(kept, self.kept(out / name), "2.tsv")
        ledgers.append("2.tsv")
        return name

    def assign(self, at: str, kept: list[Key], ledgers: list[str]) -> list[Key]:
        """Give what a step kept its genes; both engines must write the same."""
        rng, out = self.rng, self.out
        genes = self.folder / "genes.bed"
        genes.write_bytes(inputs.seal_bed(inputs.gene_models(rng, self.world)))
        name = "assigned" + rng.choice((".tsv", ".tsv", ".parquet"))
        mode = rng.choice(("closest", "closest", "window"))
        engines = ["builtin"]
        if self.has_bedops and mode == "closest" and rng.random() < 0.4:
            engines.append("bedops")
        written: list[str] = []
        for engine in engines:
            settings = ClosestSettings(mode=mode, engine=engine, max_distance=rng.choice((0, 100, 20_000)))
            settings = settings.model_copy(update={"max_distance": 300}) if len(engines) > 1 else settings
            self.step(
                f"closest-tss ({engine})",
                [name, "3.tsv"] if not written else [f"other-{name}", "other-3.tsv"],
                lambda: closest_tss(
                    out / at,
                    genes,
                    out / (f"other-{name}" if written else name),
                    out / ("other-3.tsv" if written else "3.tsv"),
                    settings,  # noqa: B023
                ),
                refusable=False,
            )
            written.append(engine)
        if len(written) > 1:
            for one, other in ((name, f"other-{name}"), ("3.tsv", "other-3.tsv")):
                must((out / one).read_bytes() == (out / other).read_bytes(), f"the engines differ in {one}")
        left = self.kept(out / name)
        self.check_same(kept, left, "3.tsv")
        if name.endswith(".tsv"):
            for row in rows_of(out / name):
                must(int(row["pos"]) - int(row["tss"]) == int(row["dist_to_tss"]), "a distance is wrong")
        ledgers.append("3.tsv")
        self.at = name
        return left

    def extract_variants(self, kept: list[Key], ledgers: list[str]) -> list[Key]:
        """Cut the windows of what is left."""
        out = self.out
        settings = ExtractSettings(
            window=64, edges=self.rng.choice(("pad", "reject")), unknown=self.rng.choice(("keep", "reject"))
        )
        self.step(
            "extract",
            ["windows.h5", "4.tsv"],
            lambda: extract_sequences(
                self.world.fasta, out / "windows.h5", variants=out / self.at, rejects=out / "4.tsv", settings=settings
            ),
            refusable=False,
        )
        names = [name.split(":") for name in ids_of(out / "windows.h5")]
        left = [(int(record), int(allele)) for record, allele, which in names if which == "ref"]
        must(len(names) == 2 * len(left), "not two windows for each allele")
        self.check_same(kept, left, "4.tsv")
        ledgers.append("4.tsv")
        return left

    def check_same(self, before: list[Key], after: list[Key], ledger: str) -> None:
        """What went in came out or was rejected."""
        rejected = keys_of(rows_of(self.out / ledger))
        must(
            sorted(set(before)) == sorted(set(after + rejected)) and len(before) >= len(after) + len(set(rejected)),
            f"{len(before)} alleles in, {len(after)} kept, {len(rejected)} rejected in {ledger}",
        )

    def rejected(self, ledgers: list[str]) -> list[Key]:
        """The keys of all ledgers."""
        return [key for ledger in ledgers for key in keys_of(rows_of(self.out / ledger))]

    def close_books(self, path: Path, first: str, left: list[Key], ledgers: list[str], whole: bool) -> None:
        """``genome ledger`` agrees; with keys that the user's file brought along it may refuse."""
        out = self.out
        (self.folder / "scored.tsv").write_text("record\tallele\n" + "".join(f"{r}\t{a}\n" for r, a in left))
        self.step(
            "ledger",
            ["ledger.tsv", "ledger.json"],
            lambda: balance_ledger(
                out / first,
                [out / ledger for ledger in ledgers],
                [self.folder / "scored.tsv"],
                out / "ledger.tsv",
                out / "ledger.json",
                path if whole else None,
            ),
            refusable=not whole,
        )

    # --- whole variants, another file damaged -------------------------------------------------------------------------
    def whole_variants(self, rows: list[tuple[str, int, str, str]] | None = None) -> Path:
        """A VCF that cisweave wrote from valid records."""
        raw = self.folder / "whole.vcf"
        if rows is None:
            raw.write_bytes(inputs.vcf(self.rng, self.world))
        else:
            text = [f"{chrom}\t{pos}\trs{number}\t{ref}\t{alt}" for number, (chrom, pos, ref, alt) in enumerate(rows)]
            raw.write_text("\n".join(text) + "\n")
        path = self.folder / "normalized.vcf"
        normalize_variants(raw, path, self.folder / "normalized.tsv", self.world.fasta)
        return path

    def genes(self, path: Path, kind: str) -> None:
        """Genes: the TSS of variants, windows around TSS, and transcripts."""
        rng, out = self.rng, self.out
        vcf = self.whole_variants()
        settings = ClosestSettings(
            mode=rng.choice(("closest", "closest", "window")),
            engine="bedops" if self.has_bedops and rng.random() < 0.2 else "builtin",
        )
        types = rng.choice((None, ["protein_coding"]))
        place: Literal["gene", "canonical"] = "gene" if rng.random() < 0.5 else "canonical"
        cut = rng.random() < 0.5
        self.step("genes", [], lambda: read_genes(path, types=types, tss=place, strip_version=cut))
        if self.step(
            "closest-tss",
            ["a.tsv", "1.tsv"],
            lambda: closest_tss(vcf, path, out / "a.tsv", out / "1.tsv", settings),
        ):
            self.check_same(self.kept(vcf), self.kept(out / "a.tsv"), "1.tsv")
        settings_ = self.extract_settings()
        if self.step(
            "extract --tss",
            ["tss.h5", "2.tsv"],
            lambda: extract_sequences(
                self.world.fasta, out / "tss.h5", tss=path, rejects=out / "2.tsv", settings=settings_
            ),
        ):
            ids_of(out / "tss.h5")
        if kind in ("genes.gtf", "genes.gff3") and self.step(
            "extract --transcripts",
            ["transcripts.h5", "3.tsv"],
            lambda: extract_sequences(
                self.world.fasta, out / "transcripts.h5", transcripts=path, rejects=out / "3.tsv", settings=settings_
            ),
        ):
            ids_of(out / "transcripts.h5")

    def extract_settings(self) -> ExtractSettings:
        """Some settings of extraction."""
        return ExtractSettings(
            window=self.rng.choice((2, 63, 64)),
            centre=self.rng.choice(("middle", "summit", "whole")),
            edges=self.rng.choice(("pad", "reject")),
            unknown=self.rng.choice(("keep", "reject", "error")),
            strand=self.rng.choice(("forward", "as_annotated")),
        )

    def pairs(self, path: Path, rows: list[tuple[str, int, str, str]], models: list[inputs.GeneModel]) -> None:
        """A table of pairs."""
        vcf, out = self.whole_variants(rows), self.out
        genes = self.folder / "genes.bed"
        genes.write_bytes(inputs.seal_bed(models))
        settings = ClosestSettings(
            mode="pairs",
            pair_places=self.rng.choice(("source", "current")),
            pair_max_distance=self.rng.choice((None, 0, 400)),
        )
        if self.step(
            "closest-tss --pairs",
            ["a.tsv", "1.tsv"],
            lambda: closest_tss(vcf, genes, out / "a.tsv", out / "1.tsv", settings, path),
        ):
            self.check_same(self.kept(vcf), self.kept(out / "a.tsv"), "1.tsv")

    def chain(self, path: Path) -> None:
        """A chain, for alleles and for intervals, there or as the way back."""
        vcf, out, world = self.whole_variants(), self.out, self.world
        as_back = self.rng.random() < 0.2
        there, back = (world.chain, path) if as_back else (path, None)
        settings = LiftoverSettings(source_fasta=world.fasta if self.rng.random() < 0.4 else None)
        if self.step(
            "liftover",
            ["l.vcf", "1.tsv"],
            lambda: liftover_variants(vcf, there, world.target_fasta, out / "l.vcf", out / "1.tsv", settings, back),
        ):
            self.check_kept(out / "l.vcf", world.target)
            self.check_same(self.kept(vcf), self.kept(out / "l.vcf"), "1.tsv")
        bed = self.folder / "whole.bed"
        bed.write_bytes(inputs.bed(self.rng, world))
        if self.step(
            "liftover --bed",
            ["l.bed", "2.tsv"],
            lambda: liftover_bed(bed, there, out / "l.bed", out / "2.tsv", LiftoverSettings(), back),
        ):
            self.check_bed(bed, out / "l.bed", out / "2.tsv")

    def intervals(self, path: Path) -> None:
        """A BED: lifted, and as peaks."""
        out, world = self.out, self.world
        settings = LiftoverSettings(
            min_match=self.rng.choice((0.95, 0.5, 1.0)), bed_fields=self.rng.choice((None, None, 3, 6, 12))
        )
        back = world.chain_back if self.rng.random() < 0.4 else None
        if self.step(
            "liftover --bed",
            ["l.bed", "1.tsv"],
            lambda: liftover_bed(path, world.chain, out / "l.bed", out / "1.tsv", settings, back),
        ):
            self.check_bed(path, out / "l.bed", out / "1.tsv")
        chosen = self.extract_settings()
        if self.step(
            "extract --peaks",
            ["peaks.h5", "2.tsv"],
            lambda: extract_sequences(
                world.fasta, out / "peaks.h5", peaks=path, rejects=out / "2.tsv", settings=chosen
            ),
        ):
            found = len(ids_of(out / "peaks.h5")) + len(rows_of(out / "2.tsv"))
            must(found == len(bed_records(path)), f"{len(bed_records(path))} peaks in, {found} accounted for")

    def check_bed(self, given: Path, out: Path, ledger: Path) -> None:
        """Each line of the BED is lifted or rejected."""
        lines, rejected = bed_records(given), rows_of(ledger)
        kept = out.read_bytes().decode().split("\n")[:-1]
        must(
            len(lines) == len(kept) + len(rejected),
            f"{len(lines)} intervals in, {len(kept)} kept, {len(rejected)} rejected",
        )
        named = {number for number, _ in lines}
        must({int(row["line"]) for row in rejected} <= named, "the ledger names a line that is no interval")
        for line in kept:
            fields = line.split("\t")
            must(int(fields[1]) <= int(fields[2]), f"no interval: {fields[:3]}")

    def loci(self, path: Path) -> None:
        """A table of loci."""
        out, settings = self.out, self.extract_settings()
        if self.step(
            "extract --loci",
            ["l.h5", "1.tsv"],
            lambda: extract_sequences(
                self.world.fasta, out / "l.h5", loci=path, rejects=out / "1.tsv", settings=settings
            ),
        ):
            ids_of(out / "l.h5")

    def motifs(self, path: Path) -> None:
        """Motifs."""

        def read() -> None:
            for motif in read_meme_file(path).motifs:
                sums = motif.pwm.sum(axis=0)
                must(motif.pwm.shape[0] == 4 and motif.width > 0, "a motif without width")
                must(all(math.isclose(value, 1) for value in sums.tolist()), "probabilities do not sum to 1")

        self.step("motifs", [], read)

    def names(self, path: Path) -> None:
        """A table of names of contigs."""
        raw, out = self.folder / "whole.vcf", self.out
        raw.write_bytes(inputs.vcf(self.rng, self.world).replace(b"\nchr1\t", b"\nfirst\t"))
        settings = VariantSettings(aliases=path)
        if self.step(
            "normalize",
            ["n.vcf", "1.tsv"],
            lambda: normalize_variants(raw, out / "n.vcf", out / "1.tsv", self.world.fasta, settings),
        ):
            self.check_split(alleles_of(raw), self.kept(out / "n.vcf"), rows_of(out / "1.tsv"), True)

    def genome(self, path: Path) -> None:
        """A FASTA: what is read from it is what stands in it."""

        def read() -> None:
            with Genome(path) as genome:
                plain = fasta_of(path)
                for name, length in genome.contigs.items():
                    found = genome.fetch(name, -3, length + 3)
                    must(found[:3] == found[-3:] == "NNN", f"{name} is not padded")
                    must(found[3:-3] == plain.get(name), f"{name} is not what stands in the FASTA")

        known = {path.name, f"{path.name}.fai", f"{path.name}.gzi"}
        readable = self.step("genome", [], read)
        must({each.name for each in path.parent.iterdir()} <= known, "files are left beside the FASTA")
        if readable:
            self.use_genome(path)

    def use_genome(self, path: Path) -> None:
        """Normalise and extract with a FASTA that can be opened."""
        raw, out = self.folder / "whole.vcf", self.out
        raw.write_bytes(inputs.vcf(self.rng, self.world))
        if self.step(
            "normalize",
            ["n.vcf", "1.tsv"],
            lambda: normalize_variants(raw, out / "n.vcf", out / "1.tsv", path, VariantSettings(ref_policy="set")),
        ):
            self.check_split(alleles_of(raw), self.kept(out / "n.vcf"), rows_of(out / "1.tsv"), True)
            self.check_kept(out / "n.vcf", fasta_of(path))
        bed = self.folder / "whole.bed"
        bed.write_bytes(inputs.bed(self.rng, self.world))
        self.step(
            "extract --peaks",
            ["p.h5", "2.tsv"],
            lambda: extract_sequences(
                path, out / "p.h5", peaks=bed, rejects=out / "2.tsv", settings=ExtractSettings(window=64)
            ),
        )


# --- what holds of any output -----------------------------------------------------------------------------------------
def check_message(text: str) -> None:
    """A message says something, in few lines, and shows no control characters."""
    must(bool(text.strip()), "a message is empty")
    must(text.count("\n") < 4, f"a message of many lines: {text[:300]}")
    must(len(text) < LONGEST_MESSAGE, f"a message of {len(text)} characters: {text[:200]}")
    must(all(char.isprintable() or char == "\n" for char in text), f"a message with control characters: {text[:300]!r}")
    must("Traceback" not in text and "fault of cisweave" not in text, f"a message of a fault: {text[:300]}")


def bed_records(path: Path) -> list[tuple[int, str]]:
    """Lines of a BED that hold an interval, or should."""
    words = ("track ", "track\t", "browser ", "browser\t")
    return [(number, line) for number, line in lines_of(path) if not line.startswith(words)]


def keys_of_vcf(path: Path) -> list[Key]:
    """The keys that cisweave wrote into INFO."""
    import pysam

    with pysam.VariantFile(str(path)) as records:
        return [(record.info["CW_RECORD"], record.info["CW_ALLELE"]) for record in records]


def ids_of(path: Path) -> list[str]:
    """The ids of a store of sequences; its parts fit each other."""
    import h5py

    with h5py.File(path) as store:
        ids = [value.decode() if isinstance(value, bytes) else str(value) for value in store["locus_id"][:].tolist()]
        codes = store["codes"][:]
        rows = len(store["offsets"]) - 1 if "offsets" in store else len(codes)
        must(rows == len(ids), f"{rows} sequences, {len(ids)} ids")
        must(not codes.size or int(codes.max()) <= 4, "a code above 4")
    return ids


# --- the cases --------------------------------------------------------------------------------------------------------
def text_variants(journey: Journey) -> None:
    """A VCF or the five bare columns."""
    rng = journey.rng
    make, name = rng.choice(((inputs.vcf, "v.vcf"), (inputs.vcf, "v.vcf"), (inputs.five_columns, "v.txt")))
    data = mutate_text(rng, make(rng, journey.world))
    journey.variants(write_packed(rng, data, journey.given / name), own_keys=b"CW_RECORD=" not in data)


def own_variants(journey: Journey) -> None:
    """A VCF that cisweave wrote."""
    data = mutate_text(journey.rng, journey.whole_variants().read_bytes())
    journey.variants(write_packed(journey.rng, data, journey.given / "v.vcf"), own_keys=False)


def binary_variants(journey: Journey) -> None:
    """A BCF."""
    path = journey.given / "v.bcf"
    data = inputs.bcf(journey.rng, journey.world, path)
    path.write_bytes(mutate_bytes(journey.rng, data) if journey.rng.random() < 0.8 else data)
    journey.variants(path)


def variant_table(journey: Journey) -> None:
    """A variant table, as text or Parquet."""
    rng = journey.rng
    suffix = rng.choice((".tsv", ".tsv", ".parquet"))
    raw, path = journey.folder / "whole.vcf", journey.given / f"table{suffix}"
    raw.write_bytes(inputs.vcf(rng, journey.world))
    normalize_variants(raw, path, journey.folder / "rejected.tsv", journey.world.fasta)
    receipt = path.with_name(f"{path.name}.receipt.json")
    receipt.unlink()
    data = path.read_bytes()
    if suffix == ".tsv":
        journey.variants(write_packed(rng, mutate_text(rng, data), path), own_keys=False, table=True)
    else:
        path.write_bytes(mutate_bytes(rng, data))
        journey.variants(path, own_keys=False, table=True)


def damaged_genes(journey: Journey) -> None:
    """Genes in one of the formats."""
    kind = journey.rng.choice(("genes.seal.bed", "genes.bed", "genes.gtf", "genes.gtf", "genes.gff3", "genes.csv"))
    data = mutate_text(journey.rng, inputs.GENE_FORMATS[kind](inputs.gene_models(journey.rng, journey.world)))
    journey.genes(write_packed(journey.rng, data, journey.given / kind), kind)


def damaged_pairs(journey: Journey) -> None:
    """A table of pairs."""
    rng = journey.rng
    rows, models = inputs.variant_rows(rng, journey.world, 10), inputs.gene_models(rng, journey.world)
    data = mutate_text(rng, inputs.pairs(rng, rows, models))
    journey.pairs(write_packed(rng, data, journey.given / "pairs.tsv"), rows, models)


def damaged_chain(journey: Journey) -> None:
    """A chain."""
    data = mutate_text(journey.rng, journey.world.chain_text.encode())
    journey.chain(write_packed(journey.rng, data, journey.given / "damaged.chain"))


def damaged_bed(journey: Journey) -> None:
    """Intervals."""
    data = mutate_text(journey.rng, inputs.bed(journey.rng, journey.world))
    journey.intervals(write_packed(journey.rng, data, journey.given / "damaged.bed"))


def damaged_loci(journey: Journey) -> None:
    """A table of loci."""
    data = mutate_text(journey.rng, inputs.loci(journey.rng, journey.world))
    journey.loci(write_packed(journey.rng, data, journey.given / "loci.tsv"))


def damaged_meme(journey: Journey) -> None:
    """Motifs."""
    data = mutate_text(journey.rng, inputs.meme(journey.rng))
    journey.motifs(write_packed(journey.rng, data, journey.given / "motifs.meme"))


def damaged_aliases(journey: Journey) -> None:
    """A table of names of contigs."""
    data = mutate_text(journey.rng, inputs.aliases(journey.rng))
    journey.names(write_packed(journey.rng, data, journey.given / "aliases.tsv"))


def damaged_fasta(journey: Journey) -> None:
    """A FASTA, plain, gzip or bgzip, or its index."""
    rng, path = journey.rng, journey.given / "genome.fa"
    whole = inputs.fasta(journey.world.source, rng.choice((60, 50, 10_000)))
    if rng.random() < 0.7:
        journey.genome(write_packed(rng, mutate_text(rng, whole), path))
        return
    if rng.random() < 0.4:
        path = path.with_name("genome.fa.gz")
        bgzip(whole, path)
    else:
        path.write_bytes(whole)
    inputs.index_fasta(path)
    indices = [each for each in path.parent.iterdir() if each != path]
    index = rng.choice(indices)
    damage = mutate_text if index.suffix == ".fai" else mutate_bytes
    index.write_bytes(damage(rng, index.read_bytes()))
    journey.genome(path)


KINDS: dict[str, tuple[int, Callable[[Journey], None]]] = {
    "vcf": (30, text_variants),
    "own-vcf": (5, own_variants),
    "bcf": (6, binary_variants),
    "variant-table": (6, variant_table),
    "genes": (16, damaged_genes),
    "pairs": (6, damaged_pairs),
    "chain": (7, damaged_chain),
    "bed": (8, damaged_bed),
    "loci": (4, damaged_loci),
    "meme": (5, damaged_meme),
    "aliases": (1, damaged_aliases),
    "fasta": (6, damaged_fasta),
}
"""Kinds of cases: their share in percent, and how one runs."""
