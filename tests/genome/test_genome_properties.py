"""What holds of normalising for any alleles: it changes no haplotype, and nothing the second time."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import VariantSettings
from cisweave.genome.alleles import left_align
from cisweave.genome.normalize import normalize_variants, read_variants
from cisweave.sequence.genome import Genome
from cisweave.tables.ledger import read_ledger
from tests.checks_genome.mutations import bgzip
from tests.genome.assemblies import apply_allele

WHERE = ["chrom", "pos", "ref", "alt"]
KEY = ["record", "allele"]
Row = tuple[str, int, str, str]
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def genomes(draw: st.DrawFn) -> dict[str, str]:
    """One or two contigs, often repetitive, now and then with N."""
    letters = draw(st.sampled_from(["AC", "ACGT", "ACGTN"]))
    return {
        name: draw(st.text(letters, min_size=2, max_size=60)) for name in draw(st.sampled_from([["c"], ["c", "d"]]))
    }


@st.composite
def rows_on(draw: st.DrawFn, contigs: dict[str, str]) -> Row:
    """A record, with one to three ALT alleles, that mostly agrees with the genome."""
    chrom = draw(st.sampled_from(sorted(contigs)))
    bases = contigs[chrom]
    pos = draw(st.integers(1, len(bases)))
    ref = bases[pos - 1 : pos - 1 + draw(st.integers(1, 5))]
    if draw(st.integers(0, 9)) == 0:
        ref = draw(st.text("ACGT", min_size=1, max_size=3))
    alts = draw(st.lists(st.text("ACGT", min_size=1, max_size=5), min_size=1, max_size=3))
    return chrom, pos, ref, ",".join(alts)


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, str], list[Row]]:
    """A genome and records on it."""
    contigs = draw(genomes())
    return contigs, draw(st.lists(rows_on(contigs), min_size=1, max_size=12))


class Bench:
    """A fresh folder for each example."""

    def __init__(self, factory: pytest.TempPathFactory):
        self.factory = factory
        self.folder = factory.mktemp("files")

    def fresh(self) -> Bench:
        return Bench(self.factory)

    def fasta(self, contigs: dict[str, str], name: str = "genome.fa") -> Path:
        path = self.folder / name
        path.write_text("".join(f">{contig}\n{bases}\n" for contig, bases in contigs.items()))
        return path

    def vcf(self, rows: list[Row], name: str = "in.vcf") -> Path:
        path = self.folder / name
        path.write_text("".join(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\n" for chrom, pos, ref, alt in rows))
        return path


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    return lambda: Bench(tmp_path_factory)


policies = st.sampled_from(["exclude", "warn", "set", "swap"])


@many
@given(given_=files(), policy=policies)
def test_normalizing_twice_changes_nothing(
    bench: Callable[[], Bench], given_: tuple[dict[str, str], list[Row]], policy: str
) -> None:
    here = bench()
    fasta, vcf = here.fasta(given_[0]), here.vcf(given_[1])
    chosen = VariantSettings(ref_policy=policy)
    once, twice, ledger = here.folder / "1.vcf", here.folder / "2.vcf", here.folder / "r.tsv"
    normalize_variants(vcf, once, ledger, fasta, chosen)
    normalize_variants(once, twice, ledger, fasta, chosen)
    assert once.read_bytes() == twice.read_bytes()
    assert read_ledger(ledger).empty


@many
@given(given_=files())
def test_what_is_kept_makes_the_same_haplotype(
    bench: Callable[[], Bench], given_: tuple[dict[str, str], list[Row]]
) -> None:
    here, contigs = bench(), given_[0]
    kept, rejected = read_variants(here.vcf(given_[1]), here.fasta(contigs))
    assert len(kept) + len(rejected) == sum(alt.count(",") + 1 for *_, alt in given_[1])
    for row in kept.itertuples():
        bases = contigs[row.chrom]
        given_haplotype = apply_allele(bases, row.source_pos, row.source_ref, row.source_alt)
        assert apply_allele(bases, row.pos, row.ref, row.alt) == given_haplotype
        assert row.pos <= row.source_pos + len(row.source_ref)


@many
@given(given_=files(), data=st.data())
def test_the_order_of_records_does_not_matter(
    bench: Callable[[], Bench], given_: tuple[dict[str, str], list[Row]], data: st.DataObject
) -> None:
    here, (contigs, rows) = bench(), given_
    fasta = here.fasta(contigs)
    found = []
    for number, order in enumerate((rows, data.draw(st.permutations(rows)))):
        kept, rejected = read_variants(here.vcf(order, f"{number}.vcf"), fasta)
        alleles = {tuple(row) for row in kept[WHERE].values.tolist()}
        assert len(alleles) == len(kept)
        found.append((alleles, sorted(rejected["code"])))
    assert found[0] == found[1]


@many
@given(given_=files())
def test_the_packing_does_not_matter(bench: Callable[[], Bench], given_: tuple[dict[str, str], list[Row]]) -> None:
    here, (contigs, rows) = bench(), given_
    fasta, plain = here.fasta(contigs), here.vcf(rows)
    content = plain.read_bytes()
    other = {name: here.folder / name for name in ("windows.vcf", "mac.vcf", "no_end.vcf", "a.gz", "b.gz")}
    other["windows.vcf"].write_bytes(content.replace(b"\n", b"\r\n"))
    other["mac.vcf"].write_bytes(content.replace(b"\n", b"\r"))
    other["no_end.vcf"].write_bytes(content.rstrip(b"\n"))
    other["a.gz"].write_bytes(gzip.compress(content))
    bgzip(content, other["b.gz"])
    expected = read_variants(plain, fasta)
    for path in other.values():
        for one, two in zip(read_variants(path, fasta), expected, strict=True):
            pd.testing.assert_frame_equal(one, two)


@many
@given(contigs=genomes(), data=st.data())
def test_swapped_there_and_back_is_as_it_was(
    bench: Callable[[], Bench], contigs: dict[str, str], data: st.DataObject
) -> None:
    """Substitutions on one genome, then on one that holds ALT, then on the first again."""
    here, bases = bench(), contigs["c"]
    places = [index for index, base in enumerate(bases) if base != "N"]
    chosen = data.draw(st.lists(st.sampled_from(places), unique=True, max_size=8)) if places else []
    alts = {index: data.draw(st.sampled_from(sorted(set("ACGT") - {bases[index]}))) for index in chosen}
    changed = "".join(alts.get(index, base) for index, base in enumerate(bases))
    first, second = here.fasta({"c": bases}, "1.fa"), here.fasta({"c": changed}, "2.fa")
    vcf = here.vcf([("c", index + 1, bases[index], alt) for index, alt in alts.items()])
    chosen_settings = VariantSettings(ref_policy="swap")
    paths = [here.folder / f"{number}.vcf" for number in range(3)]
    for before, after, fasta in zip([vcf, *paths], paths, (first, second, first), strict=False):
        normalize_variants(before, after, here.folder / "r.tsv", fasta, chosen_settings)
        assert read_ledger(here.folder / "r.tsv").empty
    there, swapped, back = (read_variants(path)[0] for path in paths)
    assert swapped["swapped"].all()
    assert swapped[["ref", "alt"]].values.tolist() == there[["alt", "ref"]].values.tolist()
    assert paths[0].read_bytes() == paths[2].read_bytes()
    pd.testing.assert_frame_equal(there, back)


@many
@given(contigs=genomes(), data=st.data())
def test_an_allele_undone_stands_where_it_stood(
    bench: Callable[[], Bench], contigs: dict[str, str], data: st.DataObject
) -> None:
    """The way back, on the haplotype, is written as the way there with REF and ALT exchanged."""
    here, bases = bench(), contigs["c"]
    pos = data.draw(st.integers(1, len(bases)))
    ref = bases[pos - 1 : pos - 1 + data.draw(st.integers(1, 5))]
    alt = data.draw(st.text("ACGT", min_size=1, max_size=6).filter(lambda text: text != ref))
    haplotype = apply_allele(bases, pos, ref, alt)
    assert apply_allele(haplotype, pos, alt, ref) == bases
    with Genome(here.fasta({"c": bases}, "1.fa")) as there, Genome(here.fasta({"c": haplotype}, "2.fa")) as back:
        forward, backward = left_align(there, "c", pos, ref, alt), left_align(back, "c", pos, alt, ref)
    assert backward == (forward[0], forward[2], forward[1])
