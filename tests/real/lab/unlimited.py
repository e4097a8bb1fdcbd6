"""A node whose lines carry what they can, so that the tests of the quota can be seen to fail.

No option of the program does this: `before=unlimited()` of `node` puts this in the program's place.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from gateway.app import Node
from gateway.cli.running import run
from gateway.config import load
from gateway.logs import configure
from gateway.redact import Redactor

ROOT = Path(__file__).parents[3]


def unlimited() -> tuple[str, ...]:
    """What stands before the program's own command line."""
    return ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.real.lab.unlimited")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("command", choices=["up"])
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args()
    configure("console", "info", Redactor())
    return run(partial(Node.start, limited=False), load(args.config), ())


if __name__ == "__main__":
    sys.exit(main())
