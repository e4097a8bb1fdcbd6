"""Rules and patterns: first rule that covers the path and sets the key wins, and no path makes a pattern slow."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import PatternError
from policy.match import Match, Rules
from policy.model import CacheRule, Pin
from policy.pattern import Pattern


def covers(pattern: str, path: str) -> bool:
    return re.compile(Pattern.parse(pattern).regex).match(path) is not None


def slow_covers(pattern: list[str], path: list[str]) -> bool:
    """What the words of the design say, by trying everything."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(slow_covers(pattern[1:], path[skip:]) for skip in range(len(path) + 1))
    if not path:
        return False
    return slow_glob(pattern[0], path[0]) and slow_covers(pattern[1:], path[1:])


def slow_glob(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return any(slow_glob(glob[1:], name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and name[0] == glob[0] and slow_glob(glob[1:], name[1:])


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/ns/train", "/ns/train", True),
        ("/ns/train", "/ns/train/a/b.jpg", True),
        ("/ns/train", "/ns/training", False),
        ("/ns/train", "/ns/tr", False),
        ("/ns/train/", "/ns/train/a", True),
        ("/ns/notes/dt=*", "/ns/notes/dt=2026-01-01/part-0", True),
        ("/ns/notes/dt=*", "/ns/notes/dt=", True),
        ("/ns/notes/dt=*", "/ns/notes/x/dt=1", False),
        ("/ns/*/b", "/ns/a/b/c", True),
        ("/ns/*/b", "/ns/a/c/b", False),
        ("/ns/scratch/**", "/ns/scratch/a/b/c", True),
        ("/ns/scratch/**", "/ns/scratchy/a", False),
        ("/ns/**/tmp", "/ns/tmp/x", True),
        ("/ns/**/tmp", "/ns/a/b/tmp/x", True),
        ("/ns/**/tmp", "/ns/a/b/tmpx", False),
        ("/ns/**/*.tmp", "/ns/a/b.c.tmp", True),
        ("/ns/**", "/ns", True),
        ("/ns/*a", "/ns/aa", True),
        ("/ns/**/a/b", "/ns/a/a/b", True),
        ("/ns/**/*a", "/ns/ab/aba/c", True),
        ("/ns/a.b", "/ns/axb", False),
        ("/ns/a[b]?", "/ns/a[b]?/c", True),
        ("/ns/*", "/ns/a\nb", True),
        ("/ns/a", "/ns/a\n", False),
        ("/ns/t/*/x", "/ns/t//x", True),
    ],
)
def test_a_pattern_covers_what_it_matches_and_all_beneath(pattern: str, path: str, expected: bool) -> None:
    assert covers(pattern, path) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "partition"),
    [
        ("/ns/notes/dt=*", "/ns/notes/dt=1/a/b", "/ns/notes/dt=1"),
        ("/ns/notes/dt=*", "/ns/notes/dt=1", "/ns/notes/dt=1"),
        ("/ns/notes/dt=*", "/ns/notes/x/dt=1", None),
        ("/ns/*/m=*/x", "/ns/y/m=2/x/part", "/ns/y/m=2/x"),
    ],
)
def test_the_partition_of_a_path_is_the_beginning_that_the_pattern_matches(
    pattern: str, path: str, partition: str | None
) -> None:
    assert Pattern.parse(pattern).partition(path) == partition


names = st.text("ab", max_size=3)
globs = st.one_of(st.just("**"), st.text("ab*", min_size=1, max_size=3).filter(lambda glob: "**" not in glob))


@settings(max_examples=1000)
@given(st.lists(globs, max_size=5), st.lists(names, max_size=6))
def test_a_compiled_pattern_covers_what_trying_everything_covers(pattern: list[str], path: list[str]) -> None:
    text = "/".join(["/ns", *pattern])

    assert covers(text, "/".join(["/ns", *path])) is slow_covers(["ns", *pattern], ["ns", *path])


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/ns" + "/**/a" * 10 + "/**/b", "/ns" + "/a" * 100),
        ("/ns/" + "*a" * 20 + "b", "/ns/" + "a" * 200),
        ("/ns" + "/**/a*a*a*b" * 8, "/ns" + ("/" + "a" * 30) * 30),
    ],
)
def test_no_path_makes_a_pattern_slow(pattern: str, path: str) -> None:
    # Going back over all these wildcards would take longer than the time limit of any test.
    assert not covers(pattern, path)


@pytest.mark.parametrize("text", ["", "ns/a", "/", "/nsx", "/ns//a", "/ns/./a", "/ns/../a", "/ns/a**", None, 3])
def test_what_can_cover_no_path_is_refused(text: object) -> None:
    with pytest.raises(PatternError, match="accepted is for example"):
        Pattern.parse(text)


def rules(*written: Mapping[str, object]) -> Rules:
    return Rules([CacheRule.model_validate(rule) for rule in written])


def test_for_each_key_the_first_rule_that_covers_and_sets_it_wins() -> None:
    found = rules(
        {"match": "/ns/other", "ttl": "1d"},
        {"match": "/ns/a/**", "priority": "high"},
        {"match": "/ns/a/*", "priority": "low", "pin": {"newest": 2}},
        {"match": "/ns/*", "ttl": "2d", "admit": "second_read", "quota": "1GiB", "pin": {"newest": 9}},
    ).match("/ns/a/b/c")

    assert found == Match(
        admit="second_read",
        pin=Pin(newest=2),
        ttl=2 * 86400,
        quota=2**30,
        priority="high",
        by={"pin": 2, "ttl": 3, "admit": 3, "quota": 3, "priority": 1},
    )


def test_an_exception_stands_before_the_rule_that_it_excepts_from() -> None:
    kept = rules({"match": "/ns/tmp/keep", "admit": "always"}, {"match": "/ns/tmp", "admit": "never"})

    assert kept.match("/ns/tmp/keep/x").admit == "always"
    assert kept.match("/ns/tmp/x").admit == "never"


def test_what_a_rule_does_not_pin_no_wider_rule_pins() -> None:
    kept = rules({"match": "/ns/a/tmp", "pin": False}, {"match": "/ns/a", "pin": True})

    assert kept.match("/ns/a/x").pin
    assert not kept.match("/ns/a/tmp/x").pin
    assert kept.match("/ns/a/tmp/x").by == {"pin": 0}


def test_a_path_that_no_rule_covers_is_admitted_and_nothing_else() -> None:
    assert rules({"match": "/ns/a", "admit": "never"}).match("/ns/b") == Match()
    assert Rules(()).match("/ns/b") == Match()


def test_the_same_outcome_is_the_same_value_however_many_paths_have_it() -> None:
    kept = rules({"match": "/ns/a", "admit": "never"})

    assert len({id(kept.match(f"/ns/a/{number}")) for number in range(1000)}) == 1


def test_many_rules_are_told_apart() -> None:
    kept = rules(*({"match": f"/ns/t{number}", "admit": "never"} for number in range(500)))

    assert [kept.match(f"/ns/t{number}/x").by["admit"] for number in (0, 7, 77, 499)] == [0, 7, 77, 499]
