"""Samples and pictures beside a problem file: what is read, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from controlsde.problem import (
    ProblemError,
    load_problem,
    parse_problem,
)

from .texts import GOOD, TWO_DIMENSIONS, messages


def samples(tmp_path, content, **options):
    (tmp_path / "points.csv").write_text(content)
    keys = {"file": "points.csv", "columns": ["a"], "bandwidth": 0.3, **options}
    overrides = {"reference.data": {"kind": "samples", **keys}, "domain.box": [[-6, 6]]}
    return parse_problem(GOOD, label="p.yaml", folder=tmp_path, set=overrides)


def test_points_come_out_of_the_named_columns(tmp_path):
    problem = samples(tmp_path, "\ufeffb, a ,c\n1,2,3\n\n4,-1.5e0,6\n", columns=["a"])
    assert problem.reference.data.points == ((2.0,), (-1.5,))
    assert problem.reference.data.bandwidth == (0.3,)
    assert problem.reference.data.file is None
    assert parse_problem(problem.to_yaml()) == problem


TABLES = {
    "semicolons": "a;b\n1;2\n3;4\n",
    "decimal commas": "a;b\n1,0;2\n3,0;4\n",
    "tabs": "a\tb\n1\t2\n3\t4\n",
    "tabs and decimal commas": "a\tb\n1,0\t2\n3,00\t4\n",
    "mark": "\ufeffa;b\r\n1;2\r\n3;4\r\n",
    "announced": "sep=;\na;b\n1;2\n3;4\n",
    "words beside": 'a;b;c\n1;2;"one; two"\n3;4;x\n',
    "quoted": '"a","b"\n"1","2"\n"3","4"\n',
}
BARE = {"commas": "1,2\n3,4\n", "semicolons": "1;2\n3;4\n", "tabs": "1\t2\n3\t4\n", "empty lines": "\n1,2\n\n3,4\n"}


@pytest.mark.parametrize("table", TABLES)
def test_however_a_table_is_separated_its_columns_are_read_by_their_names(tmp_path, table):
    assert samples(tmp_path, TABLES[table]).reference.data.points == ((1.0,), (3.0,))
    assert samples(tmp_path, TABLES[table], columns=["b"]).reference.data.points == ((2.0,), (4.0,))


def test_a_table_in_utf_16_is_read_by_the_mark_of_its_byte_order(tmp_path):
    (tmp_path / "points.csv").write_bytes(TABLES["tabs"].encode("utf-16"))
    data = {"kind": "samples", "file": "points.csv", "columns": ["b"], "bandwidth": 0.3}
    problem = parse_problem(GOOD, folder=tmp_path, set={"reference.data": data, "domain.box": [[-6, 6]]})
    assert problem.reference.data.points == ((2.0,), (4.0,))


@pytest.mark.parametrize("table", BARE)
def test_columns_without_names_are_named_by_their_numbers_or_all_in_their_order(tmp_path, table):
    bare = BARE[table].replace("1", "1.5").replace("2", "2.5")  # 1 and 2 might be names
    assert samples(tmp_path, bare, columns=["2"]).reference.data.points == ((2.5,), (4.0,))
    two = {"columns": ["x", "y"], "bandwidth": 0.3}
    (tmp_path / "points.csv").write_text(bare)
    keys = {"kind": "samples", "file": "points.csv", **two}
    overrides = {"reference.data": keys, "domain.box": [[-6, 6], [-6, 6]], "mesh.elements": [4, 4]}
    assert parse_problem(GOOD, folder=tmp_path, set=overrides).reference.data.points == ((1.5, 2.5), (3.0, 4.0))


def test_a_single_column_without_a_name_is_read_by_any(tmp_path):
    assert samples(tmp_path, "1.5\n-2\n", columns=["length"]).reference.data.points == ((1.5,), (-2.0,))


def test_standardized_points_have_mean_zero_and_variance_one(tmp_path):
    data = samples(tmp_path, "a\n10\n20\n60\n", standardize=True).reference.data
    points = np.array(data.points)
    assert points.mean() == pytest.approx(0, abs=1e-15)
    assert points.std() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(points * data.scale + data.shift, [[10], [20], [60]], rtol=1e-14)
    assert data.standardize is False


def test_the_iris_petals_are_the_published_ones():
    data = load_problem("iris-petals").reference.data
    lengths = np.array(data.points) * data.scale + data.shift
    assert lengths.shape == (150, 1)
    assert (lengths.min(), lengths.max()) == pytest.approx((1.0, 6.9), rel=1e-14)
    assert lengths.mean() == pytest.approx(3.758, rel=1e-12)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a\n1\n", {"columns": ["aa"]},
         "reference.data.columns.0 'aa' is not a column of 'points.csv'; did you mean 'a'?"),
        ("a\n1\n", {"columns": ["zzz"]}, "columns: a"),
        ("a\n1\nx\n", {}, "reference.data.file 'points.csv' line 3, column a: 'x' is not a number"),
        ("a\nnan\n", {}, "'nan' is not finite"),
        ("a\ninfinity\n", {}, "'infinity' is not finite; remove the row"),
        ("a,b\n1,2\n3,٣\n", {"columns": ["b"]}, "line 3, column b: '٣' is not a number; write numbers in plain digits"),
        ("a\n1_0\n", {}, "line 2, column a: '1_0' is not a number; write numbers in plain digits"),
        ("a\n1e5_0\n", {}, "'1e5_0' is not a number; write numbers in plain digits"),
        ("a\n0x10\n", {}, "'0x10' is not a number; write numbers in plain digits"),
        ("a\n１２\n", {}, "'１２' is not a number; write numbers in plain digits"),
        ("a\n−3\n", {}, "'−3' is not a number; write numbers in plain digits"),
        ('a\n"1,5"\n', {}, "'1,5' is not a number; write it with a point, 1.5"),
        ("a\n1,5\n", {}, "line 2 has 2 entries, the header 1: write decimal points, commas separate columns"),
        ("b;c\n1,5;2\n", {}, "'a' is not a column of 'points.csv'; columns: b, c"),
        ("a;b\n1,500;2\n2,250;3\n", {}, "holds commas that may be decimal or of thousands; write decimal points"),
        ("a;b\n1,5;2\n2.5;3\n", {}, "holds commas that may be decimal or of thousands; write decimal points"),
        ("1,2\n3,4\n", {}, "'points.csv' has no line of names above its 2 columns; name them by their numbers, such as "
         'columns: ["1"]'),
        ("1,2\n3,4\n", {"columns": ["1"]}, "a name in the first line of 'points.csv', or the number of a column?"),
        ("sep=;\na;b\n1;2\nx;3\n", {}, "line 4, column a: 'x' is not a number"),
        ("5,6\n7\n", {"columns": ["x", "y"]}, "which is not a table of numbers under a line of names"),
        ("a,b\n1,2\n,3\n", {}, "line 3, column a is empty; remove the row"),
        ("\x1b[31mred\x07,b\n1,2\n", {}, "columns: \\x1b[31mred\\x07, b"),
        ("\u202eb" + "b" * 500 + "\n1\n", {}, "columns: \\u202ebb"),
        (",".join(f"c{n}" for n in range(999)) + "\n" + "1," * 998 + "1\n", {"columns": ["zzzzzz"]}, "c9 and 989 more"),
        ("a," * 1001 + "\n", {}, "more than 1000 columns"),
        ("a\n" + "1" * 100_001, {}, "line 2 has more than 100000 characters"),
        ("a\n" + "\n" * 200_001, {}, "more than 200000 lines"),
        ('a\n"' + "1\n" * 150_000, {}, "is not CSV: a field does not end; look for a stray quote"),
        ("a\n1\0\n", {}, "is not text; save the table as CSV"),
        ("a\n1e999\n", {}, "'1e999' is not finite"),
        ("a,b\n1,2\n3\n", {}, "line 3 has 1 entries, the header 2"),
        ("a\n", {}, "has no rows below its header"),
        ("", {}, "'a' is not a column"),
        ("a\n1\n", {"file": "nowhere.csv"}, "reference.data.file 'nowhere.csv' does not exist"),
        ("a\n1\n", {"file": "."}, "reference.data.file '.' is not a file"),
        ("a\n1\n", {"file": "\0"}, "is not the name of a file"),
        ("a\n1\n", {"bandwidth": 1e-300}, "reference.data.bandwidth must be at least 1e-09 (got 1e-300)"),
        ("a\n1\n", {"bandwidth": 1e300}, "reference.data.bandwidth must be <= 1000000000 (got 1e+300)"),
        ("a\n1\n", {"file": "/dev/zero"}, "reference.data.file '/dev/zero' is not a file"),
        ("a\n" + "1\n" * 10_001, {}, "more than 10000 rows"),
        ("a\n1\n", {"bandwidth": 0}, "reference.data.bandwidth must be > 0 (got 0)"),
        ("a\n1\n", {"points": [1]}, "needs either file, with columns, or points, and not both"),
        ("a\n1\n", {"columns": None}, "reference.data.columns is required with file"),
        ("a\n1\n1\n", {"standardize": True}, "needs points that differ"),
        ("a\n9\n", {}, "mass 1 outside the box"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_used_are_refused(tmp_path, content, options, expected):
    with pytest.raises(ProblemError) as refused:
        samples(tmp_path, content, **options)
    assert len(refused.value.messages) == 1
    assert expected in refused.value.messages[0]


def test_numbers_in_plain_digits_are_all_read(tmp_path):
    written = ["1", "+1", "-1", "1.", ".5", "1.5e3", "1E-3", " 2 ", "007", "1.7e9", "-.5e+2"]
    problem = samples(tmp_path, "a\n" + "\n".join(written) + "\n", standardize=True, bandwidth=0.1)
    data = problem.reference.data
    points = np.array(data.points) * data.scale + data.shift
    np.testing.assert_allclose(points[:, 0], [float(one) for one in written], atol=1e-6)


def test_a_csv_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "points.csv").write_bytes(b"a\n\xff\xfe\n")
    data = {"kind": "samples", "file": "points.csv", "columns": ["a"], "bandwidth": 1}
    found = messages(folder=tmp_path, set={"reference.data": data})
    assert found[0].endswith("reference.data.file 'points.csv' is not UTF-8 text; save it as UTF-8")


GREYS = np.array([[0, 255, 128], [51, 102, 204]], dtype=np.uint8)


def picture(tmp_path, content, name="picture.png", **options):
    """A problem in two dimensions with a picture: an array, or the bytes of its file."""
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        Image.fromarray(content).save(tmp_path / name)
    data = {"kind": "image", "file": name, "bandwidth": 0.3, **options}
    return parse_problem(TWO_DIMENSIONS, label="p.yaml", folder=tmp_path, set={"reference.data": data})


@pytest.mark.parametrize("name", ["a.png", "a.pgm"])
def test_pixels_come_out_of_a_picture_with_the_first_row_at_the_top(tmp_path, name):
    problem = picture(tmp_path, GREYS, name)
    assert problem.reference.data.pixels == ((0, 255, 128), (51, 102, 204))
    assert problem.reference.data.file is None
    assert parse_problem(problem.to_yaml()) == problem


def test_a_plain_text_picture_is_read(tmp_path):
    assert picture(tmp_path, b"P2\n2 1\n255\n10 20\n", "a.pgm").reference.data.pixels == ((10, 20),)


def test_colours_become_greys_and_the_transparent_is_white(tmp_path):
    colours = np.array([[[255, 0, 0, 255], [0, 0, 0, 255], [0, 0, 0, 0]]], dtype=np.uint8)
    assert picture(tmp_path, colours).reference.data.pixels == ((76, 0, 255),)  # 0.299 of red


def test_greys_of_sixteen_bits_keep_their_range(tmp_path):
    assert picture(tmp_path, GREYS.astype(np.uint16) * 257).reference.data.pixels == ((0, 255, 128), (51, 102, 204))


def test_a_large_picture_is_averaged_down(tmp_path):
    large = np.kron(np.arange(128, dtype=np.uint8)[None, :], np.array([[0, 2], [0, 2]], dtype=np.uint8))
    pixels = np.array(picture(tmp_path, large).reference.data.pixels)
    assert pixels.shape == (2, 128)
    np.testing.assert_array_equal(pixels[0], np.arange(128))


@pytest.mark.parametrize("size", [(9400, 9400), (16_000_001, 1), (1, 30_000)])
def test_how_many_pixels_a_picture_has_is_asked_before_they_are_unpacked(size, tmp_path, monkeypatch):
    few = size[0] * size[1] <= 16_000_000
    if not few:
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("was unpacked"))
    Image.fromarray(np.zeros((1, 1), dtype=np.uint8)).save(tmp_path / "small.png")
    content = (tmp_path / "small.png").read_bytes()
    header = struct.pack(">II5B", *size, 8, 0, 0, 0, 0)
    sized = struct.pack(">I4s13sI", 13, b"IHDR", header, zlib.crc32(b"IHDR" + header))
    with pytest.raises(ProblemError) as refused:
        picture(tmp_path, content[:8] + sized + content[33:])
    assert ("has too many pixels" in refused.value.messages[0]) is not few


def test_a_drawing_is_not_handed_to_another_program(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("was run"))
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ProblemError) as refused:
        picture(tmp_path, drawing, "a.eps")
    assert "'a.eps' is a drawing; save it as PNG" in refused.value.messages[0]


def test_broken_pictures_of_many_kinds_are_read_or_refused_in_words(tmp_path):
    rng = np.random.default_rng(3)
    refusals = 0
    for number in range(120):
        name = ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif", "a.webp"][number % 6]
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(tmp_path / name)
        content = bytearray((tmp_path / name).read_bytes())
        for place in rng.integers(0, len(content), 6):
            content[place] = rng.integers(256)
        told = refusal(lambda: picture(tmp_path, bytes(content[: int(rng.integers(1, len(content) + 1))]), name))  # noqa: B023
        refusals += told is not None
        assert told is None or f"reference.data.file {name!r}" in told
    assert refusals > 60


def refusal(load):
    """What a problem is refused with; None where it is one."""
    try:
        load()
    except ProblemError as error:
        return error.messages[0]
    return None


@pytest.mark.slow
def test_the_largest_picture_round_trips(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    problem = picture(tmp_path, noise)
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (GREYS, {"file": "nowhere.png"}, "reference.data.file 'nowhere.png' does not exist"),
        (GREYS, {"file": "."}, "reference.data.file '.' is not a file"),
        (GREYS, {"file": "\0"}, "is not the name of a file"),
        (GREYS, {"pixels": [[0, 1]]}, "needs either file or pixels, and not both"),
        (b"", {}, "reference.data.file 'picture.png' is not a picture that can be read; save it as PNG"),
        (b"a,b\n1,2\n", {}, "is not a picture that can be read"),
        (b"P5\n3 2\n255\n\0", {}, "is not a picture that can be read"),
        (b"P5\n30000 30000\n255\n\0", {}, "has too many pixels"),
        (GREYS * 0, {}, "reference.data.file 'picture.png' has the same grey everywhere"),
    ],
    ids=range(9),
)  # fmt: skip
def test_pictures_that_cannot_be_used_are_refused(tmp_path, content, options, expected):
    with pytest.raises(ProblemError) as refused:
        picture(tmp_path, content, **options)
    assert len(refused.value.messages) == 1
    assert expected in refused.value.messages[0]
