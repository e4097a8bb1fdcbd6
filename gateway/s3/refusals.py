"""Faults as S3 writes them: status, XML with Code, Message, Resource and RequestId."""

from gateway.s3.codes import Said
from gateway.s3.xmltext import DECLARATION, escape
from regioncache.http.messages import Reply

_RESOURCE_BYTES = 2048
"""Of the path that was asked for, so many bytes are repeated: a fault is no way to get long replies."""


def refusal(told: Said, path: bytes, request_id: str, *, head: bool) -> Reply:
    """Returns the reply to a request that failed; to HEAD it has no body (RFC 9110, 9.3.2).

    Args:
        path: what was asked for, as it was sent, without the query, which may be signed.
    """
    body = b"" if head else error_xml(told, path, request_id)
    return Reply(told.status, told.headers, body, encoded=xml_lines(request_id))


def error_xml(told: Said, path: bytes, request_id: str) -> bytes:
    """Returns S3's Error document."""
    details = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.details)
    return (
        f"{DECLARATION}<Error><Code>{told.code}</Code><Message>{escape(told.message)}</Message>{details}"
        f"<Resource>{escape(path[:_RESOURCE_BYTES].decode('latin-1'))}</Resource>"
        f"<RequestId>{request_id}</RequestId></Error>"
    ).encode()


def xml_lines(request_id: str) -> bytes:
    """Returns the header lines of a reply whose body is XML."""
    return f"content-type: application/xml\r\nx-amz-request-id: {request_id}\r\n".encode()
