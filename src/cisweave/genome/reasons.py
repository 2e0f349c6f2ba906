"""Why an allele is not scored: the codes of the reject ledger, which do not change between versions."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A code of the reject ledger."""

    MALFORMED_RECORD = "malformed_record"
    BAD_POSITION = "bad_position"
    UNKNOWN_CONTIG = "unknown_contig"
    MISSING_ALT = "missing_alt"
    SPANNING_DELETION = "spanning_deletion"
    SYMBOLIC_ALLELE = "symbolic_allele"
    BREAKEND = "breakend"
    INVALID_ALLELE = "invalid_allele"
    REF_EQUALS_ALT = "ref_equals_alt"
    ALLELE_TOO_LONG = "allele_too_long"
    OUT_OF_CONTIG = "out_of_contig"
    REF_MISMATCH = "ref_mismatch"
    DUPLICATE = "duplicate"
    LIFT_UNMAPPED = "lift_unmapped"
    LIFT_MULTIPLE = "lift_multiple"
    LIFT_SPLIT = "lift_split"
    LIFT_UNKNOWN_CONTIG = "lift_unknown_contig"
    LIFT_REF_MISMATCH = "lift_ref_mismatch"
    NO_TSS = "no_tss"
    TOO_FAR_FROM_TSS = "too_far_from_tss"

    @property
    def explanation(self) -> str:
        """One line for people."""
        return EXPLANATIONS[self]


EXPLANATIONS: dict[Reason, str] = {
    Reason.MALFORMED_RECORD: "The line has fewer than five tab-separated fields, an empty one or control characters.",
    Reason.BAD_POSITION: "POS is not a whole number from 1 upwards.",
    Reason.UNKNOWN_CONTIG: "The FASTA has no contig of this name, with or without the prefix 'chr'.",
    Reason.MISSING_ALT: "ALT is empty or '.': the record names no other allele.",
    Reason.SPANNING_DELETION: "ALT is '*': the base is deleted by a variant that starts before it.",
    Reason.SYMBOLIC_ALLELE: "ALT is symbolic (in angle brackets): it names a class of variants, not its bases.",
    Reason.BREAKEND: "ALT is a breakend: it joins two places of the genome.",
    Reason.INVALID_ALLELE: "REF or ALT holds something other than the letters A, C, G and T.",
    Reason.REF_EQUALS_ALT: "REF and ALT are the same bases.",
    Reason.ALLELE_TOO_LONG: "REF or ALT is longer than max_allele_length.",
    Reason.OUT_OF_CONTIG: "REF reaches past the end of the contig.",
    Reason.REF_MISMATCH: "REF is not what the genome holds there.",
    Reason.DUPLICATE: "The same allele came earlier in the file.",
    Reason.LIFT_UNMAPPED: "No base of REF has a place in the target assembly.",
    Reason.LIFT_MULTIPLE: "A base of REF has several places in the target assembly.",
    Reason.LIFT_SPLIT: "The bases of REF do not stay side by side in the target assembly.",
    Reason.LIFT_UNKNOWN_CONTIG: "The chain leads to a contig that the target FASTA lacks.",
    Reason.LIFT_REF_MISMATCH: "REF is not what the target assembly holds at the lifted place.",
    Reason.NO_TSS: "There is no TSS on the contig of the variant.",
    Reason.TOO_FAR_FROM_TSS: "The closest TSS is farther away than max_distance.",
}
