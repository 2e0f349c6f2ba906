"""Expression, and the tables of the other rooms, against plain recomputation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pysam
from scipy.stats import spearmanr

from cisweave.simulate import layout
from tests.simulate.reader import World, plain_expression, plain_scan, revcomp


def measured(world: World) -> pd.DataFrame:
    tables = [world.table(f"expression/{name}.tsv").set_index("gene_id") for name in layout.CONTEXTS]
    return pd.concat(tables, axis=1)


def test_truth_equals_a_plain_sum_over_sites(world: World) -> None:
    truth = world.table("truth/expression.tsv").set_index("gene_id")
    weights = world.table("truth/weights.tsv")
    sites = plain_scan(world.sim19["chr3"], world.motifs)
    for row in world.tss.query("chrom == 'chr3'").itertuples():
        expected = plain_expression(sites, row.start, weights, world.contexts)
        assert np.allclose(truth.loc[row.gene_id, world.contexts].to_numpy(dtype=float), expected, atol=2e-4)


def test_noise_is_a_third_of_the_signal(world: World) -> None:
    truth = world.table("truth/expression.tsv").set_index("gene_id")
    values = measured(world)
    assert list(values.columns) == world.contexts
    assert values.index.tolist() == truth.index.tolist()
    assert (values > 0).all(axis=None)
    ratio = (np.log(values) - truth).std() / truth.std()
    assert ratio.between(0.2, 0.4).all()


def test_contexts_differ(world: World) -> None:
    correlation = world.table("truth/expression.tsv")[world.contexts].corr().to_numpy()
    assert correlation.min() < 0.9
    assert correlation.min() > 0.2


def test_repressors_repress(world: World) -> None:
    weights = world.table("truth/weights.tsv").set_index("tf")[world.contexts]
    for tf in ("REST", "ZNF410"):
        assert (weights.loc[tf] < 0).all()
    for tf in ("NRF1", "HNF1A"):
        assert (weights.loc[tf] > 0).all()


def test_gc_content_does_not_tell_expression(world: World) -> None:
    values = measured(world).loc[world.tss["gene_id"]]
    for reach in (200, 1000, 5000):
        parts = [
            world.sim19[row.chrom][max(0, row.start - reach) : row.start + reach].upper()
            for row in world.tss.itertuples()
        ]
        gc = [(part.count("G") + part.count("C")) / len(part) for part in parts]
        assert abs(np.median([spearmanr(gc, values[context])[0] for context in world.contexts])) < 0.25


def test_half_life_features(world: World) -> None:
    table = world.table("xpresso/halflife.tsv").set_index("gene_id")
    for gene_id, group in world.gtf[world.gtf["transcript_biotype"] == "protein_coding"].groupby("gene_id"):
        row = table.loc[gene_id]
        sequence = world.sim19[group["chrom"].iloc[0]]
        span = group.query("feature == 'transcript'").iloc[0]
        parts = {"UTR5": "five_prime_utr", "CDS": "CDS", "UTR3": "three_prime_utr"}
        for name, feature in parts.items():
            spliced = world.splice(sequence, group[group["feature"] == feature])
            assert row[f"{name}LEN"] == len(spliced)
            assert abs(row[f"{name}GC"] - (spliced.count("G") + spliced.count("C")) / len(spliced)) < 6e-4
        exons = group.query("feature == 'exon'")
        assert row["INTRONLEN"] == span["end"] - span["start"] + 1 - (exons["end"] - exons["start"] + 1).sum()
        coding = (group["feature"] == "CDS").sum()
        assert abs(row["ORFEXONDENSITY"] - 1000 * coding / row["CDSLEN"]) < 0.006


def test_known_weights_explain_xpresso_expression(world: World) -> None:
    halflife, tf, mirna = (
        world.table(f"xpresso/{name}.tsv").set_index("gene_id") for name in ("halflife", "tf", "mirna")
    )
    logged = [column for column in halflife if not column.endswith("GC")]
    halflife[logged] = np.log10(halflife[logged] + 0.1)
    halflife = (halflife - halflife.mean()) / halflife.std(ddof=0)
    inputs = pd.concat([halflife, tf, mirna], axis=1)
    weights = world.table("truth/xpresso_weights.tsv")
    assert inputs.columns.tolist() == weights["feature"].tolist()
    truth = world.table("truth/xpresso_expression.tsv").set_index("gene_id")["log10_expression"]
    signal = world.table("truth/expression.tsv").set_index("gene_id")[layout.CONTEXTS["general"]].mean(axis=1)
    rest = truth - inputs @ weights["weight"].to_numpy()
    assert np.corrcoef(rest, signal)[0, 1] > 0.9999
    values = world.table("xpresso/expression.tsv").set_index("gene_id")["expression"]
    assert 0.1 < (np.log10(values) - truth).std() < 0.2


def test_mirna_targets_hold_the_seed(world: World) -> None:
    table = world.table("xpresso/mirna.tsv").set_index("gene_id")["let-7-5p"]
    rows = world.gtf[world.gtf["feature"] == "three_prime_utr"]
    for gene_id, group in rows.groupby("gene_id"):
        spliced = world.splice(world.sim19[group["chrom"].iloc[0]], group)
        assert table[gene_id] == (revcomp("GAGGTA") in spliced)
    assert 0 < table.mean() < 1


def test_factor_matrix(world: World) -> None:
    table = world.table("xpresso/tf.tsv").set_index("gene_id")
    instances = world.table("truth/instances.tsv")
    for row in world.tss.itertuples():
        local = instances[instances["chrom"] == row.chrom]
        near = local[((local["start"] + local["end"] - 1) / 2 - row.start).abs() <= 1000]
        assert set(table.columns[table.loc[row.gene_id] == 1]) == set(near["tf"])


def test_accessibility_weights_come_back(world: World) -> None:
    bed = pd.read_csv(
        world.folder / "accessibility/peaks.bed", sep="\t", header=None, names=["chrom", "start", "end", "peak"]
    )
    assert (bed["end"] - bed["start"] == 300).all()
    with pysam.FastxFile(str(world.folder / "accessibility/peaks.fa")) as handle:
        sequences = {entry.name: entry.sequence for entry in handle}
    for row in bed.itertuples():
        assert sequences[row.peak] == world.sim19[row.chrom][row.start : row.end].upper()
        assert "N" not in sequences[row.peak]
    known = world.table("truth/accessibility_weights.tsv").set_index("tf")
    factors, pair = known.index[:-1], known.index[-1].split(":")
    inputs = pd.DataFrame(0.0, index=bed["peak"], columns=factors)
    instances = world.table("truth/instances.tsv")
    for row in bed.itertuples():
        inside = instances.query("chrom == @row.chrom and start >= @row.start and end <= @row.end")
        for site in inside.itertuples():
            inputs.loc[row.peak, site.tf] = max(inputs.loc[row.peak, site.tf], site.occupancy)
    inputs["pair"] = inputs[pair].prod(axis=1)
    assert (inputs["pair"] > 0.5).sum() >= 10
    matrix = world.table("accessibility/matrix.tsv").set_index("peak")
    lineages = world.table("accessibility/cell_types.tsv")
    assert lineages["cell_type"].tolist() == matrix.columns.tolist()
    means = matrix.T.groupby(lineages["lineage"].to_numpy()).mean().T[known.columns]
    design = np.column_stack([np.ones(len(inputs)), inputs.to_numpy()])
    fitted = np.linalg.lstsq(design, means.to_numpy(), rcond=None)[0][1:]
    assert np.abs(fitted[:-1] - known.to_numpy()[:-1]).max() < 0.35
    lineage = int(known.iloc[-1].to_numpy().argmax())
    assert (known.iloc[-1] > 0).sum() == 1
    assert fitted[-1].argmax() == lineage
