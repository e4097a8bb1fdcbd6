"""How commands print: arrays piece by piece."""

import json

import pytest

from gateway.cli.show import print_json_each


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_printed_piece_by_piece_is_the_array(capsys: pytest.CaptureFixture[str], count: int) -> None:
    items = [{"path": f"/ns/a\n{at}", "size": at} for at in range(count)]

    print_json_each(iter(items))

    printed = capsys.readouterr().out
    assert json.loads(printed) == items
    assert printed == json.dumps(items, indent=2) + "\n"
