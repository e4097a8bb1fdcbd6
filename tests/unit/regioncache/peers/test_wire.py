"""Requests between nodes and the facts of objects, as HTTP carries them."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.errors import BadAnswer
from regioncache.origins.base import ListAsk, Listed, ListPage, Payer
from regioncache.pages import Meta, Span, Version
from regioncache.peers.proto import FRAME_BYTES, MOST_FRAME_BYTES
from regioncache.peers.wire import (
    FRAMES,
    BadPeerRequest,
    PeerRequest,
    facts,
    list_body,
    parse_facts,
    parse_list_body,
    parse_request,
)
from regioncache.standing import Standing

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
sizes = st.integers(0, 10**14)
finite = st.floats(0, 1e10, allow_nan=False)
spans = st.tuples(sizes, sizes).map(lambda ends: Span(min(ends), max(ends)))
versions = st.one_of(st.none(), text.map(Version))


@st.composite
def requests(draw: st.DrawFn) -> PeerRequest:
    operation = draw(st.sampled_from(["read", "stat", "list"]))
    ask = None
    key = draw(text)
    version = None if operation == "list" else draw(versions)
    if operation == "list":
        ask = ListAsk(key, draw(text), draw(text), draw(st.integers(1, 1000)))
    return PeerRequest(
        operation,
        draw(names),
        draw(st.binary(min_size=16, max_size=16)),
        key,
        draw(st.sampled_from(["idc-bj", "aws-use1"])),
        Payer(draw(names), draw(names)),
        tuple(draw(st.lists(names, max_size=10))),
        draw(st.one_of(finite, st.just(math.inf))),
        version,
        draw(spans) if operation == "read" else None,
        ask,
        draw(st.booleans()),
        draw(st.integers(0, 10_000)) if operation == "stat" and version is not None else 0,
    )


@given(requests())
def test_a_request_is_parsed_as_it_was_made_whatever_its_key(request: PeerRequest) -> None:
    target = request.target()

    assert parse_request(target, dict(request.headers())) == request
    assert all(32 < byte < 127 for byte in target)


@pytest.mark.parametrize("key", ["a//b", "../b", "dir/", "a b+c", "%2e%2e", "ü", "&=?#", "\U0010ffff"])
def test_an_odd_key_arrives_exactly(key: str) -> None:
    made = PeerRequest("stat", "data", bytes(16), key, "idc-bj", Payer("rec"), ("aws-use1",), 60.0)

    assert parse_request(made.target(), dict(made.headers())).key == key


GOOD = PeerRequest("read", "data", bytes(16), "k", "idc-bj", Payer("rec"), ("aws-use1",), 60.0, span=Span(0, 10))


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/causeway/1/read",
        b"/causeway/1/write?bucket=data&id=00&key=k",
        b"/causeway/9/read?" + GOOD.target().partition(b"?")[2],
        b"/causeway/x/read?" + GOOD.target().partition(b"?")[2],
        b"/elsewhere/1/read?" + GOOD.target().partition(b"?")[2],
        GOOD.target().replace(b"start=0", b"start=11"),
        GOOD.target().replace(b"start=0", b"start=-1"),
        GOOD.target().replace(b"start=0", b"start=x"),
        GOOD.target().replace(b"id=", b"id=zz"),
        GOOD.target().replace(b"&key=k", b""),
        GOOD.target().replace(b"key=k", b"key=%ff"),
        GOOD.target() + b"&a=b" * 20,
        "/causeway/1/read?ü".encode(),
    ],
)
def test_a_target_that_no_node_sends_is_refused(target: bytes) -> None:
    with pytest.raises(BadPeerRequest):
        parse_request(target, dict(GOOD.headers()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-causeway-hops", b"-1"),
        (b"x-causeway-hops", b"many"),
        (b"x-causeway-hops", b"2"),
        (b"x-causeway-via", b"aws-use1,gpu-7"),
        (b"x-causeway-via", b","),
        (b"x-causeway-fresh", b"nan"),
        (b"x-causeway-fresh", b"-1"),
        (b"x-causeway-tenant", b""),
        (b"x-causeway-tenant", b"t" * 129),
        (b"x-causeway-class", b"%ff"),
        (b"x-causeway-region", b"\xff"),
        (b"x-causeway-region", None),
    ],
)
def test_a_header_that_no_node_sends_is_refused(name: bytes, value: bytes | None) -> None:
    headers = dict(GOOD.headers())
    if value is None:
        del headers[name]
    else:
        headers[name] = value

    with pytest.raises(BadPeerRequest):
        parse_request(GOOD.target(), headers)


def test_a_list_of_more_than_a_thousand_keys_is_refused() -> None:
    made = PeerRequest("list", "data", bytes(16), "", "idc-bj", Payer("rec"), ("idc-bj",), 0.0, ask=ListAsk(limit=1001))

    with pytest.raises(BadPeerRequest, match="1,000"):
        parse_request(made.target(), dict(made.headers()))


headers = st.lists(st.tuples(text, text), max_size=4).map(tuple)
metas = st.builds(Meta, text.map(Version), sizes, text, finite, text, headers, finite)


@given(metas, spans, finite)
def test_facts_arrive_as_they_were_told_in_printable_ascii(meta: Meta, span: Span, age: float) -> None:
    told = facts(meta, span, age)

    found, sent = parse_facts(told, 2e10)

    assert all(32 <= byte < 127 for byte in told)
    assert sent == span
    assert found.learned_at == pytest.approx(2e10 - age)
    assert (found.version, found.size, found.etag, found.last_modified, found.content_type, found.headers) == (
        meta.version,
        meta.size,
        meta.etag,
        meta.last_modified,
        meta.content_type,
        meta.headers,
    )


def test_an_age_from_the_future_makes_nothing_younger_than_now() -> None:
    meta = Meta(Version("v"), 1, "v", 0.0, "x")

    assert parse_facts(facts(meta, Span(0, 1), -50.0), 100.0)[0].learned_at == 100.0


GOOD_FACTS = json.loads(facts(Meta(Version("v"), 5, "v", 0.0, "x"), Span(0, 5), 0.0))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        *(
            json.dumps({**GOOD_FACTS, **wrong}).encode()
            for wrong in (
                {"size": -1},
                {"size": "many"},
                {"size": math.inf},
                {"start": 9},
                {"headers": 5},
                {"headers": [["a"]]},
                {"age": None},
            )
        ),
    ],
)
def test_facts_that_no_node_tells_are_not_used(value: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_facts(value, 0.0)


listed = st.builds(Listed, text, sizes, text, finite, text)
pages = st.builds(
    ListPage,
    st.lists(listed, max_size=4).map(tuple),
    st.lists(text, max_size=4).map(tuple),
    st.one_of(st.none(), text),
    finite,
)


@given(pages)
def test_a_list_arrives_as_it_was_told(page: ListPage) -> None:
    assert parse_list_body(list_body(page)) == page


@pytest.mark.parametrize("body", [b"", b"[]", b'{"entries": [["k"]], "prefixes": [], "next_after": null, "age": 0}'])
def test_a_list_that_no_node_tells_is_not_used(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_list_body(body)


def test_an_object_that_changed_a_moment_ago_is_told_as_such_and_nodes_of_before_know_none() -> None:
    young = Meta(Version('"v"'), 1, '"v"', 0.0, "text/plain", settled=False)
    text = facts(young, Span(0, 1), 0.0)

    assert not parse_facts(text, 0.0)[0].settled
    assert parse_facts(text.replace(b',"settled":false', b""), 0.0)[0].settled


AMONG = replace(GOOD, standing=Standing.OWNER, epoch=7, frame_bytes=MOST_FRAME_BYTES)


def test_members_ask_for_large_frames_and_regions_for_those_of_a_block() -> None:
    said = dict(AMONG.headers())

    assert parse_request(AMONG.target(), said).frame_bytes == MOST_FRAME_BYTES
    assert parse_request(GOOD.target(), dict(GOOD.headers())).frame_bytes == FRAME_BYTES
    assert FRAMES not in dict(GOOD.headers())


def test_a_node_that_says_nothing_of_frames_gets_those_it_knows() -> None:
    said = {name: value for name, value in AMONG.headers() if name != FRAMES}

    assert parse_request(AMONG.target(), said).frame_bytes == FRAME_BYTES


def test_who_wants_larger_frames_than_are_made_here_gets_the_largest() -> None:
    said = {**dict(AMONG.headers()), FRAMES: b"1048576"}

    assert parse_request(AMONG.target(), said).frame_bytes == MOST_FRAME_BYTES


@pytest.mark.parametrize("frames", [b"1", b"65535", b"-1", b"x"])
def test_frames_that_no_node_wants_are_refused(frames: bytes) -> None:
    with pytest.raises(BadPeerRequest):
        parse_request(AMONG.target(), {**dict(AMONG.headers()), FRAMES: frames})
