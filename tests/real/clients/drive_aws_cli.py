"""aws-cli: its low commands, and `s3 ls` and `s3 cp` as people type them; in one process, since a start costs 1 s."""

import contextlib
import io
import json
import os
import re
from pathlib import Path

from awscli.clidriver import create_clidriver
from driver import Ask, Door, Operations, digest, drive, every_condition, every_prefix, files_in, names


class AwsCli:
    """The command line with its settings for one door."""

    def __init__(self, ask: Ask, door: Door) -> None:
        self.ask = ask
        self.scratch = Path(ask.scratch) / door.scheme / door.style
        self.scratch.mkdir(parents=True)
        self.target = self.scratch / "part"
        self.settings = self.scratch / "config"
        style = "virtual" if door.virtual else "path"
        self.settings.write_text(f"[default]\nendpoint_url = {door.url}\ns3 =\n  addressing_style = {style}\n")
        os.environ["AWS_CONFIG_FILE"] = str(self.settings)
        self.program = create_clidriver()

    def aws(self, *args: str) -> str:
        """What the command prints; raises with what it complains of."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = self.program.main(list(args))
        for stream in (out, err):
            stream.flush()
        if status:
            raise ChildProcessError(f"aws {' '.join(args)} exited with {status}: {err.buffer.getvalue().decode()}")
        return out.buffer.getvalue().decode()

    def under(self, prefix: str) -> dict[str, int]:
        told = json.loads(self.aws("s3api", "list-objects-v2", "--bucket", self.ask.bucket, "--prefix", prefix))
        return {one["Key"]: one["Size"] for one in told["Contents"]}

    def pages(self) -> list[object]:
        lines = self.aws("s3", "ls", "--recursive", f"s3://{self.ask.bucket}/{self.ask.many}").splitlines()
        return names(line.split(maxsplit=3)[3] for line in lines)

    def get(self, key: str, *more: str) -> str:
        self.aws("s3api", "get-object", "--bucket", self.ask.bucket, "--key", key, *more, str(self.target))
        return digest(self.target.read_bytes())

    def read(self) -> dict[str, str]:
        # A tree at once, as people copy it; what a directory cannot hold, one by one.
        tree = self.scratch / "tree"
        self.aws("s3", "cp", "--recursive", "--only-show-errors", f"s3://{self.ask.bucket}/tree/", str(tree))
        found = {f"tree/{name}": digest(data) for name, data in files_in(tree)}
        return found | {key: self.get(key) for key in self.ask.keys if key not in found}

    def asked(self, name: str, tag: str) -> str | int:
        try:
            return self.get(self.ask.big, f"--{name.lower()}", tag)
        except ChildProcessError as refused:
            found = re.search(r"\((304|PreconditionFailed)\)", str(refused))
            if found is None:
                raise
            return 304 if found[1] == "304" else 412


def client(ask: Ask, door: Door) -> Operations:
    on = AwsCli(ask, door)
    return {
        "list": lambda: every_prefix(ask, on.under),
        "pages": on.pages,
        "read": on.read,
        "ranges": lambda: [on.get(ask.big, "--range", f"bytes={start}-{end - 1}") for start, end in ask.ranges],
        "conditions": lambda: every_condition(ask, on.asked),
    }


drive(client)
