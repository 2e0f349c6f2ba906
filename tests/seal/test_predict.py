"""Variant effects against the plain implementation, and what can go wrong on the way."""

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import EngineSettings, PredictSettings, ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal.predict import predict, score_variants
from cisweave.seal.profiles import profile_tss, read_profiles
from cisweave.sequence import Genome
from cisweave.tables.ledger import read_ledger
from tests.seal import plain

SHAPE = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
GEOMETRY = ProfileSettings(bins=8)
SHIFTS = PredictSettings(max_shift=100, shift_step=100)
ENGINE = EngineSettings(batch_size=3)
GENES = pd.DataFrame({"chrom": "chr1", "tss": [2500, 3400], "strand": ["+", "-"], "gene_id": ["G1", "G2"]})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A random genome, two genes on opposite strands, random models and their TSS profiles."""
    folder = tmp_path_factory.mktemp("predict")
    contig = "".join(np.random.default_rng(5).choice(list("ACGT"), 6000))
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n")
    with (folder / "tss.bed").open("w") as handle:
        for gene in GENES.itertuples():
            handle.write(f"chr1\t{gene.tss - 1}\t{gene.tss}\t{gene.strand}\t{gene.gene_id}\n")
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    save_model(folder / "chromatin", Beluga(**SHAPE), ModelSpec("beluga", SHAPE, ["a", "b", "c"]), {}, history)
    head = {"features": 30, "hidden": 7, "contexts": 2}
    save_model(
        folder / "model", ExpressionNetwork(**head), ModelSpec("expression", head, ["Liver", "Brain"]), {}, history
    )
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", GEOMETRY)
    return folder, contig


def variant_table(contig):
    """Substitutions, insertions and deletions near both genes, one of them at a TSS and one past the tiled range."""
    cases = [
        (2500, 1, "T"),
        (2400, 1, "G"),
        (2733, 3, "A"),
        (3399, 1, "ACGTA"),
        (3412, 40, "C"),
        (4150, 1, "AT"),
        (1650, 1, "C"),
    ]
    rows = []
    for number, (pos, length, alt) in enumerate(cases):
        gene = GENES.iloc[(GENES.tss - pos).abs().argmin()]
        ref = contig[pos - 1 : pos - 1 + length]
        rows.append(
            {
                "record": number + 1,
                "allele": 1,
                "line": number + 1,
                "name": ".",
                "source_chrom": "chr1",
                "source_pos": pos,
                "source_ref": ref,
                "source_alt": alt,
                "chrom": "chr1",
                "pos": pos,
                "ref": ref,
                "alt": alt,
                "gene_id": gene.gene_id,
                "gene_strand": gene.strand,
                "tss": gene.tss,
                "dist_to_tss": pos - gene.tss,
                "reference_genome_match": True,
            }
        )
    return pd.DataFrame(rows)


def test_profiles_equal_the_plain_ones(world):
    folder, contig = world
    store = read_profiles(folder / "profiles.h5")
    network = load_model(folder / "chromatin").module
    for row, gene in enumerate(GENES.itertuples()):
        expected = plain.gene_profile(network, contig, gene.tss, gene.strand, 8, 200, 400)
        np.testing.assert_allclose(store.profiles(np.array([row]))[row], expected, atol=1e-6)
        centres = [-700 + 200 * j for j in range(8)]
        np.testing.assert_allclose(store.features[row], plain.features(expected, centres, GEOMETRY.decay), rtol=1e-5)


def test_scores_equal_the_plain_ones(world):
    folder, contig = world
    chromatin, model = load_model(folder / "chromatin"), load_model(folder / "model")
    store = read_profiles(folder / "profiles.h5")
    table = variant_table(contig)
    with Genome(folder / "genome.fa") as genome:
        effects = score_variants(table, genome, store, chromatin, model, SHIFTS, ENGINE)
    for number, variant in enumerate(table.to_dict("records")):
        row = store.rows(pd.Series([variant["gene_id"]]))
        profile = store.profiles(row)[int(row[0])]
        expected = plain.variant_effect(
            chromatin.module, model.module, contig, variant, profile, GEOMETRY.decay, 200, 400, [-100, 0, 100]
        )
        np.testing.assert_allclose(effects.expression[number], expected, atol=2e-6)
    assert np.abs(effects.expression).max() > 1e-3


def run(folder, table, **changes):
    table.to_parquet(folder / "variants.parquet")
    files = {name: folder / name for name in ("effects.parquet", "effects.tsv", "chromatin.parquet", "rejects.tsv")}
    options = {
        "variants": folder / "variants.parquet",
        "fasta": folder / "genome.fa",
        "profiles": folder / "profiles.h5",
        "chromatin": folder / "chromatin",
        "model": folder / "model",
        "out": files["effects.parquet"],
        "tsv": files["effects.tsv"],
        "chromatin_effects": files["chromatin.parquet"],
        "rejects": files["rejects.tsv"],
        "settings": SHIFTS,
        "engine": ENGINE,
        "device": "cpu",
    }
    predict(**(options | changes))
    return files


def test_seal_table_and_balanced_books(world):
    folder, contig = world
    table = variant_table(contig)
    table.loc[1, "gene_id"] = "G9"
    table.loc[2, ["ref", "alt"]] = [contig[2732:2834], contig[2732]]
    files = run(folder, table)
    header, *lines = files["effects.tsv"].read_text().splitlines()
    assert header.split("\t") == [
        "chrom",
        "pos",
        "ref",
        "alt",
        "gene_strand",
        "gene_id",
        "dist_to_tss",
        "reference_genome_match",
        "Liver",
        "Brain",
    ]
    assert lines[0].split("\t")[:8] == ["chr1", "2500", contig[2499], "T", "+", "G1", "0", "True"]
    assert all(len(value.split(".")[1]) == 5 for line in lines for value in line.split("\t")[8:])
    ledger = read_ledger(files["rejects.tsv"])
    assert ledger[["record", "code"]].to_numpy().tolist() == [[2, "no_tss_profile"], [3, "allele_exceeds_window"]]
    assert len(pd.read_parquet(files["effects.parquet"])) == len(lines) == 5


def test_order_duplicates_and_batches_do_not_change_a_score(world):
    folder, contig = world
    table = variant_table(contig)
    first = pd.read_parquet(run(folder, table)["effects.parquet"]).set_index("record")
    doubled = pd.concat([table.iloc[::-1], table.assign(allele=2)], ignore_index=True)
    second = pd.read_parquet(run(folder, doubled, engine=EngineSettings(batch_size=5))["effects.parquet"]).set_index(
        "record"
    )
    for context in ("Liver", "Brain"):
        assert (second[context] - first[context].reindex(second.index)).abs().max() < 1e-6


def test_swapped_alleles_negate_the_score_of_a_substitution(world):
    folder, contig = world
    table = variant_table(contig).iloc[:2]
    forward = pd.read_parquet(run(folder, table)["effects.parquet"])
    swapped = pd.read_parquet(run(folder, table.rename(columns={"ref": "alt", "alt": "ref"}))["effects.parquet"])
    np.testing.assert_allclose(forward.Liver, -swapped.Liver, atol=1e-6)


def test_effects_of_exchanged_alleles_go_from_the_ref_of_the_file(world):
    folder, contig = world
    table = variant_table(contig)
    whole = pd.read_parquet(run(folder, table.assign(swapped=False))["effects.parquet"])
    tracks = pd.read_parquet(folder / "chromatin.parquet")
    table["swapped"] = np.arange(len(table)) % 2 == 1
    mixed = pd.read_parquet(run(folder, table)["effects.parquet"])
    sign = np.where(table["swapped"], -1, 1)
    for context in ("Liver", "Brain"):
        np.testing.assert_array_equal(mixed[context], sign * whole[context])
    changed = pd.read_parquet(folder / "chromatin.parquet")
    np.testing.assert_array_equal(changed.iloc[:, 2:], tracks.iloc[:, 2:].mul(sign, axis=0))
    assert np.abs(whole["Liver"]).max() > 0


def test_scores_stand_in_the_order_of_the_file(world):
    folder, contig = world
    files = run(folder, variant_table(contig).iloc[::-1])
    assert pd.read_parquet(files["effects.parquet"])["record"].is_monotonic_increasing


def test_no_variants_give_tables_with_headers(world):
    folder, contig = world
    files = run(folder, variant_table(contig).iloc[:0])
    assert len(pd.read_parquet(files["effects.parquet"])) == 0
    assert len(files["effects.tsv"].read_text().splitlines()) == 1
    assert len(read_ledger(files["rejects.tsv"])) == 0


def test_shift_beyond_the_window_is_refused(world):
    folder, contig = world
    with pytest.raises(CisweaveError, match=r"seal\.predict\.max_shift is 800, but a 400-bp window"):
        run(folder, variant_table(contig), settings=PredictSettings())


def test_scores_that_are_not_numbers_are_refused(world, tmp_path):
    folder, contig = world
    loaded = load_model(folder / "model")
    loaded.module.layers[2].bias.data[:] = float("nan")
    save_model(tmp_path / "broken", loaded.module, loaded.spec, {}, pd.DataFrame({"epoch": [0]}))
    with pytest.raises(CisweaveError, match="not finite, the first at chr1:2500"):
        run(folder, variant_table(contig), model=tmp_path / "broken", out=tmp_path / "effects.parquet")
    assert not (tmp_path / "effects.parquet").exists()


def test_profiles_of_another_model_are_refused(world, tmp_path):
    folder, contig = world
    loaded = load_model(folder / "chromatin")
    loaded.module.head[-1].bias.data += 1
    save_model(tmp_path / "other", loaded.module, loaded.spec, {}, pd.DataFrame({"epoch": [0]}))
    with pytest.raises(CisweaveError, match="made with another chromatin model; build them again"):
        run(folder, variant_table(contig), chromatin=tmp_path / "other")


def test_swapped_models_are_refused(world):
    folder, contig = world
    with pytest.raises(CisweaveError, match="a model of kind expression is needed here, this is beluga"):
        run(folder, variant_table(contig), model=folder / "chromatin")
