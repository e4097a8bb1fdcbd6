"""Reads ListObjectsV2's XML. Entities are not resolved, nothing is fetched, and size is bounded by the caller."""

from datetime import datetime
from urllib.parse import unquote

from lxml import etree

from regioncache.errors import BadAnswer
from regioncache.origins.base import ListAsk, Listed, ListPage, sayable

LIST_BYTES = 16 * 1024 * 1024
"""1,000 keys of 1,024 characters, each percent-encoded threefold, with their tags, are under 4 MiB."""


def parse_list(body: bytes, ask: ListAsk) -> ListPage:
    """Returns the page that the XML holds; raises BadAnswer for anything that is not S3's."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, collect_ids=False
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as fault:
        raise BadAnswer(f"the list is not XML: {fault}") from fault
    # Stores write S3's namespace, or none.
    space = str(root.tag)[: str(root.tag).rfind("}") + 1]
    encoded = root.findtext(f"{space}EncodingType") == "url"
    try:
        entries = _entries(root, space, encoded)
        rolled = root.iterchildren(f"{space}CommonPrefixes")
        names = [prefix.text or "" for one in rolled for prefix in one.iterchildren(f"{space}Prefix")]
        prefixes = [_decoded(name) for name in names] if encoded else names
    except (KeyError, ValueError, OverflowError) as fault:
        raise BadAnswer(f"the list has an entry that S3 does not make: {fault}") from fault
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    if not all(name.startswith(ask.prefix) for name in [*(entry.key for entry in entries), *prefixes]):
        raise BadAnswer(f"the list has keys outside the prefix {ask.prefix!r} that was asked for")
    # Some stores list the key that start-after names.
    entries = [entry for entry in entries if entry.key > ask.after]
    prefixes = [
        prefix for prefix in prefixes if prefix > ask.after or (ask.after.startswith(prefix) and prefix != ask.after)
    ]
    last = max([entry.key for entry in entries[-1:]] + prefixes[-1:], default=None)
    if truncated and last is None:
        raise BadAnswer("the list is cut off before its first key")
    return ListPage(
        tuple(entries), tuple(prefixes), _beyond(last, prefixes) if truncated and last is not None else None
    )


def _beyond(last: str, prefixes: list[str]) -> str:
    """Where the next page goes on: behind a rolled-up prefix means behind everything beneath it."""
    return last + "\U0010ffff" if prefixes and last == prefixes[-1] else last


def _entries(root: etree._Element, space: str, encoded: bool) -> list[Listed]:
    """The keys, gathered by column: a third of the time that a look at each element takes, and a reader waits for it.

    Raises: KeyError (a key without what every key has), ValueError.
    """
    # Held while columns are: elements are found by identity.
    contents = list(root.iterchildren(f"{space}Contents"))

    def column(name: str) -> dict[etree._Element | None, str]:
        return {element.getparent(): element.text or "" for element in root.iter(space + name)}

    keys, sizes, etags = column("Key"), column("Size"), column("ETag")
    dates, classes = column("LastModified"), column("StorageClass")
    return [
        Listed(
            _decoded(keys[entry]) if encoded else keys[entry],
            int(sizes[entry]),
            etags.get(entry, ""),
            sayable(datetime.fromisoformat(dates[entry]).timestamp()),
            classes.get(entry) or "STANDARD",
        )
        for entry in contents
    ]


def _decoded(text: str) -> str:
    return unquote(text.replace("+", " "), errors="strict")
