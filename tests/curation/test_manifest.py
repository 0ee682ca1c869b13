"""Manifests: complete or not, from the same inputs or not, and nothing in between."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import manifest, storage
from curation.errors import ConfigError, InputError

PARTS = [
    {"name": "b.parquet", "rows": 2, "bytes": 30, "sha256": "bb"},
    {"name": "a.parquet", "rows": 3, "bytes": 10, "sha256": "aa"},
]


def publish(folder: Path, fingerprint: str = "f1") -> dict[str, object]:
    """Begin a folder, write its parts and publish it."""
    manifest.begin(str(folder), fingerprint)
    for part in PARTS:
        (folder / str(part["name"])).write_bytes(b"x")
    return manifest.publish(str(folder), {"fingerprint": fingerprint, "stage": "s"}, PARTS)


def test_published_folder_is_complete(tmp_path: Path) -> None:
    """Rows and bytes are summed, parts sorted, and the marks of the work are gone."""
    written = publish(tmp_path / "out")
    assert manifest.read(str(tmp_path / "out"), "make it") == written
    assert (written["rows"], written["bytes"], written["stage"]) == (5, 40, "s")
    assert written["parts"] == PARTS[::-1]
    assert written["versions"] == manifest.versions()
    files = ["_SUCCESS", "a.parquet", "b.parquet", "manifest.json"]
    assert sorted(os.listdir(tmp_path / "out")) == files
    wanted = [str(tmp_path / "out" / name) for name in ("a.parquet", "b.parquet")]
    assert manifest.part_paths(str(tmp_path / "out"), written) == wanted


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    """No time, host or order of the parts is in a manifest."""
    publish(tmp_path / "one")
    manifest.begin(str(tmp_path / "two"), "f1")
    description = {"stage": "s", "fingerprint": "f1"}
    manifest.publish(str(tmp_path / "two"), description, iter(PARTS[::-1]))
    one = (tmp_path / "one" / "manifest.json").read_bytes()
    assert (tmp_path / "two" / "manifest.json").read_bytes() == one


@pytest.mark.parametrize(
    ("asked", "complete"), [("f1", True), ("f2", False)], ids=["same", "changed"]
)
def test_complete_only_for_the_same_fingerprint(tmp_path: Path, asked: str, complete: bool) -> None:
    """A folder made from another config is not up to date."""
    publish(tmp_path)
    assert manifest.is_complete(str(tmp_path), asked) is complete


def test_unfinished_folder_is_not_complete(tmp_path: Path) -> None:
    """Without `_SUCCESS` a folder is neither up to date nor readable."""
    publish(tmp_path)
    (tmp_path / "_SUCCESS").unlink()
    assert manifest.is_complete(str(tmp_path), "f1") is False
    with pytest.raises(InputError) as caught:
        manifest.read(str(tmp_path), "make curate")
    assert str(caught.value) == f"{tmp_path} is missing or incomplete; run: make curate"


def test_begin_keeps_what_an_equal_run_wrote(tmp_path: Path) -> None:
    """An interrupted run is taken up where it was."""
    manifest.begin(str(tmp_path / "out"), "f1")
    (tmp_path / "out" / "a.parquet").write_bytes(b"x")
    manifest.begin(str(tmp_path / "out"), "f1")
    assert sorted(os.listdir(tmp_path / "out")) == ["_STARTED", "a.parquet"]


@pytest.mark.parametrize("finished", [True, False])
def test_begin_drops_what_another_run_wrote(tmp_path: Path, finished: bool) -> None:
    """Nothing of an earlier config survives, whether that run was finished or not."""
    if finished:
        publish(tmp_path / "out")
    else:
        manifest.begin(str(tmp_path / "out"), "f1")
        (tmp_path / "out" / "a.parquet").write_bytes(b"x")
    manifest.begin(str(tmp_path / "out"), "f2")
    assert os.listdir(tmp_path / "out") == ["_STARTED"]
    assert storage.read_json(str(tmp_path / "out" / "_STARTED")) == {"fingerprint": "f2"}


def test_kill_while_dropping_leaves_no_complete_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that lost parts to a killed clean-up does not pass as complete afterwards."""
    publish(tmp_path / "out")
    remove, removed = os.unlink, []

    def unlink(path: str, **options: int) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(os.path.basename(path))
        remove(path, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        manifest.begin(str(tmp_path / "out"), "f2")
    monkeypatch.undo()
    assert removed == ["_SUCCESS"]
    assert manifest.is_complete(str(tmp_path / "out"), "f1") is False


def test_failed_publish_is_not_complete(tmp_path: Path) -> None:
    """A manifest that cannot be written leaves the folder unfinished."""
    manifest.begin(str(tmp_path), "f1")
    with pytest.raises(TypeError):
        manifest.publish(str(tmp_path), {"fingerprint": "f1", "config": {1, 2}}, PARTS)
    assert os.listdir(tmp_path) == ["_STARTED"]


values = st.recursive(
    st.none() | st.integers(-9, 9) | st.text("aé日", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=6,
)


@given(one=values, other=values)
@settings(deadline=None, max_examples=100)
def test_fingerprints_are_equal_only_for_equal_values(one: object, other: object) -> None:
    """Any change of a value changes its 16 digits."""
    assert (manifest.fingerprint(one) == manifest.fingerprint(other)) is (one == other)
    assert len(manifest.fingerprint(one)) == 16
    assert int(manifest.fingerprint(one), 16) >= 0


def test_fingerprint_ignores_the_order_of_keys() -> None:
    """Tables of a config have no order; lists have. The digits are pinned."""
    first = manifest.fingerprint({"a": 1, "b": "é"})
    assert manifest.fingerprint({"b": "é", "a": 1}) == first == "72098b2a2208bcd8"
    assert manifest.fingerprint([1, 2]) != manifest.fingerprint([2, 1])


def test_content_digest_sees_content_alone(tmp_path: Path) -> None:
    """Two configs that led to the same parts have one digest; another part has another."""
    one, two = publish(tmp_path / "a", "f1"), publish(tmp_path / "b", "f2")
    assert manifest.content_digest(one) == manifest.content_digest(two)
    changed = {"parts": [{"name": "a.parquet", "sha256": "other"}, PARTS[0]]}
    assert manifest.content_digest(changed) != manifest.content_digest(one)


def test_versions_name_what_decides_the_output() -> None:
    """Each library has a version; one that is not installed counts as source."""
    found = manifest.versions()
    libraries = {"ftfy", "py3langid", "pyarrow", "pycld2", "resiliparse", "tokenizers", "torch"}
    assert set(found) == {"threefold", "schema"} | libraries
    assert found["schema"] == "1"
    assert found["pyarrow"].split(".")[0].isdigit()
    assert manifest._version("no-such-package-here") == "source"


def test_begin_deletes_no_files_of_others(tmp_path: Path) -> None:
    """A folder with files that no stage wrote is left alone."""
    (tmp_path / "documents").mkdir()
    thesis = tmp_path / "documents" / "thesis.tex"
    thesis.write_text("years of work")
    with pytest.raises(ConfigError, match=r"holds files that are not ours, as 'thesis\.tex'"):
        manifest.begin(str(tmp_path / "documents"), "f1")
    assert thesis.read_text() == "years of work"


def test_begin_goes_on_where_a_kill_left_parts_without_marks(tmp_path: Path) -> None:
    """Parts alone are ours: their folder was being cleared."""
    (tmp_path / "part-00000.parquet").write_bytes(b"x")
    manifest.begin(str(tmp_path), "f1")
    assert os.listdir(tmp_path) == ["_STARTED"]
