"""The file reader: plain data, a place for every fault, and nothing that a hostile file could cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from policy.yamlfile import Fault, Faults, Limits, parse


def value(text: str) -> object:
    return parse(text, "f.yaml").value


def faults(text: str | bytes, limits: Limits | None = None) -> list[str]:
    with pytest.raises(Faults) as raised:
        parse(text, "f.yaml", limits or Limits())
    return str(raised.value).splitlines()


def test_a_file_becomes_plain_data() -> None:
    text = "a: [1, -2, 0.5, 1e3, true, null, ~, ]\nb: {c: text, 'd': \"1\"}\n3: |\n  long\n"

    assert value(text) == {"a": [1, -2, 0.5, 1000.0, True, None, None], "b": {"c": "text", "d": "1"}, "3": "long\n"}


@pytest.mark.parametrize(
    "text", ["10%", "1:30", "on", "yes", "No", "2026-01-01", "0x10", "010", "1_000", ".inf", ".nan", "1e999", "9" * 40]
)
def test_only_json_like_numbers_and_constants_are_not_text(text: str) -> None:
    assert value(f"a: {text}") == {"a": text}


def test_keys_are_always_the_text_as_written() -> None:
    assert value("{1: a, true: b, null: c, on: d}") == {"1": "a", "true": "b", "null": "c", "on": "d"}


def test_an_empty_file_is_none() -> None:
    assert value("") is None
    assert value("# only a comment\n") is None


def test_aliases_are_what_they_stand_for() -> None:
    assert value("a: &x {b: 1}\nc: *x\nd: [*x, *x]") == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "f.yaml").value == {"a": 1}


def test_every_duplicate_key_and_tag_is_named_at_once() -> None:
    text = "a:\n  b: 1\n  b: 2\nc: !!python/object:os.system x\na: 3\nd: !!set {x: }\n<<: {}\n? [k]\n: 1\n"

    assert faults(text) == [
        "f.yaml:3:3: a: the key 'b' stands here twice; the first is in line 2",
        "f.yaml:4:4: c: the tag 'tag:yaml.org,2002:python/object:os.system' is not accepted; write plain values",
        "f.yaml:5:1: document: the key 'a' stands here twice; the first is in line 1",
        "f.yaml:6:4: d: the tag 'tag:yaml.org,2002:set' is not accepted; write plain values",
        "f.yaml:7:1: document: merge keys (<<) are not accepted; write the keys out",
        "f.yaml:8:3: document: a key must be text, not a list or a mapping",
    ]


def test_a_duplicate_key_inside_lists_is_named_with_its_path() -> None:
    assert faults("a: [{}, {b: [0, {c: 1, c: 2}]}]") == [
        "f.yaml:1:24: a[1].b[1]: the key 'c' stands here twice; the first is in line 1"
    ]


def test_a_tab_in_the_indentation_is_named() -> None:
    assert faults("a:\n  b: 1\n\tc: 2\n") == [
        "f.yaml:3:1: a.b: a tab stands in the indentation; YAML takes spaces only"
    ]


def test_an_open_bracket_is_named_where_the_parser_gave_up() -> None:
    assert faults("a: [1, 2\nb: 3\n") == [
        "f.yaml:2:2: a[2]: while parsing a flow sequence, did not find expected ',' or ']'"
    ]


def test_a_second_document_is_refused() -> None:
    assert faults("a: 1\n---\nb: 2\n") == [
        "f.yaml:2:1: document: a second document begins here; a file holds one document"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"a: \xff\n", "f.yaml:1:4: document: this byte is not UTF-8; save the file as UTF-8"),
        (b"\xc3\xa9\xc3\xa9: \xff\n", "f.yaml:1:5: document: this byte is not UTF-8; save the file as UTF-8"),
        ("a: 1\nb: \x00", "f.yaml:2:4: document: the character '\\x00' is not allowed in YAML"),
        ("a: \ud800", "f.yaml:1:4: document: the character '\\ud800' is not allowed in YAML"),
        ("a: *x", "f.yaml:1:4: a: the alias 'x' has no anchor before it"),
        ("a: &x [1, *x]", "f.yaml:1:11: a[1]: the alias 'x' stands within its own anchor"),
    ],
)
def test_what_cannot_be_read_is_refused_in_its_place(text: str | bytes, fault: str) -> None:
    assert faults(text) == [fault]


def test_aliases_of_aliases_are_refused_before_they_are_written_out() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 30)
    )

    assert len(text) < 2000
    assert faults(text)[0].endswith("the file has more than 2500000 nodes, aliases written out")


def test_a_file_above_the_size_limit_is_refused_unread() -> None:
    assert faults(b"[" * (33 * 1024 * 1024)) == [
        "f.yaml:1:1: document: the file is larger than 33554432 bytes; split it"
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_file_nested_without_end_is_refused_at_the_limit(opening: str) -> None:
    assert "collections are nested deeper than 32" in faults(opening * 100_000)[0]


def test_a_file_of_too_many_nodes_is_refused() -> None:
    assert faults("[1, 2, 3]", Limits(nodes=3)) == [
        "f.yaml:1:8: [2]: the file has more than 3 nodes, aliases written out"
    ]


def test_a_file_of_as_many_nodes_as_allowed_is_read() -> None:
    assert parse("{a: &x [1], b: *x}", "f.yaml", Limits(nodes=7)).value == {"a": [1], "b": [1]}


def test_a_file_of_nothing_but_faults_is_left_after_a_hundred() -> None:
    assert len(faults("a: 1\n" * 5000)) == 100


def test_a_fault_is_one_short_line_whatever_the_key() -> None:
    named = faults('"x\\ny": {%s: 1, %s: 2}' % (("k" * 5000,) * 2))

    assert len(named) == 1
    assert len(named[0]) < 300


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    name: str


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid")
    leaves: dict[str, Leaf]
    either: list[int | Leaf] = []


def test_faults_of_a_model_point_at_values_at_unknown_keys_and_at_what_misses_a_key() -> None:
    text = "leaves:\n  x.y:\n    size: big\n    colour: red\n  z: 1\nmore: {}\n"
    document = parse(text, "f.yaml")

    with pytest.raises(ValidationError) as raised:
        Root.model_validate(document.value)

    assert [str(fault) for fault in document.faults_of(raised.value)] == [
        "f.yaml:2:3: leaves.x.y.name: this key is missing",
        "f.yaml:3:11: leaves.x.y.size: Input should be a valid integer, unable to parse string as an integer",
        "f.yaml:4:5: leaves.x.y.colour: unknown key; it is misspelt or belongs elsewhere",
        "f.yaml:5:6: leaves.z: must be a mapping (key: value)",
        "f.yaml:6:1: more: unknown key; it is misspelt or belongs elsewhere",
    ]


def test_tags_of_a_union_are_no_part_of_the_path() -> None:
    document = parse("leaves: {}\neither: [1, {size: 1, name: [x]}]\n", "f.yaml")

    with pytest.raises(ValidationError) as raised:
        Root.model_validate(document.value)

    assert "f.yaml:2:29: either[1].name: must be text" in map(str, document.faults_of(raised.value))


def test_a_fault_of_ones_own_is_placed_at_the_value_or_the_key() -> None:
    document = parse("a:\n  b: 1\n", "f.yaml")

    assert document.fault(("a", "b"), "no") == Fault("f.yaml", 2, 6, "a.b", "no")
    assert document.fault(("a", "b"), "no", at_key=True) == Fault("f.yaml", 2, 3, "a.b", "no")
    assert document.fault(("a", "c"), "no") == Fault("f.yaml", 1, 1, "a.c", "no")
    assert document.fault((), "no") == Fault("f.yaml", 1, 1, "document", "no")


@given(st.one_of(st.text(max_size=60), st.text("[]{}:,-&*!|>'\"#%@` \n\tab0", max_size=60), st.binary(max_size=60)))
def test_whatever_is_read_is_plain_data_or_faults_with_a_place(text: str | bytes) -> None:
    faults: tuple[Fault, ...] = ()

    try:
        parse(text, "f.yaml")
    except Faults as error:
        faults = error.faults

    assert all(fault.line >= 1 and fault.column >= 1 for fault in faults)
