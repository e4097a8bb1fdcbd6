"""Keeps secrets out of logs: by the name of a field, by the look of a text, and by the secrets that the node knows.

Applied last before a line is rendered, tracebacks included, so that no caller has to remember it.
"""

import re
from collections.abc import Iterable, Mapping

HIDDEN = "[hidden]"

_NAMES = re.compile(
    r"authorization|signature|credential|secret|token|password|cookie|private.?key|bearer", re.IGNORECASE
)

# A value ends where a header, a query or a quoted text ends.
_VALUE = r"[^\s&,;'\"<>\\]+"
_LOOKS = (
    re.compile(
        rf"(x-amz-(?:signature|credential|security-token)|x-amz-s3session-token|x-causeway-signature)"
        rf"((?:%3d|[=:])\s*|['\"]\s*[:,]\s*b?['\"]){_VALUE}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<![a-z])((?:signature|credential|secret(?:[_-]?access[_-]?key)?|session[_-]?token|token|password))"
        rf"(=\s*|['\"]?\s*:\s*b?['\"]?){_VALUE}",
        re.IGNORECASE,
    ),
    re.compile(rf"\b((?:bearer|basic))(\s+){_VALUE}", re.IGNORECASE),
    re.compile(r"(authorization)(['\"]?\s*[:=,]\s*b?['\"]?)[^'\"\r\n]+", re.IGNORECASE),
    re.compile(r"(://[^/\s:@]*)(:)[^/\s@]+(?=@)"),
)

# Shorter strings occur in ordinary words: hiding them would eat the log and hide nothing.
SHORTEST = 8


class Redactor:
    """Hides what is secret in the fields of a log line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str | bytes) -> None:
        """From now on hides this very text wherever it occurs; texts under 8 characters are left alone."""
        text = secret.decode("latin-1") if isinstance(secret, bytes) else secret
        if len(text) >= SHORTEST:
            self._secrets.add(text)

    def __call__(self, _logger: object, _method: str, event: Mapping[str, object]) -> dict[str, object]:
        """A structlog processor."""
        return {self.text(key): self.field(key, value) for key, value in event.items()}

    def field(self, name: str, value: object) -> object:
        """The value of one field, hidden as a whole where the name says that it is secret."""
        if _NAMES.search(name) and value is not None and not isinstance(value, bool | int | float):
            return HIDDEN
        return self.value(value)

    def value(self, value: object) -> object:
        """A value with all its texts made safe; what is no plain value becomes its text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value).decode("latin-1"))
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.field(str(key), part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value)
        return self.text(str(value))

    def _sequence(self, value: Iterable[object]) -> list[object]:
        parts = list(value)
        if len(parts) == 2 and isinstance(parts[0], str | bytes):
            # A header: (name, value).
            name = parts[0].decode("latin-1") if isinstance(parts[0], bytes) else parts[0]
            return [self.text(name), self.field(name, parts[1])]
        return [self.value(part) for part in parts]

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        for look in _LOOKS:
            text = look.sub(rf"\1\2{HIDDEN}", text)
        return text
