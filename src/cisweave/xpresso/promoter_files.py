"""The files that promoters and what is known of their genes come from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from cisweave.core.errors import CisweaveError
from cisweave.xpresso.dataset import DESCRIPTION

SOURCES = ("promoters", "bed", "data")
"""Sources of promoters of which only one can be given; ``gtf`` is one, too, where none of them is."""


@dataclass(frozen=True)
class PromoterFiles:
    """A source of promoters (``promoters``, ``bed``, ``gtf`` or ``data``), and what goes with it; others are ``None``.

    Attributes
    ----------
    promoters
        FASTA of promoters in gene orientation, a record per gene.
    bed
        BED6 of promoters (0-based half-open, the name is the gene, the strand says how to read), with ``fasta``.
    gtf
        GTF or GFF3, with ``fasta``: protein-coding genes, whose TSS and half-life features come from the chosen
        transcript. Beside ``promoters`` or ``bed`` it gives half-life features, names and types of genes alone.
    data
        Folder of promoter data.
    fasta
        The genome.
    cage
        TSS that go before those of ``gtf``: FANTOM5's peaks (``p1@symbol``), or any file of genes.
    halflife, tf, mirna
        Tables of half-life features (before what is computed), factors and microRNAs.
    symbols
        Names of genes, two columns, for tables that name genes by symbol.
    """

    promoters: Path | None = None
    bed: Path | None = None
    gtf: Path | None = None
    data: Path | None = None
    fasta: Path | None = None
    cage: Path | None = None
    halflife: Path | None = None
    tf: Path | None = None
    mirna: Path | None = None
    symbols: Path | None = None

    @property
    def kind(self) -> str:
        """Where promoters come from: ``fasta``, ``bed``, ``data``, ``annotation`` or ``none``."""
        found = next((name for name in SOURCES if getattr(self, name) is not None), None)
        if found is None:
            return "annotation" if self.gtf is not None else "none"
        return "fasta" if found == "promoters" else found

    @property
    def inputs(self) -> list[Path]:
        """The files given, for receipts; of promoter data their description, which has the checksums."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        data = given.pop("data")
        return [path for path in given.values() if path is not None] + ([data / DESCRIPTION] if data else [])

    def check(self) -> None:
        """Raise where files do not go together."""
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) > 1:
            raise CisweaveError(
                f"give one source of promoters: a FASTA of promoters, a BED with a genome, or data; "
                f"given: {', '.join(given)}"
            )
        if self.kind in ("bed", "annotation") and self.fasta is None:
            what = "a BED" if self.kind == "bed" else "an annotation"
            raise CisweaveError(f"{what} alone holds no sequence; give the genome (FASTA), too")
        if self.cage is not None and self.kind != "annotation":
            raise CisweaveError("CAGE peaks move the TSS of an annotation; other sources of promoters have their own")
        if self.kind == "data":
            for name in ("gtf", "halflife", "tf", "mirna", "symbols"):
                if getattr(self, name) is not None:
                    raise CisweaveError(f"promoter data hold what models read: leave {name} out, or build data with it")
        elif self.fasta is not None and self.gtf is None and self.bed is None:
            raise CisweaveError("a genome (FASTA) goes with an annotation or a BED; give one of them")

    def check_for_building(self, expression: Path | None) -> None:
        """Raise where files do not go together, or promoter data cannot be built from them."""
        self.check()
        if self.data is not None:
            raise CisweaveError("these are promoter data already", path=self.data)
        if self.kind == "none" and expression is None:
            raise CisweaveError(
                "there is nothing to build data from; give promoters (an annotation or BED with a genome, or a FASTA) "
                "or, for data without sequences, expression"
            )

    def check_for_predicting(self) -> None:
        """Raise where files do not go together, or there is nothing to predict."""
        self.check()
        if self.kind == "none":
            raise CisweaveError("there is nothing to predict: give a FASTA of promoters, a BED or GTF with its genome, "
                                "or data")  # fmt: skip
        if self.gtf is not None and self.fasta is None:
            raise CisweaveError("half-life features of an annotation need its genome; give the genome (FASTA), too")
