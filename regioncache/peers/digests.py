"""Whether the nodes of two regions work by the same files: each tells its digest in every request and reply.

Until a namespace service hands them out, the same files are applied to each region by hand; a region that was left out
must be seen. A core: it says once, for each new difference, that somebody should be warned.
"""

HEADER = b"x-causeway-digest"
LONGEST = 128


class Digests:
    """Our digest and those heard. Mutable state: `own`, `_heard`."""

    def __init__(self) -> None:
        self.own = ""
        """The digest of the files in force here; empty before the first."""
        self._heard: dict[str, str] = {}

    def adopt(self, own: str) -> None:
        """Other files are in force here."""
        self.own = own

    def hear(self, region: str, digest: bytes | None) -> bool:
        """A node of `region` told its digest; returns True if that is news and differs from ours."""
        if digest is None or len(digest) > LONGEST:
            return False
        told = digest.decode("ascii", "replace")
        if self._heard.get(region) == told:
            return False
        self._heard[region] = told
        return bool(told) and bool(self.own) and told != self.own

    def of(self, region: str) -> str:
        """The digest last heard from `region`, empty while unheard."""
        return self._heard.get(region, "")


def other_files(region: str) -> str:
    """Returns the warning, with its remedy."""
    return f"region {region!r} works by other files than this one: apply the same topology and policy to both"
