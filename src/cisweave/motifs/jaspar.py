"""JASPAR, from the databases that pyjaspar brings along (no network)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from cisweave.core.errors import CisweaveError
from cisweave.motifs.motif import Motif


def jaspar_motifs(
    release: str = "JASPAR2024",
    collection: str = "CORE",
    tax_group: Sequence[str] = (),
    species: Sequence[str] = (),
    data_type: Sequence[str] = (),
) -> list[Motif]:
    """Latest version of every matching motif of one JASPAR release, sorted by matrix id.

    Probabilities are counts over their sum, without pseudocount. The release is always given: pyjaspar's own default
    changes with its version. Names are no identifiers: CTCF is the name of three matrices of 2024.

    Parameters
    ----------
    release
        For example ``JASPAR2024`` (Rauluseviciute et al., 2024).
    collection
        For example ``CORE``.
    tax_group
        Taxonomic groups, for example ``vertebrates``; empty means all.
    species
        NCBI taxonomy ids, for example ``9606``; empty means all.
    data_type
        Experiment types exactly as JASPAR spells them, for example ``ChIP-seq``; empty means all.

    Raises
    ------
    CisweaveError
        If the release is unknown or nothing matches.
    """
    from pyjaspar import jaspar_releases, jaspardb

    if release not in jaspar_releases:
        raise CisweaveError(f"pyjaspar holds no release {release}; it has {', '.join(jaspar_releases)}")
    database = jaspardb(release=release)
    try:
        with warnings.catch_warnings():
            # Nothing found is an error below; species that a motif lacks do not matter here.
            warnings.simplefilter("ignore")
            records = database.fetch_motifs(
                collection=collection,
                tax_group=list(tax_group) or None,
                species=list(species) or None,
                data_type=list(data_type) or None,
            )
    finally:
        database.conn.close()
    if not records:
        raise CisweaveError(
            f"no motif of {release} matches collection {collection}, tax_group {list(tax_group)}, "
            f"species {list(species)}, data_type {list(data_type)}; check the spelling of each"
        )
    return sorted((from_record(record) for record in records), key=lambda motif: motif.matrix_id)


def from_record(record: Any) -> Motif:
    """A motif from one of Biopython's JASPAR records."""
    counts = np.array([record.counts[base] for base in "ACGT"], dtype=np.float64)
    return Motif(
        matrix_id=record.matrix_id,
        name=" ".join(record.name.split()),
        pwm=counts / counts.sum(axis=0),
        nsites=float(counts.sum(axis=0).max()),
        family="; ".join(record.tf_family or []),
        tf_class="; ".join(record.tf_class or []),
        url=f"https://jaspar.elixir.no/matrix/{record.matrix_id}",
    )
