"""A VCF of the scored variants, annotated with genes, strongest contexts and effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.core.errors import CisweaveError
from cisweave.core.files import atomic_path
from cisweave.genome.stream import CONTIG_NAME, VCF_KINDS, Closing, VcfSink
from cisweave.genome.table import as_in_file
from cisweave.seal.strongest import Strongest
from cisweave.tables.ledger import KEY

HEADER = """\
##fileformat=VCFv4.3
##source=cisweave seal
##seal_coordinates=CHROM, POS, REF and ALT are those of the user's file; SEAL_PLACE and SEAL_DIST are on the modelled \
assembly
##seal_effects=alternative minus reference, natural logarithm of expression; from REF to ALT as written here
##INFO=<ID=SEAL_RECORD,Number=1,Type=Integer,Description="Number of the record in the user's file, from 1">
##INFO=<ID=SEAL_ALLELE,Number=1,Type=Integer,Description="Number of the allele within ALT of that record, from 1">
##INFO=<ID=SEAL_PLACE,Number=1,Type=String,Description="CHROM:POS:REF:ALT as modelled, where lifting or normalising \
changed them">
##INFO=<ID=SEAL_SWAPPED,Number=0,Type=Flag,Description="The modelled assembly holds ALT; the effects were negated">
##INFO=<ID=SEAL_GENE,Number=.,Type=String,Description="Genes whose expression was predicted">
##INFO=<ID=SEAL_DIST,Number=.,Type=Integer,Description="Per gene: position minus TSS on the modelled assembly, in \
bases, positive to the right">
##INFO=<ID=SEAL_CONTEXT,Number=.,Type=String,Description="Per gene: context of the largest absolute effect">
##INFO=<ID=SEAL_EFFECT,Number=.,Type=Float,Description="Per gene: that effect">
##INFO=<ID=SEAL_QUANTILE,Number=.,Type=Float,Description="Per gene: share of all scores whose absolute effect in that \
context is no larger">
##INFO=<ID=SEAL_TOP,Number=.,Type=String,Description="Per gene: the contexts of the largest absolute effects, as \
context:effect joined by |">
"""
COLUMNS_LINE = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
SAFE = "".join(chr(code) for code in range(33, 127) if chr(code) not in "%,;=:|")
"""Characters that names keep in INFO; others are percent-encoded (VCF specification, section 1.2)."""


class EffectsVcf(VcfSink):
    """A sites-only VCF of scored alleles, one record an allele, sorted by contig and position of the user's file."""

    def __init__(self, path: Path, target: Path):
        super().__init__(path, target, None)

    def write(self, frame: pd.DataFrame) -> None:
        """Add records: columns chrom, pos, name, ref, alt, info."""
        self.contigs |= dict.fromkeys(frame["chrom"].unique(), 0)
        columns = (frame[name].tolist() for name in ("chrom", "pos", "name", "ref", "alt", "info"))
        self._body.writelines(map(record_line, *columns))

    def _header(self) -> Iterator[str]:
        """The lines of the header."""
        yield HEADER
        for contig in self.contigs:
            if CONTIG_NAME.fullmatch(contig):
                yield f"##contig=<ID={contig}>\n"
        yield COLUMNS_LINE


def record_line(chrom: str, pos: int, name: str, ref: str, alt: str, info: str) -> str:
    """One line of the VCF."""
    return f"{chrom}\t{pos}\t{name or '.'}\t{ref}\t{alt}\t.\t.\t{info}\n"


def check_name(path: Path) -> None:
    """Raise unless the name is that of a VCF."""
    if not path.name.endswith(tuple(VCF_KINDS)):
        raise CisweaveError(f"the name must end in {', '.join(VCF_KINDS)}", path=path)


@contextmanager
def open_vcf(path: str | Path) -> Iterator[EffectsVcf]:
    """Open the VCF (``.vcf.gz`` with its index, ``.vcf`` or ``.bcf``); it appears when the block ends well."""
    target = Path(path)
    check_name(target)
    with atomic_path(target) as temporary:
        sink = EffectsVcf(temporary, target)
        with Closing(sink):
            yield sink
    if target.name.endswith((".vcf.gz", ".vcf.bgz")):
        temporary.with_name(temporary.name + ".csi").replace(target.with_name(target.name + ".csi"))


def vcf_records(
    frame: pd.DataFrame, contexts: Sequence[str], strongest: Strongest, first: int, listed: int
) -> pd.DataFrame:
    """Records of a block of effects, one an allele: columns chrom, pos, name, ref, alt, info.

    Parameters
    ----------
    frame
        Variants and one column per context, all genes of an allele one after the other.
    strongest, first
        What is known of each row of the whole table, and the row this block begins with.
    listed
        Contexts in ``SEAL_TOP``.
    """
    names = [quote(name, safe=SAFE) for name in contexts]
    per_gene = pd.DataFrame(
        {
            "SEAL_GENE": [quote(gene, safe=SAFE) for gene in frame["gene_id"]],
            "SEAL_DIST": frame["dist_to_tss"].astype("str"),
            "SEAL_CONTEXT": [names[number] for number in strongest.context[first : first + len(frame)]],
            "SEAL_EFFECT": [number_text(value) for value in strongest.effect[first : first + len(frame)]],
            "SEAL_QUANTILE": [number_text(value) for value in strongest.quantile[first : first + len(frame)]],
            "SEAL_TOP": list(top_texts(frame[list(contexts)].to_numpy(np.float32), names, listed)),
        },
        dtype="str",
        index=frame.index,
    )
    per_allele = frame.drop_duplicates(KEY)
    joined = per_gene.groupby([frame[column] for column in KEY], sort=False).agg(",".join)
    state = allele_state(per_allele)
    info = [
        ";".join([beginning, *(f"{name}={value}" for name, value in zip(joined.columns, values, strict=True))])
        for beginning, values in zip(state, joined.itertuples(index=False), strict=True)
    ]
    source = written_alleles(per_allele)
    ids = per_allele["name"].to_numpy() if "name" in per_allele else "."
    return source.assign(name=ids, info=info)


def written_alleles(alleles: pd.DataFrame) -> pd.DataFrame:
    """Columns chrom, pos, ref, alt of the user's file, bases in upper case."""
    source = {name: alleles[f"source_{name}"] for name in ("chrom", "pos")}
    return pd.DataFrame({**source, **{name: alleles[f"source_{name}"].str.upper() for name in ("ref", "alt")}})


def allele_state(alleles: pd.DataFrame) -> list[str]:
    """The part of INFO that an allele has once: its key, its place in the modelled assembly, whether it was swapped."""
    modelled, written = as_in_file(alleles), written_alleles(alleles)
    columns: Iterable[tuple[Any, ...]] = zip(
        *(modelled[name] for name in KEY),
        *(modelled[name] for name in ("chrom", "pos", "ref", "alt")),
        *(written[name] for name in ("chrom", "pos", "ref", "alt")),
        modelled["swapped"],
        strict=True,
    )
    state = []
    for record, allele, *places, swapped in columns:
        place, source = places[:4], places[4:]
        text = f"SEAL_RECORD={record};SEAL_ALLELE={allele}"
        if place != source:
            text += f";SEAL_PLACE={quote(place[0], safe=SAFE)}:{place[1]}:{place[2]}:{place[3]}"
        state.append(text + (";SEAL_SWAPPED" if swapped else ""))
    return state


def top_texts(values: NDArray[np.float32], names: Sequence[str], listed: int) -> Iterator[str]:
    """``context:effect|context:effect`` of the largest absolute effects of each row, largest first."""
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :listed]
    for row, numbers in zip(values, order, strict=True):
        yield "|".join(f"{names[number]}:{number_text(row[number])}" for number in numbers)


def number_text(value: float) -> str:
    """A number as INFO holds it."""
    return f"{value:.6g}"
