"""`causeway`: one program, its commands loaded when they are asked for.

Exit codes: 0 done, 1 a fault (one line on standard error), 2 wrong usage, 3 another node took this one's name,
130 Ctrl-C, 141 our output's reader has gone.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from gateway.cli.faults import CommandFault
from gateway.version import VERSION

INTERRUPTED = 130
READER_GONE = 141

COMMANDS = {
    "up": ("gateway.cli.up:up", "Run this machine's node."),
    "check": ("gateway.cli.check:check", "Check node, topology and policy files; changes nothing."),
    "apply": ("gateway.cli.apply:apply", "Put topology and policy in force, on one node or several."),
    "rollback": ("gateway.cli.apply:rollback", "Put the files of an older revision in force again."),
    "history": ("gateway.cli.watching:history", "Show who applied what, and when."),
    "ls": ("gateway.cli.reading:ls", "List names beneath a path."),
    "stat": ("gateway.cli.reading:stat", "Show an object's size, version and times."),
    "cat": ("gateway.cli.reading:cat", "Write an object's bytes to standard output."),
    "explain": ("gateway.cli.watching:explain", "Say why a path is served as it is."),
    "refresh": ("gateway.cli.reading:refresh", "Forget what is newest beneath a path; pages stay."),
    "pin": ("gateway.cli.pinning:pin", "Keep a path in the cache, or list what is kept."),
    "unpin": ("gateway.cli.pinning:unpin", "Let what was pinned leave the cache again."),
    "free": ("gateway.cli.pinning:free", "Drop what is cached of a path, now."),
    "lines": ("gateway.cli.lines:lines", "Show lines: quota, rate, once ratio, who moved what, and when."),
    "top": ("gateway.cli.top:top", "Show live what a node does: doors, lines, tenants, who waits."),
    "status": ("gateway.cli.watching:status", "Show the node at a glance."),
    "members": ("gateway.cli.members:members", "Show the members of the region's cluster, or remove a dead one."),
    "drain": ("gateway.cli.members:drain", "Have a node hand over what it owns, and leave the cluster."),
    "keys": ("gateway.cli.keys:keys", "Add, list and remove access keys."),
    "namespace": ("gateway.cli.namespace:namespace", "Put back a namespace that etcd has lost."),
    "bench": ("gateway.cli.bench:bench", "Read a path cold and warm: latency and rate as a reader sees them."),
    "demo": ("gateway.demo.main:demo", "Show two regions, a line and a quota on this machine."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when one is run; the help needs none of them."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands, in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Imports the command `name`; None if there is none."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="causeway")
def cli() -> None:
    """Read every region's buckets as one tree, /ns/...: each byte crosses a line once, within its quota.

    Commands other than up, check, namespace and demo talk to a node's admin port. They find it by --config node.yaml
    (or CAUSEWAY_CONFIG), or by CAUSEWAY_ADMIN (its URL) and CAUSEWAY_TOKEN.
    """


def main() -> None:
    """The entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; what went wrong has been told on standard error."""
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be flushed to the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except KeyboardInterrupt:
        click.echo(err=True)
        return INTERRUPTED
    return code


def _invoke(arguments: Sequence[str]) -> int:
    try:
        # Not cli.main(): that turns a broken pipe into exit code 1 and Ctrl-C into a message.
        with cli.make_context("causeway", list(arguments)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as wrong:
        wrong.show()
        return wrong.exit_code
    except (CommandFault, click.ClickException) as fault:
        return _told(str(fault))
    except BrokenPipeError:
        raise
    except OSError as fault:
        return _told(f"{fault.filename}: {fault.strerror}" if fault.filename else str(fault))
    return 0


def _told(message: str) -> int:
    click.echo(f"causeway: {message}", err=True)
    return 1
