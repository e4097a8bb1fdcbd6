"""Writes the tables of keys in the documents from the models that read the files.

A field's docstring says all of it: its meaning with the unit, then `Default: SHOWN; WHY` or `No default: WHY`. A table
stands between `<!-- keys of NAME -->` and `<!-- end of keys -->`; what stands around it is written by hand.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from gateway.config import NodeSettings
from namespace.model import Bucket, Endpoint, Line, Mount, Region
from policy.model import Burst, CacheRule, ClassPolicy, LinePolicy, Pin
from regioncache.config import CacheSize

DOCUMENTS = Path(__file__).parents[1] / "docs"
FILES = ("settings.md", "topology.md", "policy.md")
TABLES: Mapping[str, type[BaseModel]] = {
    "node.yaml": NodeSettings,
    "a region": Region,
    "a line": Line,
    "a bucket": Bucket,
    "a mount": Mount,
    "a line's policy": LinePolicy,
    "a cache rule": CacheRule,
}
# Written as one value, as `90%` or `10ms`: what is inside is no key of the file.
_WHOLE = (Burst, CacheSize, Pin)
# Said by the key above it, never written.
_UNWRITTEN = {(Region, "name"), (Line, "name"), (Bucket, "name"), (Mount, "path"), (Endpoint, "scope")}
# Filled in before they are read.
_COMPLETED = (ClassPolicy,)
_PLACEHOLDERS = {"secrets": "REGION", "headers": "NAME", "classes": "CLASS", "tenants": "TENANT"}
_PLACE = re.compile(r"(<!-- keys of ([\w.' ]+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)
_DEFAULT = re.compile(
    r"(?P<meaning>.*?)\s*\b(?:Default: (?P<default>[^;]+)(?:; (?P<why>.*))?|No default: (?P<none>.*))"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a file: its dotted name, and what stands beside it in the table."""

    key: str
    meaning: str
    default: str
    why: str = ""


class Undocumented(Exception):
    """A field's docstring is missing, or says nothing of its default."""


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[Row]:
    """Yields the row of every key beneath `model`, in the order of its fields; raises Undocumented."""
    for name, field in model.model_fields.items():
        if (model, name) in _UNWRITTEN:
            continue
        yield described(model, name, f"{prefix}{name}")
        inner = _inside(field.annotation)
        if inner is not None:
            placeholder = _PLACEHOLDERS.get(name)
            yield from rows(inner, f"{prefix}{name}.{placeholder}." if placeholder else f"{prefix}{name}.")


def described(model: type[BaseModel], name: str, key: str) -> Row:
    """Returns the row of one field; raises Undocumented."""
    text = next((said[name] for base in model.__mro__ if name in (said := _docstrings(base))), "")
    found = _DEFAULT.fullmatch(text)
    if found is None:
        raise Undocumented(
            f"{model.__name__}.{name}: end its docstring with 'Default: SHOWN; WHY' or 'No default: WHY'"
        )
    required = model.model_fields[name].is_required() and model not in _COMPLETED
    if required is not (found["none"] is not None):
        raise Undocumented(
            f"{model.__name__}.{name}: the docstring says otherwise than the model whether it must be given"
        )
    if found["none"] is not None:
        return Row(key, found["meaning"], "must be given", found["none"])
    return Row(key, found["meaning"], found["default"].removesuffix("."), found["why"] or "")


def table(model: type[BaseModel]) -> str:
    """Returns the table of all keys beneath a model; what was said at an earlier key is not repeated."""
    first_said: dict[tuple[str, str, str], str] = {}
    lines = []
    for row in rows(model):
        first = first_said.setdefault((row.key.rpartition(".")[2], row.meaning, row.why), row.key)
        lines.append(_line(row) if first == row.key else (row.key, first))
    return "\n".join(["| key | meaning | default | why |", "|---|---|---|---|", *_joined(lines)]) + "\n"


def filled(document: str) -> str:
    """Returns a document with its tables made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{table(TABLES[place[2]])}\n{place[3]}", document)


def _joined(lines: Iterable[str | tuple[str, str]]) -> Iterator[str]:
    """Keys that were said before, one after the other, share a line: `(key, where it was said)`."""
    for where, run in groupby(lines, lambda line: _section_of(line[1], line[0]) if isinstance(line, tuple) else None):
        if where is None:
            yield from (line for line in run if isinstance(line, str))
        else:
            yield f"| {', '.join(f'`{line[0]}`' for line in run)} | As under `{where}` | as there | |"


def _section_of(key: str, other: str) -> str:
    """What is left of `key` without the last parts that it has in common with `other`."""
    parts, others = key.split("."), other.split(".")
    while parts[-1:] == others[-1:]:
        del parts[-1:], others[-1:]
    return ".".join(parts)


def _line(row: Row) -> str:
    cells = (f"`{row.key}`", *(_sentence(cell) for cell in (row.meaning, row.default, row.why)))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _sentence(text: str) -> str:
    """Cells begin and end as the cells beside them: no full stop at the end."""
    return text.removesuffix(".")


def _inside(annotation: object) -> type[BaseModel] | None:
    """The model in an annotation, below None, a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation in _WHOLE else annotation
    return next((inner for part in get_args(annotation) if (inner := _inside(part)) is not None), None)


@cache
def _docstrings(model: type) -> Mapping[str, str]:
    """The docstrings of a class's own fields, each on one line."""
    if model is BaseModel or not issubclass(model, BaseModel):
        return {}
    (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    body = parsed.body if isinstance(parsed, ast.ClassDef) else []
    return {
        field.target.id: " ".join(after.value.value.split())
        for field, after in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }


def main() -> None:
    """Writes the documents' tables."""
    for name in FILES:
        path = DOCUMENTS / name
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
