"""Where a request goes: read from a URL that says nothing more."""

import pytest

from regioncache.http.ask import Base

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "base", "authority"),
    [
        ("http://h", Base("http", "h", 80), b"h"),
        ("https://H:443/", Base("https", "h", 443), b"h"),
        ("http://10.0.0.1:9000", Base("http", "10.0.0.1", 9000), b"10.0.0.1:9000"),
        ("http://[::1]:9000", Base("http", "::1", 9000), b"[::1]:9000"),
    ],
)
async def test_a_base_is_read_from_its_url(url: str, base: Base, authority: bytes) -> None:
    assert (Base.parse(url), Base.parse(url).authority) == (base, authority)


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://", "http://u@h", "http://h/p", "http://h?x", "http://h:x"])
async def test_a_url_with_more_than_a_base_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Base.parse(url)
