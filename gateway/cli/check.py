"""`check`: are these files right? Asks no node and changes nothing."""

from pathlib import Path

import click

from gateway.cli.faults import CommandFault

PATHS = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATHS)
@click.option("--future", is_flag=True, help="Accept rules that this version checks but does not keep.")
def check(files: tuple[Path, ...], future: bool) -> None:
    """Check node, topology and policy FILES; every fault is told at once, with line and column.

    A topology and a policy given together are also checked against one another.
    """
    from gateway import config, pairs
    from gateway.cli.files import read
    from policy.yamlfile import Fault, Faults

    given = read(files)
    nodes = [file for file in given if config.is_node(file.text, file.name)]
    faults: list[Fault] = []
    remarks = pairs.Remarks()
    for node in nodes:
        try:
            config.parse(node.text, node.name, Path(node.name).resolve().parent)
        except Faults as wrong:
            faults += wrong.faults
    try:
        remarks = pairs.inspect([file for file in given if file not in nodes], future=future)
    except Faults as wrong:
        faults += wrong.faults
    if faults:
        raise CommandFault(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}:\n{Faults(faults)}")
    for warning in remarks.warnings:
        click.echo(f"warning: {warning}", err=True)
    for note in remarks.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{', '.join(file.name for file in given)}: no faults")
