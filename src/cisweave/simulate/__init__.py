"""The built-in world: genome, chromatin, expression and variants from planted motifs, with the truth kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cisweave.simulate.world import Manifest, build_world

__all__ = ["Manifest", "build_world"]


def __getattr__(name: str) -> Any:
    """Load the heavy part on first use, so that ``cisweave.simulate.layout`` stays light."""
    if name in __all__:
        from cisweave.simulate import world

        return getattr(world, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
