"""docs/policy.md: every example in it is a whole policy, and there is one for every key."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from policy.load import load, not_kept
from policy.match import KEYS
from policy.model import CLASSES, CacheRule, LinePolicy, Policy, TenantPolicy, Window
from policy.yamlfile import parse

DOCUMENT = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
GBIT = 1e9 / 8


def rows(text: str = DOCUMENT) -> dict[str, list[str]]:
    """The cells behind each key that stands in a table."""
    found = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in found}


def keys() -> Iterator[str]:
    for model in (LinePolicy, TenantPolicy, Window, CacheRule):
        fields: type[BaseModel] = model
        yield from fields.model_fields


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_policy(example: str) -> None:
    load(parse(example, "policy.yaml"), {"bj-use1": 10 * GBIT})


def test_every_example_is_kept() -> None:
    assert [example for example in EXAMPLES if not_kept(load(parse(example, "policy.yaml")))] == []


def test_there_is_an_example_for_every_key() -> None:
    shown = "\n".join(EXAMPLES)

    assert [key for key in keys() if key != "month" and not re.search(rf"\b{key}:", shown)] == []
    for value in ("always", "second_read", "never", "true", "false", "newest", "high", "low", *CLASSES[:2]):
        assert value in shown, value


def test_the_classes_of_the_document_are_those_of_the_code() -> None:
    of_code = LinePolicy.of_capacity(1.0).classes

    for name in CLASSES:
        order, floor = rows()[name][-2:]
        assert (order, floor) == (str(of_code[name].order), f"{of_code[name].floor:.0%}")


def test_a_whole_policy_has_both_parts() -> None:
    policy: Policy = load(parse(EXAMPLES[-1], "policy.yaml"))

    assert len(policy.lines) == 1
    assert {key for rule in policy.cache for key in KEYS if getattr(rule, key) is not None} == set(KEYS)
