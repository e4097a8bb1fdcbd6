"""What single values of a topology may be: names, addresses, URLs, quantities with units, credential references.

Each function takes a plain value, returns what it means and raises ValueError with the remedy, so that pydantic
collects them. A value that may be a secret is never repeated in a message.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import ValidationInfo

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_S3_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SCHEMES = {
    "s3": ("http", "https"),
    "azure": ("http", "https"),
    "gcs": ("http", "https"),
    "hdfs": ("http", "https", "hdfs"),
    "file": ("file",),
}
NO_LINE = "none"
"""What an endpoint says aloud that is reached from elsewhere without crossing a line."""
TLS_NODE = "https://"
"""Before the address of a node whose peer door speaks TLS."""


@dataclass(frozen=True, slots=True)
class Units:
    """How the caller reads quantities with units; each raises ValueError naming what it accepts."""

    rate: Callable[[str], float]
    """'10Gbps' -> bytes per second."""
    size: Callable[[str], int]
    """'1MiB' -> bytes."""
    duration: Callable[[str], float]
    """'60s' -> seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What validation needs to know of the whole document: the units, and the names that stand in each section."""

    units: Units
    names: dict[str, Collection[str]] = field(default_factory=dict)


def reading(info: ValidationInfo) -> Reading | None:
    """The document being read; None where a model is built in Python, with numbers in bytes and seconds."""
    return info.context if isinstance(info.context, Reading) else None


def name(value: str) -> str:
    """A name that can stand in a metric's label, a header and on the command line."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: up to 63 of A-Z a-z 0-9 . _ -, a letter or digit first")
    return value


def line_name(value: str) -> str:
    """A line's name; `none` is what says that there is no line."""
    if value == NO_LINE:
        raise ValueError(f"a line cannot be called {NO_LINE!r}: that says that there is no line; rename it")
    return name(value)


def known(section: str) -> Callable[[str, ValidationInfo], str]:
    """Returns a check that a name stands in `section` of the document being read."""

    def check(value: str, info: ValidationInfo) -> str:
        document = reading(info)
        if document is not None and value not in document.names[section]:
            raise ValueError(not_known(section, value, document.names[section]))
        return value

    return check


def not_known(section: str, value: str, names: Collection[str]) -> str:
    """Returns the fault of a name that does not stand in its section."""
    return f"{section[:-1]} {value!r} is not under {section!r}; known: {', '.join(sorted(names)) or 'none'}"


def node(value: str) -> str:
    """A node's peer address, `host:port` or `[v6]:port`, with `https://` before it where its peer door speaks TLS."""
    bare = value.removeprefix("http://")
    host, _, port = bare.removeprefix(TLS_NODE).rpartition(":")
    if not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f'{value!r} is no peer address; write "HOST:PORT" or "https://HOST:PORT", as "10.1.0.7:9100"')
    return bare


def real_bucket(value: str, provider: str) -> str:
    """The store's own name of a bucket; a directory need not have one."""
    if provider == "file" and not value:
        return value
    if not value or "\0" in value or (provider == "s3" and not _S3_BUCKET.fullmatch(value)):
        raise ValueError(f"{value!r} is no bucket's name in a store of provider {provider!r}")
    return value


def url(value: str) -> str:
    """An endpoint's URL, without credentials; what a provider takes is checked by `url_of_provider`."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as invalid:
        raise ValueError("this is no URL; write it as https://HOST or http://HOST:PORT") from invalid
    if "@" in parts.netloc:
        raise ValueError("a URL holds no credentials: give them by reference, as credentials: {env: NAME}")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError("a URL of an endpoint has neither '?' nor '#'")
    if not parts.scheme or (parts.scheme != "file" and not _HOST.fullmatch(_host(parts.netloc))) or port == 0:
        raise ValueError(f"{value!r} is no URL of an endpoint; write it as https://HOST or http://HOST:PORT")
    return value


def url_of_provider(value: str, provider: str) -> str:
    """The URL, if a store of this provider is reached by such a one."""
    parts = urlsplit(value)
    schemes = _SCHEMES[provider]
    if parts.scheme not in schemes:
        example = ", as file:///mnt/nas/train" if provider == "file" else ""
        raise ValueError(f"a bucket of provider {provider!r} has an endpoint of scheme {' or '.join(schemes)}{example}")
    if provider == "file":
        directory(value)
    if provider == "s3" and parts.path not in {"", "/"}:
        raise ValueError(f"an S3 endpoint has no path, but this one has {parts.path!r}; name the bucket by 'bucket'")
    return value


def directory(value: str) -> str:
    """The directory that `file:///mnt/nas/train` names; percent-encoded bytes stand for themselves."""
    parts = urlsplit(value)
    if parts.netloc:
        raise ValueError(
            f"a directory is on the node itself, no host is named: write file:///... with three slashes, not {value!r}"
        )
    path = unquote_to_bytes(parts.path.rstrip("/"))
    components = path.split(b"/")[1:]
    if not components or b"\0" in path or any(part in {b"", b".", b".."} for part in components):
        raise ValueError(f"{value!r} names no directory beneath /: write its whole path, as file:///mnt/nas/train")
    return path.decode("utf-8", "surrogateescape")


def rate(value: object, info: ValidationInfo) -> object:
    """Bytes per second of `10Gbps`; a number where a model is built in Python."""
    document = reading(info)
    return value if document is None else document.units.rate(_with_unit(value, "10Gbps"))


def duration(value: object, info: ValidationInfo) -> object:
    """Seconds of `60s`; a number where a model is built in Python."""
    document = reading(info)
    return value if document is None else document.units.duration(_with_unit(value, "60s"))


def size(value: object, info: ValidationInfo) -> object:
    """Bytes of `1MiB`; a number is bytes."""
    document = reading(info)
    return document.units.size(value) if document is not None and isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a bucket's credentials are: never the credentials themselves.

    `name` is the variable's name for `env`, the file's path for `file`, empty for `role` (the machine's own) and `none`
    (requests are not signed).
    """

    kind: Literal["env", "file", "role", "none"]
    name: str = ""


def credentials(value: object) -> Credentials:
    """The reference in `{env: NAME}`, `{file: PATH}`, `role` or `none`; the fault of a literal does not repeat it."""
    if isinstance(value, Credentials):
        return value
    match value:
        case "role" | "none":
            return Credentials("role" if value == "role" else "none")
        case {"env": str() as variable, **rest} if not rest and _ENVIRONMENT.fullmatch(variable):
            return Credentials("env", variable)
        case {"file": str() as path, **rest} if not rest and path and "\0" not in path:
            return Credentials("file", path)
    raise ValueError(
        "credentials are given by reference only, never as a literal: {env: NAME}, {file: PATH}, role or none"
    )


def _with_unit(value: object, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a quantity has a unit; write it as {example}")  # noqa: TRY004
    return value


def _host(netloc: str) -> str:
    if netloc.startswith("["):
        return netloc[: netloc.find("]") + 1]
    return netloc.partition(":")[0]
