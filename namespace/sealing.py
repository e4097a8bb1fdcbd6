"""Secrets of access keys, sealed where they lie: AES-256-GCM under a key that a named secret is stretched to.

What stands beside a secret (name, grants, end) is bound to it: a record whose grants were changed by another hand does
not open. The nonce is made of the message, so that the same secret sealed twice is the same text, wherever it is done;
two messages share a nonce only if they are one (RFC 5297 argues so for SIV).
"""

import base64
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from namespace.errors import NamespaceError

KEYS = "access keys"
"""The purpose of seals of access keys, wherever these lie."""
_NONCE_BYTES = 12  # NIST SP 800-38D, 5.2.1.1: 96 bits are used as they stand


class SealBroken(NamespaceError):
    """A sealed secret does not open: another secret sealed it, or somebody changed what stands beside it."""


class Seal:
    """Seals and opens texts. `purpose` keeps the keys of different uses of one secret apart."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        """`secret`: any bytes of 16 or more, as node.yaml names them."""
        made = HKDF(hashes.SHA256(), 64, salt=None, info=f"causeway {purpose}".encode()).derive(secret)
        self._cipher = AESGCM(made[:32])
        self._nonces = made[32:]

    def close(self, text: str, beside: str) -> str:
        """Returns `text` sealed, bound to `beside`, in base64."""
        clear, bound = text.encode(), beside.encode()
        message = len(bound).to_bytes(8, "big") + bound + clear
        nonce = hmac.digest(self._nonces, message, hashlib.sha256)[:_NONCE_BYTES]
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, clear, bound)).decode()

    def open(self, sealed: str, beside: str) -> str:
        """Returns the text that was sealed beside `beside`. Raises SealBroken."""
        try:
            packet = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(packet[:_NONCE_BYTES], packet[_NONCE_BYTES:], beside.encode()).decode()
        except (InvalidTag, ValueError) as wrong:
            raise SealBroken(
                "a key's secret does not open: it was sealed with another secret than the one named here (on etcd by"
                " `namespace.seal`, else the region's own under `secrets`; of a service the two's), or changed"
            ) from wrong
