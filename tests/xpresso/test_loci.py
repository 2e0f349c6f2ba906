"""From a promoter model to the bases that explain it, in genome coordinates on both strands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import AttributionSettings, CallingSettings
from cisweave.core.errors import CisweaveError
from cisweave.models.folders import ModelSpec, save_model
from cisweave.models.promoter.build import build_network
from cisweave.seqlets.attribute import attribute_loci, read_reverse
from cisweave.seqlets.call import call_seqlets
from cisweave.seqlets.stores import read_attributions, read_sequences
from cisweave.seqlets.table import read_loci
from cisweave.sequence.onehot import decode
from cisweave.xpresso.dataset import write_data
from cisweave.xpresso.loci import promoter_loci, read_genes
from cisweave.xpresso.scaling import Scaling
from tests.xpresso.linear_promoters import GENES, LEFT, RIGHT, WINDOW, World, build_world, codes_of, make_data

MOTIF = "TGACGTCATCC"
UPSTREAM, DOWNSTREAM = 300, 200
SLICE = (50, 450)
TURNED = MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = build_world(tmp_path_factory.mktemp("loci"))
    make_data(world, world.folder / "data")
    return world


def select(world: World, folder: Path, **options: Any) -> pd.DataFrame:
    return promoter_loci(
        world.model, world.folder / "data", folder / "loci.tsv", folder / "loci.h5", device="cpu", **options
    )


# --- the table --------------------------------------------------------------------------------------------------------
def test_windows_stand_as_the_genome_has_them(world: World, tmp_path: Path) -> None:
    table = select(world, tmp_path, genes=["other", "plus", "minus", "plus"])
    assert table.gene_id.tolist() == ["other", "plus", "minus"]
    assert table.strand.tolist() == ["-", "+", "-"]
    read = read_loci(tmp_path / "loci.tsv")
    codes = read_sequences(tmp_path / "loci.h5", read)
    for row, locus in read.iterrows():
        assert decode(codes[row]) == world.bases(locus.chrom, locus.start, locus.end)
        tss = GENES.set_index("gene_id").tss[locus.gene_id]
        assert locus.start <= tss < locus.end
    assert set(read.kind) == {"promoter"}
    assert set(read.tracks) == {"expression"}
    assert read_reverse(tmp_path / "loci.tsv", 3).tolist() == [True, False, True]
    for name in ("loci.tsv", "loci.h5"):
        assert (tmp_path / f"{name}.receipt.json").exists()


def test_the_core_is_around_the_tss(tmp_path: Path) -> None:
    from cisweave.xpresso.loci import locus_table
    from cisweave.xpresso.models import Geometry
    from cisweave.xpresso.sources import Source

    genes = pd.DataFrame({"gene_id": ["a", "b", "c"], "chrom": ["1", "1", ""], "strand": ["+", "-", ""]})
    genes = genes.assign(start=[1000, 9000, -1], end=[4000, 12000, -1])
    data = write_data(tmp_path / "data", genes, [np.zeros((3, 3000), np.uint8)], upstream=2000, downstream=1000)
    table = locus_table(Source(data, 100, Geometry(2000, 1000, 100, 2700)), np.arange(3), "expression")
    assert table.start.tolist() == [1100, 9300, 100]
    assert (table.end - table.start).tolist() == [2600] * 3
    middle = table.start + (table.core_start + table.core_end) // 2
    assert middle.tolist()[:2] == [3000, 9999]
    assert (table.core_end - table.core_start).tolist() == [1000, 1000, 1000]
    assert table.chrom.tolist() == ["1", "1", "c"]
    assert table.strand.tolist() == ["+", "-", "+"]


def test_the_highest_predictions_are_chosen_and_unknown_bases_passed_over(world: World, tmp_path: Path) -> None:
    table = select(world, tmp_path, top=2)
    known = ["plus", "minus", "other"]
    from cisweave.xpresso.predict import predict_promoters
    from cisweave.xpresso.promoter_files import PromoterFiles

    predictions = predict_promoters(world.model, tmp_path / "p.tsv", PromoterFiles(data=world.folder / "data"))
    ranked = predictions[predictions.gene_id.isin(known)].sort_values("prediction_z", ascending=False)
    assert table.gene_id.tolist() == ranked.gene_id.tolist()[:2]
    assert len(select(world, tmp_path, top=50)) == 3


def test_genes_may_come_from_a_table(world: World, tmp_path: Path) -> None:
    (tmp_path / "genes.tsv").write_text("x\tgene_id\n1\tminus\n2\tplus\n3\tminus\n")
    assert read_genes(tmp_path / "genes.tsv") == ["minus", "plus"]
    with pytest.raises(CisweaveError, match="gene 'nobody' is not in these data"):
        select(world, tmp_path, genes=["nobody"])


def test_a_table_of_genes_may_have_versions_but_must_name_some(tmp_path: Path) -> None:
    (tmp_path / "genes.tsv").write_text("gene_id\nENSG00000000001.4\nplus\nENSG00000000001\n")
    assert read_genes(tmp_path / "genes.tsv") == ["ENSG00000000001", "plus"]
    (tmp_path / "genes.tsv").write_text("gene_id\n")
    with pytest.raises(CisweaveError, match="names no gene"):
        read_genes(tmp_path / "genes.tsv")


def test_the_same_call_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        select(world, tmp_path / name)
        files.append([(tmp_path / name / file).read_bytes() for file in ("loci.tsv", "loci.h5")])
    assert files[0] == files[1]


# --- attribution ------------------------------------------------------------------------------------------------------
def test_attributions_of_a_linear_model_are_its_weights_on_both_strands(world: World, tmp_path: Path) -> None:
    table = select(world, tmp_path, genes=["plus", "minus"])
    settings = AttributionSettings(shuffles=20)
    quality = attribute_loci(tmp_path / "loci.tsv", tmp_path / "loci.h5", world.model, tmp_path / "a.h5",
                             tmp_path / "qc.tsv", settings, "cpu")  # fmt: skip
    assert quality.delta_rel.max() < 1e-3
    store = read_attributions(tmp_path / "a.h5")
    for row, gene in enumerate(("plus", "minus")):
        locus = table.iloc[row]
        assert decode(store.codes[row]) == world.bases(locus.chrom, locus.start, locus.end)
        oriented = world.weights.T if gene == "plus" else world.weights[::-1, ::-1].T
        found = store.hypothetical[row]
        np.testing.assert_allclose(found - found.mean(axis=0), oriented - oriented.mean(axis=0), atol=1e-4)
        window = world.promoter(gene, LEFT, RIGHT)
        assert quality.pred[row] == pytest.approx(world.score(window), abs=1e-4)


def motif_network() -> torch.nn.Module:
    """cnn/Xpresso with one filter that finds the motif, and an output that counts where it does."""
    window = SLICE[1] - SLICE[0]
    shape = {"filters": [1], "widths": [len(MOTIF)], "pools": [10], "dense": [2], "dropout": [0.0]}
    network = build_network("cnn/Xpresso", window, halflife=8, **shape)
    state = network.state_dict()
    for value in state.values():
        value.zero_()
    filters = next(name for name, value in state.items() if value.shape == (1, 4, len(MOTIF)))
    for place, code in enumerate(codes_of(MOTIF)):
        state[filters][0, code, place] = 1.0
    state[filters.replace("weight", "bias")][0] = 2.5 - len(MOTIF)
    hidden = next(name for name, value in state.items() if value.shape == (2, window // 10 + 8))
    state[hidden][0, : window // 10] = 1.0
    out = next(name for name, value in state.items() if value.shape == (1, 2))
    state[out][0, 0] = 4.0
    network.load_state_dict(state)
    return network.eval()


def motif_world(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Data and model; genes on both strands, each with the motif in gene orientation; where it stands by gene."""
    rng = np.random.default_rng(5)
    text = "".join(rng.choice(list("ACGT"), 30_000))
    genes, planted = [], {}
    for number in range(24):
        strand, tss = "+-"[number % 2], 800 + 1200 * number
        start = tss + int(rng.integers(-150, 100))
        text = text[:start] + (MOTIF if strand == "+" else TURNED) + text[start + len(MOTIF) :]
        planted[f"g{number:02d}"] = (strand, start, start + len(MOTIF))
        genes.append((f"g{number:02d}", "chr1", strand, tss))
    codes, table = [], []
    for gene, chrom, strand, tss in genes:
        first = tss - UPSTREAM if strand == "+" else tss - DOWNSTREAM + 1
        bases = text[first : first + UPSTREAM + DOWNSTREAM]
        codes.append(codes_of(bases if strand == "+" else bases[::-1].translate(str.maketrans("ACGT", "TGCA"))))
        table.append((gene, chrom, first, first + UPSTREAM + DOWNSTREAM, strand))
    frame = pd.DataFrame(table, columns=["gene_id", "chrom", "start", "end", "strand"])
    write_data(folder / "data", frame, [np.stack(codes)], upstream=UPSTREAM, downstream=DOWNSTREAM)
    window = SLICE[1] - SLICE[0]
    spec = ModelSpec(
        "promoter",
        {"type": "cnn/Xpresso", "window": window, "halflife": 8, "filters": [1], "widths": [len(MOTIF)], "pools": [10],
         "dense": [2], "dropout": [0.0]},
        ["expression"],
        {"promoter": {"upstream": UPSTREAM, "downstream": DOWNSTREAM, "slice": list(SLICE)},
         "scaling": Scaling().to_dict(), "embedding": None, "inputs": "PH"},
    )  # fmt: skip
    save_model(folder / "model", motif_network(), spec, {}, pd.DataFrame({"epoch": [0]}))
    return planted


def test_seqlets_land_on_the_planted_motif_on_both_strands(tmp_path: Path) -> None:
    planted = motif_world(tmp_path)
    names = {name: tmp_path / name for name in ("loci.tsv", "loci.h5", "a.h5", "qc.tsv", "seqlets.tsv")}
    promoter_loci(tmp_path / "model", tmp_path / "data", names["loci.tsv"], names["loci.h5"], top=24, device="cpu")
    quality = attribute_loci(
        names["loci.tsv"], names["loci.h5"], tmp_path / "model", names["a.h5"], names["qc.tsv"],
        AttributionSettings(shuffles=10), "cpu",
    )  # fmt: skip
    assert (quality.status == "ok").all()
    assert quality.delta_rel.max() < 1e-3
    loci = read_loci(names["loci.tsv"])
    store = read_attributions(names["a.h5"])
    for row, locus in loci.iterrows():
        strand, first, last = planted[locus.gene_id]
        inside = slice(first - locus.start, last - locus.start)
        assert decode(store.codes[row, inside]) == (MOTIF if strand == "+" else TURNED)
        strengths = np.sort(store.projected[row])[::-1]
        assert store.projected[row, inside].min() > 0.1 * strengths[0]
        assert store.projected[row, inside].sum() > 0.8 * store.projected[row].clip(min=0).sum()
    called = call_seqlets(names["a.h5"], names["loci.tsv"], names["seqlets.tsv"], CallingSettings(flanks=0))
    best = called.drop_duplicates("locus_id").merge(loci[["locus_id", "gene_id"]], on="locus_id")
    assert len(best) >= 20
    assert {planted[gene][0] for gene in best.gene_id} == {"+", "-"}
    for seqlet in best.itertuples():
        _, first, last = planted[seqlet.gene_id]
        overlap = min(last, seqlet.g_end) - max(first, seqlet.g_start)
        assert overlap >= 0.7 * len(MOTIF), seqlet


def test_a_strand_of_another_kind_is_refused(world: World, tmp_path: Path) -> None:
    table = select(world, tmp_path, genes=["plus", "minus"])
    table.assign(strand=["+", "x"]).to_csv(tmp_path / "loci.tsv", sep="\t", index=False)
    with pytest.raises(CisweaveError, match=r"strand must be \+, - or empty, not 'x'"):
        read_reverse(tmp_path / "loci.tsv", 2)
    table.drop(columns="strand").to_csv(tmp_path / "loci.tsv", sep="\t", index=False)
    assert not read_reverse(tmp_path / "loci.tsv", 2).any()
    for strand in (None, ["+", ""]):
        named = table.drop(columns="strand") if strand is None else table.assign(strand=strand)
        named.to_csv(tmp_path / "loci.tsv", sep="\t", index=False)
        with pytest.raises(CisweaveError, match="reads each on its gene's strand"):
            read_reverse(tmp_path / "loci.tsv", 2, stranded=True)


def test_sequences_have_the_length_of_the_window(world: World, tmp_path: Path) -> None:
    select(world, tmp_path, top=1)
    with h5py.File(tmp_path / "loci.h5") as store:
        assert store["codes"].shape == (1, WINDOW)
        assert store["locus_id"][:].tolist() == [0]
