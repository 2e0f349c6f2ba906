"""The front door: variants, liftover, closest TSS, sequences and the reject ledger."""
