"""Files that are small and ask for much: refused before the work, in few lines, with little memory."""

import struct
import subprocess
import sys
import zlib

import pytest

from controlsde.foundation.wording import MOST_MESSAGES
from controlsde.problem import ProblemError, parse_problem
from tests.quick import only

from .texts import GOOD, changed

MEGABYTE = 990_000
MIXTURE = "{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}"


def often(text, count=None):
    return ", ".join([text] * (count or MEGABYTE // (len(text) + 2)))


def alias_bomb(first, following):
    return f"a0: &a0 {first}\n" + "".join(f"a{i}: &a{i} {following.format(i - 1)}\n" for i in range(1, 20)) + GOOD


FLOODS = {
    "deep lists": GOOD + "description: " + "[" * (MEGABYTE // 2),
    "deep mappings": GOOD + "description: " + "{a: " * (MEGABYTE // 4),
    "a ladder": GOOD + "x:\n" + "".join(" " * i + "a:\n" for i in range(1, 1300)),
    "many keys": GOOD + "".join(f"k{i}: 1\n" for i in range(MEGABYTE // 12)),
    "many keys below": GOOD + "network2: {" + ", ".join(f"k{i}: 1" for i in range(MEGABYTE // 12)) + "}",
    "many times one key": GOOD + "noise: 1\n" * (MEGABYTE // 9),
    "a long list": changed("[-1.5, 1.5]", f"[{often('1.5')}]"),
    "a long list of words": changed("[-1.5, 1.5]", f"[{often('x')}]"),
    "a long list of lists": changed("[-1.5, 1.5]", f"[{often('[1, 2, 3]')}]"),
    "many tags": GOOD + f"description: [{often('!a b')}]",
    "many aliases": GOOD + f"x: &a [1]\ny: [{often('*a')}]",
    "an alias bomb": alias_bomb("[1, 1, 1]", "[{0}, {0}, {0}]".replace("{0}", "*a{0}")),
    "an alias bomb of mappings": alias_bomb("[1]", "[[*a{0}], [*a{0}], [*a{0}], [*a{0}]]"),
    "weights that are zero": changed("weights: [0.5, 0.5]", f"weights: [{often('0', 50_000)}]"),
    "points of two dimensions": changed(
        MIXTURE, f"{{kind: samples, bandwidth: 1, points: [{often('1, [1, 2]', 4000)}]}}"
    ),
    "matrices that are none": changed("stds: [0.3, 0.3]", f"covariances: [{often('[[1, 2], [3, 4]]', 4000)}]"),
    "many dimensions": changed("[[-5, 5]]", f"[{often('[-5, 5]', 15_000)}]"),
    "many formulas": GOOD + f"drift: {{kind: formula, expressions: [{often(chr(34) + 'x' + chr(34), 20_000)}]}}",
    "many digits": GOOD + "noise: " + "9" * MEGABYTE,
    "a long text": GOOD + 'description: "' + "x" * MEGABYTE + '"',
    "two megabytes": GOOD + "#" * 2_000_000,
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_is_refused_in_few_lines(case, refused):
    lines = refused("check", "bad.yaml", text=FLOODS[case])
    assert 1 <= len(lines) <= MOST_MESSAGES + 1
    assert all(line.startswith("bad.yaml:") for line in lines[:MOST_MESSAGES])
    assert all(line.startswith("and ") and line.endswith(" more") for line in lines[MOST_MESSAGES:])


def test_too_many_keys_are_refused_where_the_first_of_them_stands(refused):
    (line,) = refused("check", "bad.yaml", text=GOOD + "".join(f"k{i}: 1\n" for i in range(200)))
    assert line == "bad.yaml:106:1: more than 100 keys in the problem"


@pytest.mark.parametrize("case", only(["many keys"], ["weights that are zero", "matrices that are none", "many keys"]))
def test_with_json_a_flood_is_as_few_lines(case, refused):
    assert refused("check", "bad.yaml", "--json", text=FLOODS[case]) == refused("check", "bad.yaml", text=FLOODS[case])


@pytest.mark.parametrize("count", [19, 20, 21, 95])
def test_of_many_faults_twenty_are_told_in_order_and_the_others_counted(count):
    text = GOOD + "".join(f"wrong{i:02d}: 1\n" for i in range(count))
    with pytest.raises(ProblemError) as refused:
        parse_problem(text, label="p.yaml")
    told = refused.value.messages
    assert [message.split(":")[1] for message in told[:20]] == [str(10 + i) for i in range(min(count, 20))]
    assert told[20:] == ((f"and {count - 20} more",) if count > 20 else ())


@pytest.mark.slow
def test_the_faults_of_a_long_list_are_counted_without_being_written_out():
    with pytest.raises(ProblemError) as refused:
        parse_problem(FLOODS["weights that are zero"], label="p.yaml")
    assert refused.value.messages[-1] == "and 49980 more"


def test_ten_thousand_points_in_three_dimensions_are_no_flood():
    points = often("[0.1, 0.2, 0.3]", 10_000)
    text = (
        "domain: {box: [[-5, 5], [-5, 5], [-5, 5]]}\nreference: {kind: reversed-diffusion, horizon: 1, data: "
        f"{{kind: samples, bandwidth: 0.2, points: [{points}]}}}}\n"
    )
    assert len(parse_problem(text).reference.data.points) == 10_000


def png(width, height, rows=b"", kind=2):
    """A picture that claims its size, in RGB."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


PICTURE = """\
domain: {box: [[-5, 5], [-5, 5]]}
reference: {kind: reversed-diffusion, horizon: 1, data: {kind: image, bandwidth: 0.2, file: big.png}}
"""


def memory_of_loading(folder):
    """Megabytes by which a process that loads the problem grows, and what it says."""
    code = (
        "import resource\nfrom PIL import Image\nfrom controlsde.problem import ProblemError, load_problem\n"
        "import numpy\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    said = load_problem('p.yaml').name\nexcept ProblemError as error:\n    said = str(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, said)\n"
    )
    (folder / "p.yaml").write_text(PICTURE)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    grown, said = done.stdout.split(maxsplit=1)
    return int(grown), said


@pytest.mark.parametrize("size", [9_400, 13_000, 60_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(size, tmp_path):
    (tmp_path / "big.png").write_bytes(png(size, size, bytes(1_000_000)))
    grown, said = memory_of_loading(tmp_path)
    assert said.startswith("p.yaml:2:93: reference.data.file 'big.png' has too many pixels")
    assert grown < 30


@pytest.mark.slow
def test_the_largest_picture_that_is_allowed_takes_little_memory(tmp_path):
    row = b"\0" + bytes(3 * 2000) + b"\xff" * (3 * 2000)
    (tmp_path / "big.png").write_bytes(png(4000, 4000, row * 4000))
    grown, said = memory_of_loading(tmp_path)
    assert said.strip() == "p"
    assert grown < 200


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\n" + "1\n" * 500_000, "has more than 10000 rows"),
        ("a\n" + "\n" * 900_000, "has more than 200000 lines"),
        (",".join(f"c{i}" for i in range(100_000)) + "\n1\n", "has more than"),
        ("a\n" + "1" * 1_000_000 + "\n", "line 2 has more than 100000 characters"),
        ('a\n"' + "1\n" * 200_000, "a field does not end"),
        ("a" * 21_000_000, "is larger than 20 MB"),
    ],
    ids=("rows", "lines", "columns", "a line", "a quote", "bytes"),
)
def test_a_table_that_is_too_large_is_refused_with_its_limit(content, told, refused, tmp_path):
    (tmp_path / "data.csv").write_text(content)
    text = changed(MIXTURE, "{kind: samples, bandwidth: 0.2, file: data.csv, columns: [a]}")
    (line,) = refused("check", "bad.yaml", text=text)
    assert told in line
