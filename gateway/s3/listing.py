"""What a list request asks for: every option of ListObjects and ListObjectsV2, and their tokens.

Tokens are stateless: any node continues any list. A token is opaque to clients, base64 of a mark and the key after
which the next page begins.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, replace

from gateway.s3.codes import Refusal
from gateway.segments import LAST
from regioncache.origins.base import ListPage

MOST_KEYS = 1000
"""S3 never gives more on one page, whatever max-keys says."""
MOST_BUCKETS = 10_000
_VERSIONS_OPTIONS = frozenset({"prefix", "delimiter", "max-keys", "encoding-type"})
_MARK = b"1:"
"""Form of a token. A later form gets another mark, so that a list begun on an older node fails, not skips."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The options of one list. `after` is where the page begins; `start_after` and `token` are only given back.

    `token` is the continuation token of a list of version 2, and the version-id-marker of a list of versions.
    """

    v2: bool
    prefix: str
    delimiter: str
    max_keys: int
    after: str
    start_after: str
    token: str | None
    url: bool
    owner: bool


def list_query(query: dict[str, str], *, v2: bool) -> ListQuery:
    """Returns the options that a list's query holds.

    Raises:
        Refusal: InvalidArgument.
    """
    token = query.get("continuation-token") if v2 else None
    start_after = query.get("start-after" if v2 else "marker", "")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    return ListQuery(
        v2=v2,
        prefix=prefix,
        delimiter=delimiter,
        max_keys=max_keys(query.get("max-keys", "")),
        after=_behind(start_after, prefix, delimiter) if token is None else read_token(token),
        start_after=start_after,
        token=token,
        url=_url(query.get("encoding-type", "")),
        owner=query.get("fetch-owner", "").lower() == "true" if v2 else True,
    )


def versions_query(query: dict[str, str]) -> ListQuery:
    """Returns the options of ListObjectVersions. An object has the one version `null`, so its marker adds nothing.

    Raises:
        Refusal: InvalidArgument.
    """
    key, version = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version and not key:
        message = "A version-id marker cannot be specified without a key marker."
        raise Refusal("InvalidArgument", message, (("ArgumentName", "version-id-marker"), ("ArgumentValue", version)))
    if version not in {"", "null"}:
        details = (("ArgumentName", "version-id-marker"), ("ArgumentValue", version))
        raise Refusal("InvalidArgument", "Invalid version id specified", details)
    asked = list_query({name: query[name] for name in _VERSIONS_OPTIONS & query.keys()} | {"marker": key}, v2=False)
    return replace(asked, token=version)


def max_keys(text: str) -> int:
    """Returns how many names a page may hold, 0 to 1,000; raises `Refusal` InvalidArgument."""
    return min(_number("max-keys", text, MOST_KEYS), MOST_KEYS)


def max_buckets(text: str) -> int:
    """Returns how many buckets a page may hold, 1 to 10,000; raises `Refusal` InvalidArgument."""
    number = _number("max-buckets", text, MOST_BUCKETS)
    if not 1 <= number <= MOST_BUCKETS:
        raise _not_a_number("max-buckets", text)
    return number


def token_of(after: str) -> str:
    """Returns the token with which a list goes on after `after`."""
    return urlsafe_b64encode(_MARK + after.encode()).decode()


def read_token(token: str) -> str:
    """Returns what `token_of` was given; raises `Refusal` InvalidArgument for anything else."""
    try:
        plain = urlsafe_b64decode(token.encode("ascii"))
        if not plain.startswith(_MARK) or token_of(after := plain[len(_MARK) :].decode()) != token or "\0" in after:
            raise ValueError("not a token of ours")
    except (NotBase64, ValueError) as fault:
        message = "The continuation token provided is incorrect"
        raise Refusal("InvalidArgument", message, (("ArgumentName", "continuation-token"),)) from fault
    return after


def next_marker(page: ListPage) -> str:
    """Returns the last name of a page that is not the last: a list of version 1 goes on behind it."""
    last_key = page.entries[-1].key if page.entries else ""
    last_prefix = page.prefixes[-1] if page.prefixes else ""
    return max(last_key, last_prefix)


def _behind(after: str, prefix: str, delimiter: str) -> str:
    """Where a list begins that shall begin after this name: behind a common prefix is behind all keys beneath it."""
    if not delimiter or not after.startswith(prefix):
        return after
    at = after.find(delimiter, len(prefix))
    return after + LAST if at >= 0 and at + len(delimiter) == len(after) else after


def _url(encoding: str) -> bool:
    if encoding and encoding != "url":
        message = "Invalid Encoding Method specified in Request"
        raise Refusal("InvalidArgument", message, (("ArgumentName", "encoding-type"), ("ArgumentValue", encoding)))
    return bool(encoding)


def _number(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > 0x7FFFFFFF:
        raise _not_a_number(name, text)
    return int(text)


def _not_a_number(name: str, text: str) -> Refusal:
    message = f"Provided {name} not an integer or within integer range"
    return Refusal("InvalidArgument", message, (("ArgumentName", name), ("ArgumentValue", text)))
