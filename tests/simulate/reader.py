"""Reads a built-in world from its files alone, with plain code of its own."""

from __future__ import annotations

import json
import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

COMPLEMENT = str.maketrans("ACGTacgtN", "TGCAtgcaN")
FLOOR, SLOPE = 0.01, 2.0


def revcomp(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


class World:
    def __init__(self, folder: Path):
        self.folder = folder

    def table(self, path: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / path, sep="\t", keep_default_na=False)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "manifest.json").read_text()))

    def fasta(self, name: str) -> dict[str, str]:
        with pysam.FastaFile(str(self.folder / "genome" / name)) as handle:
            return {contig: handle.fetch(contig) for contig in handle.references}

    @cached_property
    def sim19(self) -> dict[str, str]:
        return self.fasta("sim19.fa")

    @cached_property
    def sim38(self) -> dict[str, str]:
        return self.fasta("sim38.fa")

    @cached_property
    def tss(self) -> pd.DataFrame:
        columns = ["chrom", "start", "end", "strand", "gene_id"]
        return pd.read_csv(self.folder / "annotation/tss.bed", sep="\t", header=None, names=columns)

    @cached_property
    def gtf(self) -> pd.DataFrame:
        columns = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
        frame = pd.read_csv(
            self.folder / "annotation/genes.gtf",
            sep="\t",
            comment="#",
            header=None,
            names=columns,
            dtype={"frame": str},
        )
        for key in ("gene_id", "transcript_id", "transcript_biotype", "exon_number"):
            found = [re.search(rf'{key} "([^"]*)"', text) for text in frame["attributes"]]
            frame[key] = [match.group(1) if match else "" for match in found]
        return frame

    @cached_property
    def vcf(self) -> list[tuple[str, int, str, list[str]]]:
        lines = (self.folder / "variants/variants.vcf").read_text().splitlines()
        rows = [line.split("\t") for line in lines if not line.startswith("#")]
        return [(row[0], int(row[1]), row[3], row[4].split(",")) for row in rows]

    @cached_property
    def effects(self) -> pd.DataFrame:
        return self.table("truth/effects.tsv")

    @cached_property
    def contexts(self) -> list[str]:
        return list(self.effects.columns[11:])

    @cached_property
    def motifs(self) -> list[tuple[str, np.ndarray, float]]:
        """Name, log-odds (4, width; bits) and threshold of each planted motif."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pyjaspar import jaspardb

            database = jaspardb(release="JASPAR2024")
            found = []
            for row in self.table("truth/motifs.tsv").itertuples():
                motif = database.fetch_motif_by_id(row.matrix_id)
                counts = np.array([motif.counts[base] for base in "ACGT"], dtype=float)
                counts = counts + 0.01 * counts.sum(axis=0)
                found.append((row.tf, np.log2(counts / counts.sum(axis=0) * 4), float(row.threshold)))
        return found

    def splice(self, sequence: str, exons: pd.DataFrame) -> str:
        ordered = exons.sort_values("start")
        text = "".join(sequence[row.start - 1 : row.end] for row in ordered.itertuples()).upper()
        return text if exons["strand"].iloc[0] == "+" else revcomp(text)


def plain_scan(sequence: str, motifs: list[tuple[str, np.ndarray, float]]) -> pd.DataFrame:
    """Every occupied position, found column by column in double precision."""
    codes = np.array(["ACGT".find(base) for base in sequence.upper()])
    frames = []
    for tf, log_odds, threshold in motifs:
        width = log_odds.shape[1]
        scores = []
        for matrix in (log_odds, log_odds[::-1, ::-1]):
            extended = np.vstack([matrix, np.full(width, -100.0)])
            length = len(codes) - width + 1
            scores.append(sum(extended[codes[column : column + length], column] for column in range(width)))
        best = np.maximum(*scores)
        value = 1 / (1 + np.exp(-SLOPE * np.clip(best - threshold, -50, None)))
        where = np.flatnonzero(value >= FLOOR)
        frames.append(
            pd.DataFrame(
                {
                    "start": where,
                    "tf": tf,
                    "width": width,
                    "strand": np.where(scores[0][where] >= scores[1][where], "+", "-"),
                    "tie": np.abs(scores[0][where] - scores[1][where]) < 1e-3,
                    "score": best[where],
                    "occupancy": value[where],
                }
            )
        )
    return pd.concat(frames, ignore_index=True).sort_values(["start", "tf"], ignore_index=True)


def plain_expression(sites: pd.DataFrame, tss: float, weights: pd.DataFrame, contexts: list[str]) -> np.ndarray:
    """Natural-log expression at a 0-based TSS, site by site."""
    distance = (sites["start"] + (sites["width"] - 1) / 2 - tss).abs()
    decayed = sites["occupancy"] * np.exp(-distance / 2000) * (distance <= 20_000)
    table = weights.set_index("tf")[contexts]
    total = table.loc["baseline"].to_numpy(dtype=float)
    for tf, value in decayed.groupby(sites["tf"]).sum().items():
        total = total + value * table.loc[tf].to_numpy(dtype=float)
    return total
