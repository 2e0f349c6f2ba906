"""The toy world, and the whole chain run on it once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cisweave.config import AnnotationSettings, AttributionSettings, CallingSettings, LociSettings, MotifDatabase
from cisweave.core.kernels import prepare_numba
from cisweave.models import folders
from tests.seqlets.toy import World, build_world

prepare_numba()


@pytest.fixture(scope="session", autouse=True)
def toy_architecture() -> None:
    folders.ARCHITECTURES["toy"] = "tests.seqlets.toy:PwmModel"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, toy_architecture: None) -> World:
    return build_world(tmp_path_factory.mktemp("toy"))


@dataclass
class Chain:
    """Every output of the room, and where it stands."""

    folder: Path
    loci: pd.DataFrame
    qc: pd.DataFrame
    seqlets: pd.DataFrame
    annotated: pd.DataFrame
    effects: pd.DataFrame


@pytest.fixture(scope="session")
def chain(world: World, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    from cisweave.genome.extract import extract_sequences
    from cisweave.motifs import prepare_database
    from cisweave.seqlets.annotate import annotate_seqlets
    from cisweave.seqlets.attribute import attribute_loci
    from cisweave.seqlets.call import call_seqlets
    from cisweave.seqlets.effects import motif_effects
    from cisweave.seqlets.loci import select_loci

    out = tmp_path_factory.mktemp("chain")
    effects = [world.files["tissue"], world.files["cell"]]
    loci = select_loci(
        effects,
        [world.files["chromatin_effects"]],
        world.files["profiles.h5"],
        world.files["model"],
        out / "loci.tsv",
        LociSettings(tracks_per_locus=2),
    )
    extract_sequences(fasta=world.files["genome.fa"], out=out / "loci.h5", loci=out / "loci.tsv")
    qc = attribute_loci(
        out / "loci.tsv",
        out / "loci.h5",
        world.files["model"],
        out / "attributions.h5",
        out / "qc.tsv",
        AttributionSettings(shuffles=8),
        "cpu",
    )
    seqlets = call_seqlets(out / "attributions.h5", out / "loci.tsv", out / "seqlets.tsv", CallingSettings())
    prepare_database(MotifDatabase(source="jaspar"), out / "motifs.meme", out / "motifs.tsv", "jaspar")
    annotated = annotate_seqlets(
        out / "seqlets.tsv",
        out / "loci.h5",
        out / "motifs.meme",
        out / "motifs.tsv",
        out / "annotated.parquet",
        out / "annotated.tsv",
        AnnotationSettings(),
    )
    events = motif_effects(out / "annotated.parquet", out / "loci.tsv", effects, out / "motif_effects.tsv")
    return Chain(out, loci, qc, seqlets, annotated, events)
