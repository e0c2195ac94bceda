"""Files are there whole or not at all: whoever writes at the same time, whatever fails, whoever is killed."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from controlsde.foundation import files
from controlsde.foundation.files import remove_leftovers, write_whole

TEXT = b"some text\n" * 100


def gone():
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def on_its_way(process, host=None):
    """The name of a file that a process is writing."""
    return f"{files.PREFIX}{host or files._host()}-{process}-0123abcd"


def test_a_file_is_written_with_the_folders_above_it_and_replaced(tmp_path):
    target = tmp_path / "some" / "where" / "file.txt"
    write_whole(target, TEXT)
    assert target.read_bytes() == TEXT
    write_whole(target, b"")
    assert target.read_bytes() == b""
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027, 0o000])
def test_the_system_applies_the_umask(tmp_path, mask):
    code = f"import os, pathlib; os.umask({mask}); from controlsde.foundation.files import write_whole; "
    code += f"write_whole(pathlib.Path({str(tmp_path / 'file')!r}), b'')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_the_umask_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
    write_whole(tmp_path / "file", TEXT)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EDQUOT, "make room there"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "write to another folder"),
        (errno.EROFS, "write to another folder"),
        (errno.EIO, "write to another folder"),
    ],
)
@pytest.mark.parametrize("where", ["pathlib.Path.write_bytes", "os.fsync", "os.replace", "os.open"])
def test_what_cannot_be_written_is_told_with_a_cure_and_leaves_nothing(tmp_path, monkeypatch, number, cure, where):
    target = tmp_path / "new" / "folder" / "file.txt"

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(where, fails)
    with pytest.raises(OSError, match="cannot be written") as error:
        write_whole(target, TEXT)
    monkeypatch.undo()
    assert error.value.errno == number
    assert error.value.filename == str(target)
    assert os.strerror(number).lower() in error.value.strerror
    assert cure in error.value.strerror
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_earlier_file(tmp_path, monkeypatch):
    target = tmp_path / "file.txt"
    write_whole(target, TEXT)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, b"other")
    assert target.read_bytes() == TEXT
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_system_that_knows_no_sync_is_written_to(tmp_path, monkeypatch):
    def unknown(_):
        raise OSError(errno.EINVAL, "unknown")

    monkeypatch.setattr(os, "fsync", unknown)
    write_whole(tmp_path / "file", TEXT)
    assert (tmp_path / "file").read_bytes() == TEXT


def test_a_folder_or_a_pipe_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("folder", "is a directory"), ("pipe", "is no ordinary file")):
        with pytest.raises(OSError, match=words):
            write_whole(tmp_path / name, TEXT)
    assert (tmp_path / "folder").is_dir()
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(OSError, match="cannot be written"):
        write_whole(tmp_path / "folder" / ".." / "pipe" / "below", TEXT)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
def test_a_limit_of_the_size_of_files_is_one_line_and_leaves_nothing(tmp_path):
    code = "import resource, pathlib; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
    code += "from controlsde.foundation.files import write_whole\n"
    code += f"try: write_whole(pathlib.Path({str(tmp_path / 'new' / 'file')!r}), b'x' * 5000)\n"
    code += "except OSError as error: print(error.strerror)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ulimit -f" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_of_many_writers_at_once_each_leaves_the_file_whole(tmp_path):
    target = tmp_path / "file"
    contents = [bytes([number]) * 200_000 for number in range(6)]
    seen = []

    def write(content):
        for _ in range(20):
            write_whole(target, content)

    def read():
        while any(one.is_alive() for one in writers):
            if target.exists():
                seen.append(target.read_bytes())

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for one in writers:
        one.start()
    read()
    for one in writers:
        one.join()
    assert set(seen) | {target.read_bytes()} <= set(contents)
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_run_left_is_removed_by_the_next_write_there(tmp_path):
    (tmp_path / on_its_way(gone())).write_bytes(TEXT)
    (tmp_path / on_its_way(gone())).mkdir()
    write_whole(tmp_path / "anything", TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["anything"]


def test_a_file_that_a_living_process_writes_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        names = {on_its_way(os.getpid()), on_its_way(living.pid), on_its_way(gone(), host="elsewhere")}
        for name in names:
            (tmp_path / name).write_bytes(TEXT)
        remove_leftovers(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == names
        for name in names:  # no file is on its way for hours
            os.utime(tmp_path / name, (0, 0))
        remove_leftovers(tmp_path)
        assert list(tmp_path.iterdir()) == []
        living.stdin.close()


def test_of_earlier_versions_only_what_was_left_of_the_same_file_is_removed(tmp_path):
    kept = {".result-my_notes.txt", ".results-abcd0123.nc", ".result-abcd0123.png", ".result.nc", "result-abcd0123.nc"}
    for name in {".result-abcd0123.nc", *kept}:
        (tmp_path / name).write_bytes(TEXT)
    write_whole(tmp_path / "result.nc", TEXT)
    assert {path.name for path in tmp_path.iterdir()} == {"result.nc", *kept}


def test_a_killed_writer_leaves_what_the_next_one_removes(tmp_path):
    code = f"""
import os, pathlib, signal
from controlsde.foundation import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(pathlib.Path({str(tmp_path / "file")!r}), b"x")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(files.PREFIX)
    write_whole(tmp_path / "file", TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path):
    write_whole(tmp_path / ("n" * 255), TEXT)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["n" * 255]


def test_a_file_is_changed_by_one_at_a_time_and_what_a_killed_program_left_is_taken_over(tmp_path):
    target = tmp_path / "new" / "plan.json"
    lock = target.parent / "plan.json.lock"
    with files.changing(target):
        os.utime(lock, (time.time() + 60,) * 2)  # who holds it is at it
        refused = pytest.raises(OSError, match=r"being changed by another program; remove plan\.json\.lock")
        with refused, files.changing(target, 0.1, 0.01):
            pass
    assert list(target.parent.iterdir()) == []
    lock.touch()
    os.utime(lock, (1.0, 1.0))
    with files.changing(target, patience=5.0):
        pass
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(("host", "process", "age", "taken"), [
    (files._host(), gone, 0.0, True),
    (files._host(), os.getpid, 1.0, False),  # slow, and there
    (files._host(), os.getpid, 3700.0, True),
    ("0" * 8, os.getpid, -60.0, False),  # of another machine
    ("0" * 8, os.getpid, 60.0, True),
])  # fmt: skip
def test_a_lock_is_taken_over_where_its_process_is_gone_or_may_be(tmp_path, host, process, age, taken):
    target, lock = tmp_path / "plan.json", tmp_path / "plan.json.lock"
    lock.write_text(f"{files.PREFIX}{host}-{process()}-token")
    os.utime(lock, (time.time() - age,) * 2)
    before = time.monotonic()
    try:
        with files.changing(target, patience=5.0 if taken else 0.1, pause=0.01):
            assert taken
            assert time.monotonic() - before < 1.0
    except OSError:
        assert not taken
    assert lock.exists() == (not taken)
    assert [path.name for path in tmp_path.iterdir() if path != lock] == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
@pytest.mark.parametrize(("began", "taken"), [("1", True), (None, False)])
def test_a_lock_of_a_process_whose_number_another_one_has_now_is_taken_over(tmp_path, began, taken):
    lock = tmp_path / "plan.json.lock"
    lock.write_text(f"{files.temporary_prefix()}{began or files._start(os.getpid())}-token")
    os.utime(lock, (time.time() - 60.0,) * 2)
    assert files._taken_away(lock, "mine", 5.0) == taken
    assert lock.exists() != taken


def test_a_disk_without_room_for_the_lock_leaves_none(tmp_path, monkeypatch):
    def full(handle, _mode):
        os.close(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as changed:
        changed.setattr(files.os, "fdopen", full)
        with pytest.raises(OSError, match="no space left on device"), files.changing(tmp_path / "plan.json"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_who_is_taken_over_leaves_the_lock_to_the_other(tmp_path):
    target, lock = tmp_path / "plan.json", tmp_path / "plan.json.lock"
    with files.changing(target):
        lock.write_text("another's")
    assert lock.read_text() == "another's"


def test_a_lock_that_another_took_over_first_is_given_back(tmp_path, monkeypatch):
    lock = tmp_path / "plan.json.lock"
    lock.write_text("another's, who has just taken it")
    monkeypatch.setattr(files, "_is_left", lambda *_: bool(lock.write_text("one that was quicker")))
    assert files._taken_away(lock, "mine", 0.0)
    assert lock.read_text() == "one that was quicker"
    assert list(tmp_path.iterdir()) == [lock]


def test_a_file_in_the_place_of_the_folder_is_told_at_once(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="cannot be written"), files.changing(tmp_path / "runs" / "plan.json"):
        pass


def test_who_fails_while_changing_a_file_leaves_neither_lock_nor_folder(tmp_path):
    with pytest.raises(ValueError, match="no"), files.changing(tmp_path / "a" / "b" / "plan.json"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
