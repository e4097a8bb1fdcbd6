"""Credentials of a bucket, found by reference and never kept in a file of ours, a log or an error.

`env: NAME` and `file: PATH` hold either `ACCESS_KEY:SECRET` or a JSON object with `access_key`, `secret_key` and, if
need be, `session_token`. `role` asks the machine's own identity through boto3's chain; `none` sends unsigned requests.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from regioncache.errors import CacheError
from regioncache.http.sigv4 import Credentials


class NoCredentials(CacheError):
    """The reference leads to nothing usable; the message names the reference, never what it holds."""


Credentialer = Callable[[], Credentials | None]
"""Gives the credentials to sign the next request with; None = unsigned. May block for a moment at first use."""

REREAD_SECONDS = 60.0
"""A file is read again this often, so that a rotated key needs no restart."""


def from_env(name: str, environ: Mapping[str, str] | None = None) -> Credentialer:
    """Returns the credentials in an environment variable; raises NoCredentials when it is not set or malformed."""
    text = (os.environ if environ is None else environ).get(name)
    if text is None:
        raise NoCredentials(f"the environment variable {name} is not set; it holds ACCESS_KEY:SECRET")
    found = parse(text, f"the environment variable {name}")
    return lambda: found


def from_file(path: Path, clock: Callable[[], float] = time.monotonic) -> Credentialer:
    """Returns the credentials in a file, read again each minute; raises NoCredentials when it cannot be used.

    Once it was read, a file that is gone or half written changes nothing until it is whole again.
    """
    state = (_read(path), clock())

    def current() -> Credentials:
        nonlocal state
        if clock() - state[1] > REREAD_SECONDS:
            try:
                state = (_read(path), clock())
            except NoCredentials:
                state = (state[0], clock())
        return state[0]

    return current


def of_role() -> Credentialer:
    """Returns the machine's own credentials, refreshed by boto3."""
    import boto3

    session = boto3.session.Session()

    def current() -> Credentials:
        found = session.get_credentials()
        if found is None:
            raise NoCredentials("this machine has no role or profile that gives credentials")
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return current


def unsigned() -> None:
    """The credentials of a bucket that is open to everyone."""
    return


def parse(text: str, where: str) -> Credentials:
    """Parses either form; raises NoCredentials naming `where`."""
    text = text.strip()
    if text.startswith("{"):
        try:
            value = json.loads(text)
            access_key, secret_key, token = value["access_key"], value["secret_key"], value.get("session_token")
            if not (isinstance(access_key, str) and isinstance(secret_key, str) and isinstance(token, str | None)):
                raise TypeError("they are texts")
            return Credentials(access_key, secret_key, token)
        except (ValueError, KeyError, TypeError) as fault:
            raise NoCredentials(f"{where} holds no JSON object with access_key and secret_key") from fault
    access_key, colon, secret_key = text.partition(":")
    if not colon or not access_key or not secret_key:
        raise NoCredentials(f"{where} holds neither ACCESS_KEY:SECRET nor a JSON object")
    return Credentials(access_key, secret_key)


def _read(path: Path) -> Credentials:
    try:
        return parse(path.read_text(), f"the file {path}")
    except OSError as fault:
        raise NoCredentials(f"the file {path} cannot be read: {fault.strerror}") from fault
