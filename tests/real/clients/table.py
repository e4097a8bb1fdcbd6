"""`docs/clients.md`: the table that the run of the clients' tests gives, between words that stand still."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real.clients.client import OPERATIONS, Client
from tests.real.clients.stage import SCHEMES

DOCUMENT = Path(__file__).parents[3] / "docs" / "clients.md"
HEAD = """\
# The clients that are run

Made by `make clients` from what the tests saw; every run of the tests compares it. Each client is the unchanged program
or package in an environment of its own, and reads from running nodes. A cell names the schemes at which the operation
was right to the byte:

- **list**: every key and size beneath a prefix, **over 1000**: a list that takes more than one page, in order.
- **read**: every object whole: empty, small, of several MiB; keys with spaces, `+`, `%`, `#`, `?`, `&`, `~`, other
  scripts, `a//b`, and `marked/` beside `marked/file`.
- **ranges**: spans across pages, from the first byte to the last; the node has answered 206.
- **conditions**: If-Match and If-None-Match, with the object's ETag and with another.

`-`: the client does not do that; the notes say why. Virtual-host style is tried where no name but `BUCKET.DOMAIN` is
known, so that no request in path style passes for it.

"""
TAIL = """
## Another version

The versions of Python's clients stand in `tests/real/clients/requirements/NAME.txt` with the hashes of all they need:

```sh
uv pip compile - --universal --python-version 3.11 --generate-hashes \\
    --no-emit-index-url --no-header --no-annotate -o NAME.txt <<<PACKAGE==VERSION
```

and that of `aws-sdk-js` in its `package.json`, with a lock beside it:

```sh
npm install --package-lock-only --omit-lockfile-registry-resolved
```

`scripts/setup.sh clients` installs what has changed, into `${XDG_CACHE_HOME:-~/.cache}/causeway/clients`;
`make clients` runs all and writes this page.
"""
_COLUMNS = ("client", "version", "style", "list", "over 1000", "read", "ranges", "conditions")

_HEADINGS = dict(zip(OPERATIONS, _COLUMNS[3:], strict=True))


@dataclass(frozen=True, slots=True)
class Cell:
    """One scheme in one cell of the table."""

    client: str
    style: str
    operation: str
    scheme: str


def document(committed: str, clients: Sequence[Client], not_had: Mapping[str, str], proven: Collection[Cell]) -> str:
    """The document after a run; of a client that was not run whole, the rows are the committed ones."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    for client in clients:
        lines += rows(client) if proven >= cells(client) else kept(committed, client)
    lines += ["", "## Notes", "", *notes(clients), "", "## Not run", "", *told(not_had), ""]
    return HEAD + "\n".join(lines) + TAIL


def cells(client: Client) -> set[Cell]:
    """All that a client does."""
    return {
        Cell(client.name, style, operation, scheme)
        for style in client.styles
        for operation in client.operations
        for scheme in SCHEMES
    }


def rows(client: Client) -> list[str]:
    """The rows of a client all of whose cells are right."""
    did = [", ".join(SCHEMES) if operation in client.operations else "-" for operation in OPERATIONS]
    return [f"| {' | '.join([client.name, client.version, style, *did])} |" for style in client.styles]


def kept(committed: str, client: Client) -> list[str]:
    """The rows that the committed document has of a client."""
    return [line for line in committed.splitlines() if line.startswith(f"| {client.name} |")]


def notes(clients: Iterable[Client]) -> list[str]:
    """What a client does not do, cannot name, and does in a way of its own."""
    lines = []
    for client in clients:
        told = [*client.notes, *(f"{_HEADINGS.get(what, what)}: {why}" for what, why in client.lacks.items())]
        if unnamed := {*client.unlisted, *client.unread}:
            told.append("cannot name " + ", ".join(_unnamed(client, key) for key in sorted(unnamed)))
        if told:
            lines.append(f"- **{client.name}**: {'; '.join(told)}.")
    return lines


def told(not_had: Mapping[str, str]) -> list[str]:
    """What is not run."""
    return [f"- **{name}**: {why}." for name, why in not_had.items()]


def _unnamed(client: Client, key: str) -> str:
    if key not in client.unread:
        return f"`{key}` in a list"
    return f"`{key}`" if key in client.unlisted else f"`{key}` to read it"
