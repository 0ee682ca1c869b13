"""Members of tar and zip archives, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import SourceConfig
from curation.errors import ConfigError
from curation.records import Reject
from curation.sources.archives import Archive
from curation.sources.streams import DecompressedStream
from curation.splitting import Split, SplitReader

MEMBERS = {
    "t0/a.jsonl": b'{"a": 1}\n' * 200,
    "t0/empty.jsonl": b"",
    "t0/" + "long" * 60 + ".jsonl": b"long name",
    "notes.txt": b"not wanted",
    "t0/b.jsonl": b"x" * 1025,
}
WANTED = {name: data for name, data in MEMBERS.items() if name.endswith(".jsonl")}


def tar_bytes(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        folder = tarfile.TarInfo("t0/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("t0/link.jsonl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t0/", b"")
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read(path: Path, pattern: str = "t0/*.jsonl") -> tuple[dict[str, bytes], str]:
    """Return the members by name, and the archive's damage."""
    found = {}
    with Archive(str(path), pattern) as archive:
        for name, member in archive:
            with DecompressedStream(member) as stream:
                found[name] = stream.read() + stream.damage.encode()
    return found, archive.damage


FORMS = {
    "pax": tar_bytes(MEMBERS),
    "gnu": tar_bytes(MEMBERS, tarfile.GNU_FORMAT),
    "gz": gzip.compress(tar_bytes(MEMBERS)),
    "xz": lzma.compress(tar_bytes(MEMBERS)),
    "zip": zip_bytes(MEMBERS),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_members_by_glob(data: bytes, tmp_path: Path) -> None:
    """Plain files whose name fits, in any kind of archive; folders and links are none."""
    path = tmp_path / "archive"
    path.write_bytes(data)
    assert read(path) == (WANTED, "")
    assert read(path, "*.txt") == ({"notes.txt": b"not wanted"}, "")
    assert list(tmp_path.iterdir()) == [path]


def test_a_compressed_member_is_decompressed(tmp_path: Path) -> None:
    """A .gz inside a tar needs no option."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes({"x.gz": gzip.compress(b"inside")}))
    assert read(path, "*") == ({"x.gz": b"inside"}, "")


def test_members_that_are_not_read_are_passed_over(tmp_path: Path) -> None:
    """A reader that stops early does not disturb the next member."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes(MEMBERS))
    with Archive(str(path), "t0/*") as archive:
        assert [name for name, _ in archive] == list(WANTED)


@given(cut=st.integers(1, len(tar_bytes(MEMBERS)) - 10_000))
@settings(deadline=None, max_examples=40)
def test_a_cut_tar_keeps_what_lies_before(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whole members are whole, the cut one says that it is, and the archive too."""
    path = tmp_path_factory.mktemp("cut") / "a.tar"
    path.write_bytes(tar_bytes(MEMBERS)[:-10_000][:cut])
    found, damage = read(path)
    assert damage == "truncated"
    for name, data in list(found.items())[:-1]:
        assert data == WANTED[name]


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=60)
def test_noise_is_no_archive(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any bytes end in damage or in nothing, never in an error."""
    path = tmp_path_factory.mktemp("noise") / "a"
    path.write_bytes(data)
    found, damage = read(path, "*")
    assert found == {}
    assert damage or not data.strip(b"\0")
    path.write_bytes(b"PK\x03\x04" + data)
    assert read(path, "*")[1] == "corrupt"


def test_a_header_that_states_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """A long-name header is read to its bound."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 7 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 100_000)
    assert read(path, "*") == ({}, "truncated")


def test_a_damaged_zip_member_costs_itself(tmp_path: Path) -> None:
    """Its checksum tells; the others are read."""
    data = bytearray(zip_bytes({"a": b"first", "b": b"second" * 50, "c": b"third"}))
    place = data.index(b"b", 30) + 3
    data[place : place + 4] = b"\xff\xff\xff\xff"
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    found, damage = read(path, "*")
    assert (found["a"], found["c"], damage) == (b"first", b"third", "")
    assert found["b"].endswith(b"corrupt")


def test_an_archive_is_a_source(tmp_path: Path) -> None:
    """Each member is read like a file of its own; empty and damaged ones are counted by name."""
    good = b'{"title": "A", "text": "B"}\n'
    path = tmp_path / "a.tar.gz"
    members = {"d/a.json": good * 2, "d/b.json": b"", "d/c.json": b"nonsense"}
    path.write_bytes(gzip.compress(tar_bytes(members)))
    columns = {"title": "title", "text": "text"}
    source = SourceConfig(kind="json", path=str(path), members="d/*.json", columns=columns)
    reader = SplitReader(Split(0, str(path), path.stat().st_size), source)
    found = [(r.id[:24], r.reason) if isinstance(r, Reject) else r.title for r in reader]
    assert found == [
        "A",
        "A",
        ("json:a.tar.gz!d/b.json", "no_records"),
        ("json:row-9bbd258d1552295", "malformed_json"),
    ]
    assert reader.share == 1.0


def test_an_archive_without_such_members_is_counted(tmp_path: Path) -> None:
    """A glob that fits nothing is no silent success."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes(MEMBERS))
    source = SourceConfig(kind="c4", path=str(path), members="no/*")
    (found,) = SplitReader(Split(0, str(path), path.stat().st_size), source)
    assert isinstance(found, Reject)
    assert found.reason == "no_members"


@pytest.mark.parametrize("kind", ["cc-news", "wet"])
def test_warc_files_are_not_read_in_archives(kind: str) -> None:
    """An option that would do nothing is refused."""
    with pytest.raises(ConfigError, match="members does nothing"):
        SourceConfig(kind=kind, path="x.tar", members="*")
