"""Valid files, changed: bits flipped, pieces cut, doubled or moved, numbers in headers made huge."""

import random
import re

from hypothesis import strategies as st

NUMBER = re.compile(rb"\d+")
HUGE = (b"0", b"1", b"-1", b"7", b"255", b"65536", b"999999999", b"4294967295", b"99999999999999", b"9" * 30)
WORDS = re.compile(rb"[A-Za-z_]{2,}")


def mutate(data: bytes, seed: int) -> bytes:
    """The data with one to four changes; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(CHANGES)(bytearray(data), rng)
    return bytes(data)


def _flip(data, rng):
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _overwrite(data, rng):
    if data:
        at = rng.randrange(len(data))
        data[at : at + 4] = rng.choice((b"\x00" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", rng.randbytes(4)))
    return data


def _cut(data, rng):
    return data[: rng.randrange(len(data) + 1)]


def _remove(data, rng):
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.randint(1, 16)]
    return data


def _double(data, rng):
    at = rng.randrange(len(data) + 1)
    piece = data[at : at + rng.randint(1, 64)]
    return data[:at] + piece + data[at:]


def _insert(data, rng):
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:]


def _number(data, rng):
    return _replaced(data, rng, NUMBER, lambda: rng.choice(HUGE))


def _word(data, rng):
    words = WORDS.findall(bytes(data[:600])) or [b"x"]
    return _replaced(data, rng, WORDS, lambda: rng.choice(words))


def _replaced(data, rng, pattern, new):
    """One of the matches in the first bytes, where headers are, replaced."""
    found = list(pattern.finditer(bytes(data[:600])))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + new() + data[match.end() :]


CHANGES = (_flip, _overwrite, _cut, _remove, _double, _insert, _number, _number, _word)


def changed(valid: dict[str, bytes]) -> st.SearchStrategy:
    """Names and contents: valid files as they are, changed ones, and noise."""
    as_it_is = st.sampled_from(sorted(valid)).map(lambda name: (name, valid[name], True))
    mutated = st.tuples(st.sampled_from(sorted(valid)), st.integers(0, 2**63)).map(
        lambda case: (case[0], mutate(valid[case[0]], case[1]), False)
    )
    noise = st.tuples(st.sampled_from(sorted(valid)), st.binary(max_size=300)).map(lambda case: (*case, False))
    return st.one_of(mutated, mutated, mutated, mutated, as_it_is, noise)
