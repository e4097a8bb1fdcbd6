"""`ls`, `stat`, `cat`, `refresh`: the tree, as an administrator sees it."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.client import AdminClient, Download
from gateway.cli.paths import ns_path
from gateway.cli.reach import reaching
from gateway.cli.show import (
    PATIENCE_SECONDS,
    Bar,
    json_option,
    parsed,
    patience,
    print_json,
    print_json_each,
    print_pairs,
    print_table,
    show_moment,
)

if TYPE_CHECKING:
    from gateway.admin.answers import Name


@click.command()
@click.argument("path", default="/ns/")
@reaching
@click.option("-l", "--long", is_flag=True, help="Also size and time.")
@click.option("-r", "--recursive", is_flag=True, help="Everything beneath, not one level.")
@json_option
def ls(client: AdminClient, path: str, long: bool, recursive: bool, as_json: bool) -> None:
    """List names beneath PATH, by default those of the whole tree."""
    from gateway.admin.answers import Listing

    pages = _pages(client, ns_path(path), recursive)
    if as_json:
        print_json_each(name for page in pages for name in page["names"])
        return
    for page in pages:
        names = parsed(Listing, page).names
        if long:
            print_table((">size", "modified", "path"), [_row(name) for name in names])
        else:
            for name in names:
                click.echo(name.path)


def _row(name: "Name") -> tuple[str, ...]:
    from policy.units import show_size

    size = "" if name.size is None else show_size(name.size)
    return (size, "" if name.modified is None else show_moment(name.modified), name.path)


def _pages(client: AdminClient, path: str, recursive: bool) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        with patience(f"listing {path}"):
            page = client.get("list", {"path": path, "after": after, "recursive": "1" if recursive else "0"})
        yield page
        if page["next_after"] is None:
            return
        after = page["next_after"]


@click.command()
@click.argument("path")
@reaching
@json_option
def stat(client: AdminClient, path: str, as_json: bool) -> None:
    """Show an object's size, version and times."""
    from gateway.admin.answers import Stat
    from policy.units import show_duration, show_size

    with patience(f"asking about {path}"):
        plain = client.get("stat", {"path": ns_path(path)})
    if as_json:
        print_json(plain)
        return
    found = parsed(Stat, plain)
    stale = [] if found.stale_seconds is None else [("stale for", show_duration(found.stale_seconds))]
    print_pairs(
        [
            ("path", found.path),
            ("size", f"{found.meta.size} ({show_size(found.meta.size)})"),
            ("version", found.meta.version),
            ("etag", found.meta.etag),
            ("modified", show_moment(found.meta.last_modified)),
            ("type", found.meta.content_type),
            *found.meta.headers,
            ("from", found.source),
            *stale,
        ]
    )


@click.command()
@click.argument("path")
@reaching
@click.option("--offset", type=click.IntRange(0), default=0, help="First byte; default 0.")
@click.option("--length", type=click.IntRange(1), help="Bytes at most; default all.")
def cat(client: AdminClient, path: str, offset: int, length: int | None) -> None:
    """Write an object's bytes to standard output."""
    out = sys.stdout.buffer
    with patience(f"opening {path}"):
        opened = client.open(ns_path(path), offset, None if length is None else offset + length)
    with opened:
        for piece in _shown(path, opened):
            out.write(piece)
    out.flush()


def _shown(path: str, opened: Download) -> Iterator[bytes]:
    """Yields the bytes; a bar stands on the terminal once it takes longer than two seconds."""
    bar = None
    began = time.monotonic()
    try:
        for piece in opened:
            yield piece
            if bar is None and time.monotonic() - began > PATIENCE_SECONDS:
                bar = Bar(path, opened.length)
            if bar is not None:
                bar.at(opened.received)
    finally:
        if bar is not None:
            bar.close()


@click.command()
@click.argument("path")
@reaching
def refresh(client: AdminClient, path: str) -> None:
    """Forget what is newest at PATH and beneath it; pages stay, the next read asks the origin."""
    from gateway.admin.answers import Refreshed

    with patience(f"refreshing {path}"):
        done = parsed(Refreshed, client.post("refresh", query={"path": ns_path(path)}))
    click.echo(f"{done.path}: {done.dropped} known versions forgotten")
    if done.untold:
        names = ", ".join(done.untold)
        raise click.ClickException(f"not told, since they did not answer: {names}; refresh again when they are back")
