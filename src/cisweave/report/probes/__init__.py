"""Sharp probes: one for each defect that scores alone do not see."""

from cisweave.report.probes.alleles import effect_probe, locus_probe, reference_probe, window_probe
from cisweave.report.probes.attribution import attribution_probe
from cisweave.report.probes.channel import channel_probe
from cisweave.report.probes.leakage import FitExpression, SealFit, leakage_probe, split_probe
from cisweave.report.probes.position import position_probe, registration_probe
from cisweave.report.probes.stores import label_probe, profile_probe
from cisweave.report.probes.strand import decoy_probe, strand_probe
from cisweave.report.probes.subject import Factor, Probe, Subject, factors_of

PROBES = (
    "strand",
    "strand_decoy",
    "channels",
    "position",
    "registration",
    "labels",
    "profiles",
    "alleles",
    "allele_windows",
    "variant_effects",
    "loci",
    "attribution",
    "held_out",
    "leakage",
)
"""Names of all probes, in the order in which the truth check runs them; each must run."""

__all__ = [
    "PROBES",
    "Factor",
    "FitExpression",
    "Probe",
    "SealFit",
    "Subject",
    "attribution_probe",
    "channel_probe",
    "decoy_probe",
    "effect_probe",
    "factors_of",
    "label_probe",
    "leakage_probe",
    "locus_probe",
    "position_probe",
    "profile_probe",
    "reference_probe",
    "registration_probe",
    "split_probe",
    "strand_probe",
    "window_probe",
]
