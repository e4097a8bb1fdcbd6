"""A door's certificate: one context for all connections, whose certificate follows the files.

A certificate that cannot be read keeps the one in use: a half-written file must not close the door. One that expired
goes on too, aloud: it is the clients' to refuse it, and some do not look.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Listener, TlsSettings
from gateway.validity import valid_until
from regioncache.http.handshakes import Contexts
from regioncache.tidings import Tidings

EVERY_SECONDS = 5.0
"""A renewed certificate is needed within days; a few stats each time cost nothing, and who renews by hand waits."""
DAY_SECONDS = 86_400.0
SOON_SECONDS = 14 * DAY_SECONDS
"""Renewed automatically certificates are 30 days before their end (ACME clients' habit): later, something is broken."""


_Stamps = tuple[tuple[int, int, int], ...]


class CertificateFault(Exception):
    """A certificate or its key cannot be used; the message names the files and the remedy."""


class Certificate:
    """The files of one door and the context made of them.

    Mutable: the files' stamps as last looked at; `valid_until`, seconds since the epoch, of what is in use; `fault`,
    why the files as they are now are not in use, empty while they are.
    """

    def __init__(self, settings: TlsSettings, door: str = "s3") -> None:
        """Loads the certificate. Raises CertificateFault."""
        self.door = door
        self.fault = ""
        self._settings = settings
        self._stamps: _Stamps | None = self._seen()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.valid_until = self._load()

    def reload(self) -> bool:
        """Loads the files again if they changed; new connections get the new certificate, running ones go on.

        Returns whether they were loaded. Raises CertificateFault; then the former certificate stays in use, and the
        files are tried again when they change again.
        """
        try:
            former, self._stamps = self._stamps, None  # files that were away and are back are loaded
            self._stamps = self._seen()
            if self._stamps == former:
                return False
            self.valid_until = self._load()
        except CertificateFault as fault:
            self.fault = str(fault)
            raise
        self.fault = ""
        return True

    def concern(self, now: float) -> str:
        """Returns what an operator should hear of its end, empty if that is far; `now` is seconds since the epoch.

        The sentence changes once a day.
        """
        left = self.valid_until - now
        if left > SOON_SECONDS:
            return ""
        whose = f"the certificate of the {self.door} door, {self._settings.cert},"
        if left > 0:
            return f"{whose} expires in {_days(left)} ({_date(self.valid_until)}): put a renewed one in its place"
        return (
            f"{whose} expired {_days(-left)} ago ({_date(self.valid_until)}): clients refuse it; the door goes on with"
            " it until a renewed one is put in its place"
        )

    @property
    def good_until(self) -> str:
        """The day of its end."""
        return _date(self.valid_until)

    @property
    def _files(self) -> tuple[Path, ...]:
        """What is loaded, and followed."""
        return self._settings.cert, self._settings.key

    def _load(self) -> float:
        """Loads the pair as it is now, and returns its end.

        Both files are read once, and tried on a context of their own first: a key that does not fit, or that is
        written meanwhile, would leave the one in use half changed.
        """
        try:
            with ExitStack() as stack:
                cert, key = (self._copied(path, stack) for path in (self._settings.cert, self._settings.key))
                trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                trial.load_cert_chain(cert, key, password=_no_password)
                until = valid_until(Path(cert).read_bytes())
                self._take(cert, key)
                return until
        except (OSError, ValueError) as fault:
            raise CertificateFault(
                f"certificate {self._settings.cert} with key {self._settings.key} cannot be used ({fault}); "
                "both must be PEM, belong together, and the key must have no password"
            ) from fault

    def _take(self, cert: str, key: str) -> None:
        """Puts a pair in use that was tried."""
        self.context.load_cert_chain(cert, key, password=_no_password)

    def _copied(self, path: Path, stack: ExitStack) -> str:
        """A copy in memory that OpenSSL, which reads files alone, can open."""
        copy = stack.enter_context(os.fdopen(os.memfd_create("certificate"), "wb", buffering=0))
        copy.write(path.read_bytes())
        return f"/proc/self/fd/{copy.fileno()}"

    def _seen(self) -> _Stamps:
        return tuple(_stamp(path) for path in self._files)


class Watch:
    """Follows certificates and tells of them, once for each change. Mutable: what was told last, by certificate."""

    def __init__(self, certificates: Sequence[Certificate], tidings: Tidings, wall: Callable[[], float]) -> None:
        """Args: wall: seconds since the epoch, by which certificates expire."""
        self._certificates = certificates
        self._tidings = tidings
        self._wall = wall
        self._told: dict[Certificate, tuple[str, str]] = {}

    def look(self) -> None:
        """Loads what changed, and tells what is new."""
        for certificate in self._certificates:
            fault = ""
            try:
                if certificate.reload():
                    self._tidings.news(
                        f"the certificate of the {certificate.door} door was loaded again;"
                        f" it is good until {certificate.good_until}"
                    )
            except CertificateFault as unusable:
                fault = str(unusable)
            fault = fault or certificate.fault
            concern = certificate.concern(self._wall())
            told_fault, told_concern = self._told.get(certificate, ("", ""))
            if fault and fault != told_fault:
                self._tidings.warning(f"{fault}; the {certificate.door} door goes on with the former certificate")
            if concern and concern != told_concern:
                self._tidings.warning(concern)
            self._told[certificate] = (fault, concern)

    async def follow(self) -> None:
        """Looks at once and then every few seconds, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_SECONDS)


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key has a password")


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError as fault:
        raise CertificateFault(f"{path} cannot be read: {fault.strerror}; name an existing PEM file") from fault
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _days(seconds: float) -> str:
    days = int(seconds // DAY_SECONDS)
    return f"{days} days" if days > 1 else "1 day" if days else "less than a day"


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def context(door: str, listener: Listener, certificates: list[Certificate]) -> ssl.SSLContext | None:
    """Returns the context of a door's certificate, which is added to those that are watched; None: plain HTTP."""
    if listener.tls is None:
        return None
    certificate = Certificate(listener.tls, door)
    certificates.append(certificate)
    return certificate.context


def peer_contexts(certificates: Sequence[Certificate]) -> Contexts | None:
    """Returns what gives the context of each connection to the peer door, by the authority as it is then."""
    peer = next((one for one in certificates if one.door == "peer"), None)
    return None if peer is None else lambda: peer.context
