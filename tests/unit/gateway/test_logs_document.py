"""docs/logs.md names every field that the code logs, and no other."""

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.logs import Access, AccessLog, configure
from gateway.redact import Redactor

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "logs.md").read_text()
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "bind"}


def section(title: str) -> str:
    return DOCUMENT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


COMMON = {name for row in rows("Fields of every line") for name in names(row[0])}
BY_EVENT = {row[1].strip("`"): names(row[3]) for row in rows("Lines with fields of their own")}
EXPLAINED = {name for row in rows("What the fields mean") for name in names(row[0])}


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """(where, event or "", fields) of each line that the code can write."""
    for package in ("gateway", "regioncache", "namespace", "policy"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                fields = {word.arg for word in node.keywords if word.arg is not None}
                if node.func.attr not in LEVELS or not fields:
                    continue
                told = node.args[0] if node.args else None
                event = told.value if isinstance(told, ast.Constant) and isinstance(told.value, str) else ""
                yield f"{path.relative_to(ROOT)}:{node.lineno}", event, fields


LOGGED = list(logged())


def documented(event: str) -> set[str] | None:
    """The fields of an event; its row may leave its end out."""
    for written, fields in BY_EVENT.items():
        if event == written or (written.endswith("...") and event.startswith(written.removesuffix("..."))):
            return fields
    return None


def test_the_code_is_read() -> None:
    assert {"request", "applied", "key made", "fault in a fill"} <= {event for _, event, _ in LOGGED}


@pytest.mark.parametrize(("where", "event", "fields"), LOGGED, ids=[where for where, _, _ in LOGGED])
def test_every_line_is_documented_with_its_fields(where: str, event: str, fields: set[str]) -> None:
    plain = {"exception" if field == "exc_info" else field for field in fields}

    if event:
        known = documented(event)
        assert known is not None, f"docs/logs.md has no row for {event!r}"
        assert plain <= known
    assert plain <= EXPLAINED | COMMON


def test_the_document_names_no_line_and_no_field_that_is_not_written() -> None:
    written = {"exception" if field == "exc_info" else field for _, _, fields in LOGGED for field in fields}

    for told, named in BY_EVENT.items():
        assert any(event and documented(event) is named for _, event, _ in LOGGED), told
    assert written >= EXPLAINED
    assert set().union(*BY_EVENT.values()) <= written | COMMON


def test_what_is_written_has_the_fields_of_the_document() -> None:
    root, stream = logging.getLogger(), io.StringIO()
    kept = (root.handlers[:], root.level)
    try:
        configure("json", "info", Redactor(), stream, worker=1)
        access = Access("s3", "GetObject", 200, "/ns/a", "127.0.0.1", "AK", 5, 0.001, "r1", "0af7651916cd43dd8448eb21")
        AccessLog(every=1).tell(access)
        structlog.stdlib.get_logger("causeway.cache").error("what happened", exc_info=ValueError("why"))
    finally:
        root.handlers[:], root.level = kept
        structlog.reset_defaults()

    request, fault = map(json.loads, stream.getvalue().splitlines())
    assert set(request) == (COMMON - {"exception"}) | BY_EVENT["request"]
    assert set(fault) == COMMON
    assert fault["logger"] == "causeway.cache"
