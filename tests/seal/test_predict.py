"""Variant effects against the plain implementation, and what can go wrong on the way."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cisweave.config import EngineSettings, PredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal import assigned, outputs
from cisweave.seal import predict as module
from cisweave.seal.predict import Scorer, rejection_reasons, score_variants
from cisweave.seal.profiles import read_profiles
from cisweave.sequence import Genome
from cisweave.tables.ledger import read_ledger
from cisweave.tables.receipts import receipt_path
from tests.seal import plain
from tests.seal.small import ENGINE, GENES, GEOMETRY, HEAD, SHIFTS, build, run, variant_table, views

HISTORY = pd.DataFrame({"epoch": [0]})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A random genome, two genes on opposite strands, random models and their TSS profiles."""
    folder = tmp_path_factory.mktemp("predict")
    return folder, build(folder)


def scores(folder):
    return pd.read_parquet(folder / "effects.parquet")


def table_of(contig, cases, gene=GENES.iloc[0]):
    """A variant table of other places and bases, all of one gene."""
    rows = variant_table(contig).iloc[[0] * len(cases)].reset_index(drop=True)
    pos, ref, alt = (list(column) for column in zip(*cases, strict=True))
    return rows.assign(
        record=range(1, len(cases) + 1),
        pos=pos,
        ref=ref,
        alt=alt,
        gene_id=gene.gene_id,
        gene_strand=gene.strand,
        dist_to_tss=np.array(pos) - gene.tss,
    )


# --- the arithmetic ---------------------------------------------------------------------------------------------------
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
        np.testing.assert_allclose(effects.expression[number], expected, atol=1e-6)
        windows = [
            plain.window_string(contig, variant["pos"], variant["ref"], variant[a], 0, 400) for a in ("alt", "ref")
        ]
        change = np.subtract(*(plain.probability(chromatin.module, window) for window in windows))
        np.testing.assert_allclose(effects.chromatin[number], change, atol=1e-6)
    assert np.abs(effects.expression).max() > 1e-3


def test_a_ref_that_is_not_the_genomes_stands_in_the_window_all_the_same(world, tmp_path):
    """Two alleles of one place, one with the genome's REF: their references are two."""
    folder, contig = world
    other = "ACGT".replace(contig[2449], "")
    table = table_of(contig, [(2450, contig[2449], other[0]), (2450, other[1], other[0])])
    both = scores(run(folder, table, tmp_path))
    alone = scores(run(folder, table.iloc[1:], tmp_path))
    assert both["reference_genome_match"].tolist() == [True, True]
    np.testing.assert_allclose(both.loc[1, ["Liver", "Brain"]], alone.loc[0, ["Liver", "Brain"]], atol=1e-8, rtol=1e-5)
    assert abs(both.loc[0, "Liver"] - both.loc[1, "Liver"]) > 1e-5


def test_order_duplicates_and_batches_do_not_change_a_score(world, tmp_path):
    folder, contig = world
    table = variant_table(contig)
    first = scores(run(folder, table, tmp_path)).set_index("record")
    doubled = pd.concat([table.iloc[::-1], table.assign(allele=2)], ignore_index=True)
    second = scores(run(folder, doubled, tmp_path, engine=EngineSettings(batch_size=5))).set_index("record")
    assert len(second) == 2 * len(first)
    for context in ("Liver", "Brain"):
        assert (second[context] - first[context].reindex(second.index)).abs().max() < 1e-6


def test_an_allele_with_several_genes_is_predicted_once(world, monkeypatch):
    """The engine gets each allele once, in the order of the places; the rows keep theirs."""
    folder, contig = world
    monkeypatch.setattr(module, "ALLELES", 3)
    monkeypatch.setattr(module, "ROWS", 2)
    chromatin, model = load_model(folder / "chromatin"), load_model(folder / "model")
    table = variant_table(contig)
    other = table.assign(gene_id="G2", gene_strand="-", dist_to_tss=table.pos - 3400)
    both = pd.concat([table, other, table], ignore_index=True)
    with Genome(folder / "genome.fa") as genome:
        scorer = Scorer(genome, read_profiles(folder / "profiles.h5"), chromatin, model, SHIFTS, ENGINE)
        alone = [scorer.score(each).expression for each in (table, other, table)]
        seen, predict = [], scorer.windows.predict
        monkeypatch.setattr(
            scorer.windows, "predict", lambda alleles, *rest: seen.append(alleles) or predict(alleles, *rest)
        )
        together = scorer.score(both)
    assert [len(alleles) for alleles in seen] == [3, 3, 1]
    assert pd.concat(seen)["pos"].tolist() == sorted(table.pos)
    np.testing.assert_allclose(together.expression, np.concatenate(alone), atol=1e-7)
    assert np.abs(alone[0] - alone[1]).max() > 1e-4


def test_swapped_alleles_negate_the_score_of_a_substitution(world, tmp_path):
    folder, contig = world
    table = variant_table(contig).iloc[:2]
    forward = scores(run(folder, table, tmp_path))
    swapped = scores(run(folder, table.rename(columns={"ref": "alt", "alt": "ref"}), tmp_path))
    np.testing.assert_allclose(forward.Liver, -swapped.Liver, atol=1e-6)


def test_effects_of_exchanged_alleles_go_from_the_ref_of_the_file(world, tmp_path):
    folder, contig = world
    table = variant_table(contig)
    whole = scores(run(folder, table.assign(swapped=False), tmp_path))
    tracks = pd.read_parquet(tmp_path / "chromatin_effects.parquet")
    table["swapped"] = np.arange(len(table)) % 2 == 1
    mixed = scores(run(folder, table, tmp_path))
    sign = np.where(table["swapped"], -1, 1)
    for context in ("Liver", "Brain"):
        np.testing.assert_array_equal(mixed[context], sign * whole[context])
    changed = pd.read_parquet(tmp_path / "chromatin_effects.parquet")
    np.testing.assert_array_equal(changed.iloc[:, 2:], tracks.iloc[:, 2:].mul(sign, axis=0))
    assert np.abs(whole["Liver"]).max() > 0


@pytest.mark.parametrize(("lost", "code"), [(100, ""), (101, "x"), (102, "x"), (103, "x")])
def test_at_most_100_bases_may_be_lost(world, lost, code):
    folder, contig = world
    table = table_of(contig, [(2450, contig[2449 : 2450 + lost], contig[2449])])
    with Genome(folder / "genome.fa") as genome:
        reasons = rejection_reasons(table, genome, read_profiles(folder / "profiles.h5"), 400, [-100, 0, 100])
    assert reasons.tolist() == ["allele_exceeds_window" if code else ""]


# --- the command ------------------------------------------------------------------------------------------------------
def test_seal_table_and_balanced_books(world, tmp_path):
    folder, contig = world
    table = variant_table(contig)
    table.loc[1, "gene_id"] = "G9"
    table.loc[2, ["ref", "alt"]] = [contig[2732:2834], contig[2732]]
    run(folder, table, tmp_path)
    header, *lines = (tmp_path / "effects.tsv").read_text().splitlines()
    assert header.split("\t") == [*assigned.SEAL_COLUMNS, "Liver", "Brain"]
    assert lines[0].split("\t")[:8] == ["chr1", "2500", contig[2499], "T", "+", "G1", "0", "True"]
    assert all(len(value.split(".")[1]) == 5 for line in lines for value in line.split("\t")[8:])
    ledger = read_ledger(tmp_path / "rejects.tsv")
    assert ledger[["record", "code"]].to_numpy().tolist() == [[2, "no_tss_profile"], [3, "allele_exceeds_window"]]
    assert len(scores(tmp_path)) == len(lines) == 5
    alleles = read_json(receipt_path(tmp_path / "effects.parquet"))["identity"]["alleles"]
    assert alleles == {
        "in": 7,
        "kept": 5,
        "rejected": 2,
        "reasons": {"allele_exceeds_window": 1, "no_tss_profile": 1},
    }


def test_an_allele_that_one_of_its_genes_scores_is_not_rejected(world, tmp_path):
    folder, contig = world
    table = variant_table(contig)
    both = pd.concat([table, table.assign(gene_id="G9")], ignore_index=True)
    run(folder, both, tmp_path)
    assert len(scores(tmp_path)) == len(table)
    assert len(read_ledger(tmp_path / "rejects.tsv")) == 0
    tracks = pd.read_parquet(tmp_path / "chromatin_effects.parquet")
    assert tracks["record"].tolist() == table["record"].tolist()


def test_scores_stand_in_the_order_of_the_file(world, tmp_path):
    folder, contig = world
    assert scores(run(folder, variant_table(contig).iloc[::-1], tmp_path))["record"].tolist() == list(range(1, 8))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_do_not_change_the_files(world, tmp_path, monkeypatch, block):
    folder, contig = world
    table = variant_table(contig)
    other = np.where(table.gene_id == "G1", "G2", "G1")
    strand = np.where(table.gene_id == "G1", "-", "+")
    distance = table.pos - np.where(table.gene_id == "G1", 3400, 2500)
    second = {"gene_id": other, "gene_strand": strand, "tss": table.pos - distance, "dist_to_tss": distance}
    table = pd.concat([table, table.assign(**second)])
    engine = EngineSettings(batch_size=1, path="plain")
    whole = run(folder, table, tmp_path / "whole", engine=engine)
    monkeypatch.setattr(module, "BLOCK", block)
    table.sample(frac=1, random_state=1).to_parquet(folder / "groups.parquet", row_group_size=3)
    parts = run(folder, table, tmp_path / "parts", engine=engine, variants=folder / "groups.parquet")
    keys = ["record", "gene_id"]
    pd.testing.assert_frame_equal(
        scores(parts).sort_values(keys, ignore_index=True),
        scores(whole).sort_values(keys, ignore_index=True),
        rtol=0,
        atol=1e-6,
    )
    assert (parts / "rejects.tsv").read_bytes() == (whole / "rejects.tsv").read_bytes()
    tracks = pd.read_parquet(parts / "chromatin_effects.parquet")
    pd.testing.assert_frame_equal(tracks, pd.read_parquet(whole / "chromatin_effects.parquet"), rtol=0, atol=1e-6)


def test_a_tsv_gives_what_its_parquet_gives(world, tmp_path):
    folder, contig = world
    table = variant_table(contig).assign(name=["NA", *"bcdefg"], reference_genome_match=pd.NA)
    table.to_csv(folder / "variants.tsv", sep="\t", index=False)
    text = run(folder, table, tmp_path / "text", variants=folder / "variants.tsv")
    binary = run(folder, table.astype({"reference_genome_match": "boolean"}), tmp_path / "binary")
    assert (text / "effects.tsv").read_bytes() == (binary / "effects.tsv").read_bytes()
    assert (text / "best.tsv").read_bytes() == (binary / "best.tsv").read_bytes()
    assert scores(text)["name"].iloc[0] == "NA"


def test_the_same_run_gives_the_same_bytes(world, tmp_path):
    folder, contig = world
    first, second = (run(folder, variant_table(contig), tmp_path / name) for name in "ab")
    for name in ("effects.parquet", "effects.tsv", "effects.vcf.gz", "effects.vcf.gz.csi", "best.tsv", "contexts.tsv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_no_variants_give_tables_with_headers(world, tmp_path):
    folder, contig = world
    run(folder, variant_table(contig).iloc[:0], tmp_path)
    assert len(scores(tmp_path)) == 0
    assert len((tmp_path / "effects.tsv").read_text().splitlines()) == 1
    assert (tmp_path / "best.tsv").read_text().splitlines() == ["\t".join(outputs.BEST_COLUMNS)]
    assert len(read_ledger(tmp_path / "rejects.tsv")) == 0


def test_matches_that_nobody_looked_at_are_looked_up(world, tmp_path):
    folder, contig = world
    wrong = "ACGT".replace(contig[2449], "")
    table = table_of(contig, [(2450, contig[2449], wrong[0]), (2450, wrong[0], wrong[1]), (2600, contig[2599], "N")])
    table["alt"] = table["alt"].replace("N", "ACGT".replace(contig[2599], "")[0])
    table["reference_genome_match"] = pd.array([pd.NA, pd.NA, False], dtype="boolean")
    assert scores(run(folder, table, tmp_path))["reference_genome_match"].tolist() == [True, False, False]
    compat = SHIFTS.model_copy(update={"compat": "seal"})
    again = scores(run(folder, table, tmp_path, settings=compat))
    assert again["reference_genome_match"].tolist() == [True, False, True]
    assert [line.split("\t")[7] for line in (tmp_path / "effects.tsv").read_text().splitlines()[1:]] == [
        "True",
        "False",
        "True",
    ]


def test_the_mode_haplotype_is_another_scorer(world, tmp_path, monkeypatch):
    folder, contig = world
    from cisweave.seal import haplotype

    class Fixed:
        def __init__(self, *settings):
            pass

        def score(self, variants):
            rows = len(variants)
            return module.VariantEffects(np.full((rows, 2), 0.25, np.float32), np.full((rows, 3), 0.5, np.float32))

    monkeypatch.setattr(haplotype, "AloneScorer", Fixed)
    table = table_of(contig, [(2450, contig[2449], contig[2449] + "A" * 150)])
    run(folder, table, tmp_path, settings=PredictSettings(mode="haplotype"))
    assert scores(tmp_path)["Liver"].tolist() == [0.25]
    run(folder, table, tmp_path)
    assert read_ledger(tmp_path / "rejects.tsv")["code"].tolist() == ["allele_exceeds_window"]


def test_the_published_mode_is_not_the_haplotypes():
    with pytest.raises(ValueError, match="compat: seal goes with mode: seal"):
        PredictSettings(mode="haplotype", compat="seal")


# --- mistakes ---------------------------------------------------------------------------------------------------------
def test_shift_beyond_the_window_is_refused(world, tmp_path):
    folder, contig = world
    with pytest.raises(CisweaveError, match=r"seal\.predict\.max_shift is 800, but a 400-bp window"):
        run(folder, variant_table(contig), tmp_path, settings=PredictSettings())


def test_scores_that_are_not_numbers_are_refused(world, tmp_path):
    folder, contig = world
    loaded = load_model(folder / "model")
    loaded.module.layers[2].weight.data[:] = float("nan")
    save_model(tmp_path / "broken", loaded.module, loaded.spec, {}, HISTORY)
    with pytest.raises(CisweaveError, match="not finite, the first at chr1:2500"):
        run(folder, variant_table(contig), tmp_path / "out", model=tmp_path / "broken")
    assert list((tmp_path / "out").iterdir()) == []


def test_profiles_of_another_model_are_refused(world, tmp_path):
    folder, contig = world
    loaded = load_model(folder / "chromatin")
    loaded.module.head[-1].bias.data += 1
    save_model(tmp_path / "other", loaded.module, loaded.spec, {}, HISTORY)
    with pytest.raises(CisweaveError, match="made with another chromatin model; build them again"):
        run(folder, variant_table(contig), tmp_path, chromatin=tmp_path / "other")


def test_swapped_models_are_refused(world, tmp_path):
    folder, contig = world
    with pytest.raises(CisweaveError, match="a model of kind expression is needed here, this is beluga"):
        run(folder, variant_table(contig), tmp_path, model=folder / "chromatin")


def test_contexts_that_cannot_be_columns_are_refused(world, tmp_path):
    folder, contig = world
    loaded = load_model(folder / "model")
    spec = ModelSpec("expression", loaded.spec.hyperparameters, ["pos", "Brain"])
    save_model(tmp_path / "named", loaded.module, spec, {}, HISTORY)
    with pytest.raises(CisweaveError, match="context pos is the name of a column"):
        run(folder, variant_table(contig), tmp_path, model=tmp_path / "named")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gene_strand": "."}, r"record 1 has gene_strand '\.'; the column must hold \+ or -"),
        ({"pos": "x"}, "record 1 has pos 'x'; the column must hold whole numbers"),
        ({"pos": 2400.5}, "record 1 has pos '2400.5'; the column must hold whole numbers"),
        ({"pos": 0}, "record 1 has pos '0'; the column must hold numbers from 1"),
        ({"alt": "<DEL>"}, "record 1 has alt '<DEL>'"),
        ({"alt": "*"}, r"record 1 has alt '\*'"),
        ({"ref": ""}, "record 1 has ref ''"),
        ({"ref": None}, "record 1 has ref ''"),
        ({"record": 0}, "record is 0; it must be a whole number from 1"),
        ({"record": 1}, "record 1, allele 1 stands there twice with gene G1"),
        ({"swapped": "x"}, "column swapped must hold True or False, not 'x'"),
    ],
)
def test_tables_that_are_no_variants_with_genes(world, tmp_path, change, message):
    folder, contig = world
    with pytest.raises(CisweaveError, match=message):
        run(folder, variant_table(contig).assign(**change), tmp_path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"gene_strand": "+"}, "the strand of gene G2 is + here and - in the TSS profiles"),
        ({"tss": 2501}, "the TSS of gene G1 is 2501 here and 2500 in the TSS profiles"),
        ({"dist_to_tss": 7}, "of gene G1 is 2493 here and 2500 in the TSS profiles"),
        ({"chrom": "chr2"}, "the contig of gene G1 is chr2 here and chr1 in the TSS profiles"),
    ],
)
def test_genes_that_lie_elsewhere_than_those_of_the_profiles(world, tmp_path, change, what):
    folder, contig = world
    with pytest.raises(CisweaveError, match=re.escape(what)):
        run(folder, variant_table(contig).assign(**change), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_gene_that_lies_elsewhere_is_found_before_scoring(world, tmp_path, monkeypatch):
    folder, contig = world
    table = variant_table(contig)
    table.loc[6, "dist_to_tss"] += 1
    monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(module, "CHECKED", 3)
    monkeypatch.setattr(module.Scorer, "score", None)
    with pytest.raises(CisweaveError, match="run genome closest-tss with the genes that the profiles were made of"):
        run(folder, table, tmp_path)


def many(contig, wrong, told=True):
    """Forty substitutions, the first ``wrong`` of them with a REF that the genome does not hold."""
    places = range(2400, 2440)
    refs = [base if number >= wrong else "ACGT".replace(base, "")[0] for number, base in enumerate(contig[2399:2439])]
    cases = [(pos, ref, "ACGT".replace(ref, "")[1]) for pos, ref in zip(places, refs, strict=True)]
    return table_of(contig, cases).assign(reference_genome_match=told, source_alt="A")


def test_the_fasta_of_another_assembly_is_refused(world, tmp_path, caplog):
    folder, contig = world
    with pytest.raises(CisweaveError, match="REF of 21 of 40 alleles is not what this FASTA holds there"):
        run(folder, many(contig, 21), tmp_path)
    assert list(tmp_path.iterdir()) == []
    run(folder, many(contig, 20), tmp_path)
    assert "REF of 20 rows is not what the FASTA holds" in caplog.text
    caplog.clear()
    run(folder, many(contig, 40, told=False), tmp_path)
    assert "REF of" not in caplog.text
    assert not scores(tmp_path)["reference_genome_match"].any()


@pytest.mark.parametrize("name", ["variants.vcf", "variants.tsv", "variants.parquet"])
def test_a_vcf_is_no_table_of_variants(world, tmp_path, name):
    folder, contig = world
    (tmp_path / name).write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n")
    with pytest.raises(CisweaveError, match="this is a VCF; run genome normalize and genome closest-tss on it first"):
        run(folder, variant_table(contig), tmp_path / "out", variants=tmp_path / name)


def test_alleles_past_the_end_of_the_contig_go_to_the_ledger(world, tmp_path):
    folder, contig = world
    table = table_of(
        contig, [(6000, "AC", "A"), (5999, "A", "C"), (2450, contig[2449], "ACGT".replace(contig[2449], "")[0])]
    )
    run(folder, table, tmp_path)
    ledger = read_ledger(tmp_path / "rejects.tsv")
    assert ledger[["record", "code"]].to_numpy().tolist() == [[1, "out_of_contig"]]
    assert scores(tmp_path)["record"].tolist() == [2, 3]


def test_nothing_but_rejected_alleles_is_told(world, tmp_path, caplog):
    folder, contig = world
    run(folder, variant_table(contig).assign(gene_id="NOPE"), tmp_path)
    assert "no allele could be scored; the ledger of rejects says why" in caplog.text
    assert set(read_ledger(tmp_path / "rejects.tsv")["message"]) == {"gene NOPE"}


def test_features_that_the_model_does_not_read(world, tmp_path):
    folder, contig = world
    shape = HEAD | {"features": 24}
    save_model(tmp_path / "m", ExpressionNetwork(**shape), ModelSpec("expression", shape, ["a", "b"]), {}, HISTORY)
    with pytest.raises(CisweaveError, match="the expression model reads 24 features, these TSS profiles give 30"):
        run(folder, variant_table(contig), tmp_path / "out", model=tmp_path / "m")


def test_a_folder_that_takes_no_file_is_found_before_scoring(world, tmp_path, monkeypatch):
    folder, contig = world
    monkeypatch.setattr(module.Scorer, "score", None)
    with pytest.raises(CisweaveError, match=r"/proc/none/e\.tsv: this cannot be written"):
        run(folder, variant_table(contig), tmp_path, views=views(tmp_path, tsv=Path("/proc/none/e.tsv")))


def test_columns_that_are_not_there_are_named(world, tmp_path):
    folder, contig = world
    with pytest.raises(CisweaveError, match=r"variants\.parquet: column\(s\) dist_to_tss missing"):
        run(folder, variant_table(contig).drop(columns="dist_to_tss"), tmp_path)


def test_another_fasta_is_told(world, tmp_path, caplog):
    folder, contig = world
    (tmp_path / "other.fa").write_text(f">chr1\n{contig[:-1]}A\n")
    run(folder, variant_table(contig), tmp_path, fasta=tmp_path / "other.fa", views=views(tmp_path))
    assert "were not made with this very FASTA" in caplog.text


def test_the_receipt_says_how(world, tmp_path):
    folder, contig = world
    run(folder, variant_table(contig), tmp_path)
    identity = json.loads(receipt_path(tmp_path / "effects.parquet").read_text())["identity"]
    assert identity["part"] == "1/1"
    assert identity["settings"]["max_shift"] == 100
    assert identity["settings"]["engine"]["batch_size"] == 3
    assert {path.rsplit("/", 1)[1] for path in identity["inputs"]} == {
        *("variants.parquet", "genome.fa", "profiles.h5", "weights.safetensors", "model.yaml")
    }
