"""docs/traces.md names every span and every attribute that the code makes, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "traces.md").read_text()
ATTRIBUTE = re.compile(r"(causeway|http|client|service)\.[a-z_.]+")


def first_cells(title: str) -> set[str]:
    section = DOCUMENT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def trees() -> Iterator[ast.AST]:
    for package in ("gateway", "regioncache"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from ast.walk(ast.parse(path.read_text()))


def texts(node: ast.AST | None) -> Iterator[str]:
    """The constant texts that an expression can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def attributes() -> set[str]:
    found: set[str] = set()
    for node in trees():
        if isinstance(node, ast.Dict):
            found.update(text for key in node.keys for text in texts(key))
        elif isinstance(node, ast.Subscript):
            found.update(texts(node.slice))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_attribute":
            found.update(texts(node.args[0]))
    return {name for name in found if ATTRIBUTE.fullmatch(name)}


def spans() -> set[str]:
    return {
        text
        for node in trees()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "begin"
        for text in texts(node.args[0] if node.args else None)
    }


def test_every_attribute_is_documented_and_every_documented_one_is_made() -> None:
    of_resource = set(re.findall(r"`((?:service|causeway)\.[a-z.]+)`", DOCUMENT.partition("The resource has")[2]))

    assert attributes() == first_cells("Attributes") | of_resource


def test_every_span_is_documented_and_every_documented_one_is_made() -> None:
    documented = {name for name in first_cells("Spans") if "." not in name}

    assert spans() == documented
