"""Credentials by reference: either form is read, and no message tells what was in it."""

from pathlib import Path

import pytest

from regioncache.http.sigv4 import Credentials
from regioncache.origins.credentials import REREAD_SECONDS, NoCredentials, from_env, from_file, parse, unsigned
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("KEY:sec:ret\n", Credentials("KEY", "sec:ret")),
        ('{"access_key": "KEY", "secret_key": "s"}', Credentials("KEY", "s")),
        ('{"access_key": "KEY", "secret_key": "s", "session_token": "t"}', Credentials("KEY", "s", "t")),
    ],
)
def test_either_form_is_read(text: str, found: Credentials) -> None:
    assert parse(text, "here") == found


@pytest.mark.parametrize(
    "text",
    ["", "KEY", ":secret", "KEY:", "{", "[]", '{"access_key": "KEY-hush"}', '{"access_key": 5, "secret_key": "hush"}'],
)
def test_what_is_neither_is_refused_by_the_name_of_its_place_alone(text: str) -> None:
    with pytest.raises(NoCredentials, match="the file x") as told:
        parse(text, "the file x")

    assert "hush" not in str(told.value)


def test_an_environment_variable_is_read_once_it_is_named() -> None:
    assert from_env("B", {"B": "KEY:s"})() == Credentials("KEY", "s")
    with pytest.raises(NoCredentials, match="B is not set"):
        from_env("B", {})


def test_a_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "key"
    file.write_text("KEY:one")
    current = from_file(file, clock)
    file.write_text("KEY:two")
    assert current() == Credentials("KEY", "one")

    clock.advance(REREAD_SECONDS + 1)

    assert current() == Credentials("KEY", "two")


def test_a_file_that_is_half_written_when_it_is_read_again_changes_nothing(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "key"
    file.write_text("KEY:one")
    current = from_file(file, clock)
    for broken in ("", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        clock.advance(REREAD_SECONDS + 1)
        assert current() == Credentials("KEY", "one")

    file.write_text("KEY:two")
    clock.advance(REREAD_SECONDS + 1)
    assert current() == Credentials("KEY", "two")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="cannot be read"):
        from_file(tmp_path / "nowhere")


def test_an_open_bucket_has_none() -> None:
    assert unsigned() is None
