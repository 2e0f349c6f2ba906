"""cisweave: from DNA sequence to expression, accessibility and translation, and back to the motifs that explain it."""

__version__ = "0.1.0"
