"""Who may enter: signatures, their age, unknown keys and keys without a grant."""

import re
from dataclasses import replace

import botocore.auth
import pytest

from namespace.keys import AccessKey
from regioncache.http.messages import Request

pytestmark = pytest.mark.anyio

MINUTE = 60.0


def refused(answer) -> tuple[int, str | None]:
    return answer.status, answer.code


async def test_a_signature_made_with_another_secret_does_not_match(desk, trainer) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask(key=replace(trainer, secret="not-the-secret-of-this-key"))
    presigned = await desk.ask(key=replace(trainer, secret="not-the-secret-of-this-key"), expires=60)

    assert refused(answer) == refused(presigned) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("part", ["target", "method", "signed header", "signature"])
async def test_whatever_is_changed_after_signing_breaks_the_signature(desk, part: str) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.files.put("/ns/train/b", 10)
    request = desk.request("/train/a", {"x-amz-meta-note": "signed"})
    if part == "target":
        request.target = b"/train/b"
    elif part == "method":
        request.method = b"HEAD"
    else:
        headers = dict(request.headers)
        if part == "signature":
            last = headers[b"authorization"][-1:]
            headers[b"authorization"] = headers[b"authorization"][:-1] + (b"0" if last != b"0" else b"1")
        else:
            headers[b"x-amz-meta-note"] = b"changed"
        request = type(request)(request.method, request.target, list(headers.items()), request.body)

    answer = await desk.send(request)

    assert answer.status == 403
    assert desk.files.calls["open_now"] == desk.files.calls["stat"] == 0


@pytest.mark.parametrize("skew", [-20 * MINUTE, 20 * MINUTE])
async def test_a_clock_off_by_20_minutes_is_too_skewed(desk, skew: float) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.sign.skew = skew

    answer = await desk.ask()

    assert refused(answer) == (403, "RequestTimeTooSkewed")


@pytest.mark.parametrize("skew", [-14 * MINUTE, 14 * MINUTE])
async def test_a_clock_off_by_14_minutes_is_borne(desk, skew: float) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.sign.skew = skew

    answer = await desk.ask()

    assert answer.status == 200


async def test_a_signed_request_replayed_after_its_time_is_refused(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    request = desk.request()
    assert (await desk.send(request)).status == 200

    desk.clock.advance(16 * MINUTE)
    answer = await desk.send(request)

    assert refused(answer) == (403, "RequestTimeTooSkewed")


async def test_a_presigned_url_works_until_it_expires_and_not_after(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    request = desk.request(expires=3600)

    desk.clock.advance(3599)
    within = await desk.send(request)
    desk.clock.advance(2)
    after = await desk.send(request)

    assert within.status == 200
    assert refused(after) == (403, "AccessDenied")
    assert after.texts("Message") == ["Request has expired"]


async def test_a_presigned_url_of_the_future_is_refused(desk) -> None:
    desk.sign.skew = 20 * MINUTE

    answer = await desk.ask(expires=3600)

    assert answer.status == 403


@pytest.mark.parametrize("expires", [0, -1, 604801])
async def test_a_presigned_url_lives_a_second_to_seven_days(desk, expires: int) -> None:
    answer = await desk.ask(expires=expires)

    assert refused(answer) == (400, "AuthorizationQueryParametersError")


@pytest.mark.parametrize("date", ["99991231T235959Z", "99991231T235999Z", "00010101T000000Z"])
async def test_a_signature_of_an_unlikely_date_is_refused_like_any_other(desk, date: str) -> None:
    request = desk.request(expires=60)
    target = request.target.decode()
    day = re.search(r"X-Amz-Date=(\d{8})T\d{6}Z", target)
    assert day is not None
    request.target = target.replace(day[0], f"X-Amz-Date={date}").replace(day[1], date[:8]).encode()
    signed = desk.request()
    headers = dict(signed.headers)
    headers[b"authorization"] = headers[b"authorization"].replace(day[1].encode(), date[:8].encode())
    headers[b"x-amz-date"] = date.encode()

    presigned = await desk.send(request)
    header = await desk.send(Request(signed.method, signed.target, list(headers.items()), signed.body))

    assert presigned.status in (400, 403)
    assert header.status in (400, 403)


@pytest.mark.parametrize(
    ("payload", "told"),
    [("0" * 64, (400, "XAmzContentSHA256Mismatch")), ("STREAMING-NONE", (400, "InvalidArgument")),
     ("UNSIGNED-PAYLOAD", (200, None))],
)  # fmt: skip
async def test_a_payload_hash_that_is_not_the_empty_bodys_is_told_apart(
    desk, payload: str, told: tuple[int, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.files.put("/ns/train/a", 10)
    monkeypatch.setattr(botocore.auth.S3SigV4Auth, "payload", lambda *_: payload)

    assert refused(await desk.ask()) == told


@pytest.mark.parametrize("missing", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders",
                                     "X-Amz-Expires", "X-Amz-Signature"])  # fmt: skip
async def test_a_presigned_url_without_one_of_its_parameters_is_told_so(desk, missing: str) -> None:
    request = desk.request(expires=60)
    path, _, query = request.target.partition(b"?")
    kept = [part for part in query.split(b"&") if not part.startswith(f"{missing}=".encode())]
    request.target = path + b"?" + b"&".join(kept)

    answer = await desk.send(request)

    assert refused(answer) == (400, "AuthorizationQueryParametersError")


async def test_a_presigned_url_cannot_be_stretched(desk) -> None:
    request = desk.request(expires=60)
    request.target = request.target.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=600000")

    answer = await desk.send(request)

    assert refused(answer) == (403, "SignatureDoesNotMatch")


async def test_an_unknown_key_is_told_so(desk) -> None:
    stranger = AccessKey("CWSTRANGER", "a-secret-of-a-stranger", "stranger", "none", read=("/ns/train",))

    answer = await desk.ask(key=stranger)
    presigned = await desk.ask(key=stranger, expires=60)

    assert refused(answer) == refused(presigned) == (403, "InvalidAccessKeyId")


async def test_an_unsigned_request_is_denied(desk) -> None:
    desk.files.put("/ns/train/a", 10)

    answers = [await desk.ask(target, key=None) for target in ("/train/a", "/train/nothing", "/train", "/", "/nowhere")]

    assert {refused(answer) for answer in answers} == {(403, "AccessDenied")}


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=CWTRAINER",
        "AWS4-HMAC-SHA256 Credential=CWTRAINER/20230101/us-east-1/s3/aws4_request",
        "AWS4-HMAC-SHA256 Credential=CWTRAINER/x/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=CWTRAINER/20230101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature="
        + "0" * 64,
    ],
)
async def test_an_authorization_that_is_malformed_is_400(desk, authorization: str) -> None:
    answer = await desk.ask(headers={"authorization": authorization, "x-amz-date": "20230101T000000Z"}, key=None)

    assert refused(answer) == (400, "AuthorizationHeaderMalformed")


@pytest.mark.parametrize("authorization", ["AWS CWTRAINER:c2lnbmF0dXJl", "Basic dTpw", "Bearer x", ""])
async def test_other_ways_of_signing_are_not_taken(desk, authorization: str) -> None:
    answer = await desk.ask(headers={"authorization": authorization}, key=None)

    assert answer.status in {400, 403}
    assert desk.files.calls["open_now"] == 0


async def test_a_key_past_its_day_opens_nothing(desk, trainer) -> None:
    desk.files.put("/ns/train/a", 10)
    desk.keys.adopt([replace(trainer, until=desk.clock.time() + 5)])

    within = await desk.ask()
    desk.clock.advance(5)
    after = await desk.ask()

    assert within.status == 200
    assert refused(after) == (400, "ExpiredToken")


async def test_only_who_knows_the_secret_learns_that_a_key_has_expired(desk, trainer) -> None:
    desk.keys.adopt([replace(trainer, until=1.0)])

    answer = await desk.ask(key=replace(trainer, secret="not-the-secret-of-this-key"))

    assert refused(answer) == (403, "SignatureDoesNotMatch")


async def test_a_removed_key_is_unknown_at_once(desk) -> None:
    desk.files.put("/ns/train/a", 10)
    request = desk.request()
    assert (await desk.send(request)).status == 200

    desk.keys.adopt([])

    assert refused(await desk.send(request)) == (403, "InvalidAccessKeyId")


async def test_a_session_token_is_none_of_ours(desk) -> None:
    answer = await desk.ask(headers={"x-amz-security-token": "token"})

    assert refused(answer) == (400, "InvalidToken")


@pytest.mark.parametrize("region", ["us-east-1", "idc-bj", "eu-central-1"])
async def test_every_region_in_the_scope_is_accepted(desk, region: str) -> None:
    desk.files.put("/ns/train/a", 10)

    answer = await desk.ask(region=region)

    assert answer.status == 200


async def test_without_a_grant_nobody_learns_whether_an_object_exists(desk, renter) -> None:
    desk.files.put("/ns/train/a", 10)

    there = await desk.ask("/train/a", key=renter)
    not_there = await desk.ask("/train/nothing", key=renter)
    heads = [await desk.ask(target, key=renter, method="HEAD") for target in ("/train/a", "/train/nothing", "/x/y")]

    assert refused(there) == refused(not_there) == (403, "AccessDenied")
    assert there.body.replace(b"/train/a", b"").replace(there.headers["x-amz-request-id"].encode(), b"") == (
        not_there.body.replace(b"/train/nothing", b"").replace(not_there.headers["x-amz-request-id"].encode(), b"")
    )
    assert {(answer.status, answer.body) for answer in heads} == {(403, b"")}
    assert not desk.files.calls


async def test_without_a_grant_nobody_learns_whether_a_bucket_exists(desk, renter) -> None:
    desk.files.put("/ns/secret/a", 10)

    targets = ("/secret", "/nowhere", "/secret?list-type=2", "/nowhere?list-type=2", "/secret?location", "/nowhere?acl")
    answers = [await desk.ask(target, key=renter) for target in targets]
    heads = [await desk.ask(target, key=renter, method="HEAD") for target in ("/secret", "/nowhere")]

    assert {refused(answer) for answer in answers} == {(403, "AccessDenied")}
    assert {answer.status for answer in heads} == {403}
    assert not desk.files.calls


async def test_a_grant_opens_whole_components_only(desk, renter) -> None:
    desk.files.put("/ns/train/public/a", 10)
    desk.files.put("/ns/train/publicity", 10)

    inside = await desk.ask("/train/public/a", key=renter)
    beside = await desk.ask("/train/publicity", key=renter)
    dotted = await desk.ask("/train/public/a/../b", key=renter)

    assert (inside.status, beside.status) == (200, 403)
    assert dotted.status == 404  # A key of this very name, beneath the grant; nothing is tidied out of it.


async def test_dots_that_lead_out_of_a_grant_are_refused_for_a_store_may_follow_them(desk, renter) -> None:
    desk.files.put("/ns/train/public/../a", 10)

    dotted = await desk.ask("/train/public/../a", key=renter)
    escaped = await desk.ask("/train/public/%2e%2e/a", key=renter)

    assert refused(dotted) == refused(escaped) == (403, "AccessDenied")


async def test_writes_need_a_signature_and_then_are_not_implemented(desk) -> None:
    unsigned = await desk.ask("/train/a", method="PUT", key=None)
    signed = await desk.ask("/train/a", method="PUT")
    delete = await desk.ask("/train/a", method="DELETE")
    elsewhere = await desk.ask("/secret/a", method="PUT")

    assert refused(unsigned) == (403, "AccessDenied")
    assert refused(signed) == refused(delete) == (501, "NotImplemented")
    assert refused(elsewhere) == (403, "AccessDenied")
