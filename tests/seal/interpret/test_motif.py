"""A chromatin model that knows one 8-mer: attributions must lie on its bases and nowhere else, on either strand."""

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch

from cisweave.config import BaseAttributionSettings, PredictSettings, ProfileSettings
from cisweave.models.beluga import Beluga
from cisweave.models.expression import ExpressionNetwork
from cisweave.models.folders import ModelSpec, save_model
from cisweave.seal.interpret.bases import attribute_bases
from cisweave.seal.interpret.tracks import interpret_variants
from cisweave.seal.profiles import profile_tss
from cisweave.sequence.onehot import decode, encode, reverse_complement
from tests.seal.interpret.conftest import variant_table

MOTIF = "CACGTGAC"
REVERSED = decode(reverse_complement(encode(MOTIF)))
SHAPE = {"tracks": 2, "channels": [1, 1, 1, 1, 1, 1], "hidden": 1, "window": 400}
PLANTS = {2380: MOTIF, 2611: REVERSED, 3290: REVERSED, 3511: MOTIF}
"""0-based start and bases; two near each TSS."""
WINDOWS = PredictSettings(max_shift=100, shift_step=100)


def motif_model() -> Beluga:
    """Track 0 tells how often the 8-mer stands in the window, on the strand it reads; track 1 tells nothing."""
    model = Beluga(**SHAPE, dropout_conv=0.0, dropout_dense=0.0).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv1d | torch.nn.Linear):
                module.weight.zero_()
                module.bias.zero_()
        first, *others = [module for module in model.modules() if isinstance(module, torch.nn.Conv1d)]
        for place, base in enumerate(encode(MOTIF)):
            first.weight[0, int(base), place] = 1
        first.bias[0] = 1 - len(MOTIF)
        for module in others:
            module.weight[0, 0, 3] = 1
        hidden, output = (module for module in model.head if isinstance(module, torch.nn.Linear))
        hidden.weight[:] = 1
        output.weight[0] = 4
        output.bias[:] = -2
    return model


@pytest.fixture(scope="module")
def motif_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motif")
    bases = list("".join(np.random.default_rng(11).choice(list("ACGT"), 6000)))
    for start, motif in PLANTS.items():
        bases[start : start + 8] = motif
    contig = "".join(bases)
    assert contig.count(MOTIF) + contig.count(REVERSED) == len(PLANTS)
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n")
    (folder / "tss.bed").write_text("chr1\t2499\t2500\t+\tG1\nchr1\t3399\t3400\t-\tG2\n")
    torch.manual_seed(1)
    history = pd.DataFrame({"epoch": [0]})
    save_model(folder / "chromatin", motif_model(), ModelSpec("beluga", SHAPE, ["motif", "none"]), {}, history)
    head = {"features": 20, "hidden": 6, "contexts": 1}
    network = ExpressionNetwork(**head)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    save_model(folder / "model", network, ModelSpec("expression", head, ["Liver"]), {}, history)
    profile_tss(
        folder / "genome.fa", folder / "tss.bed", folder / "chromatin", folder / "profiles.h5", ProfileSettings(bins=8)
    )
    table = variant_table(contig).iloc[:2].assign(swapped=False)
    for row, (pos, alt) in enumerate([(2380 + 4, "A"), (3290 + 6, "C")]):
        gene = ("G1", "+", 2500) if row == 0 else ("G2", "-", 3400)
        table.loc[row, ["pos", "ref", "alt"]] = pos, contig[pos - 1], alt
        table.loc[row, ["gene_id", "gene_strand", "tss", "dist_to_tss"]] = *gene, pos - gene[2]
    table.to_parquet(folder / "variants.parquet")
    return folder, table


def files(folder, *names):
    given = {name: folder / name for name in ("chromatin", "model")}
    given |= {"fasta": folder / "genome.fa", "profiles": folder / "profiles.h5"}
    return given | {name: folder / f"{name}.out" for name in names}


@pytest.mark.parametrize("method", ["deeplift", "integratedGradients"])
def test_attributions_of_genes_lie_on_the_motif_of_either_strand(motif_world, method):
    folder, _ = motif_world
    settings = BaseAttributionSettings(shuffles=4, reach=300, method=method)
    attribute_bases(
        **files(folder, "out", "loci", "qc", "rejects"),
        genes=["G1", "G2"],
        bigwig_folder=folder / method,
        settings=settings,
        windows=WINDOWS,
    )
    with pyBigWig.open(str(folder / method / "Liver.bw")) as handle:
        for gene, (start, end) in {"G1": (2100, 2800), "G2": (3000, 3700)}.items():
            values = np.array(handle.values("chr1", start, end))
            on = np.zeros(end - start, dtype=bool)
            for plant in PLANTS:
                if start <= plant < end:
                    on[plant - start : plant - start + 8] = True
            assert on.sum() == 16, gene
            assert np.abs(values[~on]).max() < 1e-7
            assert values[on].sum() > 1e-3
            assert (values[on] > -1e-7).all()


def test_a_broken_motif_loses_its_attribution(motif_world):
    folder, table = motif_world
    quality = attribute_bases(
        **files(folder, "out", "loci", "qc", "rejects"), variants=folder / "variants.parquet",
        settings=BaseAttributionSettings(shuffles=4), windows=WINDOWS,
    )  # fmt: skip
    assert (quality.score < -1e-3).all()
    with h5py.File(folder / "out.out") as store:
        projected = store["projected"][:]
    for number, pos in enumerate(table.pos):
        start = pos - 300
        plant = max(place for place in PLANTS if place < pos)
        motif = slice(plant - start, plant - start + 8)
        reference, alternative = projected[2 * number], projected[2 * number + 1]
        assert reference[motif].sum() > -0.9 * quality.score[2 * number]
        assert np.abs(alternative[motif]).max() < 1e-7
        np.testing.assert_allclose(reference.sum() - alternative.sum(), -quality.score[2 * number], rtol=1e-4)


def test_the_track_of_the_motif_takes_the_whole_score(motif_world):
    folder, _ = motif_world
    for method in ("deeplift", "kernelShap", "lime", "saliency"):
        interpret_variants(
            **files(folder, "out", "strongest", "rejects"), variants=folder / "variants.parquet",
            method=method, windows=WINDOWS,
        )  # fmt: skip
        found = pd.read_parquet(folder / "out.out")
        np.testing.assert_allclose(found["none"], 0, atol=1e-9)
        assert (found.motif < -1e-3).all()
        if method != "saliency":
            np.testing.assert_allclose(found.motif, found.score, rtol=1e-3)
