"""Storage: whole files or none, on local paths and on URLs, and paths that say what is wrong."""

import hashlib
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import storage
from curation.errors import InputError


@pytest.fixture(params=["local", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, by path and by two kinds of URL."""
    if request.param == "memory":
        return f"memory://{tmp_path}"
    return str(tmp_path) if request.param == "local" else f"file://{tmp_path}"


def names(paths: list[str]) -> list[str]:
    """Return the last part of each path."""
    return [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]


def broken_write(path: str) -> None:
    """Fail after half of a file is written."""
    with storage.open_write(path) as handle:
        handle.write(b"half of")
        handle.flush()
        raise KeyboardInterrupt


def test_write_makes_parents_and_reads_back(folder: str) -> None:
    """A file appears under its name with its bytes and nothing beside it."""
    path = storage.join(folder, "a/b", "c.bin")
    storage.write_bytes(path, b"\x00\xff text")
    with storage.open_read(path) as handle:
        assert handle.read() == b"\x00\xff text"
    assert storage.size_of(path) == 7
    assert names(storage.list_files(storage.join(folder, "a/b"))) == ["c.bin"]


def test_failed_write_leaves_nothing(folder: str) -> None:
    """A write that is interrupted leaves neither the file nor a temporary one."""
    storage.write_bytes(storage.join(folder, "before"), b"")
    path = storage.join(folder, "new.bin")
    with pytest.raises(KeyboardInterrupt):
        broken_write(path)
    assert not storage.exists(path)
    assert names(storage.list_files(folder)) == ["before"]


def test_failed_write_keeps_the_earlier_file(folder: str) -> None:
    """An interrupted overwrite leaves the old content whole."""
    path = storage.join(folder, "x.bin")
    storage.write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        broken_write(path)
    with storage.open_read(path) as handle:
        assert handle.read() == b"old"


def test_unfinished_write_is_invisible(folder: str) -> None:
    """The name does not exist before the last byte is written."""
    path = storage.join(folder, "slow.bin")
    with storage.open_write(path) as handle:
        handle.write(b"half of")
        handle.flush()
        assert not storage.exists(path)
    assert storage.exists(path)


def test_written_files_are_readable_by_others(tmp_path: Path) -> None:
    """The private mode of a temporary file does not stick to the result."""
    storage.write_bytes(str(tmp_path / "x"), b"")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_relative_path_without_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare file name is written into the working directory."""
    monkeypatch.chdir(tmp_path)
    storage.write_bytes("bare.txt", b"1")
    assert (tmp_path / "bare.txt").read_bytes() == b"1"


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@settings(deadline=None, max_examples=50)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """What is written as JSON is read back equal."""
    path = str(tmp_path_factory.getbasetemp() / "value.json")
    storage.write_json(path, value)
    assert storage.read_json(path) == value


def test_json_bytes_do_not_depend_on_key_order(tmp_path: Path) -> None:
    """Keys are sorted, letters stay readable, the file ends in a newline."""
    storage.write_json(str(tmp_path / "a"), {"b": "é", "a": 1})
    assert (tmp_path / "a").read_text(encoding="utf-8") == '{\n  "a": 1,\n  "b": "é"\n}\n'


def test_unwritable_json_leaves_nothing(tmp_path: Path) -> None:
    """A value that is no JSON fails before a file is made."""
    with pytest.raises(TypeError):
        storage.write_json(str(tmp_path / "a.json"), {"x": {1, 2}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("out", "documents"), "out/documents"),
        (("out/", "a/", "b"), "out/a/b"),
        (("/", "x"), "/x"),
        (("gs://bucket/out", "part"), "gs://bucket/out/part"),
    ],
)
def test_join(parts: tuple[str, ...], joined: str) -> None:
    """One slash between parts, whatever they end in."""
    assert storage.join(*parts) == joined


@pytest.mark.parametrize(
    ("path", "remote"),
    [("gs://b/x", True), ("file:///x", True), ("/x/y", False), ("package://gensim/x", False)],
)
def test_is_url(path: str, remote: bool) -> None:
    """Package paths are local files."""
    assert storage.is_url(path) is remote


def test_expand_sorts_and_skips_folders(folder: str) -> None:
    """A pattern gives its files in order, not the folders that match it."""
    for name in ("b.txt", "a.txt", "c.txt/inner"):
        storage.write_bytes(storage.join(folder, name), b"x")
    assert names(storage.expand(storage.join(folder, "*.txt"))) == ["a.txt", "b.txt"]


def test_expanded_paths_can_be_opened(folder: str) -> None:
    """A path from a pattern is complete: scheme and all."""
    storage.write_bytes(storage.join(folder, "deep/er", "a.txt"), b"here")
    (path,) = storage.expand(storage.join(folder, "**", "a.txt"))
    with storage.open_read(path) as handle:
        assert handle.read() == b"here"
    assert storage.describe_file(path)["path"] == path
    assert storage.describe_file(path)["bytes"] == 4


def test_no_match_names_path_and_option(folder: str) -> None:
    """A missing input tells which path, and where in the config it stands."""
    pattern = storage.join(folder, "none-*.gz")
    with pytest.raises(InputError) as caught:
        storage.expand(pattern)
    message = str(caught.value)
    assert message == f"no file matches {pattern!r}; check the source's `path` in the config"


def test_user_and_environment_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` and `$NAME` work in paths of the config."""
    (tmp_path / "x.txt").write_bytes(b"1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CORPUS", str(tmp_path))
    for path in ("~/x.txt", "$CORPUS/x.txt"):
        assert storage.expand(path) == [str(tmp_path / "x.txt")]
        with storage.open_read(path) as handle:
            assert handle.read() == b"1"


def test_listing(folder: str) -> None:
    """Files and folders right under a folder, sorted, by suffix; an absent folder has none."""
    for name in ("b.json", "a.json", "c.npy", "sub/d.json", "also/e.json"):
        storage.write_bytes(storage.join(folder, name), b"")
    assert names(storage.list_files(folder, ".json")) == ["a.json", "b.json"]
    assert names(storage.list_folders(folder)) == ["also", "sub"]
    assert storage.list_files(storage.join(folder, "none")) == []
    assert storage.list_folders(storage.join(folder, "none")) == []


def test_remove_takes_trees_files_and_nothing(folder: str) -> None:
    """Removing works on a file, a tree, and on what is not there; neighbours stay."""
    for name in ("tree/a/b", "tree/c", "file", "stays"):
        storage.write_bytes(storage.join(folder, name), b"x")
    for name in ("tree", "file", "absent"):
        storage.remove(storage.join(folder, name))
        assert not storage.exists(storage.join(folder, name))
    assert storage.exists(storage.join(folder, "stays"))


def test_remove_does_not_follow_links(tmp_path: Path) -> None:
    """A link in a removed folder goes, what it points to stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "x").write_bytes(b"1")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    storage.remove(str(tmp_path / "gone"))
    storage.remove(str(tmp_path / "link"))
    assert not (tmp_path / "gone").exists()
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept" / "x").read_bytes() == b"1"


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    """Temporary files go at any depth, finished ones stay; a URL has none."""
    kept, left = tmp_path / "a" / "part.parquet", tmp_path / "a" / "b" / ".writing-x1"
    storage.write_bytes(str(kept), b"1")
    storage.write_bytes(str(left), b"half")
    storage.remove_unfinished(str(tmp_path))
    storage.remove_unfinished(f"memory://{tmp_path}")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_make_dirs(tmp_path: Path) -> None:
    """Local folders are made with parents; object stores have none to make."""
    storage.make_dirs(str(tmp_path / "a" / "b"))
    storage.make_dirs(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    storage.make_dirs(f"memory://{tmp_path}/never")
    assert not storage.exists(f"memory://{tmp_path}/never")


def test_file_description_changes_with_the_file(tmp_path: Path) -> None:
    """An edit of the same size is a change all the same."""
    path = tmp_path / "x"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    first = storage.describe_file(str(path))
    assert first == {"path": str(path), "bytes": 1, "mark": "1"}
    path.write_bytes(b"2")
    os.utime(path, ns=(2, 2))
    assert storage.describe_file(str(path)) == {**first, "mark": "2"}


@given(data=st.binary(max_size=5000), cut=st.integers(0, 5000))
@settings(deadline=None, max_examples=30)
def test_sha256(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    """The digest of a file, and of bytes written in any pieces, is that of the bytes."""
    path = str(tmp_path_factory.getbasetemp() / "digest.bin")
    with storage.open_write(path) as handle:
        sink = storage.HashingWriter(handle)
        assert sink.write(data[:cut]) == len(data[:cut])
        sink.write(data[cut:])
    wanted = hashlib.sha256(data).hexdigest()
    assert sink.writable()
    assert (storage.sha256_of(path), sink.digest(), sink.size) == (wanted, wanted, len(data))


def test_parquet_part_is_described_and_repeatable(folder: str) -> None:
    """A part's description fits its bytes; writing it again gives the same bytes."""
    table = pa.table({"id": [f"x{i}" for i in range(10)], "n": pa.array(range(10), pa.int32())})
    path = storage.join(folder, "sub", "part-00000.parquet")
    first = storage.write_parquet(path, table, row_group_rows=4)
    assert first["name"] == "part-00000.parquet"
    assert (first["rows"], first["bytes"]) == (10, storage.size_of(path))
    assert first["sha256"] == storage.sha256_of(path)
    assert storage.write_parquet(path, table, row_group_rows=4) == first
    with storage.open_read(path) as handle:
        file = pq.ParquetFile(handle)
        assert [file.metadata.row_group(i).num_rows for i in range(3)] == [4, 4, 2]
        assert file.read().equals(table)


def test_store_without_size_counts_as_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not tell a size gives 0, not an error."""
    filesystem = fsspec.filesystem("memory")
    storage.write_bytes("memory://nosize/x", b"123")
    monkeypatch.setattr(type(filesystem), "info", lambda *_: {"etag": "v1"})
    assert storage.describe_file("memory://nosize/x")["mark"] == "v1"
    assert storage.size_of("memory://nosize/x") == 0


def test_the_size_of_a_folder(tmp_path: Path) -> None:
    """All files below it count; one that is not there holds nothing; URLs too."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/one").write_bytes(b"123")
    (tmp_path / "a/b/two").write_bytes(b"45")
    assert storage.folder_size(str(tmp_path)) == 5
    assert storage.folder_size(str(tmp_path / "none")) == 0
    assert storage.folder_size(f"file://{tmp_path}/a") == 5
    assert storage.folder_size("memory://none/at/all") == 0
