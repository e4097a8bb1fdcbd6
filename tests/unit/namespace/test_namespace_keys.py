"""Access keys: grants by whole components, classes, and the moment they end."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.keys import AccessKey, Keys, new_id, new_secret, until
from namespace.paths import climbs

_PARTS = ["a", "ab", "b"]
_places = st.lists(st.sampled_from(_PARTS), max_size=3).map(lambda parts: "/".join(["/ns", *parts]))
_paths = st.lists(st.sampled_from([*_PARTS, "", ".."]), max_size=4).map(lambda parts: "/".join(["/ns", *parts]))
_KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/train",), may_class=("backfill",))


def _reading(*places: str) -> AccessKey:
    return replace(_KEY, read=places)


@given(st.lists(_places, min_size=1, max_size=3), _paths)
def test_a_grant_opens_whole_components(places: list[str], path: str) -> None:
    opened = any(
        path.split("/")[: len(place.split("/"))] == place.split("/") and not climbs(path.removeprefix(place))
        for place in places
    )

    assert _reading(*places).may_read(path) == opened


@given(st.lists(_places, min_size=1, max_size=3), _paths)
def test_a_list_shows_what_is_granted_and_what_leads_there(places: list[str], path: str) -> None:
    key = _reading(*places)
    directory = path.removesuffix("/").split("/")
    leads = any(place.split("/")[: len(directory)] == directory for place in places)

    assert key.may_show(path) == (key.may_read(path) or leads)


@given(st.lists(_places, min_size=1, max_size=3), _paths, st.text("ab/", max_size=4))
def test_a_beginning_may_be_listed_if_any_name_with_it_may_be_shown(places: list[str], path: str, more: str) -> None:
    key = _reading(*places)
    beginning = path + more if len(path) > 3 else path
    names = [beginning, *(place + "/x" for place in places)]

    shown = any(name.startswith(beginning) and key.may_read(name) for name in names)

    assert key.may_list(beginning) == shown


@pytest.mark.parametrize("path", ["../b", "a/../../b", "a//../../b", "./../b", "..", "a/../..", "../train/a"])
def test_dots_never_lead_out_of_a_grant(path: str) -> None:
    writing = replace(_KEY, write=("/ns/train",))

    assert not _KEY.may_read(f"/ns/train/{path}")
    assert not _KEY.may_show(f"/ns/train/{path}")
    assert not _KEY.may_list(f"/ns/train/{path}")
    assert not writing.may_write(f"/ns/train/{path}")


@pytest.mark.parametrize("path", ["a/../b", "a/..", "..a/b", "a/..b", "a/b/../../c", ".../b"])
def test_dots_that_stay_beneath_a_grant_are_opened_with_it(path: str) -> None:
    assert _KEY.may_read(f"/ns/train/{path}")


def test_a_wider_grant_opens_what_climbs_out_of_a_narrower_one() -> None:
    assert _reading("/ns/train/a", "/ns/train").may_read("/ns/train/a/../b")


def test_a_grant_of_a_longer_name_opens_nothing() -> None:
    assert not _KEY.may_read("/ns/training/a")
    assert not _KEY.may_show("/ns/tra")
    assert _KEY.may_list("/ns/tra")


def test_a_grant_to_read_opens_no_writing() -> None:
    writing = replace(_KEY, read=(), write=("/ns/train",))

    assert (_KEY.may_write("/ns/train/a"), writing.may_write("/ns/train/a"), writing.may_read("/ns/train/a")) == (
        False,
        True,
        False,
    )


def test_a_write_grant_alone_shows_no_names() -> None:
    writing = replace(_KEY, read=(), write=("/ns/train",))

    assert not writing.may_show("/ns/train/a")
    assert not writing.may_list("/ns/")


@pytest.mark.parametrize(
    ("asked", "given_"), [(None, "training"), ("backfill", "backfill"), ("interactive", "training"), ("x", "training")]
)
def test_a_request_gets_the_class_it_asks_for_if_the_key_allows_it(asked: str | None, given_: str) -> None:
    assert _KEY.class_of(asked) == given_


def test_a_key_opens_nothing_from_its_last_moment_on() -> None:
    key = replace(_KEY, until=100.0)

    assert [key.expired(now) for now in (99.9, 100.0, 101.0)] == [False, True, True]
    assert not _KEY.expired(1e18)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-06", datetime(2026, 3, 7, tzinfo=UTC)),
        ("2026-03-06T18:00", datetime(2026, 3, 6, 18, tzinfo=UTC)),
        ("2026-03-06T18:00+08:00", datetime(2026, 3, 6, 10, tzinfo=UTC)),
        ("2026-03-06 00:00:00Z", datetime(2026, 3, 6, tzinfo=UTC)),
    ],
)
def test_a_day_means_its_end_and_a_time_itself(text: str, moment: datetime) -> None:
    assert until(text) == moment.timestamp()


@pytest.mark.parametrize("text", ["", "Friday", "2026-02-30", "06.03.2026"])
def test_what_is_no_date_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="write 2026-03-06"):
        until(text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": "a b"}, "the id of a key"),
        ({"secret": "short"}, "the secret of a key"),
        ({"name": "a;b"}, "no name"),
        ({"tenant": ""}, "no name"),
        ({"cls": "urgent"}, "class 'urgent' is not known; known: interactive"),
        ({"may_class": ("urgent",)}, "class 'urgent'"),
        ({"read": ("train",)}, "begins with /ns/"),
        ({"read": ("/ns/train/",)}, "component"),
        ({"write": ("/ns/../x",)}, "component"),
        ({"read": ()}, "opens nothing"),
    ],
)
def test_a_wrong_key_cannot_be_made(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(_KEY, **wrong)  # type: ignore[arg-type]


def test_a_secret_is_in_no_representation_and_no_fault() -> None:
    assert _KEY.secret not in repr(_KEY)
    with pytest.raises(ValueError) as caught:
        replace(_KEY, secret="hush hush hush hush")
    assert "hush" not in str(caught.value)


def test_keys_are_found_by_id_until_others_take_their_place() -> None:
    other = replace(_KEY, id="CWOTHER")
    keys = Keys([_KEY])
    assert keys.find("CWID") is _KEY

    keys.adopt([other])

    assert (keys.find("CWID"), keys.find("CWOTHER"), len(keys)) == (None, other, 1)


def test_fresh_ids_and_secrets_fit_a_key_and_differ() -> None:
    made = [AccessKey(new_id(), new_secret(), "n", "t", read=("/ns",)) for _ in range(200)]

    assert len({key.id for key in made}) == len({key.secret for key in made}) == 200
    assert {(len(key.id), len(key.secret)) for key in made} == {(20, 40)}
