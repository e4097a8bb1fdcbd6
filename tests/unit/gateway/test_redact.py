"""No secret passes the redactor, in whatever form it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redact import HIDDEN, Redactor

SECRETS = st.text(
    alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+=", min_size=16, max_size=64
)

FORMS = [
    "GET /b/k?X-Amz-Signature={} HTTP/1.1",
    "GET /b/k?x=1&X-Amz-Credential={}&y=2",
    "https://h/k?X-Amz-Security-Token={}&z",
    "x-amz-security-token: {}",
    "X-Amz-Signature%3D{}",
    "Authorization: AWS4-HMAC-SHA256 Credential=AK, SignedHeaders=host, Signature={}",
    "headers = [(b'authorization', b'AWS4-HMAC-SHA256 Credential={}')]",
    "{{'Authorization': 'Bearer {}'}}",
    "authorization='Bearer {}'",
    "Bearer {}",
    "aws_secret_access_key={}",
    '{{"secret": "{}"}}',
    "password: {}",
    "token={}",
    "http://user:{}@host/path",
]


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS)
def test_a_text_that_looks_like_a_secret_is_hidden(form: str, secret: str) -> None:
    # A user's name and a password in a URL are cut at / and @, which a client must encode there.
    secret = secret.replace("/", "_") if "://user" in form else secret

    shown = Redactor().text(form.format(secret))

    assert secret not in shown
    assert HIDDEN in shown


@given(secret=SECRETS, before=st.text(), after=st.text())
def test_a_known_secret_is_hidden_wherever_it_stands(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])

    shown = redactor(None, "info", {"event": before + secret + after, "deep": [{"x": (secret, secret.encode())}]})

    assert secret not in repr(shown)


@pytest.mark.parametrize(
    "name", ["authorization", "X-Amz-Signature", "x-amz-credential", "secret", "aws_session_token"]
)
def test_a_field_with_a_secret_name_is_hidden_whatever_it_holds(name: str) -> None:
    shown = Redactor()(None, "info", {"event": "e", name: ["plain"], "headers": [(name.encode(), b"plain")]})

    assert "plain" not in repr(shown)


def test_ordinary_fields_pass_unchanged() -> None:
    event = {
        "event": "request",
        "path": "/ns/train/a b.jpg",
        "code": 200,
        "seconds": 0.5,
        "key": "AKEXAMPLE",
        "none": None,
    }

    assert Redactor()(None, "info", event) == event


def test_a_number_under_a_secret_name_is_no_secret() -> None:
    assert Redactor()(None, "info", {"tokens": 7}) == {"tokens": 7}


def test_a_short_known_secret_does_not_eat_ordinary_words() -> None:
    assert Redactor(["in"]).text("line in use") == "line in use"
