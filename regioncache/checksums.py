"""Checksums that an object was stored with, kept among its headers: told by a HEAD that asks for them, and only by it.

Stores differ in what they tell with a range (the object's, the part's, a composite without its mark), so no ranged
read asks. They belong to the bytes: what was told of a version stays true of it.
"""

from dataclasses import replace

from regioncache.pages import Meta

CHECKSUM = "x-amz-checksum-"


def tells(meta: Meta) -> bool:
    """Whether the metadata have a checksum."""
    return any(name.startswith(CHECKSUM) for name, _ in meta.headers)


def told_before(meta: Meta, known: Meta | None) -> Meta:
    """Returns `meta` with the checksums that were known of the same version, where it brings none itself."""
    if known is None or known.version != meta.version or tells(meta):
        return meta
    kept = tuple(pair for pair in known.headers if pair[0].startswith(CHECKSUM))
    return replace(meta, headers=meta.headers + kept) if kept else meta
