"""What is read without a tree is what the tree says it is, and what is out of the ordinary is left to the tree."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.yamlfile import Faults, parse
from policy.yamlplain import Unusual, plain
from policy.yamltree import Limits, TreeBuilder, resolved

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EVERY_KEY = {
    "bucket": "train-bj", "prefix": "teams/vision/datasets/", "mode": "ro", "external": True,
    "consistency": {"max_age": "60s"}, "stale_if_down": "30d", "refresh": {"every": "10m"}, "write": "through",
    "copies": 2,
}  # fmt: skip
"""A mount as long as it can be: 24 nodes with its path."""


def by_tree(text: str, limits: Limits) -> object:
    builder = TreeBuilder("f.yaml", limits)
    for event in yaml.parse(text, Loader=LOADER):
        builder.add(event)
    if builder.faults:
        raise Faults(builder.faults)
    return builder.root.value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=8,
)
TEXTS = st.one_of(
    st.text("[]{}:,-&*!|>'\"#%@` \n\tab01.<e", max_size=40),
    JSON.map(json.dumps),
    JSON.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
)


@given(TEXTS, st.sampled_from([Limits(), Limits(nodes=6), Limits(depth=2)]))
def test_what_is_read_plainly_is_what_the_tree_says_it_is(text: str, limits: Limits) -> None:
    try:
        found = plain(text, limits, LOADER)
    except Unusual:
        return

    try:
        tree = by_tree(text, limits)
    except yaml.YAMLError:
        # JSON that YAML is not, as characters that it escapes in two halves.
        tree = json.loads(text, parse_int=resolved, parse_float=resolved, parse_constant=str)
    assert repr(found) == repr(tree)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1", "a: !!str 1", "a: 1\na: 2", "<<: {}", "[a]: 1", "a: 1\n---\nb: 2", "a: [", '{"a": 1, "a": 2}',
        '{"<<": {}}', '{"a": "\\ud800"}', "[" * 33 + "]" * 33, '{"a":' * 40 + "1" + "}" * 40, "[" * 5000 + "]" * 5000,
    ],
)  # fmt: skip
def test_what_is_out_of_the_ordinary_is_left_to_the_tree(text: str) -> None:
    with pytest.raises(Unusual):
        plain(text, Limits(), LOADER)


@pytest.mark.parametrize("text", ["[1, 2, 3]", "a: {b: c}", '{"a": {"b": "c"}}'])
def test_more_nodes_than_may_be_are_left_to_the_tree(text: str) -> None:
    assert plain(text, Limits(nodes=5), LOADER) == yaml.safe_load(text)
    with pytest.raises(Unusual):
        plain(text, Limits(nodes=3), LOADER)


def test_a_duplicate_key_of_json_is_named_with_its_place() -> None:
    with pytest.raises(Faults) as raised:
        parse('{"a": 1,\n "a": 2}', "f.json")

    assert str(raised.value) == "f.json:2:2: document: the key 'a' stands here twice; the first is in line 1"


def test_a_fault_in_json_is_placed_as_in_any_file() -> None:
    document = parse('{"mounts": {\n  "/ns/a": {"bucket": "b"}}}', "f.json")

    assert str(document.fault(("mounts", "/ns/a", "bucket"), "no")) == "f.json:2:23: mounts./ns/a.bucket: no"


def test_faults_in_json_that_yaml_is_not_stand_at_its_beginning() -> None:
    document = parse(json.dumps({"k" * 2000: 1}), "f.json")

    assert document.value == {"k" * 2000: 1}
    assert str(document.fault(("k" * 2000,), "no")).startswith("f.json:1:1: ")


def test_a_hundred_thousand_mounts_with_every_key_written_out_are_within_the_limits() -> None:
    mount = f"/ns/{'organisation-317/' * 3}team-099999"
    text = json.dumps({mount: EVERY_KEY})
    builder = TreeBuilder("f.json", Limits())
    for event in yaml.parse(text, Loader=LOADER):
        builder.add(event)

    assert builder.root.weight == 24 + 1
    assert Limits().nodes - 1000 > 100_000 * 24
    assert 100_000 * len(text) < Limits().size_bytes


@pytest.mark.soak
def test_a_hundred_thousand_mounts_written_as_yaml_are_read() -> None:
    rows = "".join(
        f"  /ns/organisation-{at % 317}/team-{at:06}: {{bucket: b{at % 100}, consistency: {{max_age: 60s}}}}\n"
        for at in range(100_000)
    )

    read = parse(f"mounts:\n{rows}", "f.yaml").value

    assert read == yaml.load(f"mounts:\n{rows}", Loader=LOADER)
