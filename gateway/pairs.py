"""Topology and policy as one checked pair: every fault of both at once, and what differs from another pair.

Which file is which is seen from what stands in it, so the order of a command line does not matter; one file alone goes
with the other as it is in force.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from namespace import checks, codec, contents, forms, routes
from namespace.items import Items
from namespace.keeping import Known
from namespace.model import Region, Topology
from namespace.store.base import digest
from policy import load as policy_load
from policy import units, yamlfile
from policy.model import Policy
from policy.yamlfile import Document, Fault, Faults

Kind = Literal["topology", "policy"]
KINDS: tuple[Kind, ...] = ("topology", "policy")
NOT_KEPT = "not kept by this version"
UNITS = codec.Units(rate=units.rate, size=units.size, duration=units.duration)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was given: its name is what faults call it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class _Read:
    document: Document
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs: `path` as `topology: lines.bj-use1.capacity`, None where it is absent on that side."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A topology and the policy that goes with it, checked together.

    `texts` are the files by kind, `values` their plain data; `digest` is the texts', as the namespace's store keeps it.
    """

    topology: Topology
    policy: Policy
    texts: Mapping[str, str]
    values: Mapping[str, object]
    digest: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is as it was asked for, and may surprise."""
    documents: Mapping[str, Document] = field(default_factory=dict)
    """The files by kind, for faults and lines of what stands in them."""

    @property
    def whole(self) -> bool:
        """Whether all of its texts are at hand; where the namespace is kept elsewhere, the topology's need not be."""
        return "topology" in self.texts


def kind_of(value: object) -> Kind | None:
    """Returns which file this content is; None if nothing in it tells."""
    if not isinstance(value, dict):
        return None
    if {"regions", "buckets", "mounts"} & value.keys():
        return "topology"
    if "cache" in value:
        return "policy"
    lines = value.get("lines")
    if not isinstance(lines, dict):
        return None
    of_topology = any(isinstance(line, dict) and {"between", "capacity"} & line.keys() for line in lines.values())
    return "topology" if of_topology else "policy"


def check(
    files: Sequence[File], in_force: Mapping[str, str], *, region: str | None = None, future: bool = False
) -> Pair:
    """Returns the pair that `files` make with what is in force.

    Args:
        files: One or both, in any order.
        in_force: Texts by kind, for the file that is not given; empty where nothing is in force.
        region: The node's own, which the topology must have; None where it is not for one node.
        future: Accept what this version checks but does not keep.

    Raises:
        Faults: Everything wrong in both.
    """
    faults: list[Fault] = []
    given = _by_kind(files, faults)
    if not faults:
        for kind in KINDS:
            if kind not in given and kind in in_force:
                given[kind] = _Read(yamlfile.parse(in_force[kind], f"{kind}.yaml in force"), in_force[kind])
        if "topology" not in given:
            name = files[0].name if files else "topology.yaml"
            faults.append(
                Fault(name, 1, 1, "document", "no topology is in force yet: give it together with the policy")
            )
    topology, policy = _both(given, faults, future, region)
    if topology is None or policy is None:
        raise Faults(faults)
    texts = {kind: read.text for kind, read in given.items()}
    values: dict[str, object] = {kind: given[kind].document.value if kind in given else None for kind in KINDS}
    documents = {kind: read.document for kind, read in given.items()}
    notes = tuple(checks.hidings(topology))
    return Pair(topology, policy, texts, values, digest(texts), _warnings(topology, policy), notes, documents)


def of_known(known: Known) -> Pair:
    """Returns the pair that the namespace says is newest: of its texts, or of the topology as it was checked before.

    Raises:
        Faults: This version cannot read it.
    """
    if known.files is not None:
        return check((), known.files, future=True)
    assert known.revision is not None
    topology = known.topology or Topology(regions={})
    texts = {} if known.policy is None else {"policy": known.policy}
    documents = {kind: yamlfile.parse(text, f"{kind}.yaml in force") for kind, text in texts.items()}
    faults: list[Fault] = []
    policy = _policy(_Read(documents["policy"], texts["policy"]) if documents else None, topology, faults, future=True)
    if policy is None:
        raise Faults(faults)
    return Pair(topology, policy, texts, {}, known.revision.digest, documents=documents)


def as_items(pair: Pair) -> Items:
    """Returns a pair as items of the namespace; granted regions have a policy of their own, without others' names."""
    items = forms.items_of(pair.topology)
    if "policy" in pair.texts:
        items[contents.POLICY] = contents.policy_item(pair.texts["policy"])
    for region in pair.topology.regions.values():
        if region.trust == "granted":
            text = json.dumps(_policy_for(pair, region), ensure_ascii=False)
            items[contents.policy_name(region.name)] = contents.policy_item(text)
    return items


def _policy_for(pair: Pair, region: Region) -> dict[str, object]:
    """What a granted region needs of a policy: its lines without tenants' names, and the rules of its paths."""
    value = pair.values.get("policy")
    if not isinstance(value, dict):
        return {}
    lines = {
        name: {key: what for key, what in written.items() if key != "tenants"}
        for name, written in (value.get("lines") or {}).items()
        if region.name in pair.topology.lines[name].between
    }
    rules = [
        written
        for written, rule in zip(value.get("cache") or (), pair.policy.cache, strict=True)
        if any(rule.match.touches(place) for place in region.paths)
    ]
    return {**({"lines": lines} if lines else {}), **({"cache": rules} if rules else {})}


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is worth saying of files without a fault."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def inspect(files: Sequence[File], *, future: bool = False) -> Remarks:
    """Checks files by themselves, without a node; a policy alone is checked without its lines.

    Raises:
        Faults: Everything wrong in all of them.
    """
    faults: list[Fault] = []
    given = _by_kind(files, faults)
    topology, policy = _both(given, faults, future)
    if faults:
        raise Faults(faults)
    notes = () if topology is None else tuple(checks.hidings(topology))
    if topology is None or policy is None or "policy" not in given:
        return Remarks((), notes)
    return Remarks(_warnings(topology, policy), notes)


def _both(
    given: Mapping[str, "_Read"], faults: list[Fault], future: bool, region: str | None = None
) -> tuple[Topology | None, Policy | None]:
    """Returns both parts, or None for both where `faults` has any."""
    topology = _topology(given.get("topology"), faults, future, region)
    policy = _policy(given.get("policy"), topology, faults, future)
    return (None, None) if faults else (topology, policy)


def changes(before: Pair | None, after: Pair) -> tuple[Change, ...]:
    """Returns every setting that differs, by name: files that only look different give none."""
    found = []
    for kind in KINDS:
        old = dict(_settings("", None if before is None else before.values.get(kind)))
        new = dict(_settings("", after.values[kind]))
        found += [
            Change(f"{kind}: {path}", old.get(path), new.get(path))
            for path in (*old, *(path for path in new if path not in old))
            if old.get(path) != new.get(path)
        ]
    return tuple(found)


def _by_kind(files: Sequence[File], faults: list[Fault]) -> dict[str, _Read]:
    given: dict[str, _Read] = {}
    for file in files:
        try:
            document = yamlfile.parse(file.text, file.name)
        except Faults as unreadable:
            faults += unreadable.faults
            continue
        kind = kind_of(document.value)
        if kind is None:
            known = "a topology has regions, lines, buckets, mounts; a policy has lines, cache"
            faults.append(document.fault((), f"this is neither a topology nor a policy: {known}"))
        elif kind in given:
            faults.append(document.fault((), f"a second {kind}, beside {given[kind].document.file}: give one of each"))
        else:
            given[kind] = _Read(document, file.text)
    return given


def _topology(read: _Read | None, faults: list[Fault], future: bool, region: str | None) -> Topology | None:
    if read is None:
        return None
    document = read.document
    try:
        topology = codec.topology(document.value, UNITS)
    except ValidationError as invalid:
        faults += document.faults_of(invalid)
        return None
    if not future:
        faults += [document.fault(loc, message) for loc, message in checks.not_kept(topology)]
    if region is not None and region not in topology.regions:
        known = ", ".join(topology.regions)
        faults.append(document.fault(("regions",), f"region {region!r} of this node is not among them; known: {known}"))
    return topology


def _policy(read: _Read | None, topology: Topology | None, faults: list[Fault], future: bool) -> Policy | None:
    if read is None:
        return Policy()
    document = read.document
    capacities = None if topology is None else {name: line.capacity for name, line in topology.lines.items()}
    try:
        policy = policy_load.load(document, capacities)
    except Faults as wrong:
        faults += wrong.faults
        return None
    if not future:
        faults += [document.fault(loc, message) for loc, message in policy_load.not_kept(policy)]
    return policy


def _warnings(topology: Topology, policy: Policy) -> tuple[str, ...]:
    unruled = (
        f"line {name!r} has no policy: its quota is its capacity, {units.show_rate(line.capacity)}"
        for name, line in topology.lines.items()
        if name not in policy.lines
    )
    unreached = (f"mount {loc[-1]}: {message}" for loc, message in routes.unreached(topology))
    return (*unruled, *unreached)


def _settings(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _settings(f"{path}.{key}" if path else str(key), part)
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for index, part in enumerate(value):
            yield from _settings(f"{path}[{index}]", part)
    elif path:
        yield path, json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
