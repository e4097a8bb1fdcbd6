"""Chunked transfer coding (RFC 9112 7.1), read: bytes in, payload out, no socket. Strict: CRLF alone ends a line."""

_SIZE_LINE_BYTES = 256
"""A size of 16 hex digits and some extension; longer lines are an attack on the buffer."""
_TRAILER_BYTES = 8 * 1024
_HEX = frozenset(b"0123456789abcdefABCDEF")


class BadChunk(Exception):
    """The bytes are not a chunked body."""


class Dechunker:
    """Takes a chunked body apart.

    All of its state: `left` payload bytes of the chunk under way; `_line` the unfinished line between chunks;
    `_phase` what the next line is. `ended` when the last line was seen.
    """

    __slots__ = ("_line", "_phase", "_trailer_bytes", "ended", "left")

    def __init__(self) -> None:
        self.left = 0
        self.ended = False
        self._line = b""
        self._phase = "size"
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[list[memoryview], bytes]:
        """Returns the payload pieces in `data` (views of it) and what lies behind the body's end.

        Raises: BadChunk.
        """
        pieces: list[memoryview] = []
        view = memoryview(data)
        at = 0
        while at < len(view) and not self.ended:
            if self.left:
                piece = view[at : at + self.left]
                pieces.append(piece)
                self.left -= len(piece)
                at += len(piece)
            else:
                at = self.line(data, at)
        return pieces, data[at:]

    def took(self, nbytes: int) -> None:
        """`nbytes` of the chunk under way were read past this object."""
        self.left -= nbytes

    def line(self, data: bytes, at: int) -> int:
        """Reads what lies between two chunks, up to one line; returns where it ended in `data`.

        Raises: BadChunk.
        """
        end = data.find(b"\n", at)
        part = data[at:] if end < 0 else data[at : end + 1]
        line = self._line + part
        if len(line) > (_TRAILER_BYTES if self._phase == "trailer" else _SIZE_LINE_BYTES):
            raise BadChunk("a line between chunks is too long")
        if end < 0:
            self._line = line
            return len(data)
        self._line = b""
        if line[-2:] != b"\r\n" or b"\r" in line[:-2]:
            raise BadChunk("a line between chunks does not end in CRLF")
        self._take(line[:-2])
        return end + 1

    def _take(self, line: bytes) -> None:
        if self._phase == "after":
            if line:
                raise BadChunk("a chunk is longer than it said")
            self._phase = "size"
        elif self._phase == "size":
            self._size(line)
        elif not line:
            self.ended = True
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _TRAILER_BYTES or b":" not in line or line[:1] in (b" ", b"\t", b":"):
                raise BadChunk("the trailer is too long or not made of header lines")

    def _size(self, line: bytes) -> None:
        digits, mark, extension = line.partition(b";")
        digits = digits.rstrip(b" \t") if mark else digits
        if not 0 < len(digits) <= 16 or not _HEX.issuperset(digits) or b"\0" in extension:
            raise BadChunk("a chunk's size is not hexadecimal")
        self.left = int(digits, 16)
        self._phase = "after" if self.left else "trailer"
