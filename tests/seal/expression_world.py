"""A small world for the expression model: random features, expression that is linear in them, a gene annotation."""

import h5py
import numpy as np
import pandas as pd

from cisweave.config import ExpressionSettings, ProfileSettings, TrainingSettings

GENERAL = ["Liver", "Brain"]
SPECIFIC = ["Cortex", "Striatum", "Cerebellum"]
GENES = 120
SETTINGS = ExpressionSettings(
    hidden=8,
    valid_chromosomes=["chr2"],
    test_chromosomes=["chr3"],
    pretrain={"learning_rate": 0.01, "l2": 0.0, "max_epochs": 60},
    finetune={"learning_rate": 0.02, "l2": 0.0, "max_epochs": 60},
    bootstrap=50,
)
QUIET = TrainingSettings(tensorboard=False, csv_log=False)


def gene(number):
    """An Ensembl id."""
    return f"ENSG{number:011d}"


def make_world(folder):
    """Write ``profiles.h5``, ``general.tsv``, ``tissue.tsv`` and ``genes.csv``; the first four genes lie on chrX."""
    random = np.random.default_rng(0)
    genes = pd.DataFrame({"gene_id": [gene(n) for n in range(GENES)], "chrom": ["chr1", "chr1", "chr2", "chr3"] * 30})
    genes.loc[:3, "chrom"] = "chrX"
    features = random.random((GENES, 20)).astype(np.float32)
    with h5py.File(folder / "profiles.h5", "w") as store:
        for column, values in {**genes, "strand": ["+"] * GENES}.items():
            store[column] = [str(value) for value in values]
        store["tss"], store["tracks"] = np.arange(GENES), ["a", "b"]
        store["features"], store["profile"] = features, np.zeros((GENES, 4, 2), np.float32)
        store.attrs["settings"] = ProfileSettings(bins=4).model_dump_json()
    general = random.normal(size=(20, 2))
    specific = general @ random.normal(size=(2, 3)) + 0.2 * random.normal(size=(20, 3))
    for name, contexts, weights in (("general", GENERAL, general), ("tissue", SPECIFIC, specific)):
        table = pd.DataFrame(np.exp(features @ weights), columns=contexts)
        table.insert(0, "gene_id", genes.gene_id + ".3")
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    write_annotation(genes.iloc[::-1], folder / "genes.csv")
    return folder


def write_annotation(genes, path):
    """ExPecto's CSV, in any order; every tenth gene is an rRNA, every seventh of the others a lincRNA."""
    number = genes.gene_id.str[4:].astype(int)
    kind = np.select([number % 10 == 9, number % 7 == 6], ["rRNA", "lincRNA"], "protein_coding")
    table = pd.DataFrame(
        {
            "id": genes.gene_id,
            "symbol": genes.gene_id,
            "seqnames": genes.chrom,
            "strand": "+",
            "TSS": number + 1,
            "CAGE_representative_TSS": number + 1,
            "type": kind,
        }
    )
    table.to_csv(path, index=False)
