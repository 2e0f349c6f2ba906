"""Motifs: the one MEME reader and writer, JASPAR, and motif databases ready for annotation."""

from cisweave.motifs.jaspar import jaspar_motifs
from cisweave.motifs.meme import MemeFile, read_meme, read_meme_file, write_meme
from cisweave.motifs.motif import Motif
from cisweave.motifs.prepare import database_motifs, prepare_database

__all__ = [
    "MemeFile",
    "Motif",
    "database_motifs",
    "jaspar_motifs",
    "prepare_database",
    "read_meme",
    "read_meme_file",
    "write_meme",
]
