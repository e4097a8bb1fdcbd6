"""s3fs-fuse: mounted, then read as files; what is left of the mount ends with the process's own mount namespace."""

import os
import subprocess
import time
from pathlib import Path

from driver import Ask, Door, Operations, digest, drive, every_prefix, names, run


class Mount:
    """The bucket as a directory."""

    def __init__(self, ask: Ask, door: Door) -> None:
        self.ask = ask
        scratch = Path(ask.scratch) / door.scheme / door.style
        self.root, self.log = scratch / "mount", scratch / "log"
        self.root.mkdir(parents=True)
        options = [f"url={door.url}", f"endpoint={ask.region}", "ro"]
        # Directories that no object stands for: older versions always show them, newer ones when told.
        if b"-o compat_dir" in run("s3fs", "--help"):
            options.append("compat_dir")
        if not door.virtual:
            options.append("use_path_request_style")
        command = ["s3fs", ask.bucket, str(self.root), "-f", "-o", ",".join(options)]
        env = {**os.environ, "AWSACCESSKEYID": ask.access, "AWSSECRETACCESSKEY": ask.secret}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env)

    def wait(self) -> None:
        give_up = time.monotonic() + 60
        while not os.path.ismount(self.root):
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise ChildProcessError(f"s3fs did not mount: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def under(self, prefix: str) -> dict[str, int]:
        files = [Path(place, name) for place, _, found in os.walk(self.root / prefix) for name in found]
        return {path.relative_to(self.root).as_posix(): path.stat().st_size for path in files}

    def span(self, start: int, end: int) -> str:
        with (self.root / self.ask.big).open("rb", buffering=0) as file:
            return digest(os.pread(file.fileno(), end - start, start))

    def end(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)
        self.process.wait(60)


def client(ask: Ask, door: Door) -> Operations:
    on = Mount(ask, door)
    return {
        "mount": on.wait,
        "list": lambda: every_prefix(ask, on.under),
        "pages": lambda: names(sorted(f"{ask.many}{name}" for name in os.listdir(on.root / ask.many))),
        "ranges": lambda: [on.span(start, end) for start, end in ask.ranges],
        "read": lambda: {key: digest((on.root / key).read_bytes()) for key in ask.keys},
        "umount": on.end,
    }


drive(client)
