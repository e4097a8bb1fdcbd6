"""What the documents name exists: links, the README's index and files, the change log's commands and endpoints."""

import re
from pathlib import Path

import pytest

from gateway import config, pairs
from gateway.admin.api import Api
from gateway.admin.cache import CacheApi
from gateway.admin.cluster import ClusterApi
from gateway.cli.files import read
from gateway.cli.main import COMMANDS
from namespace.store.embedded import EmbeddedStore
from tests.fakes.operations import FakeOperations

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors(text: str) -> set[str]:
    """The names by which headings are linked to."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for path, heading in _LINK.findall(document.read_text()):
        target = (document.parent / path) if path else document
        assert target.exists(), path
        if heading:
            assert heading in anchors(target.read_text())


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.parent.name == "docs"], ids=lambda path: path.name
)
def test_every_document_is_in_the_index_of_the_readme(document: Path) -> None:
    assert f"(docs/{document.name})" in README.partition("## Documents")[2]


def test_the_files_of_the_readme_are_right_and_kept_by_this_version(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n# ([^\n]*?)(?:; [^\n]*)?\n(.*?)```", README, re.DOTALL)
    for name, text in blocks:
        (tmp_path / Path(name).name).write_text(text)

    node = config.parse((tmp_path / "node.yaml").read_text(), "node.yaml", tmp_path)
    remarks = pairs.inspect(read((tmp_path / "topology.yaml", tmp_path / "policy.yaml")), future=False)

    assert node.region == "aws-use1"
    assert remarks.warnings == ()


def test_the_change_log_lists_every_command() -> None:
    said = re.search(r"Commands: `([a-z \n]+)`", (ROOT / "CHANGELOG.md").read_text())

    assert said is not None
    assert sorted(said[1].split()) == sorted(COMMANDS)


def test_the_change_log_lists_every_endpoint_of_the_api(tmp_path: Path) -> None:
    said = re.search(r"`/api/v1/\{([a-z/,]+)\}`", (ROOT / "CHANGELOG.md").read_text())
    operations = FakeOperations(EmbeddedStore(tmp_path / "namespace.sqlite"))
    routes = (*Api(operations).routes(), *CacheApi(operations).routes(), *ClusterApi(operations).routes())

    assert said is not None
    assert set(said[1].split(",")) == {route.path.removeprefix("/api/v1/") for route in routes}


def test_the_map_of_the_architecture_has_every_module_once() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| [^|]+ \| (.*) \|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE
    )
    mapped = [f"{folder}.{name}" for folder, names in rows for name in re.findall(r"`(\w+)`", names)]
    packages = ("policy", "namespace", "regioncache", "gateway")
    modules = [path.relative_to(ROOT) for package in packages for path in (ROOT / package).rglob("[!_]*.py")]
    modules = [path for path in modules if not path.name.endswith("_pb2.py")]  # written, not read

    assert sorted(mapped) == sorted(".".join(path.with_suffix("").parts) for path in modules)


def test_metrics_that_a_document_names_are_metrics() -> None:
    names = set(re.findall(r"causeway_\w+", (ROOT / "docs" / "metrics.md").read_text()))

    for document in DOCUMENTS:
        for name, star in re.findall(r"`(causeway_\w+)(\*?)", document.read_text()):
            assert name in names or (star and any(one.startswith(name) for one in names)), name
