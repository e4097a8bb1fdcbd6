"""Virtual-host style: the bucket that a request's Host names, `BUCKET.DOMAIN`.

The domain itself, an address, `localhost` and every other name are path style. DNS knows no case, so the bucket is in
small letters, as S3 has it; a bucket with capitals is there by path style alone. Dots belong to the bucket's name.
"""

from typing import Final

_KEPT: Final = 1024
"""Hosts remembered: clients use a handful, strangers may send any; when it is full it starts anew."""
_LONGEST: Final = 253
"""Letters of a name in DNS (RFC 1035, 2.3.4); what is longer is no name and not remembered."""


class Hosts:
    """Reads Host headers under one domain."""

    __slots__ = ("_behind", "_known")

    def __init__(self, domain: str) -> None:
        """Args:
        domain: in small letters, without a port.
        """
        self._behind = b"." + domain.encode("ascii")
        self._known: dict[bytes, str] = {}

    @property
    def remembered(self) -> int:
        """Hosts kept in their parsed form; bounded."""
        return len(self._known)

    def bucket(self, host: bytes) -> str:
        """Returns the bucket that a Host header names, empty for path style."""
        known = self._known.get(host)
        return self._read(host) if known is None else known

    def _read(self, host: bytes) -> str:
        name, colon, port = host.rpartition(b":")
        if not colon or not (port.isdigit() or not port):
            name = host
        name = name.lower().removesuffix(b".")  # `s3.example.com.` is the same name, said in full
        bucket = name.removesuffix(self._behind).decode("latin-1") if name.endswith(self._behind) else ""
        if len(host) <= _LONGEST:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[host] = bucket
        return bucket
