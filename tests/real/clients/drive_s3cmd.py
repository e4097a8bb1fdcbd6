"""s3cmd: its style is the address of a bucket that it is given."""

import sys
from pathlib import Path

from driver import Ask, Door, Operations, digest, drive, every_prefix, files_in, names, run

S3CMD = str(Path(sys.executable).with_name("s3cmd"))


def client(ask: Ask, door: Door) -> Operations:
    host_bucket = f"%(bucket)s.{door.address}" if door.virtual else door.address
    settings = f"--host={door.address}", f"--host-bucket={host_bucket}", "--ssl" if door.tls else "--no-ssl"
    command = (S3CMD, "--config=/dev/null", f"--access_key={ask.access}", f"--secret_key={ask.secret}", *settings)
    target = Path(ask.scratch) / "s3cmd"

    def under(prefix: str) -> dict[str, int]:
        lines = run(*command, "ls", "--recursive", uri(prefix)).decode().splitlines()
        told = [line.split(maxsplit=3) for line in lines]
        return {key.removeprefix(uri("")): 0 if size == "DIROBJ" else int(size) for _, _, size, key in told}

    def uri(key: str) -> str:
        return f"s3://{ask.bucket}/{key}"

    def read() -> dict[str, str]:
        # A tree at once, as people copy it; what a directory cannot hold, one by one.
        tree = Path(ask.scratch) / door.scheme / door.style
        tree.mkdir(parents=True)
        run(*command, "get", "--recursive", "--quiet", uri("tree/"), f"{tree}/")
        found = {f"tree/{name}": digest(data) for name, data in files_in(tree)}
        return found | {key: read_one(key) for key in ask.keys if key not in found}

    def read_one(key: str) -> str:
        run(*command, "get", "--force", "--quiet", uri(key), str(target))
        return digest(target.read_bytes())

    def resumed(start: int) -> str:
        # A get that goes on where it was cut: the rest of the object, by a range to its end.
        target.write_bytes(bytes(start))
        run(*command, "get", "--continue", "--quiet", uri(ask.big), str(target))
        return digest(target.read_bytes()[start:])

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(under(ask.many)),
        "read": read,
        "ranges": lambda: [resumed(start) for start, _ in ask.ranges],
    }


drive(client)
