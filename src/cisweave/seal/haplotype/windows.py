"""Predicting windows of haplotypes: neighbours share the trunk, and no sequence is predicted twice.

Dimension legend
    batch - stretches of one length, bins - windows of a region, tracks - chromatin outputs, length - bases
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cisweave.core.logs import get_logger
from cisweave.models.beluga import POOL
from cisweave.seal.engine.geometry import Tiling
from cisweave.seal.engine.plain import PlainEngine
from cisweave.sequence.onehot import Codes, reverse_complement_tensor

if TYPE_CHECKING:
    import torch

    from cisweave.config import EngineSettings
    from cisweave.models.beluga import Beluga
    from cisweave.seal.engine.trunk import Trunk

logger = get_logger(__name__)

CACHE_BYTES = 1 << 27
"""Most bytes of predictions that are remembered."""
ACTIVATION_BYTES = {"cpu": 60 << 20, "cuda": 2 << 30}
"""Activations of the trunk that are held at once, unless one stretch needs more."""
DIGEST = 16

Rows = NDArray[np.floating]
"""float32, or float64 where the network is."""


class Stretch(NamedTuple):
    """Neighbouring windows to predict: their bases, and the key of each (``None``: known already, in between)."""

    codes: Codes
    keys: list[bytes | None]


class WindowPredictor:
    """Strand-averaged probabilities of windows cut out of regions, remembered by their bases.

    Many haplotypes are the same within a window; it is predicted once for all of them, as long as memory
    (:data:`CACHE_BYTES`) holds it.

    Parameters
    ----------
    step
        Bases between neighbouring windows of a region.
    trunk
        The network as the fast engine holds it; ``None``: window by window, in float32.
    """

    def __init__(
        self, network: Beluga, device: torch.device, settings: EngineSettings, step: int, trunk: Trunk | None = None
    ):
        self.network, self.device, self.settings, self.step = network, device, settings, step
        self.plain = PlainEngine(network, device)
        self.trunk = trunk if step % POOL == 0 else None
        if trunk is not None and self.trunk is None:
            logger.warning(
                "windows %d bases apart share nothing (no multiple of %d): one by one, in float32", step, POOL
            )
        self._known: OrderedDict[bytes, Rows] = OrderedDict()
        self._measured = self.trunk is None or self.trunk.layers.precision != "bfloat16"
        self.predicted = 0

    def rows(self, regions: Sequence[Codes], wanted: Sequence[NDArray[np.bool_]]) -> list[Rows]:
        """Probabilities (wanted windows, tracks) of each region, lowest coordinate first.

        Parameters
        ----------
        regions
            uint8 (length,) each.
        wanted
            (bins,) each: which windows to predict; window number n begins at base n * step.
        """
        keys = [self._keys(codes, mask) for codes, mask in zip(regions, wanted, strict=True)]
        found = {key: self._known[key] for named in keys for key in named.values() if key in self._known}
        self._predict(self._stretches(regions, keys, found), found)
        self._remember(found)
        tracks = self.network.tracks
        return [
            np.stack([found[key] for key in named.values()]) if named else np.empty((0, tracks), np.float32)
            for named in keys
        ]

    def _keys(self, codes: Codes, mask: NDArray[np.bool_]) -> dict[int, bytes]:
        """The key of each wanted window of a region."""
        return {
            number: hashlib.blake2b(self._window(codes, number).tobytes(), digest_size=DIGEST).digest()
            for number in np.flatnonzero(mask).tolist()
        }

    def _window(self, codes: Codes, number: int) -> Codes:
        """The bases of one window of a region."""
        return codes[number * self.step : number * self.step + self.network.window]

    def _stretches(
        self, regions: Sequence[Codes], keys: Sequence[dict[int, bytes]], found: dict[bytes, Rows]
    ) -> list[Stretch]:
        """What must be predicted: each unknown window once, neighbours together."""
        planned: set[bytes] = set(found)
        stretches = []
        for codes, named in zip(regions, keys, strict=True):
            new = {}
            for number, key in named.items():
                if key not in planned:
                    planned.add(key)
                    new[number] = key
            for first, last in runs(list(new), self._longest_gap()):
                end = last * self.step + self.network.window
                members = [new.get(number) for number in range(first, last + 1)]
                stretches.append(Stretch(codes[first * self.step : end], members))
        return stretches

    def _longest_gap(self) -> int:
        """Known windows between two unknown ones that cost less to predict again than a new stretch would."""
        return (self.network.window - 1) // self.step if self.trunk is not None else 0

    def _predict(self, stretches: Sequence[Stretch], found: dict[bytes, Rows]) -> None:
        """Predict stretches, those of one length together, into ``found``."""
        by_length: dict[int, list[Stretch]] = defaultdict(list)
        for stretch in stretches:
            by_length[len(stretch.keys)].append(stretch)
        for windows, same in by_length.items():
            size = max(1, self.settings.batch_size // windows)
            for start in range(0, len(same), size):
                batch = same[start : start + size]
                predicted = self._probabilities(np.stack([stretch.codes for stretch in batch]), windows)
                for stretch, rows in zip(batch, predicted, strict=True):
                    found.update((key, row.copy()) for key, row in zip(stretch.keys, rows, strict=True) if key)
                self.predicted += len(batch) * windows

    def _probabilities(self, codes: Codes, windows: int) -> Rows:
        """Strand-averaged probabilities (batch, windows, tracks) of stretches (batch, length)."""
        if self.trunk is None:
            return self._one_by_one(codes, windows)
        tiling = Tiling(self.network.window, self.step, windows)
        rows = max(1, ACTIVATION_BYTES[self.device.type] // self.trunk.layers.activation_bytes(tiling))
        parts = [tiled_probabilities(self.trunk, codes[at : at + rows], tiling) for at in range(0, len(codes), rows)]
        predicted = np.concatenate(parts)
        if not self._measured:
            self._measured = True
            worst = np.abs(predicted[:1] - self._one_by_one(codes[:1], windows)).max()
            logger.warning("precision bfloat16: probabilities of %d windows are off by up to %.1e", windows, worst)
        return predicted

    def _one_by_one(self, codes: Codes, windows: int) -> Rows:
        """The same, window by window."""
        each = np.stack([self._window(row, number) for row in codes for number in range(windows)])
        return self.plain.windows(each).reshape(len(codes), windows, -1)

    def _remember(self, found: dict[bytes, Rows]) -> None:
        """Keep what was used last, as much as memory holds."""
        most = max(1, CACHE_BYTES // (4 * self.network.tracks))
        for key, row in found.items():
            self._known[key] = row
            self._known.move_to_end(key)
        while len(self._known) > most:
            self._known.popitem(last=False)


def runs(numbers: Sequence[int], longest_gap: int) -> list[tuple[int, int]]:
    """First and last of the stretches of ascending numbers; gaps of up to ``longest_gap`` numbers are bridged."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number - found[-1][1] - 1 <= longest_gap:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def tiled_probabilities(trunk: Trunk, codes: Codes, tiling: Tiling) -> Rows:
    """Strand-averaged probabilities (batch, windows, tracks) of all windows of stretches (batch, length)."""
    import torch

    with torch.inference_mode(), trunk.layers.arithmetic():
        forward = torch.from_numpy(codes).to(trunk.layers.device)
        backward = reverse_complement_tensor(forward)
        both = (
            strand_probabilities(trunk, forward, tiling) + strand_probabilities(trunk, backward, tiling).flip(1)
        ) / 2
        probability: Rows = both.cpu().numpy()
    return probability


def strand_probabilities(trunk: Trunk, codes: torch.Tensor, tiling: Tiling) -> torch.Tensor:
    """Probabilities (batch, windows, tracks) of one strand: convolutions shared, then all windows in one product."""
    import torch

    last = trunk.activations(codes, tiling).conv6
    windows = torch.stack(
        [last[phase][:, start : start + tiling.positions] for _, phase, start in tiling.places()], dim=1
    )
    probability = trunk.probabilities(trunk.layers.windows_to_hidden(windows.flatten(0, 1)))
    return probability.view(*windows.shape[:2], -1)
