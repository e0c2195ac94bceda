"""Only files are read, only of a sane size, and nothing of one that is no problem and no table is repeated."""

import os
import socket
import time
from pathlib import Path

import pytest

from controlsde.foundation.plain_files import MissingError, UnreadableError, read_plain
from controlsde.problem import ProblemError, load_problem

from .texts import GOOD, messages

SECRET = "root:$6$salt$hash:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"


def test_a_file_is_read_whole_and_one_that_is_too_large_not_at_all(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    assert read_plain(path, 4) == b"1234"
    with pytest.raises(UnreadableError, match="is larger than"):
        read_plain(path, 3)
    with pytest.raises(MissingError, match="does not exist"):
        read_plain(tmp_path / "b", 4)


def test_what_is_no_file_is_not_opened(tmp_path, monkeypatch):
    pipe, link, folder = tmp_path / "pipe", tmp_path / "link", tmp_path / "folder"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # a socket's name is short
        listening.bind("socket")
        began = time.monotonic()
        for path, kind in [(pipe, "a pipe"), (link, "a pipe"), (folder, "a folder"), (tmp_path / "socket", "a socket")]:
            with pytest.raises(UnreadableError, match=f"is not a file, but {kind}"):
                read_plain(path, 100)
        assert time.monotonic() - began < 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_files_that_the_system_makes_up_are_as_empty_as_they_seem():
    assert read_plain(Path("/proc/self/environ"), 10**6) == b""


@pytest.mark.parametrize("name", ["secret", "secret.yaml", "link.yaml"])
def test_nothing_of_a_file_that_is_no_problem_is_repeated(name, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret.yaml").write_text(SECRET)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(ProblemError) as refused:
        load_problem(tmp_path / name)
    (line,) = refused.value.messages
    assert line.startswith(f"{tmp_path / name}:1:1: ")
    assert not any(part in line.removeprefix(str(tmp_path)) for part in ("root", "salt", "daemon", "19000"))


@pytest.mark.parametrize("text", ["password: hunter2\nuser: me\n", "[hunter2]", "hunter2", "12345", "!!set {hunter2}"])
def test_nothing_of_another_yaml_file_is_repeated(text):
    found = messages(text)
    assert not any(part in line for line in found for part in ("hunter2", "12345", "user"))


@pytest.mark.parametrize("content", [SECRET, "hunter2\nhunter3\n", "a b\nc d\n", "user,hunter2\nme,you\n"])
def test_nothing_of_a_file_that_is_no_table_is_repeated(content, tmp_path):
    (tmp_path / "secret").write_text(content)
    (tmp_path / "link.csv").symlink_to(tmp_path / "secret")
    for name in ("secret", "link.csv"):
        data = {"kind": "samples", "file": name, "columns": ["length"], "bandwidth": 1}
        (line,) = messages(folder=tmp_path, set={"reference.data": data})
        assert "which is not a table of numbers under a line of names" in line
        assert not any(part in line for part in ("root", "hunter", "user", "you", "19000"))


def test_an_entry_is_repeated_only_where_numbers_stand_above_it(tmp_path):
    data = {"kind": "samples", "file": "a.csv", "columns": ["a"], "bandwidth": 1}
    (tmp_path / "a.csv").write_text("a\nhunter2\n")
    assert messages(folder=tmp_path, set={"reference.data": data})[0].endswith("line 2, column a: is not a number")
    (tmp_path / "a.csv").write_text("a\n1\nhunter2\n")
    assert messages(folder=tmp_path, set={"reference.data": data})[0].endswith("column a: 'hunter2' is not a number")


def test_good_problems_are_still_read_through_links(tmp_path):
    (tmp_path / "p").write_text(GOOD)
    (tmp_path / "q.yaml").symlink_to(tmp_path / "p")
    assert load_problem(tmp_path / "q.yaml") == load_problem(tmp_path / "p")
