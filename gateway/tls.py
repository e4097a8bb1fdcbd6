"""A door's certificate: one context for all connections, whose certificate follows the files.

A certificate that cannot be read keeps the one in use: a half-written file must not close the door.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.config import TlsSettings

# A renewed certificate is needed within days; four stats a minute cost nothing.
EVERY_SECONDS = 15.0


class CertificateFault(Exception):
    """A certificate or its key cannot be used; the message names the files and the remedy."""


class Certificate:
    """The files and the context made of them. Mutable: the files' stamps as last loaded."""

    def __init__(self, settings: TlsSettings) -> None:
        """Loads the certificate. Raises CertificateFault."""
        self._settings = settings
        self._stamps = self._seen()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load()

    def reload(self) -> bool:
        """Loads the files again if they changed; new connections get the new certificate, running ones go on.

        Returns whether they were loaded. Raises CertificateFault; then the former certificate stays in use, and the
        files are tried again when they change again.
        """
        stamps = self._seen()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        # Tried on a context of its own first: a key that does not fit would leave the one in use half changed.
        Certificate(self._settings)
        self._load()
        return True

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(self._settings.cert, self._settings.key, password=_no_password)
        except (OSError, ValueError) as fault:
            raise CertificateFault(
                f"certificate {self._settings.cert} with key {self._settings.key} cannot be used ({fault}); "
                "both must be PEM, belong together, and the key must have no password"
            ) from fault

    def _seen(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(path) for path in (self._settings.cert, self._settings.key))


async def follow(certificates: Sequence[Certificate], told: Callable[[CertificateFault], None]) -> None:
    """Loads certificates again when their files change, until cancelled; `told` hears of those that cannot be used."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        for certificate in certificates:
            try:
                certificate.reload()
            except CertificateFault as fault:
                told(fault)


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key has a password")


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError as fault:
        raise CertificateFault(f"{path} cannot be read: {fault.strerror}; name an existing PEM file") from fault
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
