"""From keys to rows: two sorted lists, of which the small one takes the additions of each frame."""

from __future__ import annotations

import torch

# The small list is merged into the large one if it is longer than this number and this fraction of it.
_LEAST_MERGED = 1 << 15
_FRACTION = 8


class KeyIndex:
    """An index of int64 keys. Additions cost time in proportion to their number, averaged over many."""

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
        rows = torch.full(keys.shape, -1, dtype=torch.int64, device=self._device)
        for known, of in (self._large, self._small):
            if len(known):
                place = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
                rows = torch.where(known[place] == keys, of[place].to(torch.int64), rows)
        return rows

    def find_runs(self, keys: torch.Tensor, length: int) -> torch.Tensor:
        """(N, length) int64 rows of each key and its `length` - 1 successors key + 1, ...; -1 for unknown keys."""
        rows = torch.full((len(keys), length), -1, dtype=torch.int64, device=self._device)
        for known, of in (self._large, self._small):
            if not len(known):
                continue
            # Keys in between may be missing, so the successors are within the next `length` places.
            place = torch.searchsorted(known, keys)
            for step in range(length):
                at = (place + step).clamp(max=len(known) - 1)
                offset = known[at] - keys
                hit = ((offset >= 0) & (offset < length)).nonzero()[:, 0]
                rows[hit, offset[hit]] = of[at[hit]].to(torch.int64)
        return rows

    def add(self, keys: torch.Tensor, first_row: int) -> None:
        """Adds ascending keys that are not known; their rows are `first_row`, `first_row` + 1, ..."""
        rows = torch.arange(first_row, first_row + len(keys), dtype=torch.int32, device=self._device)
        self._small = _merged(self._small, (keys, rows))
        if len(self._small[0]) > max(_LEAST_MERGED, len(self._large[0]) // _FRACTION):
            self._large, self._small = _merged(self._large, self._small), self._empty()

    def keep(self, chosen: torch.Tensor) -> None:
        """Removes the keys of all rows that a bool mask does not choose, and numbers the others again, in order."""
        number = torch.cumsum(chosen, 0, dtype=torch.int32) - 1
        parts = []
        for keys, rows in (self._large, self._small):
            at = rows.to(torch.int64)
            stays = chosen[at]
            parts.append((keys[stays], number[at[stays]].to(torch.int32)))
        self._large, self._small = parts


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
