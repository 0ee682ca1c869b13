"""`package://` paths: data of installed packages, without an import and without a way out."""

from pathlib import Path

import pytest

from curation import storage
from curation.errors import InputError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package that must not be imported, with a data file and one outside."""
    root = tmp_path / "site" / "threefold_probe"
    (root / "data").mkdir(parents=True)
    (root / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "data" / "x.txt").write_bytes(b"inside")
    (root.parent / "secret.txt").write_bytes(b"outside")
    (root.parent / "threefold_probe_2").mkdir()
    (root.parent / "threefold_probe_2" / "y.txt").write_bytes(b"neighbour")
    monkeypatch.syspath_prepend(str(root.parent))
    return root


def test_package_path_is_found_without_an_import(package: Path) -> None:
    """`package://NAME/file` reads a file of an installed package, globs included."""
    wanted = str(package / "data" / "x.txt")
    assert storage.local_path("package://threefold_probe/data/x.txt") == wanted
    assert storage.expand("package://threefold_probe/*/*.txt") == [wanted]
    with storage.open_read("package://threefold_probe/data/x.txt") as handle:
        assert handle.read() == b"inside"


@pytest.mark.parametrize(
    "rest",
    ["../secret.txt", "data/../../secret.txt", "../threefold_probe_2/y.txt", "/etc/passwd"],
    ids=["parent", "through-data", "name-prefix", "absolute"],
)
@pytest.mark.usefixtures("package")
def test_package_path_cannot_leave_the_package(rest: str) -> None:
    """A package path names files of that package only."""
    path = f"package://threefold_probe/{rest}"
    with pytest.raises(InputError, match="leads out of the package 'threefold_probe'"):
        storage.local_path(path)


@pytest.mark.parametrize("name", ["no_such_package_here", "", "os.path", "..", "keyword"])
def test_unknown_package_says_how_to_install(name: str) -> None:
    """A package that is absent, or is no folder, is reported with the way out."""
    with pytest.raises(InputError, match=r"is not installed; .*pip install"):
        storage.local_path(f"package://{name}/x.txt")
