"""`controlsde learn`: it lists, refuses, serves on the loopback behind a token, and leaves no process and no file."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from controlsde.lessons.contents import LESSONS
from controlsde.lessons.serving import MISSING, available
from tests.quick import slow

from .commands import process

pytest.importorskip("marimo", reason="needs marimo: pip install -e '.[learn]'")

FIRST = available()[0]
SECONDS = 60  # until pages are there, on a busy machine


def ended(folder, *words, **environment):
    """Run a command to its end: its exit code, and its text on stdout and stderr."""
    running = process(folder, *words, **environment)
    out, err = running.communicate(timeout=SECONDS)
    return running.returncode, out, err


@contextmanager
def served(folder, *words, prepare=None):
    """A server of lessons, its address, and what it said until then; killed at the end, whatever happened."""
    home = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    running = subprocess.Popen(
        [sys.executable, "-m", "controlsde", "learn", *words, "--no-browser"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, **home),
        preexec_fn=prepare,
    )  # fmt: skip
    said = []
    try:
        for line in running.stderr:
            said.append(line)
            if "http://" in line:
                break
        yield running, re.search(r"http://\S+", said[-1]).group(0), said
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
        running.stderr.close()


def got(address, **headers):
    """The status, the headers and the text of an address, as a browser without cookies gets it."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with browser.open(urllib.request.Request(address, headers=headers), timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode("utf-8")


def children(parent):
    """The processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == parent and words[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def gone(port):
    with socket.socket() as tried:
        tried.settimeout(2)
        return tried.connect_ex(("127.0.0.1", port)) != 0


def test_the_lessons_are_listed_as_json_without_a_server(tmp_path):
    code, out, err = ended(tmp_path, "learn", "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert [one["number"] for one in listed] == [one.number for one in available()]
    assert listed[0] == {
        "number": 1, "name": "density_as_state", "title": "A density as a state", "minutes": 25,
        "about": "the Fokker–Planck equation, walls, mass",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        slow((("0",), "there is no lesson 0; there are 1")),
        (("99",), "there is no lesson 99; there are 1"),
        slow((("1", "--port", "70000"), "port 70000 is no port: it is 1 to 65535; leave --port out for a free one")),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line(words, said, tmp_path):
    code, out, err = ended(tmp_path, "learn", *words)
    assert (code, out) == (2, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = ended(tmp_path, "learn", "1", "--no-browser", "--port", str(port))
    assert code == 2
    assert err == f"port {port} is in use; leave --port out for a free one\n"


@pytest.mark.parametrize("lacking", ["marimo", slow("asteval")])
def test_without_the_extra_it_says_what_to_install(lacking, tmp_path):
    code = (
        f"import sys; sys.modules[{lacking!r}] = None\n"
        "import importlib.util as util; found = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {lacking!r} else found(name, *rest)\n"
        "sys.argv = ['controlsde', 'learn', '1']\n"
        "from controlsde.cli.commands import main; main()"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert answer.returncode == 2
    assert answer.stderr == f"{MISSING}\n"


def test_help_loads_nothing_of_the_lessons(tmp_path):
    code = (
        "import sys; sys.argv = ['controlsde', 'learn', '--help']\n"
        "from controlsde.cli.commands import main\ntry: main()\nexcept SystemExit: pass\n"
        "assert not {'marimo', 'asteval', 'uvicorn', 'numpy'} & set(sys.modules), 'loaded'"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert answer.returncode == 0, answer.stderr


def test_pages_are_for_those_with_the_token_alone_and_for_this_machine_alone(tmp_path):
    with served(tmp_path, str(FIRST.number)) as (running, address, said):
        assert said[0] == "starting the lessons; Ctrl-C ends them\n"
        assert said[1] == f"{FIRST.title}: {address}\n"
        assert len(said) == 2
        bare, token = address.split("?access_token=")
        port = int(bare.split(":")[2].split("/")[0])
        assert bare == f"http://127.0.0.1:{port}/1/"
        for refused in (
            bare,
            f"{bare}?access_token={token[:-1]}",
            f"{bare}?access_token=",
            f"http://127.0.0.1:{port}/",
        ):
            assert got(refused)[0] == 403
        assert got(f"{bare}assets/none.js", Cookie=f"controlsde-lessons-{port}=x")[0] == 403
        status, _, text = got(address)
        assert status == 200
        assert FIRST.title in text
        contents = f"http://127.0.0.1:{port}/?access_token={token}"
        cookie = got(contents)[1]["Set-Cookie"]
        assert cookie.startswith(f"controlsde-lessons-{port}={token}; ")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        status, headers, text = got(f"http://127.0.0.1:{port}/", Cookie=cookie.split(";")[0])
        assert status == 200
        for one in available():
            assert one.title in text
            assert f'href="/{one.number}/"' in text
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        outside = socket.gethostbyname(socket.gethostname())
        if not outside.startswith("127."):
            with socket.socket() as tried:
                tried.settimeout(2)
                assert tried.connect_ex((outside, port)) != 0
        assert children(running.pid) == []


@pytest.mark.slow
def test_without_a_number_all_lessons_are_named_and_the_contents_opened(tmp_path):
    with served(tmp_path) as (_, address, said):
        for one, line in zip(available(), said, strict=False):
            assert line.startswith(f"controlsde learn {one.number}   {one.title}: ")
        assert got(address)[2].count("<li>") == len(available())


def ignore_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("by", "prepare"),
    [
        (signal.SIGINT, None),
        *(pytest.param(by, None, marks=pytest.mark.slow) for by in (signal.SIGTERM, signal.SIGHUP)),
        pytest.param(signal.SIGINT, ignore_interrupts, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "terminated", "terminal closed", "Ctrl-C in the background"],
)
def test_it_ends_gently_and_leaves_nothing(by, prepare, tmp_path):
    with served(tmp_path, "1", prepare=prepare) as (running, address, _):
        assert list(tmp_path.glob("controlsde-lessons-*"))
        port = int(address.split(":")[2].split("/")[0])
        assert got(address)[0] == 200
        running.send_signal(by)
        out, rest = running.communicate(timeout=20)
        assert running.returncode == 130
        assert (out, rest) == ("", "interrupted\n")
        assert gone(port)
        assert list(tmp_path.glob("controlsde-lessons-*")) == []


def test_interrupted_while_it_starts_it_says_so(tmp_path):
    running = process(tmp_path, "learn", "1", "--no-browser")
    running.stderr.readline()
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in rest
    assert rest.endswith("interrupted\n")


def test_killed_it_leaves_no_process(tmp_path):
    with served(tmp_path, "1") as (running, address, _):
        port = int(address.split(":")[2].split("/")[0])
        running.kill()
        running.wait(timeout=20)
        assert gone(port)


def test_the_numbers_of_lessons_are_those_of_the_contents():
    assert [one.number for one in LESSONS] == list(range(1, len(LESSONS) + 1))


def test_answers_that_were_handed_in_are_marked(tmp_path):
    answers = {"turn": "b/w", "norm": "exp(0.5)"}
    (tmp_path / "ann.json").write_text(json.dumps({"lesson": "one_neuron", "answers": answers}), "utf-8")
    (tmp_path / "bob.json").write_text(json.dumps({"lesson": "density_as_state", "answers": {}}), "utf-8")
    code, out, err = ended(tmp_path, "learn", "--marks", "ann.json", "bob.json", "--json")
    assert code == 0
    assert [(one["who"], one["solved"]) for one in json.loads(out)] == [("ann.json", 1), ("bob.json", 0)]
    assert "1. A density as a state" in err
    assert "ann.json, turn: Put your answer back" in err
    code, _, err = ended(tmp_path, "learn", "--marks", "none.json")
    assert (code, err) == (2, "none.json: No such file or directory\n")
    code, _, err = ended(tmp_path, "learn", "--marks")
    assert code == 2
    assert err.startswith("--marks wants the files")
