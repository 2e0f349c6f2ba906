"""Why an allele is not scored: the codes of the reject ledger, which do not change between versions."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A code of the reject ledger."""

    MALFORMED_RECORD = "malformed_record"
    BAD_POSITION = "bad_position"
    MISSING_ALT = "missing_alt"
    SPANNING_DELETION = "spanning_deletion"
    SYMBOLIC_ALLELE = "symbolic_allele"
    BREAKEND = "breakend"
    INVALID_ALLELE = "invalid_allele"
    REF_EQUALS_ALT = "ref_equals_alt"
    UNKNOWN_CONTIG = "unknown_contig"
    ALLELE_TOO_LONG = "allele_too_long"
    OUT_OF_CONTIG = "out_of_contig"
    REF_MISMATCH = "ref_mismatch"
    DUPLICATE = "duplicate"
    LIFT_UNMAPPED = "lift_unmapped"
    LIFT_MULTIPLE = "lift_multiple"
    LIFT_SPLIT = "lift_split"
    LIFT_UNKNOWN_CONTIG = "lift_unknown_contig"
    LIFT_REF_MISMATCH = "lift_ref_mismatch"
    LIFT_SWAPPED = "lift_swapped"
    LIFT_REPEAT = "lift_repeat"
    LIFT_DUPLICATE = "lift_duplicate"
    LIFT_PARTIAL = "lift_partial"
    NO_TSS = "no_tss"
    TOO_FAR_FROM_TSS = "too_far_from_tss"
    NO_PAIR = "no_pair"
    UNKNOWN_GENE = "unknown_gene"
    OTHER_CONTIG = "other_contig"
    UNKNOWN_BASE = "unknown_base"
    WINDOW_OFF_CONTIG = "window_off_contig"
    ALLELE_OUTSIDE_WINDOW = "allele_outside_window"
    NO_SUMMIT = "no_summit"
    NO_EXON = "no_exon"
    EXONS_APART = "exons_apart"
    EXONS_OVERLAP = "exons_overlap"
    NO_STRAND = "no_strand"
    EXON_OFF_CONTIG = "exon_off_contig"
    START_OUTSIDE_EXONS = "start_outside_exons"
    NO_TSS_PROFILE = "no_tss_profile"
    ALLELE_EXCEEDS_WINDOW = "allele_exceeds_window"
    OVERLAPPING_ALLELES = "overlapping_alleles"
    UNPHASED = "unphased"
    NO_PROMOTER = "no_promoter"
    TSS_LOST = "tss_lost"
    MISSING_INPUTS = "missing_inputs"

    @property
    def explanation(self) -> str:
        """One line for people."""
        return EXPLANATIONS[self]


EXPLANATIONS: dict[Reason, str] = {
    Reason.MALFORMED_RECORD: "The line lacks fields, has an empty one or one that cannot be, or control characters.",
    Reason.BAD_POSITION: "The position is no whole number from 1 upwards (in a BED: from 0, the end behind the start).",
    Reason.MISSING_ALT: "ALT is empty or '.': the record names no other allele.",
    Reason.SPANNING_DELETION: "ALT is '*': the base is deleted by a variant that starts before it.",
    Reason.SYMBOLIC_ALLELE: "ALT is symbolic (in angle brackets): it names a class of variants, not its bases.",
    Reason.BREAKEND: "ALT is a breakend: it joins two places of the genome.",
    Reason.INVALID_ALLELE: "REF or ALT holds something other than the letters A, C, G and T.",
    Reason.REF_EQUALS_ALT: "REF and ALT are the same bases.",
    Reason.UNKNOWN_CONTIG: "The FASTA has no contig of this name or of one of its aliases.",
    Reason.ALLELE_TOO_LONG: "REF or ALT, without the bases they share at their ends, is longer than max_allele_length.",
    Reason.OUT_OF_CONTIG: "REF reaches past the end of the contig.",
    Reason.REF_MISMATCH: "REF is not what the genome holds there.",
    Reason.DUPLICATE: "The same allele came earlier in the file.",
    Reason.LIFT_UNMAPPED: "No base of REF has a place in the target assembly.",
    Reason.LIFT_MULTIPLE: "A base of REF has several places in the target assembly.",
    Reason.LIFT_SPLIT: "The bases of REF do not stay side by side in the target assembly.",
    Reason.LIFT_UNKNOWN_CONTIG: "The chain leads to a contig that the target FASTA lacks.",
    Reason.LIFT_REF_MISMATCH: "REF is not what the target assembly holds at the lifted place.",
    Reason.LIFT_SWAPPED: "The target assembly holds ALT, and the setting swapped is reject.",
    Reason.LIFT_REPEAT: "The indel stands in a repeat that the chain does not align throughout.",
    Reason.LIFT_DUPLICATE: "Another allele was lifted to the same place and bases before.",
    Reason.LIFT_PARTIAL: "Too little of the interval, or not its ends, has a place in the target assembly.",
    Reason.NO_TSS: "There is no TSS on the contig of the variant.",
    Reason.TOO_FAR_FROM_TSS: "The TSS is farther away than the setting allows (max_distance, pair_max_distance).",
    Reason.NO_PAIR: "The table of pairs has no row for the variant.",
    Reason.UNKNOWN_GENE: "The file of genes has none of the genes that are paired with the variant.",
    Reason.OTHER_CONTIG: "The genes that are paired with the variant lie on other contigs.",
    Reason.UNKNOWN_BASE: "The window or transcript holds N or another letter than A, C, G and T.",
    Reason.WINDOW_OFF_CONTIG: "The window leaves its contig.",
    Reason.ALLELE_OUTSIDE_WINDOW: "The allele does not lie whole inside its window, or loses more than 100 bases.",
    Reason.NO_SUMMIT: "The peak has no summit within it in column 10.",
    Reason.NO_EXON: "The transcript has no exon.",
    Reason.EXONS_APART: "The exons of the transcript lie on two contigs or strands.",
    Reason.EXONS_OVERLAP: "Two exons of the transcript overlap.",
    Reason.NO_STRAND: "The transcript has no strand.",
    Reason.EXON_OFF_CONTIG: "An exon reaches past the end of the contig.",
    Reason.START_OUTSIDE_EXONS: "The start codon or the coding sequence does not lie within the exons.",
    Reason.NO_TSS_PROFILE: "The store of chromatin profiles has none for the gene.",
    Reason.ALLELE_EXCEEDS_WINDOW: "The allele does not lie whole inside every window, or loses more than 100 bases.",
    Reason.OVERLAPPING_ALLELES: "The allele overlaps another one on the same haplotype.",
    Reason.UNPHASED: "The genotype is heterozygous and not phased.",
    Reason.NO_PROMOTER: "The allele lies in the promoter window of no gene (that is paired with it).",
    Reason.TSS_LOST: "The allele removes the TSS, or changes the length of bases that hold it.",
    Reason.MISSING_INPUTS: "The gene lacks half-life features, factors or microRNAs that the model reads.",
}
