"""Until when certificates are valid: the one field of X.509 that a door must know, read from PEM.

Only lengths are followed, down to `validity` (RFC 5280, 4.1): nothing is verified here, OpenSSL has loaded the file.
"""

import calendar
import ssl

_SEQUENCE, _EXPLICIT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def valid_until(pem: bytes) -> float:
    """Returns when the first certificate of the file to expire does: seconds since the epoch.

    The whole chain is sent to clients, and one that expired breaks it.

    Raises:
        ValueError: there is no certificate, or one that cannot be read.
    """
    blocks = pem.decode("latin-1").split(_BEGIN)[1:]
    if not blocks:
        raise ValueError("there is no certificate in it")
    return min(_not_after(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{block.partition(_END)[0]}{_END}")) for block in blocks)


def _not_after(der: bytes) -> float:
    """Certificate -> tbsCertificate -> [version], serial, signature, issuer, validity -> notBefore, notAfter."""
    _, at, _ = _element(der, 0, _SEQUENCE)
    _, at, _ = _element(der, at, _SEQUENCE)
    tag, _, end = _element(der, at)
    at = end if tag == _EXPLICIT_0 else at
    for _ in range(3):
        at = _element(der, at)[2]
    _, at, _ = _element(der, at, _SEQUENCE)
    at = _element(der, at)[2]
    tag, begin, end = _element(der, at)
    return _time(tag, der[begin:end].decode("ascii"))


def _element(der: bytes, at: int, wanted: int | None = None) -> tuple[int, int, int]:
    """The tag of the element at `at`, and where its content begins and ends."""
    if at + 2 > len(der):
        raise ValueError("the certificate is cut short")
    tag, length, begin = der[at], der[at + 1], at + 2
    if length >= 0x80:
        digits = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + digits], "big"), begin + digits
    if begin + length > len(der) or (wanted is not None and tag != wanted):
        raise ValueError("the certificate is not X.509")
    return tag, begin, begin + length


def _time(tag: int, text: str) -> float:
    """A time as RFC 5280, 4.1.2.5 has it: in Z, with seconds; two digits of a year are 1950 to 2049."""
    if tag == _UTC_TIME:
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("the certificate's end is no time")
    if len(text) != 15 or text[-1] != "Z":
        raise ValueError(f"the certificate's end {text!r} is no time")
    return calendar.timegm(
        (int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:14]))
    )
