"""Reading a genome: any interval, padded with N where it leaves the contig."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from cisweave.core.errors import CisweaveError
from cisweave.core.files import existing, is_gzipped
from cisweave.core.logs import get_logger
from cisweave.sequence.onehot import Codes, encode

logger = get_logger(__name__)


class Genome:
    """An indexed FASTA (plain or bgzip).

    Parameters
    ----------
    path
        The FASTA. Its ``.fai`` (and ``.gzi``) index is made beside it if absent; a folder that cannot be written
        is an error that says how to make the index.

    Attributes
    ----------
    contigs
        Length in bases of every contig, in file order.
    """

    def __init__(self, path: str | Path):
        import pysam

        self.path = existing(path)
        ensure_index(self.path)
        try:
            self._fasta = pysam.FastaFile(str(self.path))
        except (OSError, ValueError) as error:
            raise CisweaveError(
                f"this FASTA cannot be opened ({error}); delete its .fai and try again", path=path
            ) from error
        self.contigs: dict[str, int] = dict(zip(self._fasta.references, self._fasta.lengths, strict=True))

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Upper-case bases of the 0-based half-open interval; N outside the contig."""
        length = self.length(chrom)
        inside_start, inside_end = min(max(start, 0), length), min(max(end, 0), length)
        bases = self._fasta.fetch(chrom, inside_start, inside_end).upper() if inside_start < inside_end else ""
        return "N" * (min(end, 0) - min(start, 0)) + bases + "N" * (max(end, length) - max(start, length))

    def codes(self, chrom: str, start: int, end: int) -> Codes:
        """Codes (end - start,) of the 0-based half-open interval; 4 outside the contig."""
        return encode(self.fetch(chrom, start, end))

    def length(self, chrom: str) -> int:
        """Length of a contig in bases; an unknown contig is an error that names those that exist."""
        if chrom not in self.contigs:
            known = ", ".join(list(self.contigs)[:5])
            raise CisweaveError(f"contig {chrom} is not in this FASTA; it has {known} …", path=self.path)
        return self.contigs[chrom]


def ensure_index(path: Path) -> None:
    """Make the ``.fai`` (and ``.gzi``) of a FASTA where it is absent, under a name that is only taken when whole."""
    import pysam

    index = path.with_name(path.name + ".fai")
    compressed_index = path.with_name(path.name + ".gzi")
    compressed = is_gzipped(path)
    complete = index.exists() and (compressed_index.exists() or not compressed)
    stale = complete and index.stat().st_mtime < path.stat().st_mtime
    if stale and not os.access(path.parent, os.W_OK):
        logger.warning("%s is older than its FASTA and its folder read-only; make it anew if the FASTA changed", index)
        return
    if complete and not stale:
        return
    partial = [path.with_name(f".partial-{os.getpid()}-{path.name}{suffix}") for suffix in (".fai", ".gzi")]
    try:
        pysam.faidx(str(path), "--fai-idx", str(partial[0]), "--gzi-idx", str(partial[1]))
        if compressed:
            shutil.move(partial[1], compressed_index)
        shutil.move(partial[0], index)
    except (pysam.utils.SamtoolsError, OSError) as error:
        raise CisweaveError(
            f"no index could be made ({str(error).strip()}); the FASTA must be plain or bgzipped text "
            f"and its folder writable, or make the index with: samtools faidx {path}",
            path=path,
        ) from error
    finally:
        for leftover in partial:
            leftover.unlink(missing_ok=True)
