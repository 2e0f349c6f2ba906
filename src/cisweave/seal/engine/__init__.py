"""Chromatin of both alleles of a variant in all shifted windows: the plain path and the fast exact engine."""

from cisweave.seal.engine.base import AllelePredictions, ChromatinEngine, make_engine

__all__ = ["AllelePredictions", "ChromatinEngine", "make_engine"]
