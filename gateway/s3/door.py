"""The S3 door: a handler for the HTTP server that answers reads as S3 does.

A request is parsed, its signature checked, its path held against the key's grants, and answered. What fails, however
deep, becomes S3's XML here and nowhere else.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from gateway.s3.attributes import Attributes
from gateway.s3.auth import Authenticator
from gateway.s3.base import Caller, Files
from gateway.s3.buckets import Buckets
from gateway.s3.codes import Refusal, said
from gateway.s3.dates import HttpDates, IsoDates
from gateway.s3.empty import EmptyForms
from gateway.s3.heads import ObjectHeads
from gateway.s3.hosts import Hosts
from gateway.s3.objects import Objects
from gateway.s3.operations import Operation, operation_of
from gateway.s3.refusals import refusal
from gateway.s3.request import parse, parse_virtual
from gateway.s3.visit import Accounts, Visit
from namespace.resolver import Resolver
from regioncache.errors import NoSuchObject
from regioncache.http.messages import Reply, Request

Answer = Reply | Coroutine[Any, Any, Reply]


class Door:
    """Answers S3 requests; `Handler` of the HTTP server. It keeps nothing from one request to the next but counters."""

    def __init__(
        self,
        files: Files,
        resolver: Resolver,
        authenticator: Authenticator,
        accounts: Accounts,
        on_fault: Callable[[Request, BaseException], None],
        domain: str | None = None,
    ) -> None:
        """Args:
        on_fault: told of faults that are nobody's but ours; the client sees InternalError.
        domain: of virtual-host style; None: path style alone.
        """
        self._hosts = None if domain is None else Hosts(domain)
        self._authenticator = authenticator
        self._accounts = accounts
        self._on_fault = on_fault
        self._ids = request_ids()
        dates = HttpDates()
        objects = Objects(files, ObjectHeads(dates))
        self._buckets = Buckets(files, resolver, IsoDates())
        self._answers = _answers(objects, self._buckets, EmptyForms(files, self._buckets), Attributes(files, dates))

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answers one request: at once where no waiting is needed."""
        visit = Visit(self._accounts, request, next(self._ids))
        try:
            answer = self._answer(visit)
        except Exception as fault:
            return visit.reply(self._refused(visit, fault))
        return visit.reply(answer) if isinstance(answer, Reply) else self._waited(visit, answer)

    def _answer(self, visit: Visit) -> Answer:
        request = visit.request
        bucket = "" if self._hosts is None else self._hosts.bucket(request.first.get(b"host", b""))
        target = visit.target = parse_virtual(request.target, bucket) if bucket else parse(request.target)
        operation = visit.operation = operation_of(request.method, target)
        caller = visit.caller = self._authenticator.caller(visit)
        # Before anything is looked up: without a grant nobody learns what there is.
        if target.key and not caller.key.may_read(target.root + target.key):
            raise Refusal("AccessDenied")
        # After the signature: a stranger's request costs no trace, and a hit that is not traced one test.
        tracing = self._accounts.tracing
        if tracing is not None and (begin := tracing(request)) is not None:
            caller = visit.trace(begin)
        return self._answers[operation](visit, caller)

    async def _waited(self, visit: Visit, answer: Coroutine[Any, Any, Reply]) -> Reply:
        try:
            return visit.reply(await answer)
        except asyncio.CancelledError:
            visit.abandon()
            raise
        except Exception as fault:
            return visit.reply(self._refused(visit, fault))

    def _refused(self, visit: Visit, fault: Exception) -> Reply:
        if isinstance(fault, NoSuchObject) and not self._buckets.exists(visit.target):
            fault = Refusal("NoSuchBucket", details=(("BucketName", visit.target.bucket),))
        told = said(fault)
        if told.code == "InternalError":
            self._on_fault(visit.request, fault)
        return refusal(told, visit.asked_for, visit.id, head=visit.request.method == b"HEAD")


def request_ids() -> Iterator[str]:
    """Yields 16 hexadecimal digits: a random half for the process, a counted half."""
    process = secrets.token_hex(4).upper()
    return (f"{process}{number & 0xFFFFFFFF:08X}" for number in itertools.count(1))


def _answers(
    objects: Objects, buckets: Buckets, empty: EmptyForms, attributes: Attributes
) -> dict[Operation, Callable[[Visit, Caller], Answer]]:
    return {
        Operation.GET_OBJECT: objects.get,
        Operation.HEAD_OBJECT: objects.head,
        Operation.LIST_OBJECTS_V2: lambda visit, caller: buckets.list_objects(visit, caller, v2=True),
        Operation.LIST_OBJECTS: lambda visit, caller: buckets.list_objects(visit, caller, v2=False),
        Operation.LIST_OBJECT_VERSIONS: buckets.list_versions,
        Operation.GET_OBJECT_ATTRIBUTES: attributes.get,
        Operation.LIST_BUCKETS: buckets.list_buckets,
        Operation.HEAD_BUCKET: buckets.head,
        Operation.GET_BUCKET_LOCATION: buckets.location,
        Operation.GET_BUCKET_VERSIONING: empty.versioning,
        Operation.GET_BUCKET_ACL: empty.bucket_acl,
        Operation.GET_OBJECT_ACL: empty.object_acl,
        Operation.GET_OBJECT_TAGGING: empty.object_tagging,
        Operation.NOT_SERVED: _not_served,
    }


def _not_served(visit: Visit, caller: Caller) -> Reply:
    raise Refusal("NotImplemented")
