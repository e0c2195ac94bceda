"""Files that are named by mistake or in malice: nothing of what is in them is repeated, and nothing waits for them."""

import os
import socket
from pathlib import Path

import pytest

from .texts import GOOD, changed

MIXTURE = "{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEsecret\nAAAAsecret=\n-----END PRIVATE KEY-----\n"
SHADOW = "root:$6$secret$hash:19000:0:99999:7:::\ndaemon:secret:19000:0:99999:7:::\n"
SECRETS = {
    "key": KEY,
    "shadow": SHADOW,
    "environment": "TOKEN=secret\0HOME=/secret\0",
    "words": "secret words\nand, more, secret\n",
    "one line": "secret",
    "log": "1,secret message\n2,another secret\n3,more\n",
    "settings": "[secret]\npassword = secret\n",
    "list": "- secret\n- secret2\n",
    "broken": "secret: [secret\n",
    "twice": "secret: 1\nsecret: 2\n",
    "tag": "a: !secret b\n",
}


def naming(file, kind):
    rest = "columns: [a]" if kind == "samples" else "mass: dark"
    text = changed(MIXTURE, f"{{kind: {kind}, bandwidth: 0.2, file: {file}, {rest}}}")
    return text if kind == "samples" else text.replace("[[-5, 5]]", "[[-5, 5], [-5, 5]]")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["samples", "image"])
@pytest.mark.parametrize("case", SECRETS)
def test_nothing_of_a_file_that_is_no_data_is_repeated(case, kind, linked, refused, tmp_path):
    (tmp_path / "hidden").write_text(SECRETS[case])
    if linked:
        (tmp_path / "link").symlink_to("hidden")
    (line,) = refused("check", "bad.yaml", text=naming("link" if linked else "hidden", kind))
    assert line.startswith("bad.yaml:7:")
    assert "secret" not in line
    assert "BEGIN" not in line


@pytest.mark.parametrize("command", ["check", "solve", "evaluate"])
@pytest.mark.parametrize("case", [case for case in SECRETS if case not in ("twice", "tag", "broken")])
def test_nothing_of_a_file_that_is_no_problem_is_repeated(case, command, refused, tmp_path):
    (tmp_path / "hidden.yaml").write_text(SECRETS[case])
    for line in refused(command, "hidden.yaml"):
        assert line.startswith("hidden.yaml:")
        assert "secret" not in line
        assert "BEGIN" not in line


@pytest.fixture
def places(tmp_path):
    """A pipe that nobody writes to, a socket, a folder, devices, and links to them."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's name is short
        listening.bind("socket")
        os.chdir(here)
        (tmp_path / "folder").mkdir()
        (tmp_path / "zeros").symlink_to("/dev/zero")
        (tmp_path / "round").symlink_to("round")
        (tmp_path / "to-pipe").symlink_to("pipe")
        yield tmp_path


KINDS = {
    "pipe": "is not a file, but a pipe",
    "to-pipe": "is not a file, but a pipe",
    "socket": "is not a file, but a socket",
    "folder": "is not a file, but a folder",
    "zeros": "is not a file, but a device",
    "/dev/zero": "is not a file, but a device",
    "round": "cannot be read",
    "nothing": "does not exist",
}


@pytest.mark.parametrize("kind", ["samples", "image"])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.usefixtures("places")
def test_data_are_read_from_files_alone(name, kind, refused):
    (line,) = refused("check", "bad.yaml", text=naming(name, kind))
    assert f"reference.data.file '{name}' {KINDS[name]}" in line


@pytest.mark.parametrize("command", ["check", "solve"])
@pytest.mark.parametrize("name", ["pipe", "to-pipe", "socket", "zeros", "/dev/zero"])
@pytest.mark.usefixtures("places")
def test_problems_are_read_from_files_alone(name, command, refused):
    (line,) = refused(command, name)
    assert line == f"{name}: {KINDS[name]}"


@pytest.mark.parametrize("name", ["/proc/self/environ", "/proc/kmsg", "/proc/self/mem", "/proc/self/maps"])
@pytest.mark.parametrize("kind", ["samples", "image", "problem"])
def test_what_the_system_makes_up_as_it_is_read_is_as_empty_as_it_seems(name, kind, refused, monkeypatch):
    if not os.path.exists(name):
        pytest.skip("no such file here")
    monkeypatch.setenv("TOKEN", "secret")
    words = ("check", name) if kind == "problem" else ("check", "bad.yaml")
    (line,) = refused(*words, text=naming(name, kind) if kind != "problem" else GOOD)
    assert "secret" not in line
    assert "empty" in line or "not a picture" in line
