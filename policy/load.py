"""From a parsed file to a policy, with every fault at once; and what this version checks but does not keep."""

from collections.abc import Mapping

from pydantic import ValidationError

from policy import units
from policy.errors import Fault, Faults, UnitError, shown
from policy.model import Policy
from policy.yamlfile import Document

_NOT_KEPT = "not kept by this version"

Loc = tuple[str | int, ...]


def load(document: Document, capacities: Mapping[str, float] | None = None) -> Policy:
    """Returns the policy that the file holds.

    Args:
        document: The parsed file; an empty one is a policy without rules.
        capacities: Bytes/s of each line of the topology, where it is known: other lines and quotas above it are faults.

    Raises:
        Faults: All that is wrong, in the order of the file.
    """
    value = {} if document.value is None else document.value
    faults = _capacity_faults(document, capacities) if capacities is not None else []
    try:
        policy = Policy.model_validate(value)
    except ValidationError as error:
        raise Faults([*document.faults_of(error), *faults]) from None
    if faults:
        raise Faults(faults)
    return policy


def not_kept(policy: Policy) -> list[tuple[Loc, str]]:
    """Returns the place and a message for each rule that is well written but not kept yet."""
    found: list[Loc] = []
    for name, line in policy.lines.items():
        found += [("lines", name, "tenants", who, "month") for who, tenant in line.tenants.items() if tenant.month]
    return [(loc, _NOT_KEPT) for loc in found]


def _capacity_faults(document: Document, capacities: Mapping[str, float]) -> list[Fault]:
    """Looks at the plain data, so that these faults stand beside those of form."""
    lines = document.value.get("lines") if isinstance(document.value, dict) else None
    if not isinstance(lines, dict):
        return []
    faults = []
    for name, line in lines.items():
        capacity = capacities.get(name)
        if capacity is None:
            known = ", ".join(sorted(capacities)) or "none"
            message = f"line {shown(name)} is not in the topology; known: {known}"
            faults.append(document.fault(("lines", name), message, at_key=True))
            continue
        quota = _quota(line)
        if quota > capacity:
            message = f"quota {units.show_rate(quota)} is above the line's capacity {units.show_rate(capacity)}"
            faults.append(document.fault(("lines", name, "quota"), message))
    return faults


def _quota(line: object) -> float:
    try:
        return units.rate(line.get("quota")) if isinstance(line, dict) else 0.0
    except UnitError:
        return 0.0  # named by the model
