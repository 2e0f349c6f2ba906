"""Networks from promoters, half-life, factors and microRNAs to expression."""
