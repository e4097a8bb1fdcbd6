"""What is asked of another server: its address, and one request's exact bytes."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from regioncache.http.heads import header_lines
from regioncache.http.messages import Headers

_PORTS = {"http": 80, "https": 443}
_NOT_IN_TARGETS = bytes(range(33)) + b"\x7f"


@dataclass(frozen=True, slots=True)
class Base:
    """Where to ask: `host` without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Base":
        """Returns the base of `http(s)://host[:port]`.

        Raises:
            ValueError: another scheme, no host, a path or credentials in it.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not http://host[:port] or https://host[:port]")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{url!r} must end behind the port: no path, no query, no credentials")
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])

    @property
    def authority(self) -> bytes:
        """The Host header: the port only where it is not the scheme's own, as SDKs sign it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode()}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `target` is sent as it is; Host and Content-Length are added where they are missing."""

    base: Base
    method: bytes
    target: bytes
    headers: Headers = ()
    body: bytes = b""
    receive_buffer: int = 0
    """SO_RCVBUF in bytes, set before connect; 0 = the kernel's own."""
    answer_seconds: float = 30.0
    """Until the head of the answer is there, from when the request is sent."""
    stall_seconds: float = 30.0
    """The longest pause within the body, while it is read."""

    def encode(self) -> bytes:
        """Returns the request's head.

        Raises:
            ValueError: the target or a header holds what would break the request apart.
        """
        if not self.target or self.target.translate(None, _NOT_IN_TARGETS) != self.target:
            raise ValueError(f"the target {self.target!r} holds a space or a control character: percent-encode it")
        headers = list(self.headers)
        names = {name.lower() for name, _ in headers}
        if b"host" not in names:
            headers.insert(0, (b"host", self.base.authority))
        if b"content-length" not in names and (self.body or self.method in (b"PUT", b"POST")):
            headers.append((b"content-length", b"%d" % len(self.body)))
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method, self.target, header_lines(headers))
