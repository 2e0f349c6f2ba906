"""Seal: chromatin, spatial features and transfer-learned expression; effects of variants on both."""
