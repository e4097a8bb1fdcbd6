"""Structured logs on standard error: JSON for machines, a console form for people; sampled where they would be many.

Every line, those of libraries included, passes the redactor last. Its fields are named in docs/logs.md.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import structlog

from gateway.redact import Redactor
from regioncache.errors import CacheError
from regioncache.http.messages import Request
from regioncache.tidings import Tidings

LogFormat = Literal["json", "console"]
LEVELS = ("debug", "info", "warning", "error")

# Tracebacks become text before the redactor, which comes after all of these.
_BEFORE: tuple[Any, ...] = (
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
)


def configure(
    form: LogFormat, level: str, redactor: Redactor, stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Sets up structlog and the standard library's logging for the whole process.

    Args:
        form: how a line looks.
        level: the least that is written, one of `LEVELS`.
        redactor: what hides secrets; the caller teaches it those it reads.
        stream: where lines go; standard error by default, since standard output belongs to the command.
        worker: the number of this process in its node, said on every line; None: the node is one process.
    """
    out = sys.stderr if stream is None else stream
    of_worker = [] if worker is None else [_says_worker(worker)]
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*_BEFORE, *of_worker, redactor, _renderer(form, out)],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_number(level))
    # Libraries tell of every connection at INFO; our own lines say what an operator needs.
    for noisy in ("boto3", "botocore", "urllib3", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, _number(level)))


def _says_worker(number: int) -> Any:
    def says(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("worker", number)
        return event

    return says


def _renderer(form: LogFormat, out: TextIO) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=out.isatty())


def _number(level: str) -> int:
    if level not in LEVELS:
        raise ValueError(f"{level!r} is no log level; known: {', '.join(LEVELS)}")
    return logging.getLevelNamesMapping()[level.upper()]


@dataclass(frozen=True, slots=True)
class Access:
    """One answered request, as the access log tells it. `path` is without its query, `trace` empty where none is."""

    door: str
    operation: str
    code: int
    path: str
    client: str
    key_id: str
    nbytes: int
    seconds: float
    request_id: str
    trace: str = ""


class AccessLog:
    """One line in `every` for requests that went well, one for each answered with 500 or more.

    Faults are never sampled away, but no client can fill the disk by asking for what does not exist: 4xx are sampled
    like the rest.
    """

    def __init__(self, every: int = 100) -> None:
        if every < 0:
            raise ValueError("an access log writes one request in N, N >= 1; 0 = only faults")
        self._every = every
        self._since = 0
        self._log = structlog.stdlib.get_logger("causeway.access")

    def wants(self, code: int) -> bool:
        """Whether the request answered with `code` shall be told; asked before anything is put together for it."""
        if code >= 500:
            return True
        if not self._every:
            return False
        self._since += 1
        if self._since < self._every:
            return False
        self._since = 0
        return True

    def tell(self, access: Access) -> None:
        """Writes one line."""
        log = self._log.bind(trace=access.trace) if access.trace else self._log
        log.info(
            "request",
            door=access.door,
            operation=access.operation,
            code=access.code,
            path=access.path,
            client=access.client,
            key=access.key_id,
            bytes=access.nbytes,
            seconds=round(access.seconds, 6),
            request=access.request_id,
            sampled=self._every if access.code < 500 else 1,
        )


def tidings(name: str = "causeway.cache") -> Tidings:
    """Returns what tells the log of ways, disks, lines and certificates: what is away or wants mending is a warning."""
    log = structlog.stdlib.get_logger(name)

    def warning(text: str) -> None:
        log.warning(text)

    def news(text: str) -> None:
        log.info(text)

    return Tidings(warning, news)


def call_faults() -> Callable[[str, BaseException], None]:
    """Returns what tells the log of a fault in a handler of the control door."""
    log = structlog.stdlib.get_logger("causeway.control")

    def told(method: str, fault: BaseException) -> None:
        log.error("fault in a handler", path=method, exc_info=(type(fault), fault, fault.__traceback__))

    return told


def fill_fault(fault: BaseException) -> None:
    """Tells the log of a fault of ours in a fill."""
    structlog.stdlib.get_logger("causeway.fill").error(
        "fault in a fill", exc_info=(type(fault), fault, fault.__traceback__)
    )


def namespace_fault(fault: BaseException) -> None:
    """Tells the log of a fault of ours while the namespace was put in force."""
    structlog.stdlib.get_logger("causeway.namespace").error(
        "fault in putting the namespace in force", exc_info=(type(fault), fault, fault.__traceback__)
    )


def partition_fault(fault: BaseException) -> None:
    """Tells the log of a fault of ours while partitions were listed."""
    structlog.stdlib.get_logger("causeway.partitions").error(
        "fault in listing partitions", exc_info=(type(fault), fault, fault.__traceback__)
    )


def faults_in(door: str) -> Callable[[Request, BaseException], None]:
    """Returns what tells the log of a handler's or a stream's fault.

    That a reply ended short because its object was overwritten, or its origin went away, is one line; only what should
    not be has a traceback.
    """
    log = structlog.stdlib.get_logger(f"causeway.{door}")

    def told(request: Request, fault: BaseException) -> None:
        path = request.target.partition(b"?")[0].decode("latin-1")
        if isinstance(fault, CacheError):
            log.warning("a reply ended short", path=path, why=f"{type(fault).__name__}: {fault}")
        else:
            log.error("fault in a handler", path=path, exc_info=(type(fault), fault, fault.__traceback__))

    return told
