"""The certificate by which nodes know one another: shown at the peer door, and to the nodes that this one asks.

Whoever connects must have one of the same authority, and so must whoever is asked, by the name or address it is asked
at. The pair's secret signs beside it: a certificate opens the connection, the secret says the region.
"""

import ssl
from pathlib import Path

from gateway.config import PeerTlsSettings
from gateway.tls import Certificate, CertificateFault


class PeerCertificate(Certificate):
    """As `Certificate`, with an authority that follows its file too.

    Mutable: `context`, of connections that come, and `asking`, of those that are made: both are new ones after a
    change, since a context trusts for ever whom it once trusted.
    """

    asking: ssl.SSLContext

    def __init__(self, settings: PeerTlsSettings) -> None:
        """Loads certificate and authority. Raises CertificateFault."""
        self._authority = settings.ca
        super().__init__(settings, "peer")

    @property
    def _files(self) -> tuple[Path, ...]:
        return (*super()._files, self._authority)

    def _take(self, cert: str, key: str) -> None:
        coming, asking = self._made(ssl.PROTOCOL_TLS_SERVER, cert, key), self._made(ssl.PROTOCOL_TLS_CLIENT, cert, key)
        coming.verify_mode = ssl.CERT_REQUIRED
        coming.set_alpn_protocols(["http/1.1"])
        # No await between the two: a node must not ask by one authority and be asked by another.
        self.context, self.asking = coming, asking

    def _made(self, protocol: int, cert: str, key: str) -> ssl.SSLContext:
        made = ssl.SSLContext(protocol)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(cert, key)
        try:
            made.load_verify_locations(cadata=self._authority.read_text("ascii"))
        except (OSError, ValueError) as fault:
            raise CertificateFault(
                f"the authority {self._authority} of the peer door cannot be used ({fault}); it must be PEM, the"
                " certificates of those who sign your nodes' certificates"
            ) from fault
        return made
