"""Faults as S3 writes them: status, XML with Code, Message, Resource and RequestId."""

from gateway.s3.codes import Said
from gateway.s3.xmltext import DECLARATION, escape
from regioncache.http.messages import Reply

_RESOURCE_BYTES = 2048
"""Of the path that was asked for, so many bytes are repeated: a fault is no way to get long replies."""
XML_LINES = b"content-type: application/xml\r\nx-amz-request-id: %b\r\n"


def refusal(told: Said, target: bytes, request_id: bytes, *, head: bool) -> Reply:
    """Returns the reply to a request that failed; to HEAD it has no body (RFC 9110, 9.3.2).

    Args:
        target: the request's target; its path is named as it was sent, its query, which may be signed, is not.
    """
    body = b"" if head else error_xml(told, target.partition(b"?")[0], request_id)
    return Reply(told.status, told.headers, body, encoded=XML_LINES % request_id)


def error_xml(told: Said, path: bytes, request_id: bytes) -> bytes:
    """Returns S3's Error document."""
    details = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.details)
    return (
        f"{DECLARATION}<Error><Code>{told.code}</Code><Message>{escape(told.message)}</Message>{details}"
        f"<Resource>{escape(path[:_RESOURCE_BYTES].decode('latin-1'))}</Resource>"
        f"<RequestId>{request_id.decode()}</RequestId></Error>"
    ).encode()
