"""What can go wrong in the namespace, each saying what the caller can do. HTTP codes live in the doors' own tables."""


class NamespaceError(Exception):
    """Base of all faults of this package."""


class BadPath(NamespaceError, ValueError):
    """The path cannot name anything (400): it is refused as it stands, never tidied into another one."""


class KeyTooLong(BadPath):
    """The object's key has more bytes than any S3 store takes (400 KeyTooLongError)."""


class UnknownRegion(NamespaceError):
    """This node's region is not in the topology: name it under `regions`, or mend `region` in node.yaml."""


class KeyExists(NamespaceError):
    """An access key of this name or id exists: remove it first, or choose another."""


class UnknownKey(NamespaceError):
    """No access key has this name or id."""


class StoreBroken(NamespaceError):
    """The namespace's file cannot be read or written; the message names the file and the remedy."""
