"""Which genes train, validate and test: one table for all models, so that they are compared on the same genes.

Every method first puts the genes in an order and then cuts it; the order within a split is kept in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cisweave.config.promoters import PromoterSplitSettings, Requirement, SplitMethod
from cisweave.core.errors import CisweaveError, check_balance, shorten
from cisweave.core.logs import get_logger
from cisweave.core.seeds import derive_seed
from cisweave.genome.contigs import ContigNames
from cisweave.tables.frames import read_table, write_tsv
from cisweave.tables.receipts import write_receipt
from cisweave.xpresso.dataset import DESCRIPTION, REJECT_COLUMNS, SPLITS, PromoterData, open_data

logger = get_logger(__name__)

COLUMNS = ["gene_id", "fold", "split"]

XPRESSO_SEED = 1
"""What Xpresso gave to ``DataFrame.sample``."""
XPRESSO_TF_SEED = 42
"""What the zoo gave to NumPy's old generator before it shuffled the genes with transcription factors."""

MESSAGES = {
    "no_expression": "there is no expression to learn from or to compare with",
    "no_halflife": "half-life features are unknown",
    "no_tf": "transcription factors are unknown",
    "no_mirna": "microRNAs are unknown",
    "unknown_bases": "the promoter holds letters other than A, C, G, T",
    "not_in_table": "the table of the split does not name this gene",
}
"""Why a gene of the data is in no split."""
REQUIREMENTS: dict[Requirement, str] = {
    "halflife": "no_halflife",
    "tf": "no_tf",
    "mirna": "no_mirna",
    "known_bases": "unknown_bases",
}
UNIVERSE: dict[SplitMethod, Requirement] = {"xpresso_tf": "tf", "xpresso_mirna": "mirna"}
"""Published orders run over the genes that have these, and no others."""
PUBLISHED = ("xpresso", "xpresso_tf", "xpresso_mirna", "table")
"""Methods whose genes stay in their split whatever is required: genes that lack it are dropped afterwards."""

Fold = dict[str, list[str]]
"""Gene ids by split."""


# --- the command ------------------------------------------------------------------------------------------------------
def split_genes(
    data: str | Path, out: str | Path, settings: PromoterSplitSettings | None = None, rejects: str | Path | None = None
) -> pd.DataFrame:
    """Divide the genes of a data set among training, validation and test, and write the table.

    Parameters
    ----------
    data
        Folder of promoter data.
    out
        TSV ``gene_id, fold, split``: ``fold`` counts from 1 (only kfold and tables have several), ``split`` is train,
        valid or test; rows stand in the order of the method.
    rejects
        TSV ``gene_id, code, message``: genes of the data that are in no split. Genes without expression never are.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    CisweaveError
        If there are too few genes, a contig, group or gene is unknown, or a split stays empty.
    """
    settings = settings or PromoterSplitSettings()
    keep_tables(settings, [Path(path) for path in (out, rejects) if path is not None])
    opened = open_data(data)
    lacking = lacks(opened)
    folds, dropped = divide(opened, settings, lacking)
    table = fold_table(folds)
    reject_table = pd.DataFrame(
        [(gene, code, MESSAGES[code]) for gene, code in dropped.items()], columns=REJECT_COLUMNS, dtype=object
    )
    check_balance(len(opened.gene_ids), table.gene_id.nunique(), len(reject_table), "genes")
    if rejects is not None:
        write_tsv(reject_table, rejects)
    write_tsv(table, out)
    inputs = [Path(data) / DESCRIPTION, *(path for path in (settings.groups, settings.table) if path is not None)]
    counts = {split: int(((table.split == split) & (table.fold == 1)).sum()) for split in SPLITS}
    totals = {"genes": len(opened.gene_ids), **counts, "rejected": len(reject_table), "folds": len(folds)}
    write_receipt(out, settings=settings.model_dump(mode="json"), inputs=inputs, seed=settings.seed, notes=totals)
    logger.info(
        "split: %d genes; train %d, valid %d, test %d%s; %d in no split",
        *list(totals.values())[:4],
        f" (the first of {len(folds)} folds)" if len(folds) > 1 else "",
        len(reject_table),
    )
    return table


def keep_tables(settings: PromoterSplitSettings, outputs: Sequence[Path]) -> None:
    """Raise where a result would be written over a table that the settings name."""
    for table in (settings.table, settings.groups):
        for path in outputs:
            if table is not None and path.exists() and table.exists() and path.samefile(table):
                raise CisweaveError("this is a table that the split reads; give the result another name", path=path)


def lacks(data: PromoterData) -> dict[str, NDArray[np.bool_]]:
    """For each code of :data:`MESSAGES` that is about data, the genes (n,) it holds for."""
    return {
        "no_expression": ~np.isfinite(data.label),
        "no_halflife": ~data.has_halflife,
        "no_tf": ~data.has_tf,
        "no_mirna": ~data.has_mirna,
        "unknown_bases": data.genes["unknown_bases"].to_numpy() > 0,
    }


def divide(
    data: PromoterData, settings: PromoterSplitSettings, lacking: Mapping[str, NDArray[np.bool_]]
) -> tuple[list[Fold], dict[str, str]]:
    """The folds, and for each gene that is in none the code that says why, in the order of the data."""
    genes = np.array(data.gene_ids, dtype=object)
    first = ["no_expression"]
    if settings.method in UNIVERSE:
        first.append(REQUIREMENTS[UNIVERSE[settings.method]])
    further = [code for code in (REQUIREMENTS[name] for name in settings.require) if code not in first]
    if settings.method not in PUBLISHED:
        first, further = first + further, []
    dropped = why_dropped(genes, lacking, [*first, *further])
    held = ~np.logical_or.reduce([lacking[code] for code in first])
    if not held.any():
        raise CisweaveError(
            f"no gene can be split: {MESSAGES[dropped[genes[0]]] if len(genes) else 'there is none'}", path=data.folder
        )
    folds = ordered_folds(data, genes[held].tolist(), settings)
    if settings.method == "table":
        named = {gene for fold in folds for split in SPLITS for gene in fold[split]}
        for gene in genes[held].tolist():
            if gene not in named:
                dropped.setdefault(gene, "not_in_table")
    kept = [{split: [gene for gene in fold[split] if gene not in dropped] for split in SPLITS} for fold in folds]
    check_filled(kept, data.folder)
    return kept, {gene: dropped[gene] for gene in genes.tolist() if gene in dropped}


def why_dropped(
    genes: NDArray[np.object_], lacking: Mapping[str, NDArray[np.bool_]], codes: Sequence[str]
) -> dict[str, str]:
    """For each gene that lacks something, the first of the codes that holds."""
    found: dict[str, str] = {}
    for code in codes:
        for gene in genes[lacking[code]].tolist():
            found.setdefault(gene, code)
    return found


def check_filled(folds: Sequence[Fold], path: Path) -> None:
    """Raise if a split of a fold has no gene."""
    for number, fold in enumerate(folds, start=1):
        for split in SPLITS:
            if not fold[split]:
                raise CisweaveError(
                    f"no gene is left for {split} in fold {number}; mend the split's settings or its table", path=path
                )


def fold_table(folds: Sequence[Fold]) -> pd.DataFrame:
    """The table of folds: ``gene_id, fold, split``."""
    rows = [
        (gene, number, split) for number, fold in enumerate(folds, start=1) for split in SPLITS for gene in fold[split]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# --- methods ----------------------------------------------------------------------------------------------------------
def ordered_folds(data: PromoterData, genes: list[str], settings: PromoterSplitSettings) -> list[Fold]:
    """The folds of the method; ``genes`` are those that can be split, in the order of the data."""
    match settings.method:
        case "chromosomes":
            contigs = dict(zip(data.gene_ids, data.genes["chrom"].astype(str).tolist(), strict=True))
            return [chromosome_fold(genes, contigs, settings.valid_chromosomes, settings.test_chromosomes)]
        case "table":
            assert settings.table is not None
            return table_folds(settings.table, data.gene_ids)
    groups = read_groups(settings.groups) if settings.groups is not None else {}
    if settings.method == "kfold":
        valid = share(settings.valid, len(genes))
        return cross_validation(sampled_order(genes, settings.seed), settings.folds, valid, groups)
    valid, test = sizes(settings, len(genes))
    match settings.method:
        case "xpresso":
            return [cut(xpresso_order(genes), len(genes) - valid - test, valid)]
        case "xpresso_tf":
            order = xpresso_tf_order(genes)
            return [{"test": order[:test], "valid": order[test : test + valid], "train": order[test + valid :]}]
        case "xpresso_mirna":
            return [cut(xpresso_mirna_order(genes), len(genes) - valid - test, valid)]
    return [random_fold(genes, settings.seed, valid, test, groups)]


def cut(order: list[str], train: int, valid: int) -> Fold:
    """Training genes first, then those that validate, then those that test."""
    return {"train": order[:train], "valid": order[train : train + valid], "test": order[train + valid :]}


def share(asked: float, total: int) -> int:
    """A number of genes, or below 1 a share of them, as a number (at least 1)."""
    return max(1, round(asked * total)) if asked < 1 else round(asked)


def sizes(settings: PromoterSplitSettings, total: int) -> tuple[int, int]:
    """Genes that validate and that test; an error where none would be left to train."""
    valid, test = share(settings.valid, total), share(settings.test, total)
    if valid + test >= total:
        raise CisweaveError(
            f"{valid} genes to validate and {test} to test leave none of {total} to train; "
            "lower valid and test, or give shares such as 0.1"
        )
    return valid, test


def sampled_order(genes: Sequence[str], seed: int) -> list[str]:
    """Genes as ``DataFrame.sample(frac=1, random_state=seed)`` of pandas orders them."""
    return pd.Series(list(genes), dtype=object).sample(n=len(genes), replace=False, random_state=seed).tolist()


def xpresso_order(genes: Sequence[str]) -> list[str]:
    """Genes in the order of Xpresso's files, from their order in the expression table (without histone genes).

    The first genes train, the next 1,000 validate, the last 1,000 test. On the 18,377 human genes this is the published
    order, gene by gene.
    """
    return sampled_order(genes, XPRESSO_SEED)


def xpresso_tf_order(genes: Iterable[str]) -> list[str]:
    """Genes with transcription factors in the order of the zoo: sorted by id, shuffled by NumPy's old generator.

    The first 1,000 test, the next 1,000 validate, the rest trains.
    """
    ordered = sorted(genes)
    places = list(range(len(ordered)))
    np.random.RandomState(XPRESSO_TF_SEED).shuffle(places)
    return [ordered[place] for place in places]


def xpresso_mirna_order(genes: Iterable[str]) -> list[str]:
    """Genes with microRNAs in the order of the zoo: by id, not shuffled, so that the youngest ids test."""
    return sorted(genes)


def random_fold(genes: Iterable[str], seed: int, valid: int, test: int, groups: Mapping[str, str]) -> Fold:
    """Genes at random, group by group.

    The place of a gene (or group) depends on the seed and its id alone, so that data sets which share genes place them
    alike, in whatever order their genes stand.
    """
    units = units_of(sorted(genes), groups)
    units.sort(key=lambda unit: (derive_seed(seed, "split", groups.get(unit[0], unit[0])), unit))
    tested, rest = take_units(units, test)
    validated, trained = take_units(rest, valid)
    return {"train": flat(trained), "valid": flat(validated), "test": flat(tested)}


def cross_validation(order: Sequence[str], folds: int, valid: int, groups: Mapping[str, str]) -> list[Fold]:
    """As many folds of test genes as asked, cut from the order as it is; the first of the other genes validate.

    Parameters
    ----------
    order
        Genes, shuffled.
    valid
        Genes that validate in each fold.
    groups
        Group of each gene that has one; a group is tested in one fold, the one in which its first gene stands.
    """
    if folds > len(order):
        raise CisweaveError(f"{len(order)} genes cannot make {folds} folds; lower folds")
    units = units_of(order, groups)
    starts = np.cumsum([0, *(len(unit) for unit in units[:-1])])
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(len(order)), folds)])
    fold_of = np.searchsorted(ends, starts, side="right")
    made = []
    for fold in range(folds):
        rest = [unit for unit, number in zip(units, fold_of, strict=True) if number != fold]
        validated, trained = take_units(rest, valid)
        if not trained:
            raise CisweaveError(f"{valid} genes to validate leave none to train in fold {fold + 1}; lower valid")
        tested = [unit for unit, number in zip(units, fold_of, strict=True) if number == fold]
        made.append({"train": flat(trained), "valid": flat(validated), "test": flat(tested)})
    return made


def units_of(genes: Iterable[str], groups: Mapping[str, str]) -> list[list[str]]:
    """What stays together: groups of genes, and genes without a group by themselves; by their first gene."""
    units: dict[tuple[bool, str], list[str]] = {}
    for gene in genes:
        units.setdefault((gene in groups, groups.get(gene, gene)), []).append(gene)
    return list(units.values())


def take_units(units: Iterable[list[str]], number: int) -> tuple[list[list[str]], list[list[str]]]:
    """The first units that together make at most ``number`` genes, and all others; a unit that is too large waits."""
    taken: list[list[str]] = []
    left: list[list[str]] = []
    free = number
    for unit in units:
        fits = len(unit) <= free
        (taken if fits else left).append(unit)
        free -= len(unit) if fits else 0
    return taken, left


def flat(units: Iterable[list[str]]) -> list[str]:
    """The genes of units."""
    return [gene for unit in units for gene in unit]


def chromosome_fold(
    genes: Iterable[str], contigs: Mapping[str, str], valid: Sequence[str], test: Sequence[str]
) -> Fold:
    """Genes by the contig they lie on; those on no contig named train. Names may come with or without ``chr``."""
    names = ContigNames(set(contigs.values()))
    splits: dict[str, str] = {}
    for split, asked in (("valid", valid), ("test", test)):
        for name in asked:
            known = names.resolve(name)
            if known is None:
                listed = ", ".join(sorted(filter(None, names.contigs))) or "no contigs at all"
                raise CisweaveError(f"no gene lies on contig {name} of {split}_chromosomes; the data have {listed}")
            if splits.setdefault(known, split) != split:
                raise CisweaveError(f"contig {name} cannot validate and test; name it once")
    fold: Fold = {split: [] for split in SPLITS}
    for gene in genes:
        fold[splits.get(contigs[gene], "train")].append(gene)
    return fold


# --- tables -----------------------------------------------------------------------------------------------------------
def read_groups(path: str | Path) -> dict[str, str]:
    """Group of each gene: TSV ``gene_id, group``, a gene once."""
    table = read_table(path, ["gene_id", "group"], dtype={"gene_id": "str", "group": "str"})
    for column in ("gene_id", "group"):
        refuse_rows(table[column].isna(), table, f"{column} is empty", path)
    refuse_rows(table.gene_id.duplicated(), table, "this gene stands in two rows; give each its one group", path)
    return dict(zip(table.gene_id.tolist(), table.group.tolist(), strict=True))


def table_folds(path: str | Path, known: Iterable[str]) -> list[Fold]:
    """The folds of a user's table, of the genes that the data know; others are counted in a warning."""
    table = read_split(path)
    count = int(table.fold.max())
    inside = table.gene_id.isin(set(known))
    if not inside.all():
        strangers = table.gene_id[~inside]
        logger.warning(
            "%s: %d genes are not in the data, the first is %s", path, strangers.nunique(), shorten(strangers.iloc[0])
        )
    table = table[inside]
    return [
        {split: table.gene_id[(table.fold == number) & (table.split == split)].tolist() for split in SPLITS}
        for number in range(1, count + 1)
    ]


def read_split(path: str | Path) -> pd.DataFrame:
    """Read a split: ``gene_id, split`` and, where there are several, ``fold`` (from 1); rows keep their order.

    Raises
    ------
    CisweaveError
        If a split is none of train, valid, test, a gene stands twice in a fold, or folds are not 1, 2, 3 …
    """
    table = read_table(path, ["gene_id", "split"], dtype={"gene_id": "str", "split": "str"})
    table = table.assign(fold=whole_folds(table, path) if "fold" in table else 1)[COLUMNS]
    table = table.astype({"gene_id": object, "split": object, "fold": "int64"})
    refuse_rows(table.gene_id.isna(), table, "gene_id is empty", path)
    refuse_rows(~table.split.isin(SPLITS), table, "split must be train, valid or test", path)
    refuse_rows(table.duplicated(["gene_id", "fold"]), table, "this gene stands twice in a fold", path)
    if len(table) == 0 or table.fold.nunique() != table.fold.max():
        raise CisweaveError("folds must be numbered 1, 2, 3 … and each hold genes", path=path)
    return table


def whole_folds(table: pd.DataFrame, path: str | Path) -> pd.Series:
    """The numbers of folds; anything but whole numbers from 1 is an error."""
    numbers = pd.to_numeric(table.fold, errors="coerce")
    refuse_rows(~((numbers >= 1) & (numbers % 1 == 0)), table, "fold must be a whole number from 1 upwards", path)
    return numbers.astype("int64")


def refuse_rows(wrong: pd.Series, table: pd.DataFrame, message: str, path: str | Path) -> None:
    """Raise for the first row that is wrong, naming its line and gene."""
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        line = None if Path(path).suffix == ".parquet" else row + 2
        raise CisweaveError(f"{message} (gene {shorten(table.gene_id.iloc[row])})", path=path, line=line)


def split_rows(table: pd.DataFrame, data: PromoterData, fold: int = 1) -> dict[str, NDArray[np.int64]]:
    """Rows of the data that train, validate and test in one fold, in the order of the table.

    Raises
    ------
    CisweaveError
        If there is no such fold, or a gene is not in the data.
    """
    chosen = table[table.fold == fold]
    if not len(chosen):
        raise CisweaveError(f"the split has no fold {fold}, but {', '.join(fold_names(table))}")
    return {split: data.rows(chosen.gene_id[chosen.split == split].tolist()) for split in SPLITS}


def fold_names(table: pd.DataFrame) -> Iterator[str]:
    """The numbers of the folds, as text."""
    return (str(number) for number in sorted(table.fold.unique().tolist()))


def reconstruct_xpresso_split(bed: str | Path, dictionary: str | Path) -> pd.DataFrame:
    """Xpresso's published split from public files alone.

    Parameters
    ----------
    bed
        Xpresso's promoters (BED, name = gene id) in the order of its expression table.
    dictionary
        Genes that are not histones: gene id and symbol, tab-separated, without header.

    Returns
    -------
    pandas.DataFrame
        ``gene_id, fold, split``: 1,000 genes each validate and test, the rest trains.
    """
    promoters = pd.read_csv(bed, sep="\t", header=None, usecols=[3], dtype=str)[3]
    known = set(pd.read_csv(dictionary, sep="\t", header=None, usecols=[0], dtype=str, keep_default_na=False)[0])
    order = xpresso_order(promoters[promoters.isin(known)].tolist())
    return fold_table([cut(order, len(order) - 2000, 1000)])
