"""The files of the published Seal: its weights, summaries, arrays and tables, read and written."""
