"""A bucket of so many keys that nobody stores them: each page of ListObjectsV2 is made as it is asked for.

python -m tests.real.lab.keyprocess PORT COUNT
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PREFIX = "many/"
_ENTRY = (
    '<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"%032x"</ETag>'
    "<Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def key(number: int) -> str:
    return f"{PREFIX}{number:08}"


class Keys(BaseHTTPRequestHandler):
    """Lists; anything else is 404."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        """ListObjectsV2 by start-after."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if query.get("list-type") != "2":
            self._answer(404, "")
            return
        digits, after = query.get("prefix", "").removeprefix(PREFIX), query.get("start-after", "")
        first, end = int(digits.ljust(8, "0")), min(self.count, int(digits.ljust(8, "9")) + 1)
        if after.startswith(PREFIX):
            first = max(first, int(after.removeprefix(PREFIX) or "-1") + 1)
        last = min(end, first + min(1000, int(query.get("max-keys", "1000"))))
        entries = "".join(_ENTRY % (key(number), number, number) for number in range(first, last))
        cut = "true" if last < end else "false"
        more = f"<NextContinuationToken>{key(last - 1)}</NextContinuationToken>" if last < end else ""
        self._answer(
            200,
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>{cut}</IsTruncated>'
            f"{more}{entries}</ListBucketResult>",
        )

    do_HEAD = do_GET

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a log of a thousand pages helps nobody."""


if __name__ == "__main__":
    Keys.count = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Keys).serve_forever()
