"""Whatever a file or the command line holds, a terminal only displays the messages: nothing is obeyed, none is long."""

import json
import re
import sys
from pathlib import Path

import pytest

import controlsde.cli.commands
from controlsde.foundation.wording import UNSAFE, shown
from tests.quick import every

from .texts import GOOD, changed

MIXTURE = "{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}"
LONGEST = 600
TEXTS = {
    "escape": "a\x1b[31m",
    "bell": "a\x07",
    "window title": "\x1b]0;owned\x07",
    "C1": "a\x9b31m",
    "delete": "a\x7f",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b",
    "line": "a\nerror: all is well",
    "carriage return": "a\rall is well",
    "line separator": "a\u2028b",
    "next line": "a\x85b",
    "tag characters": "a\U000e0041",
    "zero width": "a\u200bb",
    "very long": "q" * 5000,
}


def samples(columns):
    return changed(MIXTURE, f"{{kind: samples, bandwidth: 0.2, file: data.csv, columns: {columns}}}")


def written(text):
    """As a text of YAML or JSON in double quotes."""
    return json.dumps(text)


def unsafe(line):
    return UNSAFE.search(line)


def safe(lines):
    assert lines
    for line in lines:
        assert not unsafe(line), line
        assert len(line) < LONGEST


@pytest.mark.parametrize("case", TEXTS)
def test_the_header_of_a_table_is_shown_safely(case, refused, tmp_path):
    quoted = TEXTS[case].replace('"', '""')
    (tmp_path / "data.csv").write_text(f'"{quoted}",b\n1,2\n3,4\n', newline="")
    safe(refused("check", "bad.yaml", text=samples("[a]")))


@pytest.mark.parametrize("case", TEXTS)
def test_an_entry_of_a_table_is_shown_safely(case, refused, tmp_path):
    (tmp_path / "data.csv").write_text(f'a,b\n1,2\n"{TEXTS[case]}",4\n', newline="")
    safe(refused("check", "bad.yaml", text=samples("[a]")))


@pytest.mark.parametrize("case", every(4, TEXTS))
@pytest.mark.parametrize(
    "place",
    [
        "{}: 1",
        "network: {{{}: 1}}",
        "noise: {}",
        "solver: {}",
        "name: {}",
        "description: [{}]",
        "drift: {{kind: formula, expressions: {}}}",
        "noise: *x{}",
        "noise: !{} 1",
    ],
)
def test_a_text_in_a_problem_is_shown_safely(case, place, refused):
    text = GOOD.replace("name: two\n", "") + place.format(written(TEXTS[case])) + "\n"
    safe(refused("check", "bad.yaml", text=text))


@pytest.mark.parametrize("case", TEXTS)
def test_a_name_of_a_file_in_a_problem_is_shown_safely(case, refused):
    text = samples("[a]").replace("data.csv", written(TEXTS[case]))
    lines = refused("check", "bad.yaml", text=text)
    assert not any(map(unsafe, lines))


WORDS = [
    ("check", "bad.yaml", "--set", "noise={}"),
    ("check", "bad.yaml", "--set", "{}=1"),
    ("check", "bad.yaml", "--set", "{}"),
    ("check", "bad.yaml", "--set", "network={}"),
    ("check", "{}"),
    ("check", "{}.yaml"),
    ("check", "bad.yaml", "--{}"),
    ("solve", "bad.yaml", "--solver", "{}"),
    ("compare", "bad.yaml", "--noise", "{}"),
    ("simulate", "{}.nc"),
    ("simulate", "x.nc", "--seed", "{}"),
    ("{}",),
]


@pytest.mark.parametrize("case", every(4, TEXTS))
@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_word_of_the_command_line_is_shown_safely(case, words, refused):
    lines = refused(*(word.format(TEXTS[case]) for word in words), text=GOOD)
    assert lines
    assert not any(map(unsafe, lines))


@pytest.mark.parametrize("text", ["a\u202eb", "\u200f", "caf\u00e9 \u4e2d\u6587", "a\U000e0041"])
def test_json_stays_json_and_safe_whatever_a_text_holds(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("ok.yaml").write_text(GOOD + f"description: {written(text)}\n", encoding="utf-8")
    name = f"x{text}.yaml"
    Path(name).write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["controlsde", "check", name, "--json"])
    with pytest.raises(SystemExit) as left:
        controlsde.cli.commands.main()
    out, err = capsys.readouterr()
    assert left.value.code == 0
    assert json.loads(out)["valid"] is True
    assert not unsafe(out.replace("\n", ""))
    assert not unsafe(err.replace("\n", ""))


def test_what_is_plain_is_shown_as_it_is():
    for text in ('a\'b "c"', "caf\u00e9 \u4e2d\u6587 \U0001f300", "x = −1, η ≤ 2 · 10⁻³", "  two  spaces"):
        assert shown(text) == text


def test_of_a_text_that_is_too_long_beginning_and_end_are_kept():
    text = shown("begin" + "x" * 10_000 + "cure")
    assert len(text) == 500
    assert text.startswith("begin")
    assert text.endswith("cure")
    assert len(shown("\x1b" * 100_000)) <= 500
    assert re.fullmatch(r"(\\x1b)+…(.{0,3})(\\x1b)+", shown("\x1b" * 1000)) or "…" in shown("\x1b" * 1000)
