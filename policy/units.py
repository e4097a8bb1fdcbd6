"""Quantities as people write them, and back: rates, sizes, durations, fractions.

Decimal prefixes are powers of 1000, those with an i powers of 1024; b and bit are bits, B is bytes. A unit is never
guessed: what could mean two things is refused with what is accepted.
"""

import math
import re
from decimal import Decimal

from policy.errors import UnitError, shown

_NUMBER = r"(?P<number>\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?)"
_PREFIXED = r"(?P<prefix>[kKMGTPE]i?)?"
_RATE = re.compile(rf"{_NUMBER}\s*{_PREFIXED}(?P<unit>bit|b|B)(?:ps|/s)", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}\s*{_PREFIXED}B", re.ASCII)
_DURATION = re.compile(rf"{_NUMBER}\s*(?P<unit>us|ms|s|min|m|h|d|w)", re.ASCII)
_FRACTION = re.compile(rf"{_NUMBER}\s*%", re.ASCII)

_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_LARGEST_SIZE = 2**63 - 1  # what a file offset and a SQLite integer hold


def rate(text: object) -> float:
    """Returns bytes per second of `10Gbps`, `8 Gbit/s`, `200 MB/s`, `1GiB/s`.

    Raises:
        UnitError: It is not a rate with its unit.
    """
    found = _matched(_RATE, text, "a rate", "10Gbps, 8 Gbit/s, 100 MB/s or 1GiB/s")
    bits = Decimal(1) if found["unit"] == "B" else Decimal(8)
    return float(_scaled(found) / bits)


def size(text: object) -> int:
    """Returns bytes of `20TiB`, `400TB`, `64 KiB`, `512B`, or of a whole number of bytes.

    Raises:
        UnitError: It is not a size, or above 8 EiB.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        nbytes = text
    else:
        nbytes = int(_scaled(_matched(_SIZE, text, "a size", "20TiB, 400TB, 64 KiB or 512B")).to_integral_value())
    if nbytes > _LARGEST_SIZE:
        raise UnitError(f"{shown(text)} is too large a size: the largest is {_LARGEST_SIZE}B")
    return nbytes


def duration(text: object) -> float:
    """Returns seconds of `30d`, `1h`, `5 min`, `60s`, `10ms`.

    Raises:
        UnitError: It is not a duration with its unit.
    """
    found = _matched(_DURATION, text, "a duration", "30d, 1h, 5min, 60s or 10ms")
    return float(Decimal(found["number"]) * _SECONDS[found["unit"]])


def fraction(text: object) -> float:
    """Returns 0.1 of `10%`.

    Raises:
        UnitError: It is not a percentage from 0% to 100%.
    """
    part = Decimal(_matched(_FRACTION, text, "a percentage", "10% or 0.5%")["number"]) / 100
    if part > 1:
        raise UnitError(f"{shown(text)} is more than the whole; accepted are 0% to 100%")
    return float(part)


def show_size(nbytes: float) -> str:
    """Returns a size for people: `20 TiB`, `1.5 GiB`, `512 B`."""
    return _stepped(nbytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))


def show_rate(bytes_per_second: float) -> str:
    """Returns a rate for people, in bits as lines are sold: `8 Gbit/s`."""
    return _stepped(bytes_per_second * 8, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s"))


def show_duration(seconds: float) -> str:
    """Returns a duration for people in its largest fitting unit: `30 d`, `1.5 h`, `800 ms`; `for ever` if infinite."""
    if math.isinf(seconds):
        return "for ever"
    for unit, least in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 0.001)):
        if seconds >= least:
            return f"{_digits(seconds / least)} {unit}"
    return f"{_digits(seconds * 1e6)} us" if seconds else "0 s"


def _matched(pattern: re.Pattern[str], text: object, what: str, accepted: str) -> re.Match[str]:
    found = pattern.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise UnitError(f"{shown(text)} is not {what}; accepted are for example {accepted}")
    return found


def _scaled(found: re.Match[str]) -> Decimal:
    prefix = found["prefix"] or ""
    base = Decimal(1024 if prefix.endswith("i") else 1000)
    return Decimal(found["number"]) * base ** _POWERS[prefix[:1]]


def _stepped(amount: float, step: int, units: tuple[str, ...]) -> str:
    at = 0
    # Half a unit of the third digit below the step already reads as the step (1023.9 KiB is shown as 1 MiB).
    while at + 1 < len(units) and amount >= step - 0.5:
        amount /= step
        at += 1
    return f"{_digits(amount)} {units[at]}"


def _digits(amount: float) -> str:
    if amount >= 100:
        return f"{amount:.0f}"
    return f"{amount:.3g}"
