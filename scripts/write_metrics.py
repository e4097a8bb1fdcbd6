"""Writes the tables of docs/metrics.md from the catalogue; what stands above the first heading is kept."""

from pathlib import Path

from gateway.catalogue import document

DOCUMENT = Path("docs/metrics.md")


def main() -> None:
    before = DOCUMENT.read_text().partition("\n## ")[0].rstrip("\n")
    DOCUMENT.write_text(f"{before}\n\n{document()}")


if __name__ == "__main__":
    main()
