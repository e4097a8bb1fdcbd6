"""The response-* overrides: all six, presigned and signed in the header, and never for nobody."""

from urllib.parse import quote

import pytest

pytestmark = pytest.mark.anyio

OVERRIDDEN = {
    "content-type": "text/plain; charset=utf-8",
    "content-language": "de-CH",
    "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
    "cache-control": "private, max-age=0",
    "content-disposition": 'attachment; filename="a+b c.bin"',
    "content-encoding": "zstd",
}
OVERRIDES = "&".join(f"response-{name}={quote(value, safe='')}" for name, value in OVERRIDDEN.items())
STORED = tuple((name, "stored") for name in OVERRIDDEN if name != "content-type")


@pytest.mark.parametrize("expires", [60, None], ids=["presigned", "signed in the header"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("span", [{}, {"range": "bytes=2-5"}], ids=["whole", "range"])
@pytest.mark.parametrize("stored", [(), STORED], ids=["bare", "stored"])
async def test_every_override_replaces_what_is_stored(desk, expires, method, span, stored) -> None:
    desk.files.put("/ns/train/a", 10, headers=stored)

    answer = await desk.ask(f"/train/a?{OVERRIDES}", span, method=method, expires=expires)

    assert answer.status == (206 if span else 200)
    assert {name: answer.headers[name] for name in OVERRIDDEN} == OVERRIDDEN


@pytest.mark.parametrize("name", sorted(OVERRIDDEN))
async def test_an_override_leaves_the_other_headers_alone(desk, name: str) -> None:
    desk.files.put("/ns/train/a", 10, headers=STORED, content_type="stored")

    answer = await desk.ask(f"/train/a?response-{name}=new", expires=60)

    assert {one: answer.headers[one] for one in OVERRIDDEN} == dict.fromkeys(OVERRIDDEN, "stored") | {name: "new"}


async def test_an_empty_override_is_none(desk) -> None:
    desk.files.put("/ns/train/a", 10, content_type="stored")

    answer = await desk.ask("/train/a?response-content-type=")

    assert answer.headers["content-type"] == "stored"


async def test_overrides_without_a_key_are_refused_in_s3s_words(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask("/train/a?response-content-type=text%2Fhtml", key=None)

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "anonymous" in answer.texts("Message")[0]
    assert not desk.files.calls


async def test_an_override_that_was_not_signed_is_refused(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    request = desk.request("/train/a", expires=60)
    request.target += b"&response-content-type=text%2Fhtml"

    assert (await desk.send(request)).code == "SignatureDoesNotMatch"


async def test_an_override_cannot_smuggle_a_header(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask("/train/a?response-content-type=a%0D%0Aset-cookie%3A%20b")

    assert (answer.status, answer.code) == (400, "InvalidArgument")
