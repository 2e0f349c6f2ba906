"""Matrices of 0 and 1 per gene: ENCODE occupancy of transcription factors, target sites of microRNA families.

Factors are read from Harmonizome's ``attribute_set_library_crisp.txt``, from the ready workbook of 181 factors, or from
any table of 0 and 1; microRNAs from such a table or from TargetScan's lists of targets.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from cisweave.core.errors import CisweaveError, shorten
from cisweave.core.files import existing, first_bytes
from cisweave.core.logs import get_logger
from cisweave.genome.genes import without_version
from cisweave.genome.text import numbered_lines
from cisweave.tables.frames import damages, packed, unreadable
from cisweave.xpresso.tables import GENE, GENE_NAMES, check_fields, gene_column, plain_name, read_gene_table, sniff

logger = get_logger(__name__)

FACTORS = """
    ARID3A ATF1 ATF2 ATF3 BACH1 BATF BCL11A BCL3 BCLAF1 BDP1 BHLHE40 BRCA1 BRF1 BRF2 CBX2 CBX3 CBX8 CCNT2 CEBPB CEBPD
    CEBPZ CHD1 CHD2 CHD4 CHD7 CREB1 CREBBP CTBP2 CTCF CTCFL CUX1 E2F1 E2F4 E2F6 EBF1 EGR1 ELF1 ELK1 ELK4 EP300 ESR1
    ESRRA ETS1 EZH2 FLI1 FOS FOSL1 FOSL2 FOXA1 FOXA2 FOXM1 FOXP2 GABPA GATA1 GATA2 GATA3 GTF2B GTF2F1 GTF3C2 H2AFZ
    HCFC1 HDAC1 HDAC2 HDAC6 HMGN3 HNF4A HNF4G HSF1 IKZF1 IRF1 IRF3 IRF4 JUN JUND KAT2A KAT2B KDM1A KDM4A KDM5A KDM5B
    MAFF MAFK MAX MAZ MBD4 MEF2A MEF2C MTA3 MXI1 MYB MYBL2 MYC MYOD1 MYOG NANOG NCOR1 NELFE NFATC1 NFE2 NFIC NFYA NFYB
    NR2C2 NR2F2 NR3C1 NRF1 PAX5 PBX3 PHF8 PML POLR2A POLR3A POLR3G POU2F2 POU5F1 PPARGC1A PRDM1 RAD21 RBBP5 RCOR1 RELA
    REST RFX5 RNF2 RUNX3 RXRA SAP30 SETDB1 SIN3A SIRT6 SIX5 SMARCA4 SMARCB1 SMARCC1 SMARCC2 SMC3 SP1 SP2 SP4 SPI1
    SREBF1 SREBF2 SRF STAT1 STAT2 STAT3 STAT5A SUPT20H SUZ12 TAF1 TAF7 TAL1 TBL1XR1 TBP TCF12 TCF3 TCF7L2 TEAD4 TFAP2A
    TFAP2C THAP1 TRIM28 UBTF USF1 USF2 WHSC1 WRNIP1 XRCC4 YY1 ZBTB33 ZBTB7A ZC3H11A ZEB1 ZKSCAN1 ZMIZ1 ZNF143 ZNF217
    ZNF263 ZNF274 ZNF384 ZZZ3
"""
TF_NAMES: Final = tuple(FACTORS.split())
"""The 181 factors of Harmonizome's ENCODE set, in the order of the published models' columns."""
ZIP_MAGIC = b"PK\x03\x04"
MOST_UNZIPPED = 1 << 30
"""Bytes a workbook may unpack to."""
HUMAN = 9606
FAMILY_NAMES = ("mir family", "mirna family", "family", "mirna")
SYMBOL_NAMES = ("gene symbol", "symbol")
SITE_NAMES = ("total num conserved sites", "count", "sites")
SPECIES = "species id"

Symbols = Mapping[str, Sequence[str]]
"""Names of genes by gene id."""


# --- factors ----------------------------------------------------------------------------------------------------------
def read_factors(path: str | Path, symbols: Symbols | None = None) -> pd.DataFrame:
    """Occupancy of factors, uint8 (genes, factors) of 0 and 1, indexed by gene id.

    Parameters
    ----------
    path
        Harmonizome's ``attribute_set_library_crisp.txt`` (plain or gzip; a row per gene: symbol, description, factors),
        the workbook of 181 factors (xlsx: symbol, JSON list, gene id), or TSV, CSV or Parquet: gene id, then a column
        of 0 and 1 per factor.
    symbols
        Names by gene id; Harmonizome's file needs them. Its genes without a name there are left out and counted.

    Raises
    ------
    CisweaveError
        If it is none of these, or names cannot be brought to gene ids.
    """
    path = existing(path)
    if path.suffix == ".parquet":
        return read_binary(path)
    if first_bytes(path, 4) == ZIP_MAGIC:
        return read_workbook(path)
    return read_attribute_sets(path, symbols) if is_attribute_sets(path) else read_binary(path)


def is_attribute_sets(path: Path) -> bool:
    """Whether rows differ in length, as sets do, or their second field is Harmonizome's empty description.

    A file whose first field is the header of gene ids is a table.
    """
    widths = set()
    for number, text in numbered_lines(path):
        fields = text.split("\t")
        if number == 1 and plain_name(fields[0].strip('" ')) in GENE_NAMES:
            return False
        widths.add(len(text.rstrip("\t").split("\t")))
        if number == 1 and len(fields) > 2 and fields[1].strip().lower() in ("na", "null", ""):
            return True
        if number == 20:
            break
    return len(widths) > 2


def read_attribute_sets(path: Path, symbols: Symbols | None) -> pd.DataFrame:
    """Harmonizome's sets of factors, a row per gene symbol; columns in alphabetical order."""
    if not symbols:
        raise CisweaveError(
            "this file names genes by symbol; give the names of the genes, too (an annotation or a table of symbols)",
            path=path,
        )
    sets: dict[str, set[str]] = {}
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        symbol, *rest = (field.strip() for field in text.split("\t"))
        if not symbol or not rest:
            raise CisweaveError("a row needs a gene symbol, a description and factors", path=path, line=line)
        sets.setdefault(symbol, set()).update(name for name in rest[1:] if name)
    names = sorted(set().union(*sets.values()))
    if not names:
        raise CisweaveError("this file names no factor", path=path)
    if set(sets) <= set(TF_NAMES) < set(names):
        raise CisweaveError(
            "this is the library of gene sets (a row per factor); give attribute_set_library_crisp.txt", path=path
        )
    place = {name: number for number, name in enumerate(names)}
    rows = {symbol: [place[name] for name in members] for symbol, members in sets.items()}
    return by_gene_id(rows, names, symbols, path)


def by_gene_id(rows: Mapping[str, Iterable[int]], names: Sequence[str], symbols: Symbols, path: Path) -> pd.DataFrame:
    """A matrix by gene id from the columns that are 1 by symbol; a gene takes the first of its names that is there."""
    chosen = {gene: next((name for name in known if name in rows), None) for gene, known in symbols.items()}
    found = {gene: name for gene, name in chosen.items() if name is not None}
    if not found:
        raise CisweaveError(
            "none of its gene symbols is a name of a gene here; are they of another species?", path=path
        )
    left = len(rows.keys() - set(found.values()))
    logger.info("%s: rows of %d genes; %d symbols are no gene here", path, len(found), left)
    values = np.zeros((len(found), len(names)), dtype=np.uint8)
    for row, name in enumerate(found.values()):
        values[row, list(rows[name])] = 1
    return pd.DataFrame(values, index=pd.Index(list(found), name=GENE, dtype="str"), columns=list(names))


def read_workbook(path: Path) -> pd.DataFrame:
    """The workbook of the 181 factors: symbol, JSON list of 0 and 1, gene id, after one row of headers."""
    ids, lists = [], []
    for number, cells in enumerate(sheet_rows(path), start=2):
        if not any(cells):
            continue
        if len(cells) < 3 or not cells[2]:
            raise CisweaveError("a row needs a symbol, a list of 0 and 1, and a gene id", path=path, line=number)
        ids.append(without_version(str(cells[2]).strip()))
        lists.append(json_bits(str(cells[1]), path, number))
    if not ids:
        raise CisweaveError("this workbook holds no gene", path=path)
    repeated = pd.Index(ids)[pd.Index(ids).duplicated()]
    if len(repeated):
        raise CisweaveError(f"gene {repeated[0]} stands twice; keep one row a gene", path=path)
    return pd.DataFrame(np.array(lists, dtype=np.uint8), index=pd.Index(ids, name=GENE, dtype="str"), columns=TF_NAMES)


def sheet_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Cells of the first sheet of a workbook, row by row, without its header."""
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    # what zip, XML and openpyxl raise for damaged files; errors of XML are SyntaxErrors
    damaged = (zipfile.BadZipFile, zlib.error, SyntaxError, InvalidFileException, ArithmeticError, AttributeError,
               EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError)  # fmt: skip
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_UNZIPPED:
                raise CisweaveError("this workbook unpacks to more than 1 GiB; it is not the one of factors", path=path)
        workbook = load_workbook(path, read_only=True, data_only=True)
        try:
            yield from workbook.worksheets[0].iter_rows(min_row=2, values_only=True)
        finally:
            workbook.close()
    except damaged as error:
        raise CisweaveError(f"this is not a workbook (xlsx), or it is damaged ({error})", path=path) from error


def json_bits(text: str, path: Path, line: int) -> list[int]:
    """A JSON list of 181 times 0 or 1."""
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != len(TF_NAMES) or any(value not in (0, 1) for value in values):
        raise CisweaveError(
            f"column 2 must be a list of {len(TF_NAMES)} times 0 or 1, not {shorten(text)}", path=path, line=line
        )
    return [int(value) for value in values]


# --- any matrix of 0 and 1 --------------------------------------------------------------------------------------------
def read_binary(path: str | Path) -> pd.DataFrame:
    """A matrix uint8 (genes, columns) of 0 and 1, indexed by gene id, from TSV, CSV or Parquet."""
    table = read_gene_table(path)
    if not len(table.columns):
        raise CisweaveError("this table has no column beyond the gene ids", path=path)
    found = np.zeros(table.shape, dtype=np.uint8)
    for number, name in enumerate(table.columns):
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero((values != 0) & (values != 1))
        if len(wrong):
            value = table[name].iloc[int(wrong[0])]
            raise CisweaveError(
                f"{shorten(value)} of gene {table.index[int(wrong[0])]} in {name} is neither 0 nor 1", path=path
            )
        found[:, number] = values
    return pd.DataFrame(found, index=table.index, columns=[str(name) for name in table.columns])


# --- microRNAs --------------------------------------------------------------------------------------------------------
def read_mirna(path: str | Path, symbols: Symbols | None = None, species: int | None = None) -> pd.DataFrame:
    """Target sites of microRNA families, uint8 (genes, families) of 0 and 1, indexed by gene id.

    Parameters
    ----------
    path
        TSV, CSV or Parquet: gene id (also ``Gene ID``), then a column of 0 and 1 per family; or a list of TargetScan:
        ``Predicted_Targets_Info`` (``miR Family``, ``Gene ID``, a row per site), ``Summary_Counts`` (``Gene Symbol``,
        ``miRNA family``, ``Total num conserved sites``: 1 where there is one or more), or columns gene, family and
        count. Families are in alphabetical order then.
    symbols
        Names by gene id; lists that name genes by symbol only need them.
    species
        Of a list with rows of several species (``Species ID``), those of this one; ``None``: human's.
    """
    path = existing(path)
    if path.suffix == ".parquet":
        return read_binary(path)
    _, header = sniff(path)
    lower = {name.lower(): name for name in reversed(header)}
    family = next((lower[name] for name in FAMILY_NAMES if name in lower), None)
    if family is None:
        return read_binary(path)
    return read_targets(path, header, family, symbols, species)


def read_targets(
    path: Path, header: Sequence[str], family: str, symbols: Symbols | None, species: int | None
) -> pd.DataFrame:
    """A matrix from a list with a row per gene and family, or per site."""
    lower = {name.lower(): name for name in reversed(header)}
    symbol = next((lower[name] for name in SYMBOL_NAMES if name in lower), None)
    gene = symbol if symbol is not None and not has_gene_ids(header, path, symbol) else gene_column(header, path)
    sites = next((lower[name] for name in SITE_NAMES if name in lower), None)
    table = read_list(path, header, [gene, family, *filter(None, [sites, lower.get(SPECIES)])])
    table = of_species(table, lower.get(SPECIES), species, path)
    whole = table[[gene, family]].notna().all(axis=1)
    if not whole.all():
        logger.warning("%s: %d rows without %s or %s are left out", path, (~whole).sum(), gene, family)
        table = table[whole]
    counts = site_counts(table, sites, path)
    names = sorted(set(table[family]))
    if not names:
        raise CisweaveError("this list names no target", path=path)
    place = {name: number for number, name in enumerate(names)}
    rows: dict[str, set[int]] = {without_version(name): set() for name in table[gene]}
    hits = table[(counts > 0).to_numpy()]
    for name, target in zip(hits[gene], hits[family], strict=True):
        rows[without_version(name)].add(place[target])
    if gene != symbol:
        return by_gene_id(rows, names, {name: [name] for name in rows}, path)
    if not symbols:
        raise CisweaveError(
            "this list names genes by symbol; give the names of the genes, too (an annotation or a table of symbols)",
            path=path,
        )
    return by_gene_id(rows, names, symbols, path)


def site_counts(table: pd.DataFrame, sites: str | None, path: Path) -> pd.Series[Any]:
    """Sites (rows,) of a list; 1 in a list of sites, which does not count them."""
    if sites is None:
        return pd.Series(1, table.index)
    counts = pd.to_numeric(table[sites], errors="coerce")
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        value, row = table[sites][wrong].iloc[0], table.index[wrong][0] + 1
        raise CisweaveError(f"{shorten(value)} in {sites} of row {row} is not a number of sites", path=path)
    return counts


def has_gene_ids(header: Sequence[str], path: Path, symbol: str) -> bool:
    """Whether a list has a column of gene ids beside that of symbols."""
    try:
        return gene_column([name for name in header if name != symbol], path) != symbol
    except CisweaveError:
        return False


def read_list(path: Path, header: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a text table, all as text."""
    separator, _ = sniff(path)
    check_fields(path, separator, header)
    try:
        return pd.read_csv(
            path,
            sep=separator,
            names=list(header),
            header=None,
            skiprows=1,
            index_col=False,
            usecols=list(columns),
            dtype="str",
            compression=packed(path),
            keep_default_na=False,
            na_values=["", "NULL"],
        )
    except damages() as error:
        raise unreadable(path, error) from error


def of_species(table: pd.DataFrame, column: str | None, species: int | None, path: Path) -> pd.DataFrame:
    """The rows of one species, where the list tells species."""
    if column is None:
        return table
    found = sorted(set(table[column].dropna()))
    wanted = str(species or (HUMAN if len(found) > 1 else found[0] if found else HUMAN))
    if wanted not in found:
        raise CisweaveError(f"no row is of species {wanted}; there are {', '.join(found[:10])}", path=path)
    if len(found) > 1:
        logger.info("%s: %d species; those of %s are taken", path, len(found), wanted)
    return table[table[column] == wanted]
