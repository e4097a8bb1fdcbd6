"""Credentials of a bucket, found by reference and never kept in a file of ours, a log or an error.

`env: NAME` and `file: PATH` hold either `ACCESS_KEY:SECRET` or a JSON object with `access_key`, `secret_key` and, if
need be, `session_token`. `role` asks the machine's own identity through boto3's chain; `none` sends unsigned requests.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from regioncache.errors import CacheError
from regioncache.http.sigv4 import Credentials

if TYPE_CHECKING:
    import boto3


class NoCredentials(CacheError):
    """The reference leads to nothing usable; the message names the reference, never what it holds."""


class Credentialer(Protocol):
    """Gives the credentials of a bucket."""

    async def __call__(self, refused: Credentials | None = None) -> Credentials | None:
        """Returns those to sign the next request with; None = unsigned.

        Args:
            refused: Those that the store has just refused: others are looked for now, once for all who come with them.

        Raises: NoCredentials.
        """
        ...


REREAD_SECONDS = 60.0
"""A file is read again, and a role is asked again, this often, so that a rotated key needs no restart."""
SURE_SECONDS = 540.0
"""boto3 gives out none that end within 10 minutes: so long after it was asked, nobody waits for new ones."""
REFUSED_SECONDS = 5.0
"""Credentials that were refused are looked for again this often: others would have been found."""
WAIT_SECONDS = 2.0
"""For new ones where those held may have ended: a healthy metadata service takes milliseconds."""


def from_env(name: str, environ: Mapping[str, str] | None = None) -> Credentialer:
    """Returns the credentials in an environment variable; raises NoCredentials when it is not set or malformed."""
    text = (os.environ if environ is None else environ).get(name)
    if text is None:
        raise NoCredentials(f"the environment variable {name} is not set; it holds ACCESS_KEY:SECRET")
    found = parse(text, f"the environment variable {name}")

    async def current(refused: Credentials | None = None) -> Credentials:
        return found  # the environment of a process does not change

    return current


def from_file(path: Path, clock: Callable[[], float] = time.monotonic) -> Credentialer:
    """Returns the credentials in a file, read again each minute, and once they are refused.

    Raises NoCredentials when it cannot be used.

    Once it was read, a file that is gone or half written changes nothing until it is whole again.
    """
    state = (_read(path), clock())

    async def current(refused: Credentials | None = None) -> Credentials:
        nonlocal state
        held = refused is not None and refused == state[0]
        if clock() - state[1] > (REFUSED_SECONDS if held else REREAD_SECONDS):
            try:
                state = (_read(path), clock())
            except NoCredentials:
                state = (state[0], clock())
        return state[0]

    return current


class Renewed:
    """Credentials that end, asked for by a blocking call on a thread, one at a time, and held meanwhile.

    Those held serve while new ones are asked for, and go on where none are to be had: when they end, the store says so.
    Mutable state: `_held`, `_asked_at`, the last time that the call began and gave some, `_tried_at`, `_asking`.
    """

    def __init__(
        self,
        ask: Callable[[], Credentials],
        clock: Callable[[], float] = time.monotonic,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """Args:
        ask: gives credentials that are good for another `SURE_SECONDS`. Blocks. Raises NoCredentials.
        forget: called before those that were refused are asked for anew, where `ask` itself holds any.
        """
        self._ask = ask
        self._forget = forget
        self._clock = clock
        self._held: Credentials | None = None
        self._asked_at = self._tried_at = float("-inf")
        self._asking: asyncio.Task[Credentials] | None = None

    async def __call__(self, refused: Credentials | None = None) -> Credentials:
        """Returns the credentials to sign with; waits where there are none yet, or those held may have ended.

        Raises NoCredentials where none were ever to be had.
        """
        now = self._clock()
        if self._held is None:
            return await asyncio.shield(self._renewal(now))
        if refused is not None and refused == self._held:
            await self._instead_of_refused(now)
            return self._held
        if now - max(self._asked_at, self._tried_at) > REREAD_SECONDS or self._asking is not None:
            renewal = self._renewal(now)
            if now - self._asked_at > SURE_SECONDS:
                await asyncio.wait({renewal}, timeout=WAIT_SECONDS)
        return self._held

    async def _instead_of_refused(self, now: float) -> None:
        if self._asking is None and now - max(self._asked_at, self._tried_at) > REFUSED_SECONDS:
            self._forget()
            self._renewal(now)
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=WAIT_SECONDS)

    def _renewal(self, now: float) -> "asyncio.Task[Credentials]":
        if self._asking is None:
            self._tried_at = now
            self._asking = asyncio.create_task(self._renew(now))
            self._asking.add_done_callback(self._over)
        return self._asking

    async def _renew(self, now: float) -> Credentials:
        self._held = await asyncio.to_thread(self._ask)
        self._asked_at = now
        return self._held

    def _over(self, asking: "asyncio.Task[Credentials]") -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # who waited has it; nobody else needs it, while those held serve


def of_role(clock: Callable[[], float] = time.monotonic) -> Credentialer:
    """Returns the machine's own credentials; boto3 finds and renews them, on a thread."""
    sessions: list[boto3.session.Session] = []

    def ask() -> Credentials:
        import boto3
        import botocore.exceptions

        if not sessions:
            sessions.append(boto3.session.Session())
        try:
            found = sessions[0].get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as fault:
            raise NoCredentials(f"this machine's role gives no credentials now: {type(fault).__name__}") from fault
        if frozen is None:
            raise NoCredentials("this machine has no role or profile that gives credentials")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return Renewed(ask, clock, sessions.clear)


async def unsigned(refused: Credentials | None = None) -> None:
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
