"""Seqlets: from attributions of a sequence model to named motifs, and the motif each variant breaks or makes."""
