"""docs/semantics.md: each sentence has a number of its own and tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "semantics.md").read_text()
_SENTENCE = re.compile(r"^- S(\d+)\. (.*?)(?=^- S|^#|\Z)", re.MULTILINE | re.DOTALL)
SENTENCES = [(int(number), text) for number, text in _SENTENCE.findall(TEXT)]


def functions_of(tree: Path) -> set[str]:
    """The names of all test functions beneath a folder."""
    parsed = (ast.parse(path.read_bytes()) for path in tree.rglob("test_*.py"))
    functions = (node for module in parsed for node in ast.walk(module))
    return {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.fixture(scope="module")
def names() -> set[str]:
    return functions_of(ROOT / "tests")


def test_every_sentence_is_numbered_no_number_comes_twice_and_none_is_given_up() -> None:
    numbers = [number for number, _ in SENTENCES]

    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert len(numbers) == TEXT.count("\n- ")
    assert len(numbers) > 90


@pytest.mark.parametrize(("number", "text"), SENTENCES, ids=[f"S{number}" for number, _ in SENTENCES])
def test_every_sentence_is_named_by_tests_that_exist(number: int, text: str, names: set[str]) -> None:
    named = re.findall(r"`(test_\w+)`", text)

    assert named, f"S{number} has no test"
    assert set(named) <= names, f"S{number} names {sorted(set(named) - names)}, which do not exist"
