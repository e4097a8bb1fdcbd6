"""What a process is for: its roles, by default all that its settings make sense of."""

from typing import Literal, get_args

from gateway.config import NodeSettings

Role = Literal["cache", "s3", "admin", "namespace"]
ROLES: frozenset[Role] = frozenset(get_args(Role))


class RoleFault(ValueError):
    """Roles that this node cannot have together, or that its settings do not allow; the message says which."""


def roles_of(settings: NodeSettings) -> frozenset[Role]:
    """Returns the roles that the settings make sense of."""
    of_cache: frozenset[Role] = frozenset(("cache", "s3", "admin")) if settings.cache.paths else frozenset()
    serves: frozenset[Role] = frozenset(("namespace",)) if settings.namespace.regions else frozenset()
    return of_cache | serves


def chosen(text: str | None, settings: NodeSettings) -> frozenset[Role]:
    """Returns the roles that `--roles cache,s3` means, None: the default ones. Raises RoleFault."""
    if text is None:
        roles = roles_of(settings)
        if not roles:
            raise RoleFault("node.yaml has no `cache`, and no `namespace.regions` to serve: add one of them")
        return roles
    said = [part.strip() for part in text.split(",") if part.strip()]
    roles = frozenset(role for role in ROLES if role in said)
    if unknown := [part for part in said if part not in ROLES]:
        raise RoleFault(f"{unknown[0]!r} is no role; known: {', '.join(get_args(Role))}")
    if not roles:
        raise RoleFault(f"a node has one role at least; known: {', '.join(get_args(Role))}")
    if "cache" not in roles and roles - {"namespace"}:
        raise RoleFault("the roles s3 and admin are those of a cache: name `cache` too, or `namespace` alone")
    if "cache" in roles and not settings.cache.paths:
        raise RoleFault("node.yaml has no `cache`: name its paths, or run the service alone by --roles namespace")
    if "namespace" in roles and not settings.namespace.regions:
        raise RoleFault("whom does the service serve? say namespace: {regions: [REGION, ...]} in node.yaml")
    return roles
