"""The seqlets room."""
