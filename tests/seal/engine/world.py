"""A small genome with everything that hurts, a small network, and the plain path in float64."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cisweave.models.beluga import Beluga
from tests.seal import plain

WINDOW = 600
SHIFTS = (-200, -100, 0, 100, 200)
COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")


def contigs():
    """Bases by contig: plain, with lower case and a run of N, and one shorter than a window."""
    rng = np.random.default_rng(7)
    plain_one, mixed, short = ("".join(rng.choice(list("ACGT"), size)) for size in (4000, 3000, 350))
    mixed = mixed[:1400] + mixed[1400:1500].lower() + "N" * 60 + mixed[1560:]
    return {"chr1": plain_one, "chr2": mixed, "chr3": short}


def write_genome(folder: Path) -> Path:
    """The FASTA of these contigs."""
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs().items()))
    return path


def network(window=WINDOW, double=True, seed=0):
    """A narrow Beluga whose probabilities and effects are large enough to compare."""
    torch.manual_seed(seed)
    made = Beluga(3, [4, 4, 6, 6, 8, 8], hidden=12, window=window).eval()
    return made.double() if double else made


def variants(rows):
    """A table of (chrom, pos, ref, alt)."""
    return pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"])


def take(chrom, pos, length):
    """Upper-case bases of the genome from a 1-based place on."""
    return contigs()[chrom][pos - 1 : pos - 1 + length].upper()


def other(base):
    """A base that this one is not."""
    return "C" if base != "C" else "G"


def snv(chrom, pos):
    """A substitution."""
    ref = take(chrom, pos, 1)
    return chrom, pos, ref, other(ref)


def expected(model, table, shifts=SHIFTS):
    """Probabilities (2, variants, shifts, tracks) of both alleles, string by string and window by window."""
    bases = {name: sequence.upper() for name, sequence in contigs().items()}
    return np.array(
        [
            [
                [
                    probability(
                        model, plain.window_string(bases[row.chrom], row.pos, row.ref, allele, shift, model.window)
                    )
                    for shift in shifts
                ]
                for row, allele in zip(table.itertuples(), table[column], strict=True)
            ]
            for column in ("ref", "alt")
        ]
    )


def probability(model, sequence):
    """Mean of both strands of one window."""
    dtype = next(model.parameters()).dtype
    sequence = sequence.upper()
    flipped = sequence.translate(COMPLEMENT)[::-1]
    with torch.no_grad():
        both = [torch.sigmoid(model(plain.one_hot(strand).to(dtype))) for strand in (sequence, flipped)]
    return ((both[0] + both[1]) / 2)[0].numpy()
