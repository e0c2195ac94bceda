"""Text that is safe to show: what comes from files and other programs, without what a terminal would obey.

Comes in: any text. Goes out: the same where it is plain; control characters (C0, DEL, C1), marks that turn the writing
direction, lone surrogates and line ends become visible escapes such as `\\x1b`, and what is too long is cut in the
middle. Everything that is printed goes through here, and so do messages where they are made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST_MESSAGE = 500  # characters: a path of the usual 255, and two sentences
LONGEST_LINE = 4000  # of what this program says by itself
LONGEST_NAME = 60  # of one name or value within a message
MOST_MESSAGES = 20
SHARE_AT_FRONT = 0.7  # of what is left of a text that is too long: its end often holds the cure

# What a terminal may obey, and what makes a line read as another one: controls, line and paragraph separators, the zero
# width space, bidirectional marks, embeddings, overrides and isolates, surrogates, interlinear marks, invisible tags.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# In a text that is not shown but kept: what files, figures and terminals cannot all hold.
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def shown(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return `text` as one line that a terminal only displays, of at most `longest` characters."""
    if len(text) > 4 * longest:  # escapes are for what is kept
        text = text[: 2 * longest] + text[-2 * longest :]
        return _cut(UNSAFE.sub(_escaped, text), longest)
    safe = UNSAFE.sub(_escaped, text)
    return safe if len(safe) <= longest else _cut(safe, longest)


def shown_lines(text: str) -> str:
    """Return a text of several lines, each of them safe."""
    return "\n".join(shown(line, LONGEST_LINE) for line in text.split("\n"))


def at_most(messages: tuple[str, ...], more: int = 0) -> tuple[str, ...]:
    """The messages made safe; of very many the first ones, and how many besides, with `more` that are not written."""
    kept = tuple(shown(message) for message in messages[:MOST_MESSAGES])
    left = len(messages) - len(kept) + more
    return (*kept, f"and {left} more") if left else kept


def in_a_row(names: Sequence[str]) -> str:
    """`a, b and c`; `nothing` where there are none."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def in_json(document: str) -> str:
    """A JSON document whose strings a terminal only displays: JSON's own escapes say the same."""
    return UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else _escaped_in_json(found), document)


def unreadable(text: str) -> str | None:
    """The first character of a text that no file or figure can hold, as `U+0000`; None where all is well."""
    found = UNREADABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def unsafe(text: str) -> str | None:
    """The first character that a terminal may obey, as `U+202E`; None where all is well."""
    found = UNSAFE.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def _cut(text: str, longest: int) -> str:
    front = int(SHARE_AT_FRONT * (longest - 1))
    return f"{text[:front]}…{text[len(text) - (longest - 1 - front) :]}"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(found[0])
    if named:
        return named
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _escaped_in_json(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 65536:
        return f"\\u{code:04x}"
    high, low = divmod(code - 65536, 1024)
    return f"\\u{55296 + high:04x}\\u{56320 + low:04x}"
