"""What each kind of client shall have seen, by operation, worked out from the objects alone."""

from typing import Any

from tests.real.clients.client import Client
from tests.real.clients.driver import digest, names, rows
from tests.real.clients.objects import BIG, MANY, RANGES, SIZES, TABLE, numbers, text, whole

_BIG = digest(whole(BIG))
_EVERY = 7500
"""Of the column `n` those rows are asked for whose number is 1 more than a multiple of it."""


def objects(client: Client) -> dict[str, Any]:
    """Of one that reads bytes by key."""
    return {
        "list": {key: SIZES[key] for key in client.listed},
        "pages": names(MANY),
        "read": {key: digest(whole(key)) for key in client.keys},
        "ranges": [digest(whole(BIG)[start:end]) for start, end in RANGES],
        "conditions": {
            "If-Match, same": _BIG,
            "If-Match, other": 412,
            "If-None-Match, same": 304,
            "If-None-Match, other": _BIG,
        },
    }


def rests(client: Client) -> dict[str, Any]:
    """Of one that reads ranges to the end of an object."""
    return objects(client) | {"ranges": [digest(whole(BIG)[start:]) for start, _ in RANGES]}


def tidied(client: Client) -> dict[str, Any]:
    """Of one that takes the slash off a key's end in lists."""
    usual = objects(client)
    return usual | {"list": usual["list"] | {"odd/marked": 0}}


def in_parts(client: Client) -> dict[str, Any]:
    """Of one that reads ranges to put a whole together."""
    return objects(client) | {"ranges": _BIG}


def tables(client: Client) -> dict[str, Any]:
    """Of one that reads parquet."""
    return {
        "list": sorted(TABLE),
        "pages": names(MANY),
        "read": {key: rows((n, text(n)) for n in numbers(part)) for part, key in enumerate(TABLE)},
        "ranges": {key: [n for n in numbers(part) if n % _EVERY == 1] for part, key in enumerate(TABLE)},
    }


def blobs_and_tables(client: Client) -> dict[str, Any]:
    """Of one that reads both."""
    of_bytes, of_rows = objects(client), tables(client)
    return of_bytes | {"read": of_bytes["read"] | of_rows["read"], "ranges": of_rows["ranges"]}


def delta(client: Client) -> dict[str, Any]:
    """Of one that reads both parts as a Delta table."""
    both = [n for part in range(len(TABLE)) for n in numbers(part)]
    return {
        "list": [f"delta/two%20words%20{part}.parquet" for part in range(len(TABLE))],
        "read": rows((n, text(n)) for n in both),
        "ranges": [n for n in both if n % _EVERY == 1],
    }
