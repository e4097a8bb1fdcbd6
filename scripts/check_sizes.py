"""Says which modules and functions have outgrown the house: 400 lines a module, 40 lines of code a function."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
GENERATED = "_pb2.py"
ROOTS = ("policy", "namespace", "regioncache", "gateway", "tests", "scripts")


def faults(path: Path) -> Iterator[str]:
    """Yields `file:line: fault` for each thing in one module that is too long."""
    text = path.read_text()
    lines = text.count("\n")
    if lines > MODULE_LINES:
        yield f"{path}:1: {lines} lines, at most {MODULE_LINES}: split it by idea"
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node)
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body, its docstring left out."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body or node.end_lineno is None:
        return 0
    return node.end_lineno - body[0].lineno + 1


def main() -> int:
    found = [
        fault
        for root in ROOTS
        for path in sorted(Path(root).rglob("*.py"))
        if not path.name.endswith(GENERATED)
        for fault in faults(path)
    ]
    print("\n".join(found) or "sizes: all within bounds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
