"""Ends a program with whoever started it: `python -m gateway.demo.tether PROGRAM ARGUMENT...`.

The kernel is asked to send SIGTERM when the parent dies, by SIGKILL too; then this process becomes the program.
"""

import ctypes
import os
import signal
import sys

# linux/prctl.h. It outlives exec. It holds for the thread that started us: the demonstration starts all from its first.
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent and becomes the program that the arguments name."""
    parent = int(os.environ.pop("CAUSEWAY_TETHER"))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) is refused here")
    if os.getppid() != parent:
        sys.exit(1)  # It died before the kernel knew.
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
