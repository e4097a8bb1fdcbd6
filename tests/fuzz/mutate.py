"""Bytes changed at random, from a seed: what the fuzzers do, without looking at what it covers."""

import random

_PIECES = [
    *(b"\r\n", b"\n", b"\0", b"%", b"%00", b"%2e%2e", b"\xff", b"\xed\xa0\x80", b" ", b"\t", b":", b"&", b"*", b"-"),
    *(b"9" * 30, b"A" * 300, b"<", b"{", b"[", b"\xf0\x9f\x98\x80"),
]


def mutated(draw: random.Random, data: bytes, times: int = 3) -> bytes:
    """Returns `data` with up to `times` pieces cut, doubled, put in or changed."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, times)):
        at = draw.randint(0, len(changed))
        end = min(len(changed), at + draw.choice([1, 1, 2, 8, 64]))
        match draw.randrange(5):
            case 0:
                del changed[at:end]
            case 1:
                changed[at:at] = changed[at:end] * draw.choice([1, 1, 2, 40])
            case 2:
                changed[at:at] = draw.choice(_PIECES)
            case 3 if end > at:
                changed[at] = draw.randrange(256)
            case _:
                changed[at:end] = draw.choice(_PIECES)
    return bytes(changed)
