"""Promoters, half-life, factors and microRNAs to expression: the zoo of models, comparable on one split."""
