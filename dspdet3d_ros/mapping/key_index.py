"""From keys to rows: two sorted lists, of which the small one takes the additions of each frame."""

from __future__ import annotations

import torch

# The small list is merged into the large one if it is longer than this number and this fraction of it.
_LEAST_MERGED = 1 << 15
_FRACTION = 8


class KeyIndex:
    """An index of int64 keys. Additions cost time in proportion to their number, averaged over many.

    A key that is removed stays in its list with the row -1 until lists are merged.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._large, self._small = self._empty(), self._empty()

    def _empty(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.empty(0, dtype=torch.int64, device=self._device), torch.empty(
            0, dtype=torch.int32, device=self._device
        )

    @property
    def memory_bytes(self) -> int:
        """Memory that the index occupies."""
        return sum(part.nbytes for part in (*self._large, *self._small))

    def find(self, keys: torch.Tensor) -> torch.Tensor:
        """(N,) int64 row of each key, -1 for unknown keys. Sorted keys are found fastest."""
        rows = _find(*self._large, keys)
        missing = (rows < 0).nonzero()[:, 0]
        return rows.index_copy_(0, missing, _find(*self._small, keys.index_select(0, missing)))

    def find_runs(self, keys: torch.Tensor, length: int) -> torch.Tensor:
        """(length, N) int64 rows of each key and its `length` - 1 successors key + 1, ...; -1 for unknown keys."""
        rows = torch.full((length * len(keys),), -1, dtype=torch.int64, device=self._device)
        number = torch.arange(len(keys), device=self._device)
        for known, of in (self._large, self._small):
            if not len(known):
                continue
            # Keys in between may be missing, so the successors are within the next `length` places.
            place = torch.searchsorted(known, keys)
            for step in range(length):
                at = (place + step).clamp_(max=len(known) - 1)
                offset = known.index_select(0, at) - keys
                hit = ((offset >= 0) & (offset < length)).nonzero()[:, 0]
                to = offset.index_select(0, hit) * len(keys) + number.index_select(0, hit)
                rows.index_copy_(0, to, of.index_select(0, at.index_select(0, hit)).to(torch.int64))
        return rows.reshape(length, -1)

    def add(self, keys: torch.Tensor, first_row: int) -> None:
        """Adds ascending keys that are not known; their rows are `first_row`, `first_row` + 1, ..."""
        rows = torch.arange(first_row, first_row + len(keys), dtype=torch.int32, device=self._device)
        self._small = _merged(_present(self._small), (keys, rows))
        if len(self._small[0]) > max(_LEAST_MERGED, len(self._large[0]) // _FRACTION):
            self._large, self._small = _merged(_present(self._large), self._small), self._empty()

    def change(self, keys: torch.Tensor, rows: torch.Tensor) -> None:
        """Gives known keys other rows; -1 removes a key. Costs time in proportion to the number of keys."""
        for known, of in (self._large, self._small):
            if len(known):
                place = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
                # A key may be in the large list without a row, and in the small one with its row.
                here = ((known.index_select(0, place) == keys) & (of.index_select(0, place) >= 0)).nonzero()[:, 0]
                of.index_copy_(0, place.index_select(0, here), rows.index_select(0, here).to(torch.int32))

    def keep(self, chosen: torch.Tensor) -> None:
        """Removes the keys of all rows that a bool mask does not choose, and numbers the others again, in order."""
        number = torch.cumsum(chosen, 0, dtype=torch.int32) - 1
        parts = []
        for keys, rows in map(_present, (self._large, self._small)):
            stays = chosen.index_select(0, rows).nonzero()[:, 0]
            parts.append((keys.index_select(0, stays), number.index_select(0, rows.index_select(0, stays))))
        self._large, self._small = parts


def _present(part: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """A list without the keys that have no row any more."""
    keys, rows = part
    there = (rows >= 0).nonzero()[:, 0]
    return part if len(there) == len(keys) else (keys.index_select(0, there), rows.index_select(0, there))


def _find(known: torch.Tensor, of: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """(N,) int64 row of each key in a sorted list, -1 for unknown keys."""
    if not len(known):
        return torch.full_like(keys, -1)
    place = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
    hit = (known.index_select(0, place) == keys).to(torch.int64)
    # The row where the key is the same, else -1.
    return (of.index_select(0, place) + 1) * hit - 1


def _merged(
    one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sorted lists without a common key as one: each key moves by the number of smaller ones in the other list."""
    if not len(one[0]):
        return other
    size = len(one[0]) + len(other[0])
    place = torch.searchsorted(one[0], other[0]) + torch.arange(len(other[0]), device=other[0].device)
    from_one = torch.ones(size, dtype=torch.bool, device=place.device)
    from_one[place] = False
    parts = []
    for a, b in zip(one, other, strict=True):
        merged = torch.empty(size, dtype=a.dtype, device=a.device)
        merged[from_one] = a
        merged[place] = b
        parts.append(merged)
    return parts[0], parts[1]
