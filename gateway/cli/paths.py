"""The two ways to write a path: `/ns/train/a.jpg` and `s3://train/a.jpg` (or `s3://ns/train/a.jpg`)."""

from gateway.cli.faults import CommandFault

WHOLE_TREE = ("ns", "causeway")


def ns_path(written: str) -> str:
    """Returns the path under `/ns`, exact: no slash is added, taken or merged.

    Raises:
        CommandFault: It is neither way of writing, or no text.
    """
    try:
        written.encode()
    except UnicodeEncodeError as fault:
        raise CommandFault(f"{written!r} is not UTF-8, and keys of stores are: see the terminal's encoding") from fault
    if written.startswith("s3://"):
        bucket, slash, key = written.removeprefix("s3://").partition("/")
        if bucket in WHOLE_TREE:
            return f"/ns{slash}{key}"
        if bucket:
            return f"/ns/{bucket}{slash}{key}"
    elif written == "/ns" or written.startswith("/ns/"):
        return written
    raise CommandFault(f"{written!r} is no path of the tree; write it as /ns/train/a.jpg or s3://train/a.jpg")
