"""Reads ListObjectsV2's XML. Entities are not resolved, nothing is fetched, and size is bounded by the caller."""

from datetime import datetime
from urllib.parse import unquote

from lxml import etree

from regioncache.errors import BadAnswer
from regioncache.origins.base import ListAsk, Listed, ListPage

LIST_BYTES = 16 * 1024 * 1024
"""1,000 keys of 1,024 characters, each percent-encoded threefold, with their tags, are under 4 MiB."""


def parse_list(body: bytes, ask: ListAsk) -> ListPage:
    """Returns the page that the XML holds; raises BadAnswer for anything that is not S3's."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as fault:
        raise BadAnswer(f"the list is not XML: {fault}") from fault
    encoded = any(_name(child) == "EncodingType" and child.text == "url" for child in root)
    entries: list[Listed] = []
    prefixes: list[str] = []
    truncated = False
    try:
        for child in root:
            match _name(child):
                case "Contents":
                    entries.append(_entry(child, encoded))
                case "CommonPrefixes":
                    prefixes.extend(_text(prefix.text, encoded) for prefix in child if _name(prefix) == "Prefix")
                case "IsTruncated":
                    truncated = child.text == "true"
    except (KeyError, ValueError) as fault:
        raise BadAnswer(f"the list has an entry that S3 does not make: {fault}") from fault
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


def _entry(element: etree._Element, encoded: bool) -> Listed:
    values = {_name(child): child.text or "" for child in element}
    return Listed(
        _text(values["Key"], encoded),
        int(values["Size"]),
        values.get("ETag", ""),
        datetime.fromisoformat(values["LastModified"].replace("Z", "+00:00")).timestamp(),
        values.get("StorageClass") or "STANDARD",
    )


def _text(text: str | None, encoded: bool) -> str:
    return unquote((text or "").replace("+", " "), errors="strict") if encoded else text or ""


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
