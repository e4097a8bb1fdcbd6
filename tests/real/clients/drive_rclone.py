"""rclone: listed by lsjson, read by cat and copy."""

import json
import os
from pathlib import Path

from driver import Ask, Door, Operations, digest, drive, every_prefix, files_in, names, run


def client(ask: Ask, door: Door) -> Operations:
    style = f"force_path_style={'false' if door.virtual else 'true'}"
    remote = f":s3,provider=Other,env_auth=true,{style},region={ask.region},endpoint='{door.url}':{ask.bucket}"
    command = ("rclone", "--config", "")

    def under(prefix: str) -> dict[str, int]:
        told = json.loads(run(*command, "lsjson", "--recursive", "--files-only", f"{remote}/{prefix}"))
        return {prefix + one["Path"]: one["Size"] for one in told}

    def read() -> dict[str, str]:
        # A tree at once, as people copy it; what is not in it, one by one.
        tree = Path(ask.scratch) / door.scheme / door.style
        run(*command, "copy", f"{remote}/tree", str(tree))
        found = {f"tree/{name}": digest(data) for name, data in files_in(tree)}
        return found | {key: digest(run(*command, "cat", f"{remote}/{key}")) for key in ask.keys if key not in found}

    def span(start: int, end: int) -> str:
        return digest(run(*command, "cat", "--offset", str(start), "--count", str(end - start), f"{remote}/{ask.big}"))

    return {
        "list": lambda: every_prefix(ask, under),
        "pages": lambda: names(sorted(under(ask.many))),
        "read": read,
        "ranges": lambda: [span(start, end) for start, end in ask.ranges],
    }


# The SDK within looks for a bundle of its own and then refuses rclone's connections; the machine's store is enough.
os.environ.pop("AWS_CA_BUNDLE", None)
drive(client)
