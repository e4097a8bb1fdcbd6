"""s5cmd: its own program, one command a line."""

import json
import sys
from pathlib import Path

from driver import Ask, Door, Operations, digest, drive, every_prefix, names, run

S5CMD = str(Path(sys.executable).with_name("s5cmd"))


def client(ask: Ask, door: Door) -> Operations:
    command = (S5CMD, "--endpoint-url", door.url)
    target = Path(ask.scratch) / "s5cmd"

    def under(prefix: str) -> dict[str, int]:
        lines = run(*command, "--json", "ls", f"s3://{ask.bucket}/{prefix}*").decode().splitlines()
        told = [json.loads(line) for line in lines]
        return {one["key"].removeprefix(f"s3://{ask.bucket}/"): one.get("size", 0) for one in told}

    def read(key: str, *more: str) -> str:
        target.unlink(missing_ok=True)
        run(*command, "cp", "--raw", *more, f"s3://{ask.bucket}/{key}", str(target))
        return digest(target.read_bytes())

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": lambda: {key: read(key) for key in ask.keys},
        # In parts of 5 MiB, two at a time.
        "ranges": lambda: read(ask.big, "--part-size", "5", "--concurrency", "2"),
    }


drive(client)
