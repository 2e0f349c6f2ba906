"""Allele probes: the right bases at the right place of the right window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cisweave.core.seeds import generator
from cisweave.report.probes.subject import NOTHING, Floats, Probe, Subject
from cisweave.sequence import Genome, decode, windows
from cisweave.tables.ledger import KEY

if TYPE_CHECKING:
    import pysam

    from cisweave.sequence.onehot import Codes

SAMPLE = 40
MAX_EFFECT_DIFFERENCE = 1e-3


def reference_probe(tables: Sequence[pd.DataFrame], fasta: str | Path) -> Probe:
    """REF of every scored variant is what the FASTA holds at its position, read without the workflow's code."""
    import pysam

    variants = unique_variants(tables)
    with pysam.FastaFile(str(fasta)) as handle:
        agree = [
            handle.fetch(chrom, pos - 1, pos - 1 + len(ref)).upper() == ref.upper()
            for chrom, pos, ref in zip(variants.chrom, variants.pos, variants.ref, strict=True)
        ]
    meaning = "share of scored variants whose REF equals the bases of the FASTA"
    value = float(np.mean(agree)) if agree else np.nan
    detail: dict[str, object] = {"variants": len(variants), "wrong": agree.count(False)}
    return Probe("alleles", value, 1.0, "at least", meaning, detail, "" if agree else NOTHING)


def window_probe(tables: Sequence[pd.DataFrame], fasta: str | Path, window: int, shifts: Sequence[int]) -> Probe:
    """Reference and alternative windows hold exactly the bases they should, allele at the expected index.

    The expected windows are put together here from the FASTA: half a window less one base before the variant, the
    allele, and the rest, cropped around the centre when an allele's length differs from REF's.
    """
    import pysam

    variants = sample(unique_variants(tables))
    rows = list(zip(variants.chrom, variants.pos.tolist(), variants.ref, variants["alt"], strict=True))
    right = []
    with pysam.FastaFile(str(fasta)) as handle, Genome(fasta) as genome:
        for chrom, pos, ref, alt in rows:
            for shift in shifts:
                for allele in (ref, alt):
                    wanted = plain_window(handle, chrom, pos, ref, allele, window, shift)
                    found = windows.allele_window(genome, chrom, pos, ref, allele, window, shift)
                    right.append(decode(found) == wanted)
    meaning = "share of reference and alternative windows equal to windows put together independently"
    value = float(np.mean(right)) if right else np.nan
    return Probe("allele_windows", value, 1.0, "at least", meaning, {"windows": len(right)}, "" if right else NOTHING)


def locus_probe(loci: pd.DataFrame, codes: Codes, fasta: str | Path, seqlets: pd.DataFrame | None = None) -> Probe:
    """Sequences of attributed loci are the bases at their coordinates, and so are seqlets at theirs.

    Parameters
    ----------
    loci
        Locus table; ``start`` is 0-based, ``pos`` 1-based.
    codes
        Extracted sequences (loci, length), in the order of ``loci``.
    seqlets
        Seqlets with window-relative ``start, end`` and genome ``g_start, g_end``; those on the reference are looked at.
    """
    import pysam

    found = [decode(row) for row in codes]
    window = codes.shape[1] if len(codes) else 0
    columns = ["chrom", "start", "pos", "ref", "alt", "allele"]
    with pysam.FastaFile(str(fasta)) as handle:
        equal = [
            plain_locus(handle, place, window) == sequence
            for place, sequence in zip(loci[columns].itertuples(index=False, name=None), found, strict=True)
        ]
        spans = [] if seqlets is None else reference_spans(loci, seqlets)
        same = [
            read_padded(handle, chrom, g_start, g_end) == found[locus][start:end]
            for locus, chrom, start, end, g_start, g_end in spans
        ]
    meaning = "share of attributed loci and of their seqlets whose bases are those of the FASTA at their coordinates"
    value = float(np.mean(equal + same)) if equal else np.nan
    detail: dict[str, object] = {"loci": len(equal), "seqlets": len(same)}
    return Probe("loci", value, 1.0, "at least", meaning, detail, "" if equal else NOTHING)


def plain_locus(fasta: pysam.FastaFile, place: tuple[Any, ...], window: int) -> str:
    """The sequence of one locus (contig, start, pos, REF, ALT, allele), written out plainly."""
    chrom, start, pos, ref, alt, allele = place
    if not allele:
        return read_padded(fasta, chrom, start, start + window)
    return plain_window(
        fasta, chrom, int(pos), ref, {"ref": ref, "alt": alt}[allele], window, start + window // 2 - pos
    )


def reference_spans(loci: pd.DataFrame, seqlets: pd.DataFrame) -> list[tuple[int, str, int, int, int, int]]:
    """Seqlets on sequences of the genome: row of the locus, contig, and their place in window and genome."""
    rows = pd.Series(np.arange(len(loci)), index=loci.locus_id)[(loci.allele != "alt").to_numpy()]
    here = seqlets[seqlets.locus_id.isin(rows.index) & seqlets.g_start.notna()]
    places = zip(*(here[name].tolist() for name in ("chrom", "start", "end", "g_start", "g_end")), strict=True)
    return [(row, *place) for row, place in zip(rows.loc[here.locus_id].tolist(), places, strict=True)]


def effect_probe(effects: Sequence[pd.DataFrame], chromatin_effects: Sequence[pd.DataFrame], subject: Subject) -> Probe:
    """Written chromatin effects are alternative minus reference of windows put together independently.

    Catches swapped alleles (the sign), shifted positions and mixed-up rows or tracks.

    Parameters
    ----------
    effects, chromatin_effects
        Tables of variants with their effects on expression and on chromatin; those of one context set share a place.
        Effects of ``swapped`` alleles go from ALT to REF.
    """
    meaning = "largest difference between a written chromatin effect and the one computed independently, probability"
    if len(effects) != len(chromatin_effects):
        reason = f"there are {len(effects)} tables of effects and {len(chromatin_effects)} of chromatin effects"
        return Probe("variant_effects", np.nan, MAX_EFFECT_DIFFERENCE, "at most", meaning, {}, reason)
    written, expected = [], []
    for table, changes in zip(effects, chromatin_effects, strict=True):
        exchanged = table["swapped"].astype(bool) if "swapped" in table else False
        places = table[["record", "allele", "chrom", "pos", "ref", "alt"]].assign(swapped=exchanged)
        variants = sample(places.drop_duplicates(KEY))
        written.append(variants[KEY].merge(changes, on=KEY, how="left")[subject.model.spec.outputs].to_numpy())
        expected.append(np.where(variants[["swapped"]], -1, 1) * plain_effects(variants, subject))
    if not sum(map(len, written)):
        return Probe("variant_effects", np.nan, MAX_EFFECT_DIFFERENCE, "at most", meaning, {"variants": 0}, NOTHING)
    found = np.concatenate(written)
    value = float(np.abs(found - np.concatenate(expected)).max())
    detail: dict[str, object] = {"variants": len(found), "largest_effect": float(np.abs(found).max())}
    reason = "" if np.isfinite(value) else "a variant has no chromatin effect"
    return Probe("variant_effects", value, MAX_EFFECT_DIFFERENCE, "at most", meaning, detail, reason)


def plain_effects(variants: pd.DataFrame, subject: Subject) -> Floats:
    """Alternative minus reference (variants, tracks), probability, of windows written out plainly."""
    import pysam

    if variants.empty:
        return np.empty((0, len(subject.model.spec.outputs)))
    rows = list(zip(variants.chrom, variants.pos.tolist(), variants.ref, variants["alt"], strict=True))
    with pysam.FastaFile(str(subject.fasta)) as handle:
        reference, alternative = (
            subject.predict_channels(
                [plain_window(handle, row[0], row[1], row[2], row[index], subject.window, 0) for row in rows]
            )
            for index in (2, 3)
        )
    return alternative - reference


def plain_window(fasta: pysam.FastaFile, chrom: str, pos: int, ref: str, allele: str, window: int, shift: int) -> str:
    """The window of one haplotype, written out plainly: ``pos`` is 1-based."""
    before = window // 2 - 1 - shift
    # The crop keeps the string's centre, so a longer allele loses bases on both sides and a shorter one gains them.
    gain = len(allele) - len(ref)
    cut = gain // 2
    left = read_padded(fasta, chrom, pos - 1 - before + cut, pos - 1)
    right = read_padded(fasta, chrom, pos - 1 + len(ref), pos - 1 + len(ref) + 2 * window)
    return (left + allele.upper() + right)[:window]


def read_padded(fasta: pysam.FastaFile, chrom: str, start: int, end: int) -> str:
    """Bases of a 0-based half-open interval, one by one, N outside the contig."""
    length = fasta.get_reference_length(chrom)
    bases = fasta.fetch(chrom, max(start, 0), min(end, length)).upper() if start < length and end > 0 else ""
    before = max(0, min(end, 0) - start)
    return "N" * before + bases + "N" * (max(end - start, 0) - before - len(bases))


def unique_variants(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Every scored allele once, with its place."""
    columns = ["record", "allele", "chrom", "pos", "ref", "alt"]
    return pd.concat([table[columns] for table in tables], ignore_index=True).drop_duplicates(ignore_index=True)


def sample(variants: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`SAMPLE` variants, always the same ones."""
    order = generator(0, "sample", len(variants)).permutation(len(variants))[:SAMPLE]
    return variants.iloc[np.sort(order)].reset_index(drop=True)
