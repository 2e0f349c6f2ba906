"""Attribution to bases: the function is the score, the sums hold, and what is written fits the next room."""

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch

from cisweave.config import BaseAttributionSettings, CallingSettings, PredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome.extract import extract_codes
from cisweave.models.attribution import attribute_sequences, shuffled_references
from cisweave.seal.head import ExpressionHead
from cisweave.seal.interpret.base_tables import file_names
from cisweave.seal.interpret.bases import attribute_bases
from cisweave.seal.interpret.sequence import gene_stretch, variant_stretch
from cisweave.seal.predict import score_variants
from cisweave.sequence import Genome
from cisweave.sequence.onehot import encode, one_hot
from cisweave.sequence.windows import haplotype_places
from cisweave.tables.bigwig import BaseValues, write_bigwig
from tests.seal.interpret.conftest import CONTEXTS, ENGINE, SHIFTS, WINDOWS

QUICK = BaseAttributionSettings(shuffles=3)


def run(world, folder, **changes):
    options = {
        **{name: path for name, path in world.files.items() if name != "variants"},
        "out": folder / "bases.h5",
        "loci": folder / "loci.tsv",
        "qc": folder / "qc.tsv",
        "rejects": folder / "rejects.tsv",
        "bigwig_folder": folder / "bigwig",
        "settings": QUICK,
        "windows": WINDOWS,
        "device": "cpu",
    }
    return attribute_bases(**(options | changes))


@pytest.fixture(scope="module")
def of_variants(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return folder, run(world, folder, variants=world.files["variants"])


def read(folder):
    with h5py.File(folder / "bases.h5") as store:
        return {name: store[name].asstr()[:] if name == "track" else store[name][:] for name in store}


# --- the function -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "windows", [WINDOWS, PredictSettings(max_shift=150, shift_step=50), PredictSettings(max_shift=0)]
)
def test_difference_of_the_haplotypes_is_the_score(world, windows):
    head = ExpressionHead(world.model, world.store)
    shifts = list(range(-windows.max_shift, windows.max_shift + 1, windows.shift_step))
    variants = world.variants.assign(swapped=False)
    with Genome(world.files["fasta"]) as genome:
        expected = score_variants(variants, genome, world.store, world.chromatin, world.model, windows, ENGINE)
        for number in range(len(variants)):
            stretch = variant_stretch(variants.iloc[[number]], genome, world.chromatin.module, head, shifts)
            with torch.inference_mode():
                reference, alternative = stretch.function(one_hot(stretch.codes))
            np.testing.assert_allclose(alternative - reference, expected.expression[number], atol=2e-6)
    assert np.abs(expected.expression).max() > 1e-3


@pytest.mark.parametrize("reach", [None, 300])
def test_function_of_a_gene_is_its_predicted_expression(world, reach):
    head = ExpressionHead(world.model, world.store)
    with Genome(world.files["fasta"]) as genome, torch.inference_mode():
        for row, strand in enumerate("+-"):
            stretch = gene_stretch(row, genome, world.chromatin.module, head, reach)
            assert stretch.end - stretch.start == (400 + 7 * 200 if reach is None else 400 + 3 * 200)
            expected = head.network(torch.from_numpy(world.store.features[[row]]).double())
            found = stretch.function(one_hot(stretch.codes))
            np.testing.assert_allclose(found, expected, atol=1e-5)
            changed = stretch.codes.copy()
            place = 450 if strand == "+" else 300
            changed[0, place : place + 200] = 0
            assert np.abs((stretch.function(one_hot(changed)) - found).numpy()).max() > 1e-3


def test_reach_below_the_first_bin_is_refused(world):
    head = ExpressionHead(world.model, world.store)
    with Genome(world.files["fasta"]) as genome, pytest.raises(CisweaveError, match="the nearest is 100 bp away"):
        gene_stretch(0, genome, world.chromatin.module, head, 50)


# --- sums -------------------------------------------------------------------------------------------------------------
def test_attributions_of_the_haplotypes_differ_by_the_score(world, of_variants):
    _, quality = of_variants
    assert (quality.status == "ok").all()
    assert quality.delta_rel.max() < 1e-3
    np.testing.assert_allclose(quality.attr_sum, quality.pred - quality.pred_ref_mean, atol=1e-4)
    reference, alternative = (quality[quality.allele == allele].reset_index() for allele in ("ref", "alt"))
    sign = np.where(reference.record == 2, -1, 1)
    np.testing.assert_allclose(sign * (alternative.attr_sum - reference.attr_sum), reference.score, atol=1e-4)
    with Genome(world.files["fasta"]) as genome:
        scores = score_variants(world.variants, genome, world.store, world.chromatin, world.model, WINDOWS, ENGINE)
    strongest = np.abs(scores.expression).argmax(axis=1)
    assert reference.track.tolist() == [CONTEXTS[context] for context in strongest]
    np.testing.assert_allclose(reference.score, scores.expression[np.arange(6), strongest], atol=2e-6)


def test_integrated_gradients_add_up_with_many_steps(world):
    head = ExpressionHead(world.model, world.store)
    with Genome(world.files["fasta"]) as genome:
        stretch = variant_stretch(world.variants.iloc[[0]], genome, world.chromatin.module, head, SHIFTS)
    references = shuffled_references(stretch.codes[0], 2, 0)
    few, many = (
        attribute_sequences(stretch.function, stretch.codes, references, 1, "integratedGradients", 2, steps)
        for steps in (5, 200)
    )
    deep = attribute_sequences(stretch.function, stretch.codes, references, 1, batch_size=2)
    assert many.delta_rel.max() < 0.02 < few.delta_rel.max()
    assert deep.delta_rel.max() < 1e-3
    np.testing.assert_allclose(many.pred, deep.pred)
    assert np.corrcoef(many.projected.ravel(), deep.projected.ravel())[0, 1] > 0.5


def test_attributions_in_double_precision_close(world):
    """With the chromatin model in float64, the sum rule holds to rounding."""
    head = ExpressionHead(world.model, world.store)
    with Genome(world.files["fasta"]) as genome:
        stretch = variant_stretch(world.variants.iloc[[2]], genome, world.chromatin.module.double(), head, SHIFTS)
    x = one_hot(stretch.codes).double()
    references = shuffled_references(stretch.codes[0], 2, 0).double()
    from tangermeme.deep_lift_shap import deep_lift_shap

    multipliers = deep_lift_shap(
        stretch.function, x, target=1, references=references.expand(2, -1, -1, -1).contiguous(), raw_outputs=True,
        device="cpu",
    )  # fmt: skip
    with torch.inference_mode():
        difference = stretch.function(x)[:, None, 1] - stretch.function(references)[None, :, 1]
    explained = ((x[:, None] - references) * multipliers).sum(dim=(2, 3))
    np.testing.assert_allclose(explained, difference, atol=1e-10)


def test_references_are_seeded_and_hold_the_dinucleotides(world):
    codes = encode(world.contig[:300])
    first, again, other = (shuffled_references(codes, 3, seed) for seed in (0, 0, 7))
    torch.testing.assert_close(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(shuffled_references(codes, 1, 2)[0], first[2])

    def pairs(x):
        letters = x.argmax(dim=0)
        return torch.bincount(letters[:-1] * 4 + letters[1:], minlength=16)

    assert all(torch.equal(pairs(one), pairs(one_hot(codes))) for one in first)


# --- what is written --------------------------------------------------------------------------------------------------
def test_store_and_locus_table_fit_the_seqlets_room(world, of_variants, tmp_path):
    from cisweave.seqlets.call import call_seqlets
    from cisweave.seqlets.stores import read_attributions
    from cisweave.seqlets.table import read_loci

    folder, quality = of_variants
    loci = read_loci(folder / "loci.tsv")
    assert (loci.end - loci.start).unique().tolist() == [600]
    assert loci.region_id.tolist() == np.repeat(np.arange(6), 2).tolist()
    store = read_attributions(folder / "bases.h5")
    assert store.track == quality.track.tolist()
    np.testing.assert_array_equal(store.item_id, quality.item_id)
    np.testing.assert_array_equal(store.codes, extract_codes(loci, world.files["fasta"]))
    np.testing.assert_array_equal(
        store.projected, np.take_along_axis(store.hypothetical, store.codes[:, None].astype(int), axis=1)[:, 0]
    )
    np.testing.assert_allclose(store.projected.sum(axis=1), quality.attr_sum, rtol=1e-4, atol=1e-5)
    seqlets = call_seqlets(folder / "bases.h5", folder / "loci.tsv", tmp_path / "seqlets.tsv", CallingSettings())
    assert len(seqlets)
    assert set(seqlets.track) <= set(CONTEXTS)


@pytest.mark.parametrize(
    ("ref", "allele", "places"),
    [
        ("A", "C", [496, 497, 498, 499, 500, 501, 502, 503]),
        ("A", "ACG", [497, 498, 499, -1, -1, 500, 501, 502]),
        ("ACG", "A", [495, 496, 497, 498, 499, 502, 503, 504]),
        ("AC", "GT", [496, 497, 498, 499, 500, 501, 502, 503]),
    ],
)
def test_places_of_a_haplotype(ref, allele, places):
    assert haplotype_places(500, ref, allele, 8).tolist() == places


def test_bigwig_files_hold_the_values_at_their_places(world, of_variants):
    folder, quality = of_variants
    store, loci = read(folder), pd.read_csv(folder / "loci.tsv", sep="\t")
    files = sorted(path.name for path in (folder / "bigwig").iterdir())
    assert files == sorted(f"{context}.{allele}.bw" for context in set(quality.track) for allele in ("ref", "alt"))
    checked = 0
    for number, locus_id in enumerate(store["locus_id"]):
        locus = loci.iloc[locus_id]
        allele = locus.ref if locus.allele == "ref" else locus["alt"]
        places = haplotype_places(locus.pos, locus.ref, allele, 600)
        others = loci[(loci.locus_id != locus_id) & (loci.allele == locus.allele)].pos
        mine = (places >= 0) & (
            np.abs(places[:, None] - others.to_numpy()).min(axis=1) > np.abs(places - locus.pos) + 2
        )
        with pyBigWig.open(str(folder / "bigwig" / f"{store['track'][number]}.{locus.allele}.bw")) as handle:
            values = np.array([handle.values("chr1", int(place), int(place) + 1)[0] for place in places[mine]])
        np.testing.assert_allclose(values, store["projected"][number][mine], rtol=1e-6)
        checked += mine.sum()
    assert checked > 2000


def test_inserted_bases_have_no_place_and_deleted_ones_no_value(world, tmp_path):
    heart = QUICK.model_copy(update={"contexts": ["Heart"]})
    values = {}
    for number, name in ((3, "insertion"), (4, "deletion")):
        world.variants.iloc[[number]].to_parquet(tmp_path / "one.parquet")
        run(world, tmp_path, variants=tmp_path / "one.parquet", settings=heart)
        with pyBigWig.open(str(tmp_path / "bigwig/Heart.alt.bw")) as handle:
            assert handle.chroms() == {"chr1": 6000, "chr2": 200}
            values[name] = np.array(handle.values("chr1", 3397, 3453))
        projected = read(tmp_path)["projected"][1]
        place = (values[name] == projected[:, None]).argmax(axis=0)
        np.testing.assert_array_equal(
            projected[place[np.isfinite(values[name])]], values[name][np.isfinite(values[name])]
        )
    assert np.isfinite(values["insertion"]).all()
    missing = np.isnan(values["deletion"])
    assert missing[3412 - 3397 : 3451 - 3397].all()
    assert missing.sum() == 39


def test_another_seed_draws_other_references(world, tmp_path):
    world.variants.iloc[[4]].to_parquet(tmp_path / "one.parquet")
    found = []
    for seed in (0, 1):
        settings = QUICK.model_copy(update={"seed": seed})
        found.append(run(world, tmp_path, variants=tmp_path / "one.parquet", settings=settings))
    np.testing.assert_allclose(found[0].pred, found[1].pred)
    assert (np.abs(found[0].pred_ref_mean - found[1].pred_ref_mean) > 1e-6).all()


def test_values_on_one_base_and_off_the_contig(tmp_path):
    def piece(chrom, places, values, rank):
        return BaseValues(chrom, np.array(places), np.array(values, dtype=np.float32), np.array(rank))

    pieces = [
        piece("b", [5, 6, -1, 10], [1, 2, 9, 9], [3, 3, 0, 0]),
        piece("b", [6, 7], [5, 6], [2, 2]),
        piece("b", [7, 9], [7, 8], [2, 2]),
    ]
    write_bigwig(tmp_path / "x.bw", {"a": 4, "b": 10}, pieces)
    with pyBigWig.open(str(tmp_path / "x.bw")) as handle:
        values = np.array(handle.values("b", 0, 10))
        assert np.isnan(handle.values("a", 0, 4)).all()
    np.testing.assert_array_equal(values[[5, 6, 7, 9]], [1, 5, 6, 8])
    assert np.isnan(values[[0, 1, 2, 3, 4, 8]]).all()
    with pytest.raises(CisweaveError, match="there is no contig c"):
        write_bigwig(tmp_path / "y.bw", {"a": 4}, [piece("c", [1], [1], [0])])
    write_bigwig(tmp_path / "empty.bw", {"a": 4}, [])
    with pyBigWig.open(str(tmp_path / "empty.bw")) as handle:
        assert handle.chroms() == {"a": 4}


def test_stretches_with_unknown_bases_are_told_not_attributed(world, tmp_path):
    masked = world.contig[:2500] + "N" * 3 + world.contig[2503:]
    (tmp_path / "genome.fa").write_text(f">chr1\n{masked}\n")
    quality = run(world, tmp_path, variants=world.files["variants"], fasta=tmp_path / "genome.fa")
    assert (quality.status == "unknown_base").tolist() == [record in (1, 2, 3) for record in quality.record]
    assert read(tmp_path)["item_id"].tolist() == [6, 7, 8, 9, 10, 11]
    assert len(pd.read_csv(tmp_path / "loci.tsv", sep="\t")) == 12


def test_genes_of_both_strands(world, tmp_path):
    settings = QUICK.model_copy(update={"reach": 300, "contexts_each": 2})
    quality = run(world, tmp_path, genes=["G2", "G1"], settings=settings)
    assert quality.gene_id.tolist() == ["G2", "G2", "G1", "G1"]
    assert quality.delta_rel.max() < 1e-3
    loci = pd.read_csv(tmp_path / "loci.tsv", sep="\t")
    assert loci.kind.tolist() == ["promoter", "promoter"]
    assert loci.start.tolist() == [3400 - 500, 2500 - 500]
    assert (loci.end - loci.start).tolist() == [1000, 1000]
    store = read(tmp_path)
    np.testing.assert_array_equal(store["codes"][::2], extract_codes(loci, world.files["fasta"]))
    with pyBigWig.open(str(tmp_path / f"bigwig/{quality.track[2]}.bw")) as handle:
        values = handle.values("chr1", 2000, 2900)
    np.testing.assert_allclose(values[:800], store["projected"][2][:800], rtol=1e-6)


def test_genes_need_no_shifts(world, tmp_path):
    few = QUICK.model_copy(update={"reach": 100})
    windows = PredictSettings(mode="haplotype", max_shift=1200)
    assert run(world, tmp_path, genes=["G1"], settings=few, windows=windows).status.tolist() == ["ok"]
    with pytest.raises(CisweaveError, match="set seal.predict.mode to seal"):
        run(world, tmp_path, variants=world.files["variants"], settings=few, windows=windows)


def test_the_same_run_writes_the_same_bytes(world, of_variants, tmp_path):
    folder, _ = of_variants
    run(world, tmp_path, variants=world.files["variants"])
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "receipt" not in path.name]
    assert len(names) > 5
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_variant_alone_has_the_same_attributions(world, of_variants, tmp_path):
    folder, _ = of_variants
    world.variants.iloc[[4]].to_parquet(tmp_path / "one.parquet")
    run(world, tmp_path, variants=tmp_path / "one.parquet")
    np.testing.assert_array_equal(read(tmp_path)["projected"], read(folder)["projected"][8:10])


def test_nothing_to_attribute(world, tmp_path):
    from cisweave.seqlets.stores import read_attributions
    from cisweave.seqlets.table import read_loci

    world.variants.iloc[:0].to_parquet(tmp_path / "none.parquet")
    quality = run(world, tmp_path, variants=tmp_path / "none.parquet")
    assert len(quality) == len(read_loci(tmp_path / "loci.tsv")) == len(read_attributions(tmp_path / "bases.h5")) == 0


def test_clear_errors(world, tmp_path):
    with pytest.raises(CisweaveError, match="give variants .* or genes .* to explain"):
        run(world, tmp_path)
    with pytest.raises(CisweaveError, match="give either variants or genes, not both"):
        run(world, tmp_path, variants=world.files["variants"], genes=["G1"])
    with pytest.raises(CisweaveError, match="context Brain is asked for twice"):
        run(world, tmp_path, genes=["G1"], settings=QUICK.model_copy(update={"contexts": ["Brain", "Brain"]}))
    with pytest.raises(CisweaveError, match="no TSS profile of G7"):
        run(world, tmp_path, genes=["G1", "G7"])
    with pytest.raises(CisweaveError, match="the model has no context Lung"):
        run(world, tmp_path, genes=["G1"], settings=QUICK.model_copy(update={"contexts": ["Lung"]}))
    few = QUICK.model_copy(update={"method": "integratedGradients", "steps": 1, "on_delta": "fail"})
    with pytest.raises(CisweaveError, match="write more steps"):
        run(world, tmp_path, variants=world.files["variants"], settings=few)
    assert not (tmp_path / "bases.h5").exists()


def test_file_names_are_safe_and_differ():
    assert file_names(["a/b", "a b", "x.y", "..", "ü"]) == {
        "a/b": "a_b", "a b": "a_b_2", "x.y": "x.y", "..": "context", "ü": "_"
    }  # fmt: skip
