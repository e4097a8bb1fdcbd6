"""The account of lines over a time: which time is meant, and sums of bytes, cost and once ratio over all nodes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts import GB, NAMES, USUAL, Period, account, moment
from regioncache.history.file import Row

NOON = datetime(2026, 3, 6, 12, 0, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 3, 6, tzinfo=UTC).timestamp()
DAY = 86_400


@pytest.mark.parametrize(
    ("text", "end", "meant"),
    [
        ("1h", False, NOON - 3600),
        ("30d", True, NOON - 30 * DAY),
        ("2026-03-06", False, MIDNIGHT),
        ("2026-03-06", True, MIDNIGHT + DAY),
        ("20260306", False, MIDNIGHT),
        ("2026-03-06T18:00+08:00", False, NOON - 2 * 3600),
        ("2026-03-06T10:00", True, NOON - 2 * 3600),
    ],
)
def test_a_time_is_a_duration_before_now_or_a_date(text: str, end: bool, meant: float) -> None:
    assert moment(text, NOON, end=end) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "1", "-1h", "2026-13-01", "99999999999d1"])
def test_what_is_no_time_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="write 1h, 30d, 2026-03-06"):
        moment(text, NOON, end=False)


def test_a_period_is_whole_slots_with_the_running_one() -> None:
    period = Period.of("1h", "", "", NOON + 61)

    assert (period.since, period.until, period.by) == (NOON - 3600, NOON + 300, USUAL)


@pytest.mark.parametrize(
    ("since", "until", "by", "told"),
    [
        ("1h", "2h", "", "is empty"),
        ("2027-01-01", "", "", "is empty"),
        ("1h", "", "tenant,colour", "'colour' is nothing to group by; known: line, direction"),
        ("1h", "", "tenant,", "'' is nothing to group by"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_by_name(since: str, until: str, by: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Period.of(since, until, by, NOON)


def test_the_same_group_of_several_nodes_is_one_row() -> None:
    period = Period.of("1h", "", "tenant", NOON)
    assert period.columns == ("tenant", "line", "kind")

    moved = account(
        period,
        {
            "n1": [Row(("rec", "bj", "unique"), 3 * GB), Row(("rec", "sh", "retry"), GB)],
            "n2": [Row(("rec", "bj", "unique"), GB), Row(("search", "bj", "meta"), GB)],
        },
        {"bj": 0.02, "sh": 0.1},
    )

    assert [(row.names, row.nbytes) for row in moved.rows] == [
        ({"tenant": "rec"}, 5 * GB),
        ({"tenant": "search"}, GB),
    ]
    assert moved.rows[0].kinds == {"unique": 4 * GB, "retry": GB}
    assert moved.rows[0].cost == pytest.approx(4 * 0.02 + 0.1)
    assert [row.once_ratio for row in moved.rows] == [0.8, None]
    assert (moved.whole.nbytes, moved.whole.once_ratio) == (6 * GB, 0.8)
    assert moved.nodes == ("n1", "n2")


def test_nodes_can_be_told_apart() -> None:
    period = Period.of("1h", "", "node,line", NOON)

    moved = account(period, {"n1": [Row(("bj", "unique"), 1)], "n2": [Row(("bj", "unique"), 2)]}, {})

    assert [row.names for row in moved.rows] == [{"node": "n2", "line": "bj"}, {"node": "n1", "line": "bj"}]


def test_a_line_without_a_price_has_a_cost_that_nobody_knows() -> None:
    period = Period.of("1h", "", "tenant", NOON)

    moved = account(period, {"n1": [Row(("a", "bj", "unique"), GB), Row(("b", "gone", "unique"), GB)]}, {"bj": 0.02})

    assert [row.cost for row in moved.rows] == [0.02, None]
    assert moved.whole.cost is None


def test_rows_by_slot_are_in_the_order_of_time() -> None:
    period = Period.of("1h", "", "slot,tenant", NOON)
    rows = [Row((600, "a", "bj", "unique"), 1), Row((300, "a", "bj", "unique"), 1), Row((300, "b", "bj", "unique"), 2)]

    moved = account(period, {"n1": rows}, {})

    assert [tuple(row.names.values()) for row in moved.rows] == [(300, "b"), (300, "a"), (600, "a")]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["unique", "refetch", "meta"]),
                  st.sampled_from(["n1", "n2"]), st.integers(1, 10**15)),
        max_size=30,
    ),
    st.lists(st.sampled_from([name for name in NAMES if name != "slot"]), unique=True, min_size=1),
)  # fmt: skip
def test_however_it_is_grouped_the_sum_is_the_same(
    counted: list[tuple[str, str, str, str, int]], by: list[str]
) -> None:
    period, parts = Period.of("1h", "", ",".join(by), NOON), dict[str, list[Row]]()
    for line, tenant, kind, node, nbytes in counted:
        names = {"line": line, "direction": "d", "tenant": tenant, "class": "c", "bucket": "b", "kind": kind}
        parts.setdefault(node, []).append(Row(tuple(names[name] for name in period.columns), nbytes))

    moved = account(period, parts, {"a": 1.0, "b": 2.0})

    assert sum(row.nbytes for row in moved.rows) == moved.whole.nbytes == sum(each[-1] for each in counted)
    assert sum(row.cost or 0.0 for row in moved.rows) == pytest.approx(moved.whole.cost)
