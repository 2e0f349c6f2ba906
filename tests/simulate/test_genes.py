"""Annotation, transcripts and translation starts."""

from __future__ import annotations

import pysam

from tests.simulate.reader import World

STOPS = {"TAA", "TAG", "TGA"}


def coding(world: World) -> dict[str, str]:
    """The spliced CDS with its stop codon, per transcript."""
    rows = world.gtf[world.gtf["feature"].isin(["CDS", "stop_codon"])]
    return {
        str(name): world.splice(world.sim19[group["chrom"].iloc[0]], group)
        for name, group in rows.groupby("transcript_id")
    }


def test_open_reading_frames(world: World) -> None:
    frames = coding(world)
    assert len(frames) == len(world.tss)
    for cds in frames.values():
        codons = [cds[start : start + 3] for start in range(0, len(cds), 3)]
        assert codons[0] == "ATG"
        assert codons[-1] in STOPS
        assert not STOPS & set(codons[:-1])
        assert len(codons[-1]) == 3


def test_frames_of_cds_rows(world: World) -> None:
    rows = world.gtf[world.gtf["feature"] == "CDS"]
    for _, group in rows.groupby("transcript_id"):
        ordered = group.sort_values("start", ascending=group["strand"].iloc[0] == "+")
        done = 0
        for row in ordered.itertuples():
            assert int(row.frame) == -done % 3
            done += row.end - row.start + 1


def test_features_tile_the_exons(world: World) -> None:
    gtf = world.gtf[world.gtf["transcript_biotype"] == "protein_coding"]
    lengths = (gtf["end"] - gtf["start"] + 1).groupby([gtf["transcript_id"], gtf["feature"]]).sum().unstack()
    parts = lengths[["five_prime_utr", "CDS", "stop_codon", "three_prime_utr"]].sum(axis=1)
    assert (parts == lengths["exon"]).all()
    assert (lengths["start_codon"] == 3).all()


def test_splice_sites(world: World) -> None:
    exons = world.gtf[(world.gtf["feature"] == "exon") & (world.gtf["transcript_biotype"] == "protein_coding")]
    seen = 0
    for _, group in exons.groupby("transcript_id"):
        ordered = group.sort_values("start")
        sequence = world.sim19[ordered["chrom"].iloc[0]]
        ends, starts = ordered["end"].tolist()[:-1], ordered["start"].tolist()[1:]
        for end, start in zip(ends, starts, strict=True):
            intron = sequence[end : start - 1].upper()
            assert (intron[:2], intron[-2:]) == (("GT", "AG") if ordered["strand"].iloc[0] == "+" else ("CT", "AC"))
            seen += 1
    assert seen > 100


def test_tss_bed(world: World) -> None:
    tss = world.tss
    assert set(tss["strand"]) == {"+", "-"}
    assert (tss["end"] - tss["start"] == 1).all()
    assert tss.equals(tss.sort_values(["chrom", "start"], kind="stable"))
    genes = world.gtf[world.gtf["feature"] == "gene"].set_index("gene_id")
    for row in tss.itertuples():
        gene = genes.loc[row.gene_id]
        assert gene["strand"] == row.strand
        assert row.end == (gene["start"] if row.strand == "+" else gene["end"])


def test_transcripts_and_starts(world: World) -> None:
    exons = world.gtf[world.gtf["feature"] == "exon"]
    starts = world.table("transcripts/tis.tsv").set_index("transcript_id")
    with pysam.FastxFile(str(world.folder / "transcripts/transcripts.fa")) as handle:
        sequences = {entry.name: entry.sequence for entry in handle}
    assert set(sequences) == set(starts.index) == set(exons["transcript_id"])
    for name, group in exons.groupby("transcript_id"):
        row, sequence = starts.loc[name], sequences[name]
        assert sequence == world.splice(world.sim19[row["chrom"]], group)
        assert row["length"] == len(sequence)
        if row["tis"] >= 0:
            assert sequence[row["tis"] : row["tis"] + 3] == "ATG"
            assert sequence[row["stop"] : row["stop"] + 3] in STOPS
    assert 0.1 < (starts["tis"] < 0).mean() < 0.4


def test_kozak_context(world: World) -> None:
    starts = world.table("transcripts/tis.tsv").query("tis >= 0")
    with pysam.FastxFile(str(world.folder / "transcripts/transcripts.fa")) as handle:
        sequences = {entry.name: entry.sequence for entry in handle}
    context = [sequences[row.transcript_id][row.tis - 6 : row.tis + 4] for row in starts.itertuples()]
    assert all(text[3] in "AG" and text[9] == "G" for text in context)
    agree = sum(text[place] == "GCC.CC"[place] for text in context for place in (0, 1, 2, 4, 5))
    assert 0.75 < agree / (5 * len(context)) < 0.95
