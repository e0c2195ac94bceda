"""A number is one in plain digits: what only Python reads as a number is refused where it stands, with the cure."""

import pytest

from controlsde.problem import ProblemError, parse_override, parse_problem
from controlsde.problem.values import number_hint

from .texts import GOOD, changed

MIXTURE = "{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}"
SAMPLES = changed(MIXTURE, "{kind: samples, bandwidth: 0.3, file: data.csv, columns: [b]}")
PLAIN = "write numbers in plain digits, such as 1200.5 or 1e-3"

# What stands in the second row, and what is told of it.
ENTRIES = {
    "٣": f"'٣' is not a number; {PLAIN}",
    "１２": f"'１２' is not a number; {PLAIN}",
    "1_0": f"'1_0' is not a number; {PLAIN}",
    "0x10": f"'0x10' is not a number; {PLAIN}",
    "1 000": f"'1 000' is not a number; {PLAIN}",
    "1'000": f"is not a number; {PLAIN}",
    "1,5": "'1,5' is not a number; write it with a point, 1.5",
    "-0,25e3": "'-0,25e3' is not a number; write it with a point, -0.25e3",
    "infinity": "'infinity' is not finite; remove the row",
    "-inf": "'-inf' is not finite; remove the row",
    "nan": "'nan' is not finite; remove the row",
    "NaN": "'NaN' is not finite; remove the row",
    "1e999": "'1e999' is not finite; remove the row",
    "−1.5": f"is not a number; {PLAIN}",
    "1.5.2": f"'1.5.2' is not a number; {PLAIN}",
    "n/a": "'n/a' is not a number",
    "1e": "'1e' is not a number",
    "1j": "'1j' is not a number",
    "True": "'True' is not a number",
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_that_is_no_plain_number_is_refused_with_place_and_cure(entry, tmp_path):
    (tmp_path / "data.csv").write_text(f'a,b\n1,0.5\n2,"{entry}"\n', encoding="utf-8")
    with pytest.raises(ProblemError) as refused:
        parse_problem(SAMPLES, label="p.yaml", folder=tmp_path)
    (told,) = refused.value.messages
    assert told.startswith("p.yaml:7:47: reference.data.file 'data.csv' line 3, column b: ")
    assert ENTRIES[entry] in told


@pytest.mark.parametrize(
    ("entry", "value"),
    [("1", 1.0), ("+2", 2.0), ("-.5", -0.5), ("3.", 3.0), (" 1e-3 ", 0.001), ("1E2", 100.0), ("007", 7.0)],
)
def test_an_entry_in_plain_digits_is_read(entry, value, tmp_path):
    (tmp_path / "data.csv").write_text(f"b\n{entry}\n0.25\n")
    text = SAMPLES.replace("[[-5, 5]]", "[[-500, 500]]")
    assert parse_problem(text, folder=tmp_path).reference.data.points == ((value,), (0.25,))


def test_a_row_that_decimal_commas_tear_apart_is_told_so(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n1,5,2,5\n")
    with pytest.raises(ProblemError, match=r"has 4 entries, the header 2: write decimal points, commas separate"):
        parse_problem(SAMPLES, folder=tmp_path)


def test_between_semicolons_commas_are_decimal(tmp_path):
    (tmp_path / "data.csv").write_text("a;b\n1,5;2,5\n0,5;0,25\n")
    assert parse_problem(SAMPLES, folder=tmp_path).reference.data.points == ((2.5,), (0.25,))


@pytest.mark.parametrize("written", ["٣", "１２", "1_0", "0b11", '"1,5"', '"0x10"', '"1e3"', '"1 000"'])
@pytest.mark.parametrize("key", ["noise", "network.width", "reference.horizon", "mesh.degree", "monte_carlo.seed"])
def test_a_text_that_only_python_reads_as_a_number_is_refused_in_a_problem(written, key):
    with pytest.raises(ProblemError) as refused:
        parse_problem(GOOD, set=dict([parse_override(f"{key}={written}")]))
    (told,) = refused.value.messages
    assert f": {key} must be a " in told
    plain = written.strip('"')
    assert ("write" in told) is bool(number_hint(plain)), told
    assert ("with a point, 1.5" in told) is (plain == "1,5")


@pytest.mark.parametrize("word", ["٣", "1_0", "0x10", "1,5", "１２"])
@pytest.mark.parametrize("option", ["--noise", "--seed"])
def test_a_word_that_only_python_reads_as_a_number_is_refused_as_an_option(word, option, refused):
    command = ("compare", "bad.yaml") if option == "--noise" else ("simulate", "x.nc")
    lines = refused(*command, option, word, text=GOOD)
    assert "plain digits" in lines[-1]


def test_an_entry_that_is_empty_is_told_so(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n1,0.5\n2,\n")
    with pytest.raises(ProblemError, match="line 3, column b is empty; remove the row"):
        parse_problem(SAMPLES, folder=tmp_path)
