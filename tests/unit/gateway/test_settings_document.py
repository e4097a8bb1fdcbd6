"""docs/settings.md names every setting, and its examples are read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import Listener, NodeSettings, parse
from regioncache.config import CacheSize, SecretRef

DOCUMENT = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of node.yaml, with dots; a mapping by region stands as REGION, one by header as NAME."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        parts = [part for part in (inner, *getattr(inner, "__args__", ())) if isinstance(part, type)]
        models = [part for part in parts if issubclass(part, BaseModel) and part is not CacheSize]
        if SecretRef in models:
            yield f"{prefix}{name}"
            yield from keys(SecretRef, f"{prefix}{name}.{'REGION' if name == 'secrets' else 'NAME'}.")
        elif models:
            yield from keys(models[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


KEYS = sorted(keys(NodeSettings))


def test_the_keys_are_found_at_any_depth() -> None:
    assert {"region", "listen.s3.tls.cert", "secrets.REGION.file", "cache.size", "namespace.service"} <= set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_its_row(key: str) -> None:
    rows = [line.split("|")[1] for line in DOCUMENT.splitlines() if line.startswith("| `")]

    assert any(f"`{key}`" in row for row in rows)


def test_no_row_names_a_key_that_does_not_exist() -> None:
    table = DOCUMENT.partition("| key |")[2].partition("\n\n")[0]
    named = [key for line in table.splitlines()[2:] for key in re.findall(r"`([^`]+)`", line.split("|")[1])]

    assert set(named) <= {*KEYS, "cache.paths", "secrets", "telemetry.headers"}


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL))
def test_every_example_is_read(example: str) -> None:
    assert parse(example, "node.yaml", Path("/etc/causeway")).region == "aws-use1"


def test_defaults_in_the_document_are_those_of_the_code() -> None:
    listen = NodeSettings.model_fields["listen"].default
    defaults = {name: str(getattr(listen, name).address) for name in ("s3", "peer", "admin")}

    for door, address in defaults.items():
        assert re.search(rf"`listen\.{door}\.address`[^\n]*`{re.escape(address)}`", DOCUMENT)


def test_every_setting_says_what_it_means() -> None:
    import ast
    import inspect

    for model in (NodeSettings, Listener, SecretRef):
        body = ast.parse(inspect.getsource(model)).body[0]
        assert isinstance(body, ast.ClassDef)
        for at, statement in enumerate(body.body):
            if isinstance(statement, ast.AnnAssign):
                after = body.body[at + 1]
                assert isinstance(after, ast.Expr), ast.unparse(statement)
                assert isinstance(after.value, ast.Constant), ast.unparse(statement)
