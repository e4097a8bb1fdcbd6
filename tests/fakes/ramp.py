"""Test bytes: a ramp modulo 251, so that a wrong offset shows. 251 is prime to every page and block size."""

PERIOD = 251
_TABLE = bytes(range(PERIOD)) * (4 * 1024 * 1024 // PERIOD + 2)
_VIEW = memoryview(_TABLE)
_MOST = len(_TABLE) - PERIOD


def ramp(start: int, end: int, shift: int = 0) -> bytes:
    """Returns the bytes [start, end) of the ramp; objects with different `shift` differ at every offset."""
    if end - start <= _MOST:
        return bytes(ramp_view(start, end, shift))
    return b"".join(bytes(ramp_view(at, min(at + _MOST, end), shift)) for at in range(start, end, _MOST))


def ramp_view(start: int, end: int, shift: int = 0) -> memoryview:
    """As `ramp`, without a copy; at most 4 MiB at once."""
    if end - start > _MOST:
        raise ValueError(f"{end - start} bytes at once are more than {_MOST}: ask for pieces")
    at = (start + shift) % PERIOD
    return _VIEW[at : at + end - start]


def is_ramp(data: bytes | bytearray | memoryview, start: int, shift: int = 0) -> bool:
    """Whether `data` is what the ramp holds from `start` on."""
    if isinstance(data, bytes) and len(data) <= _MOST:
        return _TABLE.startswith(data, (start + shift) % PERIOD)
    view = memoryview(data)
    return all(is_ramp(bytes(view[at : at + _MOST]), start + at, shift) for at in range(0, len(view), _MOST))
