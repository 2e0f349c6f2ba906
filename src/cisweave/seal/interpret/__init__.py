"""Why a score is what it is: attribution to chromatin tracks, and to single bases."""
