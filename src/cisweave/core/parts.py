"""One of several jobs that share a piece of work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cisweave.core.errors import CisweaveError, shorten

PART = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Part:
    """The ``number``-th (from 1) of ``of`` parts; written ``3/8``.

    Raises
    ------
    CisweaveError
        If there is no such part.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise CisweaveError(f"part {self} does not exist; write 1/{self.of} to {self.of}/{self.of}")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that ``text`` names, such as ``3/8``."""
        found = PART.fullmatch(text.strip())
        if not found:
            raise CisweaveError(f"{shorten(text)} is not a part; write the number, a slash and how many, such as 3/8")
        return cls(int(found[1]), int(found[2]))

    def rows(self, total: int) -> slice:
        """The rows of this part: a stretch of ``total``.

        All parts together are all rows; their lengths differ by one at most.
        """
        return slice((self.number - 1) * total // self.of, self.number * total // self.of)
