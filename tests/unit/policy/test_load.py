"""The policy file: the design's example is complete, and every fault is named at once in its place."""

from pathlib import Path

import pytest

from policy.load import load, not_kept
from policy.model import LinePolicy, Policy
from policy.yamlfile import Faults, parse

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "policy.yaml"
GBIT = 1e9 / 8


def loaded(text: str, capacities: dict[str, float] | None = None) -> Policy:
    return load(parse(text, "policy.yaml"), capacities)


def faults(text: str, capacities: dict[str, float] | None = None) -> list[str]:
    with pytest.raises(Faults) as raised:
        loaded(text, capacities)
    return str(raised.value).splitlines()


def line(text: str) -> str:
    return f"lines:\n  a-b: {text}\n"


def test_the_example_of_the_design_loads_with_its_values_in_bytes_and_seconds() -> None:
    policy = loaded(EXAMPLE.read_text(), {"bj-use1": 10 * GBIT})

    line = policy.lines["bj-use1"]
    assert (line.quota, line.overhead, line.safe) == (8 * GBIT, 1.06, 0.5)
    assert [(name, item.order, item.floor) for name, item in line.classes.items()] == [
        ("interactive", 0, 0.1),
        ("training", 1, 0.1),
        ("prefetch", 2, 0.02),
        ("backfill", 3, 0.01),
    ]
    rec = line.tenants["rec"]
    assert (rec.assured, rec.ceil, rec.weight, rec.month) == (3 * GBIT, 8 * GBIT, 3, 400 * 10**12)
    assert line.windows[0].when.days == frozenset(range(5))
    assert line.windows[0].ceil == {"backfill": GBIT}
    assert [rule.match.text for rule in policy.cache] == ["/ns/notes/dt=*", "/ns/scratch/**", "/ns/train/**"]
    assert policy.cache[0].ttl == 30 * 86400
    assert policy.cache[2].quota == 20 * 1024**4


def test_rules_that_are_checked_but_not_kept_are_named_in_their_places() -> None:
    document = parse(EXAMPLE.read_text(), "policy.yaml")

    named = [str(document.fault(loc, message)) for loc, message in not_kept(load(document))]

    assert named == [
        "policy.yaml:7:70: lines.bj-use1.tenants.rec.month: not kept by this version",
    ]


def test_a_policy_of_kept_rules_has_nothing_that_is_not_kept() -> None:
    policy = loaded(
        line("{quota: 8Gbps, burst: 20ms, safe: 40%, hold: 10s, static_for: 2h}")
        + "cache: [{match: /ns/scratch, admit: never}]"
    )

    assert not_kept(policy) == []


def test_an_empty_file_is_a_policy_without_rules() -> None:
    assert loaded("# nothing yet\n") == Policy()


def test_a_line_without_a_policy_has_its_capacity_as_quota() -> None:
    policy = LinePolicy.of_capacity(1 / 3)

    assert policy.quota == 1 / 3
    assert policy.classes == loaded(line("{quota: 8Gbps}")).lines["a-b"].classes
    assert policy.overhead == 1.06


@pytest.mark.parametrize(
    ("burst", "expected"),
    [("", 10_000_000), (", burst: 1MiB", 1 << 20), (", burst: 5ms", 5_000_000), (", burst: 1us", 256 * 1024)],
)
def test_the_burst_is_a_size_or_a_time_of_the_quota_and_one_step_at_least(burst: str, expected: int) -> None:
    assert loaded(line(f"{{quota: 8Gbps{burst}}}")).lines["a-b"].burst_bytes == expected


def test_a_class_that_is_written_overrides_only_what_it_says() -> None:
    classes = loaded(line("{quota: 8Gbps, classes: {training: {floor: 20%}}}")).lines["a-b"].classes

    assert (classes["training"].order, classes["training"].floor) == (1, 0.2)
    assert (classes["backfill"].order, classes["backfill"].floor) == (3, 0.01)


def test_every_fault_of_a_file_is_named_at_once() -> None:
    text = """\
lines:
  a-b:
    quota: 8 apples
    classes: {urgent: {order: 1}, backfill: {floor: 1}}
    tenants:
      rec: {assured: 3Gbps, ceil: 2Gbps, weight: 0}
    colour: red
  c-d:
    quota: 1Gbps
    tenants: {rec: {assured: 600Mbps}, search: {assured: 200Mbps}}
cache:
  - {match: ns/train}
  - {match: /ns/a**b, admit: sometimes}
"""

    assert faults(text) == [
        "policy.yaml:3:12: lines.a-b.quota: '8 apples' is not a rate; accepted are for example"
        " 10Gbps, 8 Gbit/s, 100 MB/s or 1GiB/s",
        "policy.yaml:4:15: lines.a-b.classes.urgent:"
        " class 'urgent' is unknown; known: interactive, training, prefetch, backfill",
        "policy.yaml:4:15: lines.a-b.classes.urgent.floor: this key is missing",
        "policy.yaml:4:53: lines.a-b.classes.backfill.floor: 1 is not a percentage;"
        " accepted are for example 10% or 0.5%",
        "policy.yaml:6:35: lines.a-b.tenants.rec.ceil: ceil 2 Gbit/s is below assured 3 Gbit/s",
        "policy.yaml:6:50: lines.a-b.tenants.rec.weight: Input should be greater than or equal to 0.001",
        "policy.yaml:7:5: lines.a-b.colour: unknown key; it is misspelt or belongs elsewhere",
        "policy.yaml:10:14: lines.c-d.tenants: floors (230 Mbit/s) and assured (800 Mbit/s) are above the quota"
        " (1 Gbit/s); lower an assured rate or a floor",
        "policy.yaml:12:13: cache[0].match: 'ns/train' is not a pattern: it begins with /ns;"
        " accepted is for example '/ns/train/**' or '/ns/notes/dt=*'",
        "policy.yaml:13:13: cache[1].match: in the pattern '/ns/a**b' ** is not a whole component;"
        " accepted is for example '/ns/train/**' or '/ns/notes/dt=*'",
        "policy.yaml:13:30: cache[1].admit: Input should be 'always', 'second_read' or 'never'",
    ]


def test_a_line_that_the_topology_does_not_have_is_refused_beside_other_faults() -> None:
    text = "lines:\n  a-b: {quota: 12Gbps}\n  b-a: {quota: 1Gbps}\n  c-d: {quota: fast}\n"

    assert faults(text, {"a-b": 10 * GBIT, "c-d": GBIT}) == [
        "policy.yaml:2:16: lines.a-b.quota: quota 12 Gbit/s is above the line's capacity 10 Gbit/s",
        "policy.yaml:3:3: lines.b-a: line 'b-a' is not in the topology; known: a-b, c-d",
        "policy.yaml:4:16: lines.c-d.quota: 'fast' is not a rate; accepted are for example"
        " 10Gbps, 8 Gbit/s, 100 MB/s or 1GiB/s",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "2:3: lines.a-b.quota: this key is missing"),
        ("[]", "2:8: lines.a-b: must be a mapping (key: value)"),
        ("{quota: 1000}", "2:16: lines.a-b.quota: 1000 is not a rate"),
        ("{quota: 0bps}", "2:16: lines.a-b.quota: must be above 0"),
        ("{quota: 1Gbps, overhead: 0.9}", "2:33: lines.a-b.overhead: Input should be greater than or equal to 1"),
        ("{quota: 1Gbps, burst: 1KiB}", "2:30: lines.a-b.burst: a burst is at least one step, 256 KiB"),
        ("{quota: 1Gbps, burst: soon}", "2:30: lines.a-b.burst: 'soon' is not a burst"),
        ("{quota: 1Gbps, classes: {training: {order: 0}}}", "classes interactive and training both have order 0"),
        ("{quota: 1Gbps, classes: {training: {floor: 90%}}}", "the floors of all classes are 103% of the quota"),
        ("{quota: 1Gbps, classes: [training]}", "2:32: lines.a-b.classes: must be a mapping"),
        ("{quota: 1Gbps, tenants: {-x: {}}}", "2:33: lines.a-b.tenants.-x: String should match"),
        ("{quota: 1Gbps, tenants: {x: {assured: 770.1Mbps}}}", "are above the quota (1 Gbit/s)"),
        ("{quota: 1Gbps, windows: [{when: 'Mon 09:00-09:00', ceil: {backfill: 1Mbps}}]}", "can never occur"),
        ("{quota: 1Gbps, windows: [{when: 'Mon 09:00-10:00', ceil: {}}]}", "at least 1 item"),
        ("{quota: 1Gbps, windows: [{when: 'Mon 9-10', ceil: {backfill: 1Mbps}}]}", "is not a window"),
        ("{quota: 1Gbps, windows: [{when: 'Mo 09:00-10:00', ceil: {backfill: 1Mbps}}]}", "'Mo' is not a day"),
        ("{quota: 1Gbps, windows: [{when: '09:60-10:00', ceil: {backfill: 1Mbps}}]}", "09:60 is not a time of the day"),
        (
            "{quota: 1Gbps, windows: [{when: '09:00-10:00', tz: Mars, ceil: {backfill: 1Mbps}}]}",
            "'Mars' is not a known",
        ),
        ("{quota: 1Gbps, windows: [{when: '09:00-10:00', ceil: {slow: 1Mbps}}]}", "class 'slow' is unknown"),
    ],
)
def test_a_line_that_cannot_be_kept_is_refused(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(line(text))), faults(line(text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{admit: never}", "1:9: cache[0].match: this key is missing"),
        ("{match: /ns/a}", "1:9: cache[0]: the rule sets nothing"),
        ("{match: /ns/*, pin: {newest: 0}}", "1:38: cache[0].pin.newest: Input should be greater than or equal to 1"),
        (
            "{match: /ns/a, pin: yes}",
            "1:29: cache[0].pin: 'yes' is not a pin; accepted are true, false and {newest: N}",
        ),
        ("{match: /ns/a, pin: {}}", "1:24: cache[0].pin.newest: this key is missing"),
        ("{match: /ns/a, pin: {newest: null}}", "1:29: cache[0].pin: {'newest': None} is not a pin"),
        (
            "{match: /ns/a, pin: {newest: 2}}",
            "1:29: cache[0].pin: /ns/a is one path, newest counts several as /ns/a/dt=*",
        ),
        ("{match: /ns/a/**, pin: {newest: 2}}", "cache[0].pin: newest counts the paths that the pattern matches"),
        ("{match: /ns/a, pin: true, admit: never}", "1:9: cache[0]: the rule pins what it never admits"),
        ("{match: /ns/a, admit: third_read}", "Input should be 'always', 'second_read' or 'never'"),
        ("{match: /ns/a, ttl: 30}", "1:29: cache[0].ttl: 30 is not a duration"),
        ("{match: /ns/a, quota: 0B}", "1:31: cache[0].quota: must be above 0"),
        ("{match: /ns/a//b, admit: never}", "1:17: cache[0].match: the pattern '/ns/a//b' has an empty"),
        ("{match: 7, admit: never}", "1:17: cache[0].match: 7 is not a pattern"),
    ],
)
def test_a_cache_rule_that_cannot_be_kept_is_refused(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(f"cache: [{text}]")), faults(f"cache: [{text}]")


def test_a_pin_is_everything_nothing_or_the_newest_of_what_the_pattern_matches() -> None:
    pins = ("true", "false", "{newest: 2}")

    rules = loaded("cache: [" + ", ".join(f"{{match: /ns/*, pin: {pin}}}" for pin in pins) + "]").cache

    assert [str(rule.pin) for rule in rules] == ["true", "false", "newest: 2"]
    assert [bool(rule.pin) for rule in rules] == [True, False, True]


def test_assured_rates_and_floors_may_use_up_the_whole_quota() -> None:
    # In floats these floors and this rate are a hair more than the quota.
    floors = {"interactive": "10%", "training": "20%", "prefetch": "30%", "backfill": "15%"}

    policy = LinePolicy(
        quota="1Gbps",
        classes={name: {"floor": floor} for name, floor in floors.items()},
        tenants={"x": {"assured": "250Mbps"}},
    )

    assert policy.tenants["x"].assured == GBIT / 4


def test_a_file_that_is_not_a_mapping_is_refused() -> None:
    assert faults("- a\n") == ["policy.yaml:1:1: document: must be a mapping (key: value)"]
