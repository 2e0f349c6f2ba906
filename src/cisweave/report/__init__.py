"""The report: the truth check of the built-in world, sharp probes, and one self-contained page."""
