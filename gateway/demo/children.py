"""The demonstration's processes: started with a log each, ready only while they live, ended by their own pid."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

# A node that is asked to stop lets replies finish for 20 s; here nobody reads any more.
STOP_SECONDS = 5.0
# moto imports for six seconds where two cores are loaded ten times over.
READY_SECONDS = 90.0
POLL_SECONDS = 0.03
SETTLE_SECONDS = 0.2
TAIL_BYTES = 2000


class ChildEnded(Exception):
    """A process of the demonstration ended before its time; the message holds the end of its log."""


class Child:
    """One process. `ask` is for those that answer questions on their standard output."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str], answers: bool) -> None:
        self.name = name
        self.log = log
        # Nothing of the machine's own S3 settings shall reach a reader or a node.
        plain = {variable: value for variable, value in os.environ.items() if not variable.startswith("AWS_")}
        tethered = {**plain, **env, "CAUSEWAY_TETHER": str(os.getpid())}
        with log.open("ab") as told:
            # A session of its own: Ctrl-C reaches the demonstration alone, which then ends its children in order.
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "gateway.demo.tether", *arguments],
                stdin=subprocess.PIPE if answers else subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else told,
                stderr=told,
                env=tethered,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def check(self) -> None:
        """Raises ChildEnded if it has ended."""
        code = self.process.poll()
        if code is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
            raise ChildEnded(f"{self.name} (pid {self.pid}) {how}; its log ends with:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace").strip() or "(nothing)"

    def ask(self, question: str = "") -> Any:
        """Writes one line, returns the line of JSON that answers it. Raises ChildEnded."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(f"{question}\n".encode())
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self.process.wait(STOP_SECONDS)
            self.check()
        return json.loads(line)

    def end(self) -> None:
        """Asks it to end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Waits until it has ended after `end`; then makes it."""
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Family:
    """Every process of the demonstration; leaving the `with` ends them."""

    def __init__(self, directory: Path) -> None:
        """Logs lie in `directory`, and so does what a child writes to its temporary directory."""
        self._directory = directory
        self._children: list[Child] = []

    def __enter__(self) -> "Family":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, fault: BaseException | None, _trace: TracebackType | None
    ) -> None:
        ended = self._ended() if isinstance(fault, Exception) else None
        # The youngest first: readers before what they read from.
        for child in reversed(self._children):
            child.end()
        for child in self._children:
            child.wait()
        if ended is not None:
            raise ended from fault

    def start(self, name: str, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        """Starts a process that answers questions (see `Child.ask`)."""
        return self._start(name, arguments, env or {}, answers=True)

    def serve(
        self, name: str, arguments: Sequence[str], ready: str, env: Mapping[str, str] | None = None
    ) -> re.Match[str]:
        """Starts a server and waits for the line that says it is ready.

        Args:
            name: for people.
            arguments: the command line.
            ready: a pattern of that line; the groups of the returned match tell where the server listens.
            env: environment beyond ours.

        Raises:
            ChildEnded: it ended, or is not ready in 90 s.
        """
        child = self._start(name, arguments, env or {}, answers=False)
        deadline = time.monotonic() + READY_SECONDS
        while (found := re.search(ready, child.log.read_text("utf-8", "replace"))) is None:
            child.check()
            if time.monotonic() > deadline:
                raise ChildEnded(f"{name} is not ready after {READY_SECONDS:.0f} s; its log:\n{child.tail()}")
            time.sleep(POLL_SECONDS)
        return found

    def check(self) -> None:
        """Raises ChildEnded if one of them has ended."""
        for child in self._children:
            child.check()

    def dismiss(self, child: Child) -> None:
        """Ends a child that has done its part."""
        self._children.remove(child)
        child.end()
        child.wait()

    def _ended(self) -> ChildEnded | None:
        """Why something failed, if a child's end is why: who asks it learns of that before its exit is seen here."""
        time.sleep(SETTLE_SECONDS)
        try:
            self.check()
        except ChildEnded as ended:
            return ended
        return None

    def _start(self, name: str, arguments: Sequence[str], env: Mapping[str, str], *, answers: bool) -> Child:
        log = self._directory / f"{name.replace(' ', '-')}.log"
        child = Child(name, arguments, log, {"TMPDIR": str(self._directory), **env}, answers)
        self._children.append(child)
        return child
