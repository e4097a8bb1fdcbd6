"""A node that should be the lease office of lines, and has no control port, says so with the remedy."""

import pytest

from gateway.operating.leases import shut_offices
from gateway.pairs import UNITS
from namespace import codec

ONE, TWO = ["b-1:9100"], ["b-1:9100", "b-2:9100"]


def shut(nodes: list[str], office: str | None, own: str = "a") -> list[str]:
    line: dict[str, object] = {"between": ["a", "b"], "capacity": "1Gbps"}
    if office is not None:
        line["office"] = office
    regions = {"a": {"nodes": ["a-1:9100"]}, "b": {"nodes": nodes}}
    return shut_offices(codec.topology({"regions": regions, "lines": {"a-b": line}}, UNITS), own)


@pytest.mark.parametrize(("nodes", "office"), [(TWO, None), (TWO, "a"), (ONE, "a")])
def test_who_is_to_be_the_office_for_several_nodes_or_by_name_is_told_to_open_its_control_port(
    nodes: list[str], office: str | None
) -> None:
    (told,) = shut(nodes, office)

    assert told.startswith("line a-b: ")
    assert "nodes of b" in told
    assert "`listen.control`" in told


@pytest.mark.parametrize(("nodes", "office", "own"), [(ONE, None, "a"), (TWO, "b", "a"), (TWO, "a", "b")])
def test_two_nodes_that_are_each_alone_and_who_is_no_office_are_told_nothing(
    nodes: list[str], office: str | None, own: str
) -> None:
    assert shut(nodes, office, own) == []
