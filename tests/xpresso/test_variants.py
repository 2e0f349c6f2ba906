"""Effects of variants on promoters against haplotypes spelt out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cisweave.config import PromoterPredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.genome.ledger import balance_ledger
from cisweave.genome.normalize import normalize_variants
from cisweave.genome.table import read_variant_table
from cisweave.tables.ledger import read_ledger
from cisweave.xpresso.promoter_files import PromoterFiles
from cisweave.xpresso.variants import EFFECT_COLUMNS, Edit, anchored_window, edit_of, predict_variants
from tests.xpresso.linear_promoters import (
    DOWN,
    GENES,
    LABEL_SD,
    LEFT,
    RAW,
    RIGHT,
    UP,
    WINDOW,
    World,
    build_world,
    codes_of,
    make_data,
    save_linear_model,
    scaled_halflife,
)

TSS = dict(zip(GENES.gene_id, GENES.tss, strict=True))
"""0-based: plus reads 460 to 529, minus reads 511 to 580 from right to left."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = build_world(tmp_path_factory.mktemp("variants"))
    make_data(world, world.folder / "data")
    return world


def score(world: World, folder: Path, records: list[tuple[Any, ...]], **options: Any) -> pd.DataFrame:
    """Effects of records (chrom, 1-based pos, ref, alt) from a VCF."""
    lines = [f"{chrom}\t{pos}\tv{number}\t{ref}\t{alt}\n" for number, (chrom, pos, ref, alt) in enumerate(records)]
    (folder / "variants.vcf").write_text("".join(lines))
    settings = {
        name: options.pop(name) for name in ("ref_policy", "batch_size", "missing", "unknown") if name in options
    }
    out = folder / options.pop("out", "effects.parquet")
    counts = predict_variants(
        options.pop("model", world.model),
        folder / "variants.vcf",
        out,
        options.pop("files", PromoterFiles(data=world.folder / "data", fasta=world.fasta)),
        rejects=folder / "rejects.tsv",
        settings=PromoterPredictSettings.model_validate(settings),
        device="cpu",
        **options,
    )
    table = read_variant_table(out)
    rejected = read_ledger(folder / "rejects.tsv")
    assert counts["kept"] == len(table.drop_duplicates(["record", "allele"]))
    assert counts["rejected"] == len(rejected)
    assert counts["in"] == sum(len(str(record[3]).split(",")) for record in records)
    return table


def haplotype(world: World, gene: str, edits: list[tuple[int, str, str]]) -> str:
    """The window of a gene on an edited contig, the base of its TSS at its index; edits are (0-based place, ref, alt).

    Bases carry their place along, so that the TSS is found again wherever it went.
    """
    chrom, strand = GENES.loc[GENES.gene_id == gene, ["chrom", "strand"]].iloc[0]
    bases: list[tuple[str, int | None]] = [(base, place) for place, base in enumerate(world.genome[chrom])]
    for place, ref, alt in edits:
        index = next(index for index, base in enumerate(bases) if base[1] == place)
        assert "".join(base for base, _ in bases[index : index + len(ref)]) == ref
        kept = bases[index][1] if ref[0] == alt[0] or len(ref) == len(alt) == 1 else None
        bases[index : index + len(ref)] = [(base, kept if not number else None) for number, base in enumerate(alt)]
    tss = next(index for index, base in enumerate(bases) if base[1] == TSS[gene])
    text = "N" * 200 + "".join(base for base, _ in bases) + "N" * 200
    tss += 200
    if strand == "+":
        return text[tss - UP + LEFT : tss - UP + RIGHT]
    forward = text[tss + UP - RIGHT + 1 : tss + UP - LEFT + 1]
    return forward[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def halflife_of(world: World, gene: str) -> np.ndarray | None:
    row = GENES.gene_id.tolist().index(gene)
    return scaled_halflife(world.scaling, RAW[row]) if row < 2 else None


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def check(world: World, table: pd.DataFrame, record: int, gene: str, edits: list[tuple[int, str, str]]) -> None:
    """Compare one row with the haplotype."""
    row = table[(table.record == record) & (table.gene_id == gene)].iloc[0]
    extras = halflife_of(world, gene)
    reference = world.score(world.promoter(gene, LEFT, RIGHT), extras)
    alternative = world.score(haplotype(world, gene, edits), extras)
    assert row.ref_z == pytest.approx(reference, abs=1e-4)
    assert row.alt_z == pytest.approx(alternative, abs=1e-4)
    assert row.effect_z == pytest.approx(alternative - reference, abs=1e-4)
    assert row.effect == pytest.approx(LABEL_SD * (alternative - reference), abs=1e-4)


# --- substitutions ----------------------------------------------------------------------------------------------------
def test_a_substitution_counts_for_every_gene_whose_window_holds_it(world: World, tmp_path: Path) -> None:
    places = [459, 460, 500, 510, 511, 529, 530, 540, 580, 581]
    bases = world.genome["chr1"]
    table = score(world, tmp_path, [("chr1", place + 1, bases[place], other(bases[place])) for place in places])
    found = table.groupby("record").gene_id.agg(list).to_dict()
    plus, both, minus = ["plus"], ["plus", "minus"], ["minus"]
    assert found == {2: plus, 3: plus, 4: plus, 5: both, 6: both, 7: minus, 8: minus, 9: minus}
    for record, genes in found.items():
        place = places[record - 1]
        for gene in genes:
            check(world, table, record, gene, [(place, bases[place], other(bases[place]))])
    rejected = read_ledger(tmp_path / "rejects.tsv")
    assert rejected.record.tolist() == [1, 10]
    assert set(rejected.code) == {"no_promoter"}
    assert set(rejected.stage) == {"xpresso_variants"}


def test_columns_tell_gene_tss_and_distance(world: World, tmp_path: Path) -> None:
    base = world.genome["chr1"][514]
    table = score(world, tmp_path, [("1", 515, base, other(base))], out="effects.tsv")
    assert table.gene_id.tolist() == ["plus", "minus"]
    assert table.tss.tolist() == [501, 541]
    assert table.dist_to_tss.tolist() == [14, -26]
    assert table.gene_strand.tolist() == ["+", "-"]
    assert table.chrom.tolist() == ["chr1", "chr1"]
    assert table.source_chrom.tolist() == ["1", "1"]
    assert table.columns[-4:].tolist() == EFFECT_COLUMNS


# --- insertions and deletions -----------------------------------------------------------------------------------------
def indels(world: World) -> list[tuple[int, str, str]]:
    """Indels (0-based place, ref, alt) on either side of both TSS, at the TSS and across ends of windows."""
    bases = world.genome["chr1"]
    found = []
    for place in (455, 470, 497, 499, 500, 501, 508, 509, 520, 527, 536, 539, 540, 541, 575, 579):
        anchor = bases[place]
        found.append((place, anchor, anchor + other(bases[place + 1]) + "GATTACA" + other(anchor)))
        found += [(place, bases[place : place + removed + 1], anchor) for removed in (1, 5, 8)]
    return found


def test_indels_keep_the_tss_at_its_index_on_both_strands(world: World, tmp_path: Path) -> None:
    from cisweave.genome.alleles import left_align
    from cisweave.sequence import Genome

    with Genome(world.fasta) as genome:
        aligned = [left_align(genome, "chr1", place + 1, ref, alt) for place, ref, alt in indels(world)]
    edits = list(dict.fromkeys((pos - 1, ref, alt) for pos, ref, alt in aligned))
    table = score(world, tmp_path, [("chr1", place + 1, ref, alt) for place, ref, alt in edits])
    rejected = dict(read_ledger(tmp_path / "rejects.tsv")[["record", "code"]].to_numpy().tolist())
    compared = {"plus": 0, "minus": 0}
    for record, (place, ref, alt) in enumerate(edits, start=1):
        first, last = place + 1, place + len(ref)
        for gene, low, high in (("plus", 460, 530), ("minus", 511, 581)):
            lost = len(ref) > 1 and first <= TSS[gene] < last
            inside = low < first < high if len(ref) == 1 else first < high and last > low
            scored = len(table[(table.record == record) & (table.gene_id == gene)])
            assert scored == (inside and not lost), (gene, place, ref, alt)
            if scored:
                check(world, table, record, gene, [(place, ref, alt)])
                compared[gene] += 1
        if record in rejected:
            lost = any(first <= TSS[gene] < last for gene in ("plus", "minus"))
            assert rejected[record] == ("tss_lost" if lost and len(ref) > 1 else "no_promoter")
    assert min(compared.values()) > 25
    assert "tss_lost" in rejected.values()


def test_a_long_deletion_draws_far_bases_in(world: World, tmp_path: Path) -> None:
    bases = world.genome["chr1"]
    edit = (430, bases[430:491], bases[430])
    table = score(world, tmp_path, [("chr1", 431, edit[1], edit[2])])
    check(world, table, 1, "plus", [edit])
    reference, edited = (haplotype(world, "plus", edits) for edits in ([], [edit]))
    assert edited[31:] == reference[31:]
    assert edited[:31] == world.bases("chr1", 400, 431)


@pytest.mark.parametrize("tss", [5, 10, 14])
@pytest.mark.parametrize(
    ("place", "removed", "inserted"),
    [(10, 1, "A"), (9, 1, ""), (9, 0, "CC"), (11, 0, "CC"), (11, 1, ""), (12, 0, "G"), (8, 2, "T"), (11, 2, "GGGGG")],
)
def test_windows_are_placed_by_the_tss_inside_and_outside(tss: int, place: int, removed: int, inserted: str) -> None:
    text = "GATTACAGCCTGAACTTGCA"
    edit = Edit(place, removed, codes_of(inserted))
    found = anchored_window(codes_of(text), 0, 8, 5, tss, edit)
    before, after = spell(text, place, removed, inserted, tss)
    whole, index = before + after, len(before)
    assert "".join("ACGT"[code] for code in found) == whole[index + 8 - tss : index + 13 - tss]


def spell(text: str, place: int, removed: int, inserted: str, tss: int) -> tuple[str, str]:
    """What stands before the TSS, and from it on."""
    edited = text[:place] + inserted + text[place + removed :]
    moved = tss + (len(inserted) - removed if place + removed <= tss else 0)
    return edited[:moved], edited[moved:]


def test_shared_bases_of_an_allele_change_nothing() -> None:
    edit = edit_of(100, "CAG", "CTTG", True)
    assert (edit.place, edit.removed, edit.inserted.tolist()) == (100, 1, [3, 3])
    assert edit_of(100, "CAG", "CTTG", False).removed == 3
    assert [edit.moves(tss) for tss in (99, 100, 101)] == [False, True, False]
    assert not edit_of(100, "AC", "GT", True).moves(99)
    assert not edit_of(100, "A", "ACC", True).moves(99)


# --- the ledger -------------------------------------------------------------------------------------------------------
def test_every_allele_is_scored_or_rejected_with_its_reason(world: World, tmp_path: Path) -> None:
    bases = world.genome["chr1"]
    here = bases[470]
    wrong = other(here)
    records = [
        ("chr1", 471, here, ",".join(base for base in "ACGT" if base != here)),
        ("chr1", 471, wrong, other(wrong) if other(wrong) != here else other(here)),
        ("chr1", 472, bases[471], "<DEL>"),
        ("chr1", 473, bases[472], f"*,{other(bases[472])}"),
        ("chr7", 473, "A", "C"),
        ("chr1", 471, here, other(here)),
        ("chr1", 100, bases[99], other(bases[99])),
    ]
    table = score(world, tmp_path, records)
    assert sorted(set(table.record)) == [1, 4]
    ledger = read_ledger(tmp_path / "rejects.tsv")
    assert ledger[["record", "allele", "code"]].to_numpy().tolist() == [
        [2, 1, "ref_mismatch"],
        [3, 1, "symbolic_allele"],
        [4, 1, "spanning_deletion"],
        [5, 1, "unknown_contig"],
        [6, 1, "duplicate"],
        [7, 1, "no_promoter"],
    ]


def test_the_books_of_the_whole_room_balance(world: World, tmp_path: Path) -> None:
    bases = world.genome["chr1"]
    records = [("chr1", place + 1, bases[place], other(bases[place])) for place in (100, 470, 515)]
    score(world, tmp_path, [*records, ("chr1", 5, "<X>", "A")])
    normalize_variants(tmp_path / "variants.vcf", tmp_path / "n.vcf", tmp_path / "n.tsv", world.fasta)
    table = read_variant_table(tmp_path / "effects.parquet")
    ledger = read_ledger(tmp_path / "rejects.tsv")
    own = ledger[ledger.stage == "xpresso_variants"]
    own.to_csv(tmp_path / "own.tsv", sep="\t", index=False)
    table[["record", "allele", "gene_id"]].to_parquet(tmp_path / "scored.parquet")
    balance_ledger(
        tmp_path / "n.vcf", [tmp_path / "n.tsv", tmp_path / "own.tsv"], [tmp_path / "scored.parquet"],
        tmp_path / "ledger.tsv", tmp_path / "ledger.json", tmp_path / "variants.vcf",
    )  # fmt: skip


def test_a_ref_that_is_not_the_genomes_can_be_kept_or_stop(world: World, tmp_path: Path) -> None:
    here = world.genome["chr1"][470]
    ref, alt = other(here), other(other(here))
    table = score(world, tmp_path, [("chr1", 471, ref, alt)], ref_policy="warn")
    window = world.promoter("plus", LEFT, RIGHT)
    index = 470 - (TSS["plus"] - UP + LEFT)
    extras = halflife_of(world, "plus")
    for column, base in (("ref_z", ref), ("alt_z", alt)):
        expected = world.score(window[:index] + base + window[index + 1 :], extras)
        assert table[column].item() == pytest.approx(expected, abs=1e-4)
    with pytest.raises(CisweaveError, match="REF is"):
        score(world, tmp_path, [("chr1", 471, ref, alt)], ref_policy="error")


def test_swapped_alleles_are_told_from_the_files_ref_to_its_alt(world: World, tmp_path: Path) -> None:
    from cisweave.config import VariantSettings

    here = world.genome["chr1"][470]
    (tmp_path / "raw.vcf").write_text(f"chr1\t471\tx\t{other(here)}\t{here}\n")
    normalize_variants(
        tmp_path / "raw.vcf", tmp_path / "n.vcf", tmp_path / "n.tsv", world.fasta, VariantSettings(ref_policy="swap")
    )
    files = PromoterFiles(data=world.folder / "data", fasta=world.fasta)
    predict_variants(world.model, tmp_path / "n.vcf", tmp_path / "out.tsv", files, rejects=tmp_path / "r.tsv")
    swapped = read_variant_table(tmp_path / "out.tsv")
    plain = score(world, tmp_path, [("chr1", 471, here, other(here))])
    assert swapped.swapped.all()
    np.testing.assert_allclose(swapped.effect, -plain.effect)
    np.testing.assert_allclose(swapped.ref_z, plain.ref_z)


def test_alleles_of_genes_that_the_settings_refuse_are_rejected(world: World, tmp_path: Path) -> None:
    edge, chr2 = world.genome["chr1"][1480], world.genome["chr2"]
    records = [("chr1", 1481, edge, other(edge)), ("chr2", 301, chr2[300], other(chr2[300]))]
    table = score(world, tmp_path, records)
    assert table.gene_id.tolist() == ["edge", "other"]
    check(world, table, 1, "edge", [(1480, edge, other(edge))])
    table = score(world, tmp_path, records, unknown="reject")
    assert table.gene_id.tolist() == ["other"]
    assert read_ledger(tmp_path / "rejects.tsv").code.tolist() == ["unknown_base"]
    assert len(score(world, tmp_path, records, missing="reject")) == 0
    ledger = read_ledger(tmp_path / "rejects.tsv")
    assert ledger.code.tolist() == ["missing_inputs", "missing_inputs"]
    assert ledger.message.tolist() == ["gene 'edge'", "gene 'other'"]


def test_pairs_that_are_not_scored_are_counted(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bases = world.genome["chr1"]
    both = ("chr1", 516, bases[515], other(bases[515]))
    with caplog.at_level("INFO", logger="cisweave"):
        table = score(world, tmp_path, [both, ("chr1", 540, bases[539:542], bases[539])])
    # the deletion of bases 540 and 541 takes the TSS of minus and lies beyond the window of plus
    assert table.gene_id.tolist() == ["plus", "minus"]
    assert "2 pairs of allele and gene, 1 not scored (tss_lost 1)" in caplog.text
    # a longer one takes it, too, and reaches into the window of plus
    score(world, tmp_path, [both, ("chr1", 481, bases[480], other(bases[480])),
                            ("chr1", 529, bases[528:542], bases[528])])  # fmt: skip
    receipt = read_json(tmp_path / "effects.parquet.receipt.json")
    assert receipt["identity"]["pairs"] == {"scored": 4, "not_scored": {"tss_lost": 1}}
    assert len(read_ledger(tmp_path / "rejects.tsv")) == 0


def test_substitutions_beside_a_window_that_does_not_hold_the_tss_are_not_scored(world: World, tmp_path: Path) -> None:
    weights = world.weights[:30]
    save_linear_model(tmp_path / "m", weights, np.zeros(0), world.scaling, "cnn/Xpresso_nohalf", "P", slice_=(0, 30))
    bases = world.genome["chr1"]
    # plus has its TSS at 500 and its window at 440 to 469
    records = [("chr1", at + 1, bases[at], other(bases[at])) for at in (440, 469, 470, 485, 500)]
    records.append(("chr1", 486, bases[485], bases[485] + "AC"))
    table = score(world, tmp_path, records, model=tmp_path / "m")
    assert table[["record", "gene_id"]].to_numpy().tolist() == [[1, "plus"], [2, "plus"], [6, "plus"]]
    assert read_ledger(tmp_path / "rejects.tsv")[["record", "code"]].to_numpy().tolist() == [
        [number, "no_promoter"] for number in (3, 4, 5)
    ]


def test_promoters_without_places_cannot_be_scored(world: World, tmp_path: Path) -> None:
    make_data(world, tmp_path / "data", GENES.assign(chrom=""))
    files = PromoterFiles(data=tmp_path / "data", fasta=world.fasta)
    with pytest.raises(CisweaveError, match="none of these promoters has a place"):
        score(world, tmp_path, [("chr1", 471, "A", "C")], files=files)


def test_pairs_choose_the_genes(world: World, tmp_path: Path) -> None:
    bases = world.genome["chr1"]
    records = [("chr1", place + 1, bases[place], other(bases[place])) for place in (515, 516, 517, 470)]
    pairs = "gene_id\tname\nminus\tv0\nnobody\tv1\nplus\tv2\nminus\tv2\nminus\tv3\n"
    (tmp_path / "pairs.tsv").write_text(pairs)
    table = score(world, tmp_path, records, pairs=tmp_path / "pairs.tsv")
    assert table[["record", "gene_id"]].to_numpy().tolist() == [[1, "minus"], [3, "plus"], [3, "minus"]]
    assert read_ledger(tmp_path / "rejects.tsv")[["record", "code"]].to_numpy().tolist() == [
        [2, "unknown_gene"],
        [4, "no_promoter"],
    ]
    (tmp_path / "pairs.tsv").write_text("gene_id\tname\nminus\tv0\n")
    score(world, tmp_path, records[:2], pairs=tmp_path / "pairs.tsv")
    assert read_ledger(tmp_path / "rejects.tsv").code.tolist() == ["no_pair"]


# --- how it works -----------------------------------------------------------------------------------------------------
def many(world: World) -> list[tuple[Any, ...]]:
    bases = world.genome["chr1"]
    return [("chr1", place + 1, bases[place], other(bases[place])) for place in range(450, 590)]


def test_references_are_predicted_once_a_gene(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cisweave.xpresso.models import PromoterModel

    seen: list[int] = []
    predict = PromoterModel.predict

    def counted(self: PromoterModel, codes: Any, extras: Any, batch_size: int = 128) -> Any:
        seen.append(len(codes))
        return predict(self, codes, extras, batch_size)

    monkeypatch.setattr(PromoterModel, "predict", counted)
    table = score(world, tmp_path, many(world))
    assert sum(seen) == len(table) + 2


def test_batches_change_nothing_and_bytes_are_the_same(world: World, tmp_path: Path) -> None:
    one = score(world, tmp_path, many(world), out="one.tsv")
    again = score(world, tmp_path, many(world), out="again.tsv")
    other_batches = score(world, tmp_path, many(world), out="other.tsv", batch_size=7)
    assert one.equals(again)
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "again.tsv").read_bytes()
    np.testing.assert_allclose(other_batches[EFFECT_COLUMNS], one[EFFECT_COLUMNS], atol=1e-4)
    assert len(one) == 2 * WINDOW


def test_nothing_to_score_gives_whole_files(world: World, tmp_path: Path) -> None:
    table = score(world, tmp_path, [("chr1", 100, world.genome["chr1"][99], other(world.genome["chr1"][99]))])
    assert len(table) == 0
    assert set(EFFECT_COLUMNS) <= set(table.columns)


# --- what cannot be ---------------------------------------------------------------------------------------------------
def test_another_genome_than_the_data_were_made_from_is_refused(world: World, tmp_path: Path) -> None:
    text = world.fasta.read_text()
    lines = text.splitlines()
    changed = 1 + 480 // 60
    lines[changed] = other(lines[changed][0]) + lines[changed][1:]
    (tmp_path / "genome.fa").write_text("\n".join(lines) + "\n")
    files = PromoterFiles(data=world.folder / "data", fasta=tmp_path / "genome.fa")
    base = world.genome["chr1"][485]
    with pytest.raises(CisweaveError, match="the promoter of gene plus in the data is not what this FASTA holds"):
        score(world, tmp_path, [("chr1", 486, base, other(base))], files=files)


def test_models_and_files_that_cannot_score_are_refused(world: World, tmp_path: Path) -> None:
    records = [("chr1", 471, "A", "C")]
    with pytest.raises(CisweaveError, match="promoters with a place in the genome"):
        score(world, tmp_path, records, files=PromoterFiles(promoters=world.fasta, fasta=world.fasta))
    with pytest.raises(CisweaveError, match="and the FASTA"):
        score(world, tmp_path, records, files=PromoterFiles(data=world.folder / "data"))
    with pytest.raises(CisweaveError, match=r"must end in \.tsv"):
        score(world, tmp_path, records, out="effects.vcf")


def test_genes_without_a_place_are_told(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = GENES.assign(chrom=["chr1", "chr1", "chr1", "chrUn"])
    codes = np.stack([codes_of(world.promoter(gene)) for gene in GENES.gene_id])
    from cisweave.xpresso.dataset import write_data

    start = np.where(GENES.strand == "-", GENES.tss + 1 - DOWN, GENES.tss - UP)
    write_data(tmp_path / "data", elsewhere.assign(start=start, end=start + UP + DOWN), [codes], upstream=UP,
               downstream=DOWN)  # fmt: skip
    base = world.genome["chr1"][470]
    files = PromoterFiles(data=tmp_path / "data", fasta=world.fasta)
    with caplog.at_level("WARNING", logger="cisweave"):
        table = score(world, tmp_path, [("chr1", 471, base, other(base))], files=files)
    assert "1 of 4 genes have no place on this genome, other for one" in caplog.text
    assert table.gene_id.tolist() == ["plus"]
