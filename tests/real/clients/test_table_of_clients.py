"""The table says of a client what a run has shown of all it does, and nothing else."""

from tests.real.clients.register import CLIENTS
from tests.real.clients.table import cells, document

ONE, OTHER = CLIENTS[:2]
EVERY_CELL = cells(ONE) | cells(OTHER)


def test_a_client_that_was_right_in_every_cell_has_a_row_for_each_style() -> None:
    made = document("", [ONE], {}, cells(ONE))

    rows = [line for line in made.splitlines() if line.startswith("| boto3 |")]
    assert [row.split(" | ")[2:] for row in rows] == [
        ["path", *["http, https"] * 4, "http, https |"],
        ["virtual-host", *["http, https"] * 4, "http, https |"],
    ]


def test_a_client_that_was_not_run_or_not_right_everywhere_keeps_its_rows() -> None:
    committed = document("", [ONE, OTHER], {}, EVERY_CELL).replace(f"| boto3 | {ONE.version} |", "| boto3 | older |")
    one_short = EVERY_CELL - {next(iter(cells(ONE)))}

    assert "| boto3 | older |" in document(committed, [ONE, OTHER], {}, cells(OTHER))
    assert "| boto3 | older |" in document(committed, [ONE, OTHER], {}, one_short)
    assert "| boto3 | older |" not in document(committed, [ONE, OTHER], {}, EVERY_CELL)


def test_a_document_made_again_by_the_same_run_is_the_same() -> None:
    made = document("", CLIENTS, {}, {cell for client in CLIENTS for cell in cells(client)})

    assert document(made, CLIENTS, {}, set()) == made
