"""The administrators' token is drawn once, kept from other users, and compared without telling anything."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.token import AdminToken, TokenUnusable, read, read_or_draw

TOKEN = "a-token-of-sixteen-characters"


def test_the_first_start_draws_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "admin.token"

    token = read_or_draw(path)

    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_draw(path) == read(path) == token
    assert list(path.parent.iterdir()) == [path]


def test_two_nodes_draw_two_tokens(tmp_path: Path) -> None:
    assert read_or_draw(tmp_path / "a") != read_or_draw(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_token_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "admin.token"
    read_or_draw(path)
    path.chmod(mode)

    with pytest.raises(TokenUnusable, match=rf"open to other users; chmod 600 {path}"):
        read(path)


def test_an_empty_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.touch(0o600)

    with pytest.raises(TokenUnusable, match="holds no token"):
        read_or_draw(path)


@pytest.mark.parametrize(
    "token", [b"\xff" * 40, b"a-token-with-a\x07-in-its-middle", "ein-zu-schöner-Schlüssel".encode()]
)
def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path, token: bytes) -> None:
    path = tmp_path / "admin.token"
    path.touch(0o600)
    path.write_bytes(token)

    with pytest.raises(TokenUnusable, match="holds no token; remove it"):
        read_or_draw(path)


def test_a_place_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TokenUnusable, match="cannot be"):
        read_or_draw(tmp_path / "file" / "admin.token")


def test_the_token_is_admitted_and_never_shown() -> None:
    token = AdminToken(TOKEN)

    assert token.admits(f"Bearer {TOKEN}")
    assert token.admits(f"bearer  {TOKEN} ")
    assert TOKEN not in repr(token)


@pytest.mark.parametrize("header", [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x"])
def test_anything_else_is_not(header: str | None) -> None:
    assert not AdminToken(TOKEN).admits(header)


@given(offered=st.text())
def test_no_guess_is_admitted(offered: str) -> None:
    assert AdminToken(TOKEN).admits(f"Bearer {offered}") == (offered.strip() == TOKEN)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(TokenUnusable):
        AdminToken("admin")
