"""TLS over a plain wire, pulled like it: no more ciphertext is read than the plaintext that is waited for."""

import asyncio
import ssl
from typing import cast

from regioncache.http.faults import AnswerCutShort
from regioncache.http.wire import PlainWire

_RECORD_BYTES = 16 * 1024
"""The most plaintext in a TLS record (RFC 8446 5.1)."""
_ROOM_BYTES = 256 * 1024


class TlsWire:
    """A wire over TLS.

    All of its state: `_tls` the engine between two memory buffers, `_incoming` what came and is not decrypted;
    `_cipher` the memory that ciphertext is read into.
    """

    def __init__(self, wire: PlainWire, context: ssl.SSLContext, server_name: str) -> None:
        self._wire = wire
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._cipher = memoryview(bytearray(_RECORD_BYTES * 2))
        self._over = False

    @classmethod
    async def open(cls, wire: PlainWire, context: ssl.SSLContext, server_name: str, seconds: float) -> "TlsWire":
        """Shakes hands. Raises ssl.SSLError, AnswerTimeout, AnswerCutShort; then the wire is closed."""
        self = cls(wire, context, server_name)
        try:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    if not await self._more(_RECORD_BYTES, seconds):
                        raise AnswerCutShort("the connection ended in the TLS handshake") from None
                else:
                    self._flush()
                    return self
        except BaseException:
            wire.close()
            raise

    @property
    def broken(self) -> bool:
        """Whether it can carry no further request."""
        return self._wire.broken or self._over

    def send(self, data: bytes) -> None:
        """Encrypts and hands `data` on."""
        if data and not self.broken:
            self._tls.write(data)
            self._flush()

    def take(self, into: memoryview, beyond: memoryview) -> int:
        """Nothing: what has come is not decrypted yet, and `pull` does that."""
        return 0

    async def pull(self, into: memoryview, seconds: float) -> int:
        """Reads at least one byte into `into`, 0 at the end. Raises AnswerTimeout, AnswerCutShort."""
        done = 0
        while True:
            try:
                while done < len(into) and (got := self._decrypt(into[done:])):
                    done += got
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLZeroReturnError:
                self._over = True
            except ssl.SSLError as error:
                self.close()
                raise AnswerCutShort(f"TLS broke: {error}") from error
            if done or self._over:
                return done
            if not await self._more(len(into), seconds):
                self._over = True
                raise AnswerCutShort("the connection ended without a TLS goodbye")

    def rest(self) -> None:
        """Does nothing: session tickets may come late, and are read with the next answer."""

    def close(self) -> None:
        """Ends it now."""
        self._wire.close()

    def _decrypt(self, into: memoryview) -> int:
        return cast(
            int, self._tls.read(len(into), cast(bytearray, into))
        )  # typeshed knows neither the view nor the int

    async def _more(self, wanted: int, seconds: float) -> int:
        """Reads ciphertext: never more than decrypts to what is wanted, but for the record it ends in."""
        size = min(max(wanted, _RECORD_BYTES), _ROOM_BYTES)
        if len(self._cipher) < size:
            self._cipher = memoryview(bytearray(size))
        got = await self._wire.pull(self._cipher[:size], seconds)
        self._incoming.write(self._cipher[:got])
        return got

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._wire.send(self._outgoing.read())


async def shake_hands(wire: PlainWire, context: ssl.SSLContext, server_name: str, seconds: float) -> TlsWire:
    """Returns a TLS wire over `wire` within `seconds`."""
    async with asyncio.timeout(seconds):
        return await TlsWire.open(wire, context, server_name, seconds)
