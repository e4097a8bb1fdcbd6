"""The tables of keys in the documents are what the models say, and the defaults that they show are in force."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway.config import parse
from namespace.codec import Units, topology
from policy import load, units, yamlfile
from scripts.write_reference import DOCUMENTS, FILES, TABLES, Row, Undocumented, described, filled, rows, table

_LITERAL = re.compile(r"`([^`]+)`")
_UNITS = Units(rate=units.rate, size=units.size, duration=units.duration)


@pytest.mark.parametrize("name", FILES)
def test_the_document_is_what_the_models_say(name: str) -> None:
    document = (DOCUMENTS / name).read_text()

    assert document == filled(document), "run `make docs`"


@pytest.mark.parametrize("name", TABLES)
def test_each_table_stands_in_one_document(name: str) -> None:
    found = [file for file in FILES if f"<!-- keys of {name} -->" in (DOCUMENTS / file).read_text()]

    assert len(found) == 1


def test_keys_are_found_at_any_depth_and_under_names_of_the_operator() -> None:
    keys = {row.key for row in rows(TABLES["node.yaml"])}

    assert {"region", "listen.s3.tls.cert", "secrets.REGION.file", "cache.paths.tier", "namespace.service"} <= keys


def test_what_the_key_above_says_is_no_key() -> None:
    assert "name" not in {row.key for row in rows(TABLES["a bucket"])}
    assert not [row for row in rows(TABLES["a bucket"]) if row.key.endswith(".scope")]


def said(name: str, at: str = "") -> dict[str, Any]:
    """The defaults that a table shows as they are written, of the keys directly beneath `at`."""
    found = {}
    for row in rows(TABLES[name]):
        section, _, key = row.key.rpartition(".")
        if section == at and (literal := _LITERAL.fullmatch(row.default)) is not None:
            found[key] = yaml.safe_load(literal[1])
    return found


def shown_and_silent(name: str, least: dict[str, Any], *sections: str) -> Iterator[str]:
    """A file that says no default, and the same that says all that the table shows."""
    yield yaml.safe_dump(least)
    aloud: dict[str, Any] = {**said(name), **least}
    for section in sections:
        aloud[section] = {**said(name, section), **least.get(section, {})}
    yield yaml.safe_dump(aloud)


def test_the_defaults_shown_of_node_yaml_are_those_in_force() -> None:
    least = {"region": "r", "node": "n", "cache": {"paths": ["/c"]}, "telemetry": {"otlp": "http://c:4318"}}
    silent, aloud = shown_and_silent("node.yaml", least, "listen", "cache", "telemetry")

    assert set(said("node.yaml", "listen")) == {"s3", "peer", "admin", "control"}
    assert parse(aloud, "a", Path("/")) == parse(silent, "a", Path("/"))


def test_the_defaults_shown_of_a_topology_are_those_in_force() -> None:
    def of(*aloud: dict[str, Any]) -> object:
        region, line, bucket, mount = aloud or ({}, {}, {}, {})
        endpoints = {"internal": "http://10.0.0.1:80"}
        return topology(
            {
                "regions": {"a": region, "b": {}},
                "lines": {"a-b": {**line, "between": ["a", "b"], "capacity": "1Gbps"}},
                "buckets": {"k": {**bucket, "provider": "s3", "bucket": "real", "region": "a", "endpoints": endpoints}},
                "mounts": {"/ns/k": {**mount, "bucket": "k"}},
            },
            _UNITS,
        )

    mount = said("a mount")
    written = {key: mount.pop(key) for key in ("write", "copies")}

    assert of(said("a region"), said("a line"), said("a bucket"), mount) == of()
    assert of({}, {}, {}, {"mode": "rw", **{"write": written["write"]}}) == of({}, {}, {}, {"mode": "rw"})
    back = {"mode": "rw", "write": "back"}
    assert of({}, {}, {}, {**back, "copies": written["copies"]}) == of({}, {}, {}, back)


def test_the_defaults_shown_of_a_policy_are_those_in_force() -> None:
    def of(line: dict[str, Any], tenant: dict[str, Any], window: dict[str, Any]) -> object:
        window = {**window, "when": "09:00-21:00", "ceil": {"backfill": "1Mbps"}}
        whole = {"lines": {"a-b": {**line, "quota": "1Gbps", "tenants": {"t": tenant}, "windows": [window]}}}
        return load.load(yamlfile.parse(yaml.safe_dump(whole), "policy.yaml"))

    name = "a line's policy"
    aloud = of(said(name), said(name, "tenants.TENANT"), said(name, "windows"))

    assert {"overhead", "burst", "safe", "hold", "static_for"} <= set(said(name))
    assert aloud == of({}, {}, {})


class _Toy(BaseModel):
    told: int = 1
    """Sheep, one at least. Default: `1`; a dog
    needs one."""
    wanted: str
    """A | or two. No default: it is wanted."""
    silent: int = 1
    """Says nothing of it."""
    bare: int = 1
    wrong: int = 1
    """Says otherwise. No default: it has."""


class _Kennel(BaseModel):
    first: _Toy
    """A dog's. No default: one is wanted."""
    second: _Toy
    """Another's. No default: as above."""


def test_a_docstring_is_meaning_default_and_why() -> None:
    assert described(_Toy, "told", "a.told") == Row("a.told", "Sheep, one at least.", "`1`", "a dog needs one.")
    assert described(_Toy, "wanted", "wanted") == Row("wanted", "A | or two.", "must be given", "it is wanted.")


@pytest.mark.parametrize("name", ["silent", "bare", "wrong"])
def test_a_field_that_says_nothing_or_something_wrong_of_its_default_is_named(name: str) -> None:
    with pytest.raises(Undocumented, match=name):
        described(_Toy, name, name)


def test_a_bar_in_a_cell_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("silent", "bare", "wrong"):
        monkeypatch.delitem(_Toy.model_fields, name)

    assert "| `wanted` | A \\| or two | must be given | it is wanted |" in table(_Toy).splitlines()


def test_keys_that_were_said_before_share_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("silent", "bare", "wrong"):
        monkeypatch.delitem(_Toy.model_fields, name)

    assert table(_Kennel).splitlines()[-1] == "| `second.told`, `second.wanted` | As under `first` | as there | |"
