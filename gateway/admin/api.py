"""`/api/v1`: each handler parses the question, asks one operation, and replies with what it said."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.admin.answers import NewKey
from gateway.admin.objects import send_object
from gateway.admin.operations import BadOperation, Operations
from gateway.admin.replies import reply
from gateway.applying import File
from gateway.catalogue import measured

# As S3: a page of a list stays small enough to be put together at once.
LONGEST_LIST = 1000
AUTHOR = "admin"

Body = TypeVar("Body", bound=BaseModel)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FileBody(BaseModel):
    """A file as given."""

    model_config = ConfigDict(extra="forbid")

    name: str
    text: str


class ApplyBody(BaseModel):
    """The question of `apply`."""

    model_config = ConfigDict(extra="forbid")

    files: list[FileBody]
    dry_run: bool = False
    made_from: int | None = None


class RollbackBody(BaseModel):
    """The question of `rollback`."""

    model_config = ConfigDict(extra="forbid")

    revision: int
    dry_run: bool = False
    made_from: int | None = None


class KeyBody(BaseModel):
    """The question of `keys add`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    tenant: str
    cls: str = "training"
    may_class: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    until: float | None = None
    id: str | None = None
    secret: str | None = None
    regions: tuple[str, ...] = ()


class Api:
    """The handlers of `/api/v1`, over one node's operations."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._log = structlog.stdlib.get_logger("causeway.admin")

    def routes(self) -> list[web.RouteDef]:
        """The routes; each has its operation's name."""
        gets: dict[str, Handle] = {
            "status": self.status,
            "lines": self.lines,
            "metrics": self.metrics,
            "explain": self.explain,
            "history": self.history,
            "keys": self.keys,
            "list": self.list,
            "stat": self.stat,
            "object": self.object,
        }
        posts: dict[str, Handle] = {
            "apply": self.apply,
            "rollback": self.rollback,
            "keys": self.add_key,
            "refresh": self.refresh,
        }
        return [
            *(
                web.get(f"/api/v1/{name}", handle, name=f"get-{name}", allow_head=False)
                for name, handle in gets.items()
            ),
            *(web.post(f"/api/v1/{name}", handle, name=f"post-{name}") for name, handle in posts.items()),
            web.delete("/api/v1/keys", self.remove_key, name="delete-keys"),
        ]

    async def status(self, _request: web.Request) -> web.StreamResponse:
        """The node at a glance."""
        return reply(self._operations.status())

    async def lines(self, request: web.Request) -> web.StreamResponse:
        """Every direction of every line, now; with `since`, who moved what in a time."""
        asked = request.query
        if "since" not in asked:
            return reply(self._operations.lines())
        return reply(await self._operations.moved(asked["since"], asked.get("until", ""), asked.get("by", "")))

    async def metrics(self, _request: web.Request) -> web.StreamResponse:
        """What `/metrics` says, as JSON."""
        return reply(measured(self._operations.metrics()))

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Why a path is served as it is."""
        return reply(await self._operations.explain(path_of(request)))

    async def history(self, _request: web.Request) -> web.StreamResponse:
        """Every revision, newest first."""
        return reply(await self._operations.history())

    async def apply(self, request: web.Request) -> web.StreamResponse:
        """Puts files in force, or says what would change."""
        body = await _body(request, ApplyBody)
        files = tuple(File(file.name, file.text) for file in body.files)
        applied = await self._operations.apply(files, author_of(request), body.dry_run, body.made_from)
        if not body.dry_run:
            self._log.info("applied", revision=applied.revision, digest=applied.digest, author=author_of(request))
        return reply(applied)

    async def rollback(self, request: web.Request) -> web.StreamResponse:
        """Puts an older revision's files in force again, or says what would change."""
        body = await _body(request, RollbackBody)
        applied = await self._operations.rollback(body.revision, author_of(request), body.dry_run, body.made_from)
        if not body.dry_run:
            self._log.info("rolled back", to=body.revision, revision=applied.revision, author=author_of(request))
        return reply(applied)

    async def keys(self, _request: web.Request) -> web.StreamResponse:
        """Every key, without its secret."""
        return reply(await self._operations.keys())

    async def add_key(self, request: web.Request) -> web.StreamResponse:
        """Makes a key."""
        body = await _body(request, KeyBody)
        made = await self._operations.add_key(NewKey(**body.model_dump()), author_of(request))
        self._log.info("key made", name=body.name, tenant=body.tenant, key=made.id, author=author_of(request))
        return reply(made, status=201)

    async def remove_key(self, request: web.Request) -> web.StreamResponse:
        """Removes a key."""
        removed = await self._operations.remove_key(asked(request, "name"), author_of(request))
        self._log.info("key removed", name=removed.name, key=removed.id, author=author_of(request))
        return reply(removed)

    async def refresh(self, request: web.Request) -> web.StreamResponse:
        """Forgets what is newest at a path."""
        return reply(await self._operations.refresh(path_of(request)))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of a listing."""
        limit = _number(request, "limit", LONGEST_LIST)
        if not 1 <= limit <= LONGEST_LIST:
            raise BadOperation(f"limit={limit} is no length of a page; ask for 1 to {LONGEST_LIST}")
        after, recursive = request.query.get("after", ""), request.query.get("recursive", "") == "1"
        return reply(await self._operations.list(path_of(request), after, limit, recursive))

    async def stat(self, request: web.Request) -> web.StreamResponse:
        """What is known of an object."""
        return reply(await self._operations.stat(path_of(request)))

    async def object(self, request: web.Request) -> web.StreamResponse:
        """An object's bytes."""
        return await send_object(request, self._operations, path_of(request))


def author_of(request: web.Request) -> str:
    """Who is recorded as having changed something."""
    return f"{AUTHOR} ({request.remote})"


def path_of(request: web.Request) -> str:
    """The path that a question is about; raises BadOperation where it names none."""
    return asked(request, "path")


def asked(request: web.Request, name: str) -> str:
    """A value that a question must have; raises BadOperation where it is missing."""
    value = request.query.get(name)
    if not value:
        raise BadOperation(f"the question has no {name!r}; write ?{name}=...")
    return value


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadOperation(f"{name}={text} is no number")
    return int(text)


async def _body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as invalid:
        # Messages only: the input may hold a secret.
        wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in invalid.errors())
        raise BadOperation(f"the request's body is not what this version takes: {wrong}") from None
