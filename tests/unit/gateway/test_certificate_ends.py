"""Until when a certificate is valid, and what is told of it: once for each change, and once a day."""

import contextlib
import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tls import DAY_SECONDS, SOON_SECONDS, Certificate, Watch
from gateway.validity import valid_until
from regioncache.tidings import Tidings
from tests.fakes.certificates import pem_pair, write_certificate

END = datetime.datetime(2027, 6, 1, 12, tzinfo=datetime.UTC)
AT = END.timestamp()


class Told:
    """A watch over one certificate, on a clock of its own, and what was told."""

    def __init__(self, certificate: Certificate, now: float) -> None:
        self.now = now
        self.warnings: list[str] = []
        self.news: list[str] = []
        self.watch = Watch([certificate], Tidings(self.warnings.append, self.news.append), lambda: self.now)

    def look(self, *, later: float = 0.0) -> None:
        """Looks, so many seconds later."""
        self.now += later
        self.watch.look()


# `validity`.


@given(
    st.datetimes(
        datetime.datetime(1951, 1, 2),
        datetime.datetime(9999, 12, 31),
        timezones=st.just(datetime.UTC),
    )
)
def test_the_end_is_read_whatever_its_year(end: datetime.datetime) -> None:
    end = end.replace(microsecond=0)

    assert valid_until(pem_pair("x", end)[0]) == end.timestamp()


def test_of_a_chain_the_first_to_expire_counts() -> None:
    chain = b"# a comment\n".join(pem_pair("x", END + datetime.timedelta(days=days))[0] for days in (9, 0, 300))

    assert valid_until(chain) == AT


@pytest.mark.parametrize("broken", [b"", b"no certificate", pem_pair("x")[0].replace(b"MII", b"MIA", 1)])
def test_what_is_no_certificate_has_no_end(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"certificate|ASN|padding"):
        valid_until(broken)


@given(st.data())
def test_a_damaged_certificate_raises_nothing_else(data: st.DataObject) -> None:
    lines = pem_pair("x")[0].splitlines()
    at = data.draw(st.integers(1, len(lines) - 2))
    lines[at] = data.draw(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", max_size=64)
    ).encode()
    with contextlib.suppress(ValueError):
        valid_until(b"\n".join(lines))


# `Certificate` and `Watch`.


def test_nothing_is_told_while_the_end_is_far(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "x", until=END))
    told = Told(certificate, AT - SOON_SECONDS - 1)

    told.look()

    assert (told.warnings, told.news, certificate.concern(told.now)) == ([], [], "")


def test_an_end_that_is_near_is_told_each_day_and_after_it_too(tmp_path: Path) -> None:
    told = Told(Certificate(write_certificate(tmp_path, "x", until=END), "s3"), AT - SOON_SECONDS)

    for _ in range(16 * 24 - 1):
        told.look()
        told.look(later=DAY_SECONDS / 24)

    assert len(told.warnings) == 16 + 1
    assert "the certificate of the s3 door" in told.warnings[0]
    assert "expires in 14 days (2027-06-01 12:00 UTC): put a renewed one in its place" in told.warnings[0]
    assert "expires in 1 day " in told.warnings[13]
    assert "expires in less than a day" in told.warnings[14]
    assert "expired less than a day ago (2027-06-01 12:00 UTC)" in told.warnings[15]
    assert "the door goes on with it until a renewed one is put in its place" in told.warnings[16]


def test_one_that_has_expired_at_the_start_is_loaded_and_told_at_once(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "x", until=END), "admin")
    told = Told(certificate, AT + 3 * DAY_SECONDS)

    told.look()

    assert len(told.warnings) == 1
    assert "the certificate of the admin door" in told.warnings[0]
    assert "expired 3 days ago" in told.warnings[0]


def test_a_renewed_one_ends_the_warning_and_is_news(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "x", until=END), "s3")
    told = Told(certificate, AT - 1000)
    told.look()
    write_certificate(tmp_path, "x", until=END + datetime.timedelta(days=90))

    told.look()
    told.look()

    assert len(told.warnings) == 1
    assert told.news == [
        "the certificate of the s3 door was loaded again; it is good until 2027-08-30 12:00 UTC",
    ]
    assert certificate.concern(told.now) == ""
    assert certificate.valid_until == AT + 90 * DAY_SECONDS


def test_a_broken_pair_is_told_once_stays_a_fault_and_is_forgotten_when_mended(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "x", until=END), "s3")
    told = Told(certificate, AT - 2 * SOON_SECONDS)
    (tmp_path / "cert.pem").write_text("-----BEGIN CERT")

    for _ in range(3):
        told.look()

    assert len(told.warnings) == 1
    assert "cannot be used" in told.warnings[0]
    assert told.warnings[0].endswith("the s3 door goes on with the former certificate")
    assert "cannot be used" in certificate.fault
    assert certificate.valid_until == AT

    write_certificate(tmp_path, "y", until=END)
    told.look()

    assert (certificate.fault, len(told.warnings), len(told.news)) == ("", 1, 1)


def test_files_that_vanish_are_told_once_and_their_return_is_no_trouble(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "x", until=END), "s3")
    told = Told(certificate, AT - 2 * SOON_SECONDS)
    (tmp_path / "cert.pem").rename(tmp_path / "away")
    for _ in range(3):
        told.look()

    assert len(told.warnings) == 1
    assert "cert.pem cannot be read: No such file or directory" in told.warnings[0]

    (tmp_path / "away").rename(tmp_path / "cert.pem")
    told.look()

    assert certificate.fault == ""
