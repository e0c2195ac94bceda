"""The site: Sphinx over the pages of this folder. `make docs` builds it, into `docs/_build/html`, without a network.

The pages are plain Markdown that a code host shows, too. What is generated for them is committed, by the scripts in
`docs/tools`: the page of keys, the gallery, the film.
"""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

project = "controlsde"
author = "The controlsde developers"
project_copyright = author
version = release = version_of("controlsde")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "tools"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.strikethrough"]

html_theme = "furo"
html_title = "controlsde"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which a browser does not do from files
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#00568a",
        "color-brand-content": "#00568a",
        "color-code-background": "#f3f6f9",
    },
    "dark_css_variables": {"color-brand-primary": "#6cb6e8", "color-brand-content": "#6cb6e8"},
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
copybutton_exclude = ".linenos, .gp, .go"

# Names of Python: those of `controlsde.__all__` and what they return. Types of other libraries and inner ones are named
# in signatures, and have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False
default_role = "literal"

OUTSIDE_LITERALS = re.compile(r"(`[^`]*`)")


def plain_words(*given: Any) -> None:
    """Docstrings are plain text with names in backquotes: nothing else in them is markup."""
    lines: list[str] = given[-1]
    for number, line in enumerate(lines):
        parts = OUTSIDE_LITERALS.split(line)
        parts[::2] = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)
    indent_formulas(lines)


def indent_formulas(lines: list[str]) -> None:
    """What stands indented below an empty line is a formula: it is kept as it is, line by line."""
    for number in range(len(lines) - 1, 0, -1):
        if lines[number].startswith("    ") and not lines[number - 1].strip():
            first = number
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                lines[number] = re.sub(r"\\([\\*|_])", r"\1", lines[number])
                number += 1
            lines[first:first] = ["::", ""]


def for_every_reader(*given: Any) -> None:
    """What axe asks of Furo's pages: captions that say their level, and code and tables that a keyboard can scroll."""
    context: dict[str, Any] = given[3]
    if "furo_navigation_tree" in context:
        tree = context["furo_navigation_tree"]
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        wrapper = '<div class="table-wrapper'
        body = context["body"].replace("<pre>", '<pre tabindex="0">')
        context["body"] = body.replace(wrapper, f'<div tabindex="0" role="region" aria-label="table" {wrapper[5:]}')


def setup(app: Any) -> None:
    """Hook into autodoc, and into every page after the theme has."""
    app.connect("autodoc-process-docstring", plain_words)
    app.connect("html-page-context", for_every_reader, priority=900)
