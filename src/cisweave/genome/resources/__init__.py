"""Public files a run on real genomes needs: a catalogue, verified downloads, safe unpacking."""
