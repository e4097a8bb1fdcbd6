"""Between our values and etcd's messages; pure."""

from collections.abc import Iterable

from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.etcdclient.values import (
    Change,
    Compare,
    Delete,
    Get,
    Gone,
    KeyValue,
    Operation,
    Outcome,
    Page,
    Put,
    Result,
    Target,
    Transaction,
)


def range_request(
    get: Get, revision: int = 0, *, serializable: bool = False, keys_only: bool = False
) -> pb.RangeRequest:
    """Returns the question for keys; at the newest revision for 0."""
    return pb.RangeRequest(
        key=get.key,
        range_end=get.end,
        limit=get.limit,
        revision=revision,
        serializable=serializable,
        keys_only=keys_only,
    )


def page(answer: pb.RangeResponse) -> Page:
    """Returns the keys of an answer, with the revision that the server was at."""
    return Page(answer.header.revision, tuple(key_value(one) for one in answer.kvs), answer.more)


def key_value(kv: pb.KeyValue) -> KeyValue:
    """Returns one key."""
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def put_request(put: Put) -> pb.PutRequest:
    """Returns the message that sets a key."""
    return pb.PutRequest(key=put.key, value=put.value, lease=put.lease)


def delete_request(delete: Delete) -> pb.DeleteRangeRequest:
    """Returns the message that removes keys."""
    return pb.DeleteRangeRequest(key=delete.key, range_end=delete.end)


def txn_request(transaction: Transaction) -> pb.TxnRequest:
    """Returns a transaction's message."""
    return pb.TxnRequest(
        compare=[_compare(one) for one in transaction.compares],
        success=[_operation(one) for one in transaction.then],
        failure=[_operation(one) for one in transaction.otherwise],
    )


def outcome(answer: pb.TxnResponse) -> Outcome:
    """Returns what a transaction came to."""
    return Outcome(answer.succeeded, answer.header.revision, tuple(_result(one) for one in answer.responses))


def changes(events: Iterable[pb.Event]) -> Iterable[tuple[int, tuple[Change, ...]]]:
    """Yields (revision, its changes) in order: etcd sends the events of a revision one after the other."""
    revision, gathered = 0, list[Change]()
    for event in events:
        if event.kv.mod_revision != revision and gathered:
            yield revision, tuple(gathered)
            gathered = []
        revision = event.kv.mod_revision
        deleted = event.type == pb.Event.DELETE
        gathered.append(Gone(event.kv.key, revision) if deleted else key_value(event.kv))
    if gathered:
        yield revision, tuple(gathered)


def _compare(compare: Compare) -> pb.Compare:
    message = pb.Compare(
        key=compare.key,
        result=pb.Compare.EQUAL if compare.equal else pb.Compare.NOT_EQUAL,
        target=_TARGETS[compare.target],
    )
    if isinstance(compare.wanted, bytes):
        message.value = compare.wanted
    else:
        # A oneof that is set to 0 is present on the wire all the same.
        setattr(message, _FIELDS[compare.target], compare.wanted)
    return message


_TARGETS = {
    Target.VERSION: pb.Compare.VERSION,
    Target.CREATED: pb.Compare.CREATE,
    Target.MODIFIED: pb.Compare.MOD,
    Target.VALUE: pb.Compare.VALUE,
    Target.LEASE: pb.Compare.LEASE,
}
_FIELDS = {
    Target.VERSION: "version",
    Target.CREATED: "create_revision",
    Target.MODIFIED: "mod_revision",
    Target.LEASE: "lease",
}


def _operation(operation: Operation) -> pb.RequestOp:
    match operation:
        case Put():
            return pb.RequestOp(request_put=put_request(operation))
        case Delete():
            return pb.RequestOp(request_delete_range=delete_request(operation))
        case Get():
            return pb.RequestOp(request_range=range_request(operation))


def _result(response: pb.ResponseOp) -> Result:
    match response.WhichOneof("response"):
        case "response_range":
            return tuple(key_value(one) for one in response.response_range.kvs)
        case "response_delete_range":
            return response.response_delete_range.deleted
        case _:
            return None
