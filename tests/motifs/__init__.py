"""Motifs."""
