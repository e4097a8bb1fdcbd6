"""What reaches the log, and what never does."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.logs import Access, AccessLog, configure, faults_in, tidings
from gateway.redact import Redactor
from regioncache.errors import VersionChanged
from regioncache.http.arriving import NO_BODY
from regioncache.http.messages import Request

SECRET = "kQ7/zP+veryverysecret0123456789"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    kept = (root.handlers[:], root.level)
    yield io.StringIO()
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


def an_access(code: int) -> Access:
    return Access("s3", "GetObject", code, "/ns/a", "127.0.0.1", "AK", 5, 0.001, "r1")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_log_by_any_way(form: str, stream: io.StringIO) -> None:
    configure(form, "debug", Redactor([SECRET]), stream)  # type: ignore[arg-type]
    log = structlog.stdlib.get_logger("test")

    log.info(
        f"event {SECRET}", authorization=SECRET, headers=[(b"authorization", SECRET.encode())], nested={"a": {SECRET}}
    )
    logging.getLogger("library").warning("library says %s", SECRET)
    logging.getLogger("library").warning("GET /k?X-Amz-Signature=%s", "feedbeef" * 8)
    try:
        raise ValueError(f"cannot use {SECRET}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed too")

    assert stream.getvalue().count("failed") == 2
    assert SECRET not in stream.getvalue()
    assert "feedbeef" not in stream.getvalue()


def test_json_is_one_object_a_line_with_time_and_level(stream: io.StringIO) -> None:
    configure("json", "info", Redactor(), stream)

    structlog.stdlib.get_logger("test").warning("line is slow", line="bj-use1")

    told = json.loads(stream.getvalue())
    assert told["event"] == "line is slow"
    assert told["level"] == "warning"
    assert told["line"] == "bj-use1"
    assert told["timestamp"].endswith("Z")


def test_lines_under_the_level_are_not_written(stream: io.StringIO) -> None:
    configure("json", "warning", Redactor(), stream)

    structlog.stdlib.get_logger("test").info("quiet")
    logging.getLogger("library").info("quiet")

    assert stream.getvalue() == ""


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'loud' is no log level; known: debug, info, warning, error"):
        configure("json", "loud", Redactor())


def test_one_request_in_n_is_told() -> None:
    log = AccessLog(every=4)

    assert [log.wants(200) for _ in range(8)] == [False, False, False, True] * 2


def test_a_fault_of_ours_is_always_told() -> None:
    log = AccessLog(every=0)

    assert [log.wants(code) for code in (200, 404, 500, 503)] == [False, False, True, True]


def test_the_access_log_tells_who_asked_for_what(stream: io.StringIO) -> None:
    configure("json", "info", Redactor(), stream)

    AccessLog(every=1).tell(an_access(206))

    told = json.loads(stream.getvalue())
    assert (told["door"], told["operation"], told["code"], told["path"], told["key"]) == (
        "s3",
        "GetObject",
        206,
        "/ns/a",
        "AK",
    )


def test_a_reply_that_ends_short_is_one_line_and_what_should_not_be_has_a_traceback(stream: io.StringIO) -> None:
    configure("json", "info", Redactor(), stream)
    tell, request = faults_in("s3"), Request(b"GET", b"/ns/a?X-Amz-Signature=1", [], NO_BODY)

    tell(request, VersionChanged("overwritten"))
    tell(request, ValueError("a bug"))

    expected, bug = map(json.loads, stream.getvalue().splitlines())
    assert (expected["level"], expected["path"], expected["why"]) == ("warning", "/ns/a", "VersionChanged: overwritten")
    assert "exception" not in expected
    assert (bug["level"], "ValueError: a bug" in bug["exception"]) == ("error", True)


def test_what_goes_away_is_a_warning_and_what_comes_back_is_news(stream: io.StringIO) -> None:
    told = tidings()
    configure("json", "info", Redactor([SECRET]), stream)

    told.warning(f"cache path /c is full: less than 1% free {SECRET}")
    told.news("cache path /c has room again")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["warning", "info"]
    assert lines[0]["event"].startswith("cache path /c is full: less than 1% free ")
    assert SECRET not in stream.getvalue()
