"""Check cisweave on real data and print the figures as one line of JSON.

The folder with the data is named by CISWEAVE_REAL_DATA; where it is unset or absent every figure is null, with the
reason, and the exit status is 0. Exit status 1 means that a figure is not what it must be.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.real.checks import CHECKS, run_checks


def main() -> int:
    """Run the checks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="check", help=f"which checks: {', '.join(CHECKS)} (default: all)")
    names = parser.parse_args().checks or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        parser.error(f"there is no check {unknown[0]}; there are {', '.join(CHECKS)}")
    logging.getLogger("cisweave").setLevel(logging.ERROR)
    figures, right = run_checks(names)
    print(json.dumps(figures))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
