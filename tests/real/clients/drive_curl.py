"""curl with --aws-sigv4: requests as a shell script sends them, keys quoted by whoever writes the script."""

import urllib.parse
from pathlib import Path
from xml.etree import ElementTree

from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, names, run

S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Curl:
    """Signed requests for one bucket at one door."""

    def __init__(self, ask: Ask, door: Door) -> None:
        self.ask = ask
        self.root = f"{door.scheme}://{ask.bucket}.{door.address}" if door.virtual else f"{door.url}/{ask.bucket}"
        self.target = Path(ask.scratch) / "curl"

    def curl(self, path: str, *more: str) -> tuple[int, bytes]:
        """The status and the body."""
        self.target.write_bytes(b"")
        signed = ("--aws-sigv4", f"aws:amz:{self.ask.region}:s3", "--user", f"{self.ask.access}:{self.ask.secret}")
        args = ("curl", "--silent", "--show-error", "--path-as-is", *signed, "--output", str(self.target))
        status = int(run(*args, "--write-out", "%{http_code}", *more, self.root + path))
        return status, self.target.read_bytes()

    def under(self, prefix: str) -> dict[str, int]:
        found: dict[str, int] = {}
        query = {"list-type": "2", "prefix": prefix}
        while True:
            # In the order of their names: an older curl signs a query as it stands.
            told = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="")
            status, body = self.curl(f"/?{told}")
            if status != 200:
                raise ChildProcessError(f"{status}: {body.decode()}")
            page = ElementTree.fromstring(body)
            found |= {one.findtext(f"{S3}Key"): int(one.findtext(f"{S3}Size")) for one in page.iter(f"{S3}Contents")}
            token = page.findtext(f"{S3}NextContinuationToken")
            if token is None:
                return found
            query["continuation-token"] = token

    def get(self, key: str, *more: str, good: int = 200) -> str | int:
        """The digest of a body whose status is good, else the status."""
        status, body = self.curl("/" + urllib.parse.quote(key, safe="/~"), *more)
        return digest(body) if status == good else status


def client(ask: Ask, door: Door) -> Operations:
    on = Curl(ask, door)
    return {
        "list": lambda: every_prefix(ask, on.under),
        "pages": lambda: names(on.under(ask.many)),
        "read": lambda: {key: on.get(key) for key in ask.keys},
        "ranges": lambda: [on.get(ask.big, "--range", f"{start}-{end - 1}", good=206) for start, end in ask.ranges],
        "conditions": lambda: every_condition(ask, lambda name, tag: on.get(ask.big, "--header", f"{name}: {tag}")),
    }


drive(client)
