"""JSON of the admin port, and the one table from faults to HTTP codes."""

import json
import math

from aiohttp import web

from gateway.admin.operations import BadOperation, OperationFault, Unavailable, UnknownPath
from gateway.admin.plain import plain
from namespace.errors import BadPath, KeyExists, NamespaceError, UnknownKey
from namespace.keeping import NotGranted, Superseded
from policy.yamlfile import Faults
from regioncache import errors

CODES: dict[type[Exception], int] = {
    Faults: 422,
    BadOperation: 400,
    UnknownPath: 404,
    Unavailable: 503,
    NamespaceError: 503,
    BadPath: 400,
    KeyExists: 409,
    Superseded: 409,
    NotGranted: 403,
    UnknownKey: 404,
    errors.KeyRefused: 400,
    errors.NoSuchObject: 404,
    errors.NotGranted: 403,
    errors.OriginForbids: 502,
    errors.OriginUnavailable: 503,
    errors.SlowDown: 503,
    errors.VersionChanged: 409,
    errors.RangeOutside: 416,
    errors.BadAnswer: 502,
    errors.NotSupported: 501,
}
TOLD = (Faults, OperationFault, NamespaceError, errors.CacheError)
"""Faults whose message is for the asker; every other is ours, and is told in the log."""


def code_of(fault: Exception) -> int:
    """Returns the HTTP code of a fault; 500 for one that no table knows."""
    for kind in type(fault).__mro__:
        if kind in CODES:
            return CODES[kind]
    return 500


def refusal(code: int, message: str, fault: Exception | None = None) -> web.Response:
    """Returns the reply to a refused question: `{"error": ..., "faults": [...]}`."""
    body: dict[str, object] = {"error": message}
    if isinstance(fault, Faults):
        body["faults"] = [plain(part) for part in fault.faults]
    headers = {}
    retry_after = getattr(fault, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(body, status=code, headers=headers)


def reply(value: object, status: int = 200) -> web.Response:
    """Returns a value of `answers`, or a sequence of them, as JSON."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return web.Response(text=text, status=status, content_type="application/json")
