"""Sequences of the user's own around a TSS: a construct, an assembled haplotype, a designed promoter.

Dimension legend
    contexts - tissues or cell states, length - bases of all windows together
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cisweave.config import EngineSettings, HaplotypeSettings
from cisweave.core.devices import DeviceName
from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.logs import get_logger
from cisweave.genome.stream import open_sink
from cisweave.genome.text import is_position, numbered_lines
from cisweave.models.profiles import ProfileStore
from cisweave.seal.haplotype.cohort import refuse_other_names, require_finite
from cisweave.seal.haplotype.edits import Gene
from cisweave.seal.haplotype.genotypes import STAGE
from cisweave.seal.haplotype.scorer import Floats, HaplotypeScorer
from cisweave.seal.inputs import open_inputs
from cisweave.seal.predict import Progress
from cisweave.sequence.genome import Genome
from cisweave.sequence.onehot import UNKNOWN, Codes, encode, reverse_complement
from cisweave.tables.receipts import write_receipt

logger = get_logger(__name__)

KEYS = ("gene_id", "tss", "strand")
LETTERS = re.compile(r"[ACGTUNRYSWKMBDHV]+", re.IGNORECASE)
"""Bases, U for T, and the letters for several bases (all of them unknown)."""
COLUMNS = {
    "sequence": "str",
    "gene_id": "str",
    "length": "int64",
    "tss": "int64",
    "strand": "str",
    "filled": "int64",
    "changed_bins": "int64",
    "context": "str",
    "predicted": "float64",
    "reference": "float64",
    "difference": "float64",
}
"""Name; gene it is held against (empty: none); bases; TSS (1-based, in the sequence); strand of the gene on it; bases
of the windows beyond its ends; windows that differ from the reference; context; ln(expression + pseudocount) predicted
for the sequence and for the reference gene; and their difference (both empty where there is no gene)."""


class OwnSequence(NamedTuple):
    """A sequence and the place of its TSS (1-based); ``gene_id`` is empty where it is held against no gene."""

    name: str
    codes: Codes
    tss: int
    strand: str
    gene_id: str


class Scored(NamedTuple):
    """What is predicted for one sequence; ``reference`` (contexts,) is ``None`` where it is held against no gene."""

    filled: int
    changed: int
    predicted: Floats
    reference: Floats | None


def sequence_effects(
    sequences: str | Path,
    fasta: str | Path,
    profiles: str | Path,
    chromatin: str | Path,
    model: str | Path,
    out: str | Path,
    settings: HaplotypeSettings | None = None,
    engine: EngineSettings | None = None,
    device: DeviceName = "auto",
) -> int:
    """Predict expression from sequences of the user's own, and its difference from a gene's reference.

    Parameters
    ----------
    sequences
        FASTA; each header names the sequence, its TSS (1-based, in the sequence), the strand of the gene on it and,
        to hold it against a gene of the store, that gene: ``>name tss=20901 strand=+ gene_id=ENSG00000000001``. A
        sequence may be as short as the TSS alone: ``flanks`` says what stands around it. U is read as T, letters for
        several bases as N. All headers are checked before anything is computed.
    fasta
        The genome of ``profiles``, for the reference of the genes.
    profiles
        Store of TSS profiles, made with the model ``chromatin``.
    out
        ``.parquet``, ``.tsv`` or ``.tsv.gz``: :data:`COLUMNS`, one row a sequence and context.

    Returns
    -------
    int
        How many sequences were scored.

    Raises
    ------
    CisweaveError
        If a header lacks tss or strand, names an unknown gene or another key, or the TSS lies outside the sequence.
    """
    settings, engine = settings or HaplotypeSettings(), engine or EngineSettings()
    refuse_other_names(out)
    inputs = open_inputs(fasta, profiles, chromatin, model, device)
    number = sum(1 for _ in read_sequences(sequences, inputs.store, settings))
    with Genome(fasta) as genome, open_sink(out) as sink:
        scorer = HaplotypeScorer(genome, inputs.store, inputs.chromatin, inputs.expression, engine)
        sink.write(table_of([]))
        progress = Progress(number, "sequences")
        for own in read_sequences(sequences, inputs.store, settings):
            scored = score_sequence(scorer, own, settings)
            tell_of_flanks(own, scored, settings)
            sink.write(rows_of(own, scored, scorer.contexts))
            progress.add(1)
    write_receipt(
        out,
        settings=settings.model_dump(mode="json"),
        inputs=[sequences, *inputs.files],
        device=str(inputs.chromatin.device),
        dtype="float32 (chromatin), float64 (expression)",
        notes={"sequences": number},
    )
    logger.info("%s: %d sequences in, all scored", STAGE, number)
    return number


# --- in ---------------------------------------------------------------------------------------------------------------
def read_sequences(path: str | Path, store: ProfileStore, settings: HaplotypeSettings) -> Iterator[OwnSequence]:
    """Read sequences and what their headers say, one by one."""
    seen: set[str] = set()
    for line, header, bases in fasta_records(path):
        own = parse_sequence(header, bases, path, line)
        if own.name in seen:
            raise CisweaveError(f"sequence {shorten(own.name)} comes twice; rename one", path=path, line=line)
        if own.gene_id and store.rows(pd.Series([own.gene_id], dtype="str"))[0] < 0:
            raise CisweaveError(f"gene {own.gene_id} has no profile; check its id", path=path, line=line)
        if not own.gene_id and settings.flanks == "genome":
            raise CisweaveError(
                f"sequence {shorten(own.name)} names no gene, so flanks: genome has no place to take bases from; name "
                "one, or set flanks: auto",
                path=path,
                line=line,
            )
        seen.add(own.name)
        yield own
    if not seen:
        raise CisweaveError("no sequence is in this file", path=path)


def fasta_records(path: str | Path) -> Iterator[tuple[int, str, str]]:
    """Line, header (without ``>``) and bases of each record of a FASTA."""
    line, header, parts = 0, "", list[str]()
    for number, text in numbered_lines(path):
        if text.startswith(">"):
            if line:
                yield line, header, "".join(parts)
            line, header, parts = number, text[1:].strip(), []
        elif text.strip():
            if not line:
                raise CisweaveError("a FASTA begins with '>'", path=path, line=number)
            parts.append(text.strip())
    if line:
        yield line, header, "".join(parts)


def parse_sequence(header: str, bases: str, path: str | Path, line: int) -> OwnSequence:
    """A record with the facts of its header, checked."""
    example = "write '>name tss=20901 strand=+ gene_id=ENSG00000000001' (gene_id may be absent)"
    words = header.split()
    facts = dict(word.partition("=")[::2] for word in words[1:])
    twice = len(facts) < len(words) - 1
    if not words or twice or set(facts) - set(KEYS) or not {"tss", "strand"} <= set(facts):
        raise CisweaveError(
            f"the header {shorten('>' + header)} does not say what it must; {example}", path=path, line=line
        )
    if facts["strand"] not in ("+", "-"):
        raise CisweaveError(f"strand must be + or -, not {shorten(facts['strand'])}; {example}", path=path, line=line)
    if not is_position(facts["tss"]) or not 1 <= int(facts["tss"]) <= len(bases):
        raise CisweaveError(
            f"tss must be a base of the sequence, 1 to {len(bases)}, not {shorten(facts['tss'])}", path=path, line=line
        )
    if not LETTERS.fullmatch(bases):
        sign = next(letter for letter in bases if not LETTERS.fullmatch(letter))
        raise CisweaveError(
            f"sequence {shorten(words[0])} holds {shorten(sign)}, which is no letter for bases", path=path, line=line
        )
    return OwnSequence(
        words[0], encode(bases.upper().replace("U", "T")), int(facts["tss"]), facts["strand"], facts.get("gene_id", "")
    )


# --- through ----------------------------------------------------------------------------------------------------------
def score_sequence(scorer: HaplotypeScorer, own: OwnSequence, settings: HaplotypeSettings) -> Scored:
    """Predict one sequence, and the reference of its gene where it has one."""
    if not own.gene_id:
        around = np.full(scorer.tiling.length, UNKNOWN, dtype=np.uint8)
        codes, filled = laid_over(around, own.codes, own.tss, scorer.tiling.first(Gene("", 0, own.strand).sign))
        profile = scorer.windows.rows([codes], [np.ones(len(scorer.tiling.centres), dtype=np.bool_)])[0]
        return Scored(filled, len(profile), scorer.of_profile(profile, own.strand), None)
    row = int(scorer.store.rows(pd.Series([own.gene_id], dtype="str"))[0])
    gene = scorer.gene(row)
    turned = own.strand != gene.strand
    bases = reverse_complement(own.codes) if turned else own.codes
    tss = len(bases) + 1 - own.tss if turned else own.tss
    around = scorer.region(row).codes
    if settings.flanks == "unknown":
        around = np.full_like(around, UNKNOWN)
    codes, filled = laid_over(around, bases, tss, scorer.tiling.first(gene.sign))
    found = scorer.expression([row], [codes])
    return Scored(filled, int(found.touched[0]), found.expression[0], found.reference[0])


def tell_of_flanks(own: OwnSequence, scored: Scored, settings: HaplotypeSettings) -> None:
    """Say so where N stands around a sequence: the difference from a gene is then mostly that of what is missing."""
    if not scored.filled or (own.gene_id and settings.flanks != "unknown"):
        return
    logger.warning(
        "%s: %d bases of the windows lie beyond its ends and are N%s",
        own.name,
        scored.filled,
        "; its difference from the gene is mostly theirs, set flanks: auto" if own.gene_id else "",
    )


def laid_over(around: Codes, bases: Codes, tss: int, first: int) -> tuple[Codes, int]:
    """Lay a sequence over the region (length,) around a TSS; also how many bases of the region it leaves.

    ``tss`` is 1-based in the sequence; ``first`` leads from it to the 0-based start of the region.
    """
    begin = tss + first
    left, right = max(0, -begin), min(len(around), len(bases) - begin)
    region = around.copy()
    region[left:right] = bases[begin + left : begin + right]
    return region, len(around) - (right - left)


# --- out --------------------------------------------------------------------------------------------------------------
def rows_of(own: OwnSequence, scored: Scored, contexts: list[str]) -> pd.DataFrame:
    """The rows of one sequence."""
    facts = own.name, own.gene_id, len(own.codes), own.tss, own.strand, scored.filled, scored.changed
    predicted = require_finite(scored.predicted, own.gene_id or own.name)
    reference = np.full(len(contexts), np.nan) if scored.reference is None else scored.reference
    return table_of(
        [
            (*facts, context, *values)
            for context, *values in zip(contexts, predicted, reference, predicted - reference, strict=True)
        ]
    )


def table_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows as a table of fixed columns and types, also where there is none."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
