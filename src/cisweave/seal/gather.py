"""Putting together what several jobs scored: one table of effects, in the order of the user's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError, check_balance
from cisweave.core.files import existing, read_json, sha256
from cisweave.core.logs import get_logger
from cisweave.core.parts import Part
from cisweave.genome.stream import Sink, summary_line
from cisweave.seal.outputs import ResultFiles, Views, check_places, write_views
from cisweave.seal.strongest import allele_blocks
from cisweave.tables.frames import read_parts
from cisweave.tables.ledger import KEY, LEDGER_COLUMNS, key_numbers
from cisweave.tables.receipts import receipt_path, write_receipt

logger = get_logger(__name__)

CHROMATIN, REJECTS = "chromatin_effects.parquet", "rejects.tsv"
"""What stands beside the effects of each part."""
FILES = ("effects", "chromatin_effects", "rejects")
"""What a receipt calls the files of a part."""


@dataclass(frozen=True)
class ScoredPart:
    """What one job scored.

    Attributes
    ----------
    effects
        Its table of effects; the chromatin effects and the rejected alleles stand beside it.
    part
        Which part it is.
    identity
        What must be equal in all parts: settings, and hashes of the inputs by name.
    alleles
        ``in, kept, rejected, reasons``.
    written
        SHA-256 of its ``effects``, ``chromatin_effects`` and ``rejects``.
    run
        Versions and device, which should be equal in all parts.
    """

    effects: Path
    part: Part
    identity: dict[str, Any]
    alleles: dict[str, Any]
    written: dict[str, str]
    run: dict[str, Any]

    @property
    def chromatin(self) -> Path:
        """Its table of chromatin effects."""
        return existing(self.effects.with_name(CHROMATIN))

    @property
    def rejects(self) -> Path:
        """Its ledger."""
        return existing(self.effects.with_name(REJECTS))


def gather_effects(
    parts: Sequence[str | Path],
    out: str | Path,
    chromatin_effects: str | Path,
    rejects: str | Path,
    views: Views | None = None,
) -> dict[str, Any]:
    """Put the parts of :func:`cisweave.seal.predict.predict` together, block by block.

    Parameters
    ----------
    parts
        The tables of effects of all parts, in any order; beside each stand its ``chromatin_effects.parquet``, its
        ``rejects.tsv`` and its receipt.
    out, chromatin_effects, rejects, views
        As of ``predict``: the same rows in the same order as of one job that scores the whole table. Numbers may
        differ in their last digits, as they do between any two ways of cutting work into batches.

    Returns
    -------
    dict
        ``in, kept, rejected, reasons`` in alleles.

    Raises
    ------
    CisweaveError
        If a part is missing or there twice, was made with other models, settings or inputs, if its files are not those
        that its receipt tells of, or if an allele stands in two parts or out of order.
    """
    views = views or Views()
    views.check()
    check_places([out, chromatin_effects, rejects, *views.files])
    scored = in_order([read_part(path) for path in parts])
    require_one_run(scored)
    warn_of_other_runs(scored)
    for each in scored:
        require_written(each)
    counts = total([each.alleles for each in scored])
    with ResultFiles.open(out, chromatin_effects, rejects) as files:
        with_effects = copy_rows([each.effects for each in scored], files.effects)
        with_chromatin = copy_rows([each.chromatin for each in scored], files.chromatin)
        rejected = copy_ledgers([each.rejects for each in scored], files.rejects)
        for kept in (with_effects, with_chromatin):
            check_balance(counts["in"], kept, rejected, "alleles")
    write_receipt(
        out,
        settings=scored[0].identity["settings"],
        inputs=[each.effects for each in scored],
        notes={"parts": len(scored), "scored_from": scored[0].identity["inputs"], "alleles": counts},
    )
    write_views(out, views)
    logger.info("%s", summary_line("seal_gather", counts))
    return counts


def read_part(path: str | Path) -> ScoredPart:
    """What the receipt beside a table of effects says of it."""
    path = existing(path)
    receipt = receipt_path(path)
    if not receipt.is_file():
        raise CisweaveError("the receipt of this part is absent; score the part again", path=receipt)
    try:
        identity = read_json(receipt)["identity"]
        same = {"settings": dict(identity["settings"]), "inputs": named_inputs(identity["inputs"])}
        alleles = {name: int(identity["alleles"][name]) for name in ("in", "kept", "rejected")}
        reasons = {str(code): int(number) for code, number in identity["alleles"]["reasons"].items()}
        written = {name: str(identity["written"][name]) for name in FILES}
        run = {**identity["versions"], "device": identity["device"]}
        return ScoredPart(path, Part.parse(identity["part"]), same, {**alleles, "reasons": reasons}, written, run)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise CisweaveError("this is not the receipt of a part that 'seal predict' scored", path=receipt) from error


def require_written(part: ScoredPart) -> None:
    """Raise unless the files of a part are, to the byte, those it wrote."""
    for name, path in zip(FILES, (part.effects, part.chromatin, part.rejects), strict=True):
        if sha256(path) != part.written[name]:
            raise CisweaveError("this is not the file that the part wrote; score the part again", path=path)


def named_inputs(inputs: dict[str, str]) -> dict[str, str]:
    """Hashes of inputs by the last names of their paths, which are the same wherever a job ran."""
    named: dict[str, str] = {}
    for path, value in inputs.items():
        name = "/".join(Path(path).parts[-2:])
        named[path if name in named else name] = value
    return named


def in_order(parts: Sequence[ScoredPart]) -> list[ScoredPart]:
    """The parts 1 to n; a missing or repeated one is an error."""
    if not parts:
        raise CisweaveError("give the tables of effects of the parts")
    of = parts[0].part.of
    for each in parts:
        if each.part.of != of:
            raise CisweaveError(f"this is part {each.part}, while {parts[0].effects} is one of {of}", path=each.effects)
    times = Counter(each.part.number for each in parts)
    missing = [str(Part(number, of)) for number in range(1, of + 1) if number not in times]
    twice = [str(Part(number, of)) for number, count in times.items() if count > 1]
    if missing or twice:
        word, names = ("missing", missing) if missing else ("given twice", twice)
        raise CisweaveError(f"part {', '.join(names[:5])} is {word}; give each of the {of} parts once")
    return sorted(parts, key=lambda each: each.part.number)


def require_one_run(parts: Sequence[ScoredPart]) -> None:
    """Raise unless all parts were scored with the same models, settings and inputs."""
    for each in parts[1:]:
        for what in ("settings", "inputs"):
            ours, theirs = each.identity[what], parts[0].identity[what]
            if ours != theirs:
                names = [str(key) for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
                raise CisweaveError(
                    f"this part was scored with other {what} than part 1 ({', '.join(names[:3])}); score it again",
                    path=each.effects,
                )


def warn_of_other_runs(parts: Sequence[ScoredPart]) -> None:
    """Say so where parts were scored by other versions or on other devices, whose numbers differ in the last digits."""
    for each in parts[1:]:
        names = [name for name in {**each.run, **parts[0].run} if each.run.get(name) != parts[0].run.get(name)]
        if names:
            logger.warning(
                "%s was scored with another %s than part 1 (%s, part 1: %s)",
                each.effects,
                names[0],
                each.run.get(names[0]),
                parts[0].run.get(names[0]),
            )


def copy_rows(paths: Sequence[Path], sink: Sink) -> int:
    """Copy tables one after the other; how many alleles they have.

    An allele that is not behind all before it, and a score that is not a number, are errors.
    """
    columns: dict[Any, Any] = {}
    last, alleles = -1, 0
    for path in paths:
        for frame in nonempty(allele_blocks(path)):
            columns = columns or frame.dtypes.to_dict()
            if frame.dtypes.to_dict() != columns or list(frame.columns) != list(columns):
                raise CisweaveError(f"the columns are not those of {paths[0]}; score the parts again", path=path)
            last = check_order(frame, last, path)
            if not np.isfinite(frame.select_dtypes(np.floating).to_numpy()).all():
                raise CisweaveError("a score is not finite; score the part again", path=path)
            alleles += len(frame[KEY].drop_duplicates())
            sink.write(frame)
    return alleles


def copy_ledgers(paths: Sequence[Path], sink: Sink) -> int:
    """Copy ledgers one after the other; how many alleles they have."""
    sink.write(pd.DataFrame(columns=LEDGER_COLUMNS))
    alleles = 0
    for path in paths:
        for rows in read_parts(path, LEDGER_COLUMNS, dtype="str"):
            alleles += len(rows)
            sink.write(rows[LEDGER_COLUMNS])
    return alleles


def nonempty(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Frames that have rows, but the first in any case (it tells the columns)."""
    for number, frame in enumerate(frames):
        if len(frame) or not number:
            yield frame


def check_order(frame: pd.DataFrame, last: int, path: Path) -> int:
    """The key of the last allele of a block, all of which must come after ``last``, each allele and gene once."""
    if not len(frame):
        return last
    keys = key_numbers(frame)
    genes = [*KEY, "gene_id"] if "gene_id" in frame else KEY
    if keys[0] <= last or (np.diff(keys) < 0).any() or frame.duplicated(genes).any():
        raise CisweaveError(
            "an allele of this part stands in another part, too, or out of order; score the parts again", path=path
        )
    return int(keys[-1])


def total(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Alleles of all parts together."""
    reasons: Counter[str] = Counter()
    for each in counts:
        reasons.update(each["reasons"])
    numbers = {name: sum(int(each[name]) for each in counts) for name in ("in", "kept", "rejected")}
    return {**numbers, "reasons": dict(sorted(reasons.items()))}
