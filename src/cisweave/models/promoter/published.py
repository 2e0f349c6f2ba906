"""Test r² (squared Pearson correlation) that the authors of promoter models reported, for comparison.

Means of ten runs with their 95 % t-intervals where an interval is given, else one run: of Pipoli et al. a stored one,
of Agarwal and Shendure the best of ten by its validation genes. All are of human median expression.
"""

from __future__ import annotations

from dataclasses import dataclass

TORINO = "Pipoli et al. 2022, doi 10.1016/j.cmpb.2022.107035"
TORINO_RUN = "Pipoli et al. 2022, stored run"
XPRESSO = "Agarwal and Shendure 2020, doi 10.1016/j.celrep.2020.107663"


@dataclass(frozen=True)
class PublishedResult:
    """One published figure.

    Attributes
    ----------
    data
        Inputs, and genes where they are not those of the Xpresso split.
    r2
        Squared Pearson correlation on the test genes.
    low, high
        Its 95 % interval over runs, where there is one.
    source
        Who reported it.
    """

    data: str
    r2: float
    low: float | None
    high: float | None
    source: str


def torino(data: str, r2: float, low: float, high: float) -> PublishedResult:
    """A mean of ten runs."""
    return PublishedResult(data, r2, low, high, TORINO)


def single(data: str, r2: float, source: str = TORINO_RUN) -> PublishedResult:
    """A figure without an interval."""
    return PublishedResult(data, r2, None, None, source)


PH, P, PHT = "promoter, half-life", "promoter", "promoter, half-life, TF"
MIRNA_GENES = "genes of the microRNA split"
TF_GENES = "genes of the TF split"

RESULTS: dict[str, tuple[PublishedResult, ...]] = {
    "cnn/Xpresso": (
        torino(PH, 0.5668, 0.5593, 0.5743),
        torino(f"{PH}; {MIRNA_GENES}", 0.5508, 0.5401, 0.5615),
        single(PH, 0.590, XPRESSO),
    ),
    "cnn/Xpresso_nohalf": (torino(P, 0.5306, 0.5256, 0.5356), single(P, 0.504, XPRESSO)),
    "cnn/Xpresso_TF": (torino(f"{PHT}; {TF_GENES}", 0.7448, 0.7422, 0.7474),),
    "cnn/Xpresso_micro": (
        torino(f"{PH}, microRNA; {MIRNA_GENES}", 0.4267, 0.4161, 0.4373),
        torino(f"{PH}, 100 components of microRNA; {MIRNA_GENES}", 0.5527, 0.5468, 0.5586),
    ),
    "cnn/Xpresso_ort": (single(PH, 0.000),),
    "divide/DivideEtImpera": (torino(PH, 0.5819, 0.5804, 0.5834),),
    "divide/DivideEtImpera_TF": (torino(f"{PHT}; {TF_GENES}", 0.7587, 0.7571, 0.7603),),
    "divide/DivideEtImpera_onlyPromo": (torino(P, 0.5340, 0.5286, 0.5394),),
    "lstm/classic": (torino(PH, 0.6058, 0.6029, 0.6087),),
    "lstm/tf": (torino(f"{PHT}; {TF_GENES}", 0.7552, 0.7528, 0.7576),),
    "lstm/only_promoter": (torino(P, 0.5795, 0.5738, 0.5852),),
    "tfnet/TF": (torino("TF; an older, smaller set of genes", 0.6695, 0.6624, 0.6766),),
    "deeplncloc/DeepLncLoc": (torino(PH, 0.6100, 0.6080, 0.6120),),
    "deeplncloc/DeepLncLoc_TF": (torino(f"{PHT}; {TF_GENES}", 0.7601, 0.7558, 0.7644),),
    "deeplncloc/DeepLncLoc_onlyPromo": (torino(f"{P}; {TF_GENES}", 0.5958, 0.5880, 0.6036),),
    "token/best": (torino(PH, 0.6028, 0.5998, 0.6058),),
    "token/TF": (single(f"{PHT}; {TF_GENES}", 0.744),),
    "token/onlyPromo": (single(P, 0.564),),
    "token/Original": (torino(PH, 0.4700, 0.4607, 0.4793),),
}
"""By type of the zoo; the first is the one to compare with."""

KMERS = "half-life and k-mers, linear"
BASELINE_RESULTS: dict[str, tuple[PublishedResult, ...]] = {
    "halflife": (single("half-life, linear", 0.170, XPRESSO),),
    "kmer1+halflife": (single(KMERS, 0.273, XPRESSO),),
    "kmer2+halflife": (single(KMERS, 0.381, XPRESSO),),
    "kmer3+halflife": (single(KMERS, 0.433, XPRESSO),),
    "kmer4+halflife": (single(KMERS, 0.468, XPRESSO),),
    "kmer5+halflife": (single(KMERS, 0.470, XPRESSO),),
}
"""By name of the linear model."""
