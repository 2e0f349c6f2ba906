"""Checks of the genome room, for its tests and for ``scripts/check_genome.py``."""
