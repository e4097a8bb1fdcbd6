"""docs/settings.md: its examples are read, and what it says of them holds."""

import re
from pathlib import Path

import pytest

from gateway.config import parse

DOCUMENT = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL))
def test_every_example_is_read(example: str) -> None:
    assert parse(example, "node.yaml", Path("/etc/causeway")).region == "aws-use1"
