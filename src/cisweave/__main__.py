"""Run the command line with ``python -m cisweave``."""

from cisweave.cli import main

if __name__ == "__main__":
    main()
