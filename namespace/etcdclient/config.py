"""`etcd` of a settings file: where etcd is, and as whom it is asked. Nothing here loads gRPC."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from namespace.etcdclient.errors import EtcdRefused
from namespace.references import FilePath, SecretRef

DEFAULT_PORT = 2379


@dataclass(frozen=True, slots=True)
class Server:
    """One server of etcd."""

    url: str
    address: str
    """`HOST:PORT`."""
    secure: bool

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Returns the server of `http://HOST:PORT` or `https://HOST:PORT`; raises ValueError."""
        parts = urlsplit(text)
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or not port:
            raise ValueError(f"{text!r} is no server of etcd; write http://HOST:PORT or https://HOST:PORT")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{text!r} has more than a host and a port; user and password have keys of their own")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{parts.scheme}://{host}:{port}", f"{host}:{port}", parts.scheme == "https")


@dataclass(frozen=True, slots=True)
class EtcdAccess:
    """All that is needed to ask etcd: the settings, with what they name read."""

    servers: tuple[Server, ...]
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, *urls: str, user: str = "", password: str = "") -> "EtcdAccess":
        """Returns the access to plain servers; raises ValueError."""
        return cls(tuple(Server.parse(url) for url in urls), user=user, password=password)


class EtcdTls(BaseModel):
    """How etcd and this node know each other over https."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: FilePath | None = None
    """PEM file of the authorities that etcd's certificates are of. Default: none; public authorities are trusted."""
    cert: FilePath | None = None
    """PEM file of this node's certificate, where etcd asks for one. Default: none; most do not ask."""
    key: FilePath | None = None
    """PEM file of that certificate's private key, without a password. Default: none; it goes with `cert`."""

    @model_validator(mode="after")
    def _both_or_none(self) -> "EtcdTls":
        if (self.cert is None) != (self.key is None):
            raise ValueError("a certificate goes with its key: name both `cert` and `key`, or neither")
        return self


class EtcdSettings(BaseModel):
    """etcd, written as a list of URLs or with the keys below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: tuple[str, ...] = Field(min_length=1)
    """URLs of its servers, `http://HOST:PORT` or `https://HOST:PORT`; all of one cluster; one that answers is asked.
    No default: it is wanted where `etcd` says more than the servers."""
    tls: EtcdTls | None = None
    """Certificates for https servers. Default: none; public authorities are trusted."""
    user: str | None = None
    """User of etcd's own, where its authentication is on. Default: none; it is off in most clusters."""
    password: SecretRef | None = None
    """The user's password. Default: none; it goes with `user`."""

    @model_validator(mode="before")
    @classmethod
    def _bare_servers(cls, value: object) -> object:
        return {"servers": value} if isinstance(value, list | tuple) else value

    @field_validator("servers", mode="after")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parsed = [Server.parse(text).url for text in value]
        if len(set(parsed)) != len(parsed):
            raise ValueError("a server is named twice; name each once")
        return tuple(parsed)

    @model_validator(mode="after")
    def _consistent(self) -> "EtcdSettings":
        if (self.user is None) != (self.password is None):
            raise ValueError("a user goes with a password: name both `user` and `password`, or neither")
        if self.tls is not None and not all(url.startswith("https:") for url in self.servers):
            raise ValueError("`tls` is for https servers: write https:// before each, or leave `tls` out")
        return self

    def access(self) -> EtcdAccess:
        """Returns what a client needs.

        Raises:
            SecretUnreadable: the password cannot be had.
            EtcdRefused: a certificate's file cannot be read; the message names it.
        """
        password = "" if self.password is None else self.password.read(shortest=1).decode("utf-8")
        tls = self.tls or EtcdTls()
        servers = tuple(Server.parse(url) for url in self.servers)
        return EtcdAccess(servers, _read(tls.ca), _read(tls.cert), _read(tls.key), self.user or "", password)


def _read(path: FilePath | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as fault:
        raise EtcdRefused(f"{path}, named under `etcd`, cannot be read: {fault.strerror}; create it") from fault
