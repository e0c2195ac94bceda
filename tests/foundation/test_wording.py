"""Text that is safe to show: a terminal obeys none of it, a line stays one line, and JSON stays the same document."""

import json

import pytest

from controlsde.foundation.wording import at_most, in_json, shown, shown_lines, unreadable
from controlsde.problem import ProblemError, parse_problem

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
TURNING = list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
HIDDEN = ["\u2028", "\u2029", "\u200b", "\ufeff", "\ud800", "\udfff", "\U000e0041"]


@pytest.mark.parametrize("character", [*CONTROLS, *TURNING, *HIDDEN], ids=lambda c: f"U+{ord(c):04X}")
def test_no_character_that_a_terminal_obeys_is_shown(character):
    text = shown(f"a{character}b")
    assert character not in text
    assert text.startswith("a\\")
    assert text.endswith("b")
    assert text.isprintable()


def test_text_of_any_script_is_shown_as_it_is():
    text = "naïve – 東京 ‖p(T)‖² ∇·v مرحبا שלום é 🌀 ½"
    assert shown(text) == text
    assert shown_lines(f"{text}\n{text}") == f"{text}\n{text}"


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = shown("begin " + "x" * 1_000_000 + " end", 100)
    assert len(text) == 100
    assert text.startswith("begin x")
    assert text.endswith("x end")
    assert len(shown("\x1b" * 1_000_000)) == 500


def test_of_many_messages_twenty_are_kept_and_the_others_counted():
    messages = tuple(map(str, range(27)))
    assert at_most(messages) == (*messages[:20], "and 7 more")
    assert at_most(messages[:20]) == messages[:20]
    assert at_most(messages[:1], more=3) == ("0", "and 3 more")


def test_json_says_the_same_without_what_a_terminal_obeys():
    document = {"text": "".join([*CONTROLS, *TURNING, "\U000e0041é漢"]), "list": [1, None]}
    safe = in_json(json.dumps(document, indent=2, ensure_ascii=False))
    assert json.loads(safe) == document
    assert "é漢" in safe
    assert safe.replace("\n", "").isprintable()


def test_what_no_file_can_hold_is_named_by_its_code():
    assert unreadable("a\tb\nc é") is None
    assert [unreadable(f"a{one}") for one in ("\0", "\x1b", "\ud800", "\uffff")] == [
        "U+0000", "U+001B", "U+D800", "U+FFFF",
    ]  # fmt: skip


def test_every_message_of_a_problem_is_one_line_of_a_sane_length():
    key = "\x1b[31m" + "k" * 40
    with pytest.raises(ProblemError) as refused:
        parse_problem("domain: 1\n", set={key: "v" * 10_000, "description": "a\nb\x1b" * 3000})
    assert len(refused.value.messages) > 1
    assert all(line.isprintable() and len(line) <= 500 for line in refused.value.messages)
