"""Our signatures are botocore's, and what botocore signs is let in; whatever is changed afterwards is not."""

import hashlib
import hmac
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore import auth as botocore_auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from regioncache.http import claims
from regioncache.http.arriving import NO_BODY
from regioncache.http.canonical import EMPTY_SHA256, SigningKey, SigningKeys, amz_date, seconds_of
from regioncache.http.claims import Claim, Verifier
from regioncache.http.messages import Header, Request
from regioncache.http.sigv4 import Credentials, Signer

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
KEY_ID, SECRET = "AKIDCAUSEWAY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = b"127.0.0.1:9000"

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
parameters = st.dictionaries(
    st.one_of(
        st.sampled_from(["prefix", "list-type", "delimiter", "max-keys", "a", "a-b", "A"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=5,
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def path_of(key: str) -> str:
    return "/bucket/" + quote(key, safe="/~")


def query_of(query: dict[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items())


def target_of(key: str, query: dict[str, str]) -> str:
    return path_of(key) + ("?" + query_of(query) if query else "")


def botocore_at(now: float) -> AbstractContextManager[object]:
    return patch.object(botocore_auth, "get_current_datetime", lambda: datetime.fromtimestamp(now, UTC))


def signed_by_botocore(method: str, target: str, headers: dict[str, str], token: str | None = None) -> Request:
    """The request as boto3 sends it."""
    request = AWSRequest(
        method, f"http://{HOST.decode()}{target}", headers={**headers, "Host": HOST.decode()}, data=b""
    )
    with botocore_at(NOW):
        S3SigV4Auth(BotocoreCredentials(KEY_ID, SECRET, token), "s3", "eu-west-1").add_auth(request)
    found = [(name.lower().encode(), value.strip().encode()) for name, value in request.headers.items()]
    return Request(method.encode(), target.encode(), found, NO_BODY)


def presigned_by_botocore(key: str, query: dict[str, str], expires: int = 3600) -> Request:
    request = AWSRequest("GET", f"http://{HOST.decode()}{path_of(key)}", params=query)
    with botocore_at(NOW):
        S3SigV4QueryAuth(BotocoreCredentials(KEY_ID, SECRET), "s3", "eu-west-1", expires=expires).add_auth(request)
    target = request.url.removeprefix(f"http://{HOST.decode()}")
    return Request(b"GET", target.encode(), [(b"host", HOST)], NO_BODY)


def check(request: Request, now: float = NOW, secret: str = SECRET, body: bytes = EMPTY_SHA256) -> Claim:
    verifier = Verifier()
    claim = verifier.claim(request)
    assert claim is not None
    verifier.check(claim, request, secret, now, body)
    return claim


def signed(headers: list[Header] | None = None, target: bytes = b"/bucket/key") -> Request:
    signer = Signer(Credentials(KEY_ID, SECRET), "eu-west-1")
    return Request(b"GET", target, signer.sign(b"GET", target, headers or [(b"host", HOST)], NOW), NO_BODY)


@given(keys, parameters, values)
def test_what_botocore_signs_in_headers_is_let_in(key: str, query: dict[str, str], value: str) -> None:
    request = signed_by_botocore("GET", target_of(key, query), {"x-amz-meta-odd": value, "range": "bytes=0-9"})

    claim = check(request)

    assert (claim.key_id, claim.signing.region, claim.expires) == (KEY_ID, "eu-west-1", None)


@given(keys, parameters)
def test_what_botocore_presigns_is_let_in(key: str, query: dict[str, str]) -> None:
    query = {name: value for name, value in query.items() if not name.startswith("X-Amz-")}

    claim = check(presigned_by_botocore(key, query))

    assert (claim.key_id, claim.expires) == (KEY_ID, 3600)


@given(keys, parameters, st.one_of(st.none(), st.just("session/token+=")))
def test_our_header_signature_is_botocores(key: str, query: dict[str, str], token: str | None) -> None:
    target = target_of(key, query)
    theirs = signed_by_botocore("GET", target, {"if-match": '"etag"'}, token)

    ours = Signer(Credentials(KEY_ID, SECRET, token), "eu-west-1").sign(
        b"GET", target.encode(), [(b"host", HOST), (b"if-match", b'"etag"')], NOW
    )

    assert dict(ours)[b"authorization"] == theirs.header(b"authorization")
    assert set(ours) == set(theirs.headers)


@given(keys, parameters)
def test_our_presigned_signature_is_botocores(key: str, query: dict[str, str]) -> None:
    query = {name: value for name, value in query.items() if not name.startswith("X-Amz-")}
    theirs = presigned_by_botocore(key, query, 60)

    ours = Signer(Credentials(KEY_ID, SECRET), "eu-west-1").presign(
        b"GET", target_of(key, query).encode(), HOST, NOW, 60
    )

    assert ours.rpartition(b"=")[2] == theirs.target.rpartition(b"=")[2]


@given(keys, parameters, st.integers(0, 10_000))
def test_a_changed_target_is_refused(key: str, query: dict[str, str], where: int) -> None:
    request = signed_by_botocore("GET", target_of(key, query), {})
    at = where % len(request.target)
    other = bytes([request.target[at] ^ 1])
    request.target = request.target[:at] + other + request.target[at + 1 :]

    with pytest.raises(claims.SignatureFault):
        check(request)


@pytest.mark.parametrize("name", [b"host", b"range", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-meta-a"])
def test_a_changed_header_is_refused(name: bytes) -> None:
    request = signed([(b"host", HOST), (b"range", b"bytes=0-9"), (b"x-amz-meta-a", b"1")])
    changed = {b"x-amz-date": b"20260101T000001Z", b"x-amz-content-sha256": b"0" * 64}.get(name, b"other")
    headers = [(key, changed if key == name else value) for key, value in request.headers]

    with pytest.raises(claims.SignatureMismatch):
        check(Request(b"GET", request.target, headers, NO_BODY))


def test_another_method_is_refused() -> None:
    request = signed()
    request.method = b"DELETE"

    with pytest.raises(claims.SignatureMismatch):
        check(request)


def test_a_wrong_secret_is_refused() -> None:
    with pytest.raises(claims.SignatureMismatch):
        check(signed(), secret=SECRET + "x")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_off_by_20_minutes_is_told_apart(minutes: int) -> None:
    with pytest.raises(claims.ClockSkewed):
        check(signed(), now=NOW + minutes * 60)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_off_by_14_minutes_is_borne(minutes: int) -> None:
    check(signed(), now=NOW + minutes * 60)


def test_a_presigned_url_works_until_its_last_second() -> None:
    check(presigned_by_botocore("k", {}, 60), now=NOW + 60)


def test_a_presigned_url_replayed_after_its_time_is_refused() -> None:
    with pytest.raises(claims.SignatureExpired):
        check(presigned_by_botocore("k", {}, 60), now=NOW + 61)


def test_a_presigned_url_from_the_future_is_refused() -> None:
    with pytest.raises(claims.SignatureExpired):
        check(presigned_by_botocore("k", {}, 60), now=NOW - 16 * 60)


@pytest.mark.parametrize("expires", [b"0", b"604801", b"-1", b"x", b"9" * 30, b""])
def test_a_presigned_url_lives_at_most_seven_days(expires: bytes) -> None:
    request = presigned_by_botocore("k", {}, 60)
    request.target = request.target.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=" + expires)

    with pytest.raises(claims.BadAuthorizationQuery):
        check(request)


def test_a_lengthened_life_breaks_the_signature() -> None:
    request = presigned_by_botocore("k", {}, 60)
    request.target = request.target.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=600")

    with pytest.raises(claims.SignatureMismatch):
        check(request)


def test_an_unsigned_amz_header_is_refused() -> None:
    request = signed()
    headers = [*request.headers, (b"x-amz-copy-source", b"/other/key")]

    with pytest.raises(claims.HeadersNotSigned):
        check(Request(b"GET", request.target, headers, NO_BODY))


def test_a_signed_header_sent_twice_is_refused() -> None:
    request = signed([(b"host", HOST), (b"range", b"bytes=0-9")])
    headers = [*request.headers, (b"range", b"bytes=0-99")]

    with pytest.raises(claims.SignatureMismatch):
        check(Request(b"GET", request.target, headers, NO_BODY))


def test_a_signature_that_leaves_out_the_host_is_refused() -> None:
    request = signed()
    headers = [
        (name, value.replace(b"host;", b"") if name == b"authorization" else value) for name, value in request.headers
    ]

    with pytest.raises(claims.HeadersNotSigned):
        check(Request(b"GET", request.target, headers, NO_BODY))


def test_a_request_without_signature_claims_nothing() -> None:
    assert Verifier().claim(Request(b"GET", b"/b/X-Amz-Signature=1?list-type=2", [(b"host", HOST)], NO_BODY)) is None


def test_two_signatures_at_once_are_refused() -> None:
    request = signed(target=b"/b/k?X-Amz-Signature=00")

    with pytest.raises(claims.BadAuthorization):
        check(request)


def test_parameters_of_the_signature_given_twice_are_refused() -> None:
    request = presigned_by_botocore("k", {}, 60)
    request.target += b"&X-Amz-Expires=600"

    with pytest.raises(claims.BadAuthorizationQuery):
        check(request)


@pytest.mark.parametrize("kind", [b"AWS AKID:c2ln", b"Basic dTpw", b"AWS4-ECDSA-P256-SHA256 Credential=x", b""])
def test_other_signatures_are_told_apart(kind: bytes) -> None:
    with pytest.raises(claims.OtherSignature):
        check(Request(b"GET", b"/b/k", [(b"host", HOST), (b"authorization", kind)], NO_BODY))


def test_a_version_2_url_is_told_apart() -> None:
    target = b"/b/k?AWSAccessKeyId=A&Expires=1&Signature=x"

    with pytest.raises(claims.OtherSignature):
        Verifier().claim(Request(b"GET", target, [(b"host", HOST)], NO_BODY))


@pytest.mark.parametrize(
    "credential",
    [b"", b"AKID", b"AKID/20260101/r/s3", b"AKID/20260102/r/s3/aws4_request", b"AKID/20260101/r/ec2/aws4_request",
     b"/20260101/r/s3/aws4_request", b"\xff/20260101/r/s3/aws4_request"],
)  # fmt: skip
def test_a_credential_that_cannot_be_is_refused(credential: bytes) -> None:
    value = b"AWS4-HMAC-SHA256 Credential=%b, SignedHeaders=host, Signature=00" % credential
    headers = [(b"host", HOST), (b"x-amz-date", b"20260101T000000Z"), (b"authorization", value)]

    with pytest.raises(claims.BadAuthorization):
        Verifier().claim(Request(b"GET", b"/b/k", headers, NO_BODY))


@pytest.mark.parametrize(
    "payload", [b"", b"abc", b"E" * 64, b"unsigned-payload", b"STREAMING-", b"STREAMING-AWS4-HMAC-SHA1-PAYLOAD"]
)
def test_a_payload_hash_of_no_known_form_is_refused(payload: bytes) -> None:
    request = signed()
    headers = [(name, payload if name == b"x-amz-content-sha256" else value) for name, value in request.headers]

    with pytest.raises(claims.BadPayloadHash):
        check(Request(b"GET", request.target, headers, NO_BODY))


def test_without_a_payload_header_the_bodys_own_hash_is_what_was_signed() -> None:
    body = hashlib.sha256(b"a body").hexdigest().encode()
    date = amz_date(NOW)
    scope = b"20260101/eu-west-1/s3/aws4_request"
    canonical = b"PUT\n/b/k\n\nhost:%b\nx-amz-date:%b\n\nhost;x-amz-date\n%b" % (HOST, date, body)
    text = b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (date, scope, hashlib.sha256(canonical).hexdigest().encode())
    value = b"AWS4-HMAC-SHA256 Credential=%b/%b,SignedHeaders=host;x-amz-date,Signature=%b" % (
        KEY_ID.encode(), scope, SigningKeys().key(SECRET, scope).hexdigest(text),
    )  # fmt: skip
    request = Request(b"PUT", b"/b/k", [(b"host", HOST), (b"x-amz-date", date), (b"authorization", value)], NO_BODY)

    claim = check(request, body=body)

    assert claim.payload is None
    with pytest.raises(claims.SignatureMismatch):
        check(request)


@pytest.mark.parametrize(
    ("sent", "signed_as"),
    [(b"/b/a(1)", b"/b/a%281%29"), (b"/b/a%2f%c3%a4", b"/b/a/%C3%A4"), (b"/b?prefix=a+b", b"/b?prefix=a%20b"),
     (b"/b?b&a=/", b"/b?a=%2F&b=")],
)  # fmt: skip
def test_a_client_may_sign_awss_encoding_of_what_it_sends(sent: bytes, signed_as: bytes) -> None:
    request = signed(target=signed_as)
    request.target = sent

    check(request)


def test_an_old_client_may_send_the_date_header_alone() -> None:
    request = signed_by_botocore("GET", "/b/k", {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})
    assert request.header(b"x-amz-date") is None

    check(request)


@pytest.mark.parametrize("date", [b"20260101T000000", b"2026010aT000000Z", b"20261301T000000Z", b"20260101T240000Z"])
def test_a_date_that_cannot_be_is_refused(date: bytes) -> None:
    with pytest.raises(ValueError):
        seconds_of(date)


@given(st.integers(0, 4_000_000_000))
def test_dates_come_back_as_the_second_they_were(at: int) -> None:
    assert seconds_of(amz_date(at)) == at


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_signing_key_is_hmac_sha256(key: bytes, message: bytes) -> None:
    assert SigningKey(key).digest(message) == hmac.digest(key, message, "sha256")


def test_derived_keys_are_bounded() -> None:
    cache = SigningKeys(limit=3)

    for day in range(10):
        cache.key(SECRET, b"2026010%d/r/s3/aws4_request" % day)

    assert len(cache) == 3


def test_a_presigned_url_longer_than_seven_days_is_not_made() -> None:
    with pytest.raises(ValueError, match="604800"):
        Signer(Credentials(KEY_ID, SECRET), "r").presign(b"GET", b"/b/k", HOST, NOW, 604_801)


def test_the_parts_of_the_authorization_may_come_in_any_order() -> None:
    request = signed()
    kind, _, rest = dict(request.headers)[b"authorization"].partition(b" ")
    turned = kind + b" " + b",".join(reversed(rest.split(b", ")))
    headers = [(name, turned if name == b"authorization" else value) for name, value in request.headers]

    check(Request(b"GET", request.target, headers, NO_BODY))


def test_what_is_remembered_of_one_key_is_not_taken_for_another() -> None:
    verifier = Verifier()
    ours = signed()
    others = Signer(Credentials("OTHER", "other"), "eu-west-1").sign(b"GET", b"/b/k", [(b"host", HOST)], NOW)
    claims_seen = [
        verifier.claim(ours),
        verifier.claim(Request(b"GET", b"/b/k", others, NO_BODY)),
        verifier.claim(ours),
    ]

    assert [claim and claim.key_id for claim in claims_seen] == [KEY_ID, "OTHER", KEY_ID]


def test_what_is_remembered_is_bounded() -> None:
    verifier = Verifier()

    for number in range(3000):
        value = b"AWS4-HMAC-SHA256 Credential=A%d/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=0" % number
        headers = [(b"x-amz-date", b"20260101T000000Z"), (b"authorization", value)]
        verifier.claim(Request(b"GET", b"/", headers, NO_BODY))

    assert verifier.remembered == 1024


def test_secrets_do_not_show() -> None:
    credentials = Credentials(KEY_ID, SECRET, "token")

    assert SECRET not in repr(credentials) + repr(Signer(credentials, "r"))
    assert "token=" not in repr(credentials)
