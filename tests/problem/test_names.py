"""Names and descriptions: what files, figures and terminals can hold, and the place of what they cannot."""

import pytest

from controlsde.problem import parse_problem

from .texts import GOOD, messages

NAMES = {
    r'"\U00110000"': "p.yaml:9:8: not valid YAML: there is no character \\U00110000",
    r'"a\UFFFFFFFF"': "p.yaml:9:9: not valid YAML: there is no character \\UFFFFFFFF",
    r'"\ud800"': "p.yaml:9:7: holds the character U+D800",
    r'"\0"': "p.yaml:9:7: holds the character U+0000",
    r'"a\x1b[31m"': "p.yaml:9:7: holds the character U+001B",
    r'"\uffff"': "p.yaml:9:7: holds the character U+FFFF",
    r'"a\nb"': "p.yaml:9:7: name must be usable as a file name",
    '"a\u202eb"': "p.yaml:9:7: name must be usable as a file name",
    "../x": "p.yaml:9:7: name must be usable as a file name",
    "/etc/x": "p.yaml:9:7: name must be usable as a file name",
    r'"a\\b"': "p.yaml:9:7: name must be usable as a file name",
    ".hidden": "p.yaml:9:7: name must be usable as a file name",
    '" "': "p.yaml:9:7: name must be usable as a file name",
    "con": "p.yaml:9:7: name must be usable as a file name, and is that of a device",
    "NUL.txt": "p.yaml:9:7: name must be usable as a file name, and is that of a device",
    "com1": "p.yaml:9:7: name must be usable as a file name, and is that of a device",
    '""': "p.yaml:9:7: name must not be empty",
    "x" * 101: "p.yaml:9:7: name must have at most 100 characters (got 101)",
    "\u4e2d" * 90: "p.yaml:9:7: name must take at most 200 bytes, as file names do (got 270)",
}


@pytest.mark.parametrize("written", NAMES)
def test_a_name_that_no_file_can_have_is_refused_at_its_place(written):
    (told,) = messages(GOOD.replace("name: two\n", "") + f"name: {written}\n")
    assert told.startswith(NAMES[written])


@pytest.mark.parametrize("written", [r'"\U00110000"', r'"\ud800"', r'"\0"', r'"\ufffe"', r'"\e[2J"'])
@pytest.mark.parametrize("key", ["description", "noise", "solver", "network"])
def test_what_is_no_text_is_refused_wherever_it_stands(key, written):
    (told,) = messages(GOOD.replace("network:\n  width: 2\n", "") + f"{key}: {written}\n")
    assert told.startswith("p.yaml:8:")
    assert "character" in told


@pytest.mark.parametrize("name", ["caf\u00e9", "two bumps", "-x", "a.b", "console", "\u4e2d\u6587", "com"])
def test_a_name_that_a_file_can_have_is_kept(name):
    assert parse_problem(GOOD, set={"name": name}).name == name
