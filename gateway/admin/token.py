"""The administrators' token: drawn at the first start, kept in one file that only its owner may read."""

import hmac
import os
import secrets
import stat
from pathlib import Path

# 256 bits: nobody guesses it, and the file holds one line.
TOKEN_BYTES = 32
# A token of an operator's own making; below this it could be guessed over the network.
SHORTEST_TOKEN = 16


class TokenUnusable(Exception):
    """The token's file cannot be used; the message names it and the remedy."""


class AdminToken:
    """A token that is compared, never shown."""

    __slots__ = ("_digest_key", "_expected")

    def __init__(self, token: str) -> None:
        if len(token) < SHORTEST_TOKEN:
            raise TokenUnusable(
                f"an administrators' token has at least {SHORTEST_TOKEN} characters; remove the file to draw one"
            )
        self._digest_key = secrets.token_bytes(32)
        self._expected = self._digest(token.encode())

    def admits(self, authorization: str | None) -> bool:
        """Whether an Authorization header is `Bearer` and this token; takes the same time for every wrong one."""
        scheme, _, offered = (authorization or "").partition(" ")
        given = self._digest(offered.strip().encode("utf-8", "surrogateescape"))
        return hmac.compare_digest(given, self._expected) and scheme.lower() == "bearer"

    def _digest(self, token: bytes) -> bytes:
        # Digests have one length, so that not even the token's length shows in the time.
        return hmac.digest(self._digest_key, token, "sha256")

    def __repr__(self) -> str:
        return "AdminToken([hidden])"


def read_or_draw(path: Path) -> str:
    """Returns the token in `path`, drawn and written there (mode 0600, with its directory) if there is none.

    Raises:
        TokenUnusable: The file is open to others, empty, or cannot be read or written.
    """
    try:
        return read(path)
    except FileNotFoundError:
        return _drawn(path)


def read(path: Path) -> str:
    """Returns the token in `path`.

    Raises:
        FileNotFoundError: There is none yet.
        TokenUnusable: The file is open to others, empty, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(4096).decode("latin-1").strip()
    except FileNotFoundError:
        raise
    except OSError as fault:
        raise TokenUnusable(f"token file {path} cannot be read: {fault.strerror}; run as the node's user") from fault
    if stat.S_IMODE(mode) & 0o077:
        raise TokenUnusable(f"token file {path} is open to other users; chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise TokenUnusable(f"token file {path} holds no token; remove it, and the next `causeway up` draws one")
    return token


def _drawn(path: Path) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    # Written whole beside it and linked: two starts at once agree on the one that came first, and none reads half.
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return read(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as fault:
        raise TokenUnusable(
            f"token file {path} cannot be written: {fault.strerror}; make its directory writable"
        ) from fault
    return token
