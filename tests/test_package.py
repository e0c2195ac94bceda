"""The package as a whole: complete, quick to import, and free of code that runs what it reads."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import controlsde

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for name in ("controlsde", "solvers", "problems") for path in (ROOT / name).rglob("*.py"))
HEAVY = ("torch", "casadi", "matplotlib", "xarray", "scipy", "h5py")


@pytest.fixture(scope="module")
def declared():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_every_folder_with_code_is_a_declared_package(declared):
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}
    names = {
        ".".join(folder.parts if folder.parts[0] == "controlsde" else ("controlsde", *folder.parts))
        for folder in folders
        if folder.parts[:2] not in (("controlsde", "solvers"), ("controlsde", "problems"))  # links to the real ones
    }
    assert len(SOURCES) > 50
    assert set(declared["packages"]) == names


def test_every_declared_package_has_its_folder_and_an_init(declared):
    folders = declared["package-dir"]
    for package in declared["packages"]:
        folder = ROOT / folders.get(package, package.replace(".", "/"))
        assert (folder / "__init__.py").is_file(), package


def test_every_file_that_is_not_code_is_declared_as_data(declared):
    data = declared["package-data"]
    shipped = {path for path in (ROOT / "problems").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert len(shipped) > 5
    page = {
        path.name for path in (ROOT / "controlsde/report/page").iterdir() if path.suffix in (".html", ".css", ".js")
    }
    assert page == {
        "frame.html", "macros.html", "report.html", "free_report.html",
        "report.css", "chart.css", "report.js", "drawing.js", "tables.js",
        "shell.html", "sweep.html", "sweep.css", "sweep.js",
    }  # fmt: skip
    assert {f"*{Path(name).suffix}" for name in page} <= set(data["controlsde.report.page"])
    matched = {path for pattern in data["controlsde.problems"] for path in (ROOT / "problems").glob(pattern)}
    assert shipped <= matched
    assert (ROOT / "controlsde" / data["controlsde"][0]).is_file()


def test_a_wheel_holds_the_templates_and_scripts_of_pages():
    """Asked of setuptools itself: what it would copy, of what is declared."""
    code = (
        "from setuptools import Distribution\n"
        "made = Distribution(); made.parse_config_files(['pyproject.toml'])\n"
        "build = made.get_command_obj('build_py'); build.finalize_options()\n"
        "print(*(f'{package}/{name}' for package, _, _, names in build.data_files for name in names))"
    )
    command = [sys.executable, "-c", code]
    held = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    pages = {f"controlsde.report.page/report.{kind}" for kind in ("html", "css", "js")}
    pages |= {f"controlsde.explore.page/explorer.{kind}" for kind in ("html", "css", "js")}
    pages |= {f"controlsde.report.page/sweep.{kind}" for kind in ("html", "css", "js")}
    pages |= {"controlsde.report.page/chart.css", "controlsde.report.page/drawing.js", "controlsde.lessons/lesson.css"}
    assert pages <= set(held)
    assert "controlsde.problems/two-bumps.yaml" in held


def test_importing_the_package_loads_nothing_heavy():
    loaded = python("import sys, controlsde; print(*sys.modules)")
    assert "controlsde" in loaded
    assert not set(HEAVY) & set(loaded)


def test_reading_a_problem_loads_neither_the_solvers_nor_the_plots():
    loaded = python("import sys, controlsde; controlsde.load_problem('two-bumps'); print(*sys.modules)")
    assert "controlsde.problem" in loaded
    assert not {"torch", "casadi", "matplotlib", "xarray"} & set(loaded)


def test_a_solve_in_one_dimension_loads_neither_pytorch_nor_casadi():
    """Each takes as long to import as the whole rest."""
    settings = {
        "solver.starts": 1,
        "solver.hops": 0,
        "solver.iterations": 5,
        "controls.pieces": 4,
        "mesh.elements": [6],
    }
    settings |= {"monte_carlo.particles": 100, "monte_carlo.steps_per_piece": 8}
    loaded = python(
        f"import sys, controlsde as cs; cs.solve(cs.load_problem('two-bumps', set={settings}));"
        "import controlsde.report.figures; print(*sys.modules)"
    )
    assert {"controlsde.tracking.objective", "controlsde.report.figures"} <= set(loaded)
    assert not {"torch", "casadi", "matplotlib"} & set(loaded)


@pytest.mark.parametrize("name", controlsde.__all__)
def test_every_public_name_is_what_its_module_defines(name):
    value = getattr(controlsde, name)
    if isinstance(value, ModuleType):  # a room that can be called as the public function of its name
        assert callable(value)
        value = getattr(importlib.import_module(f"controlsde.{controlsde._HOME[name]}"), name)
    home = importlib.import_module(value.__module__)
    assert value.__module__.startswith("controlsde.")
    assert getattr(home, value.__name__) is value
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error_and_dir_lists_the_public_ones():
    with pytest.raises(AttributeError, match="no attribute 'slove'"):
        _ = controlsde.slove
    assert dir(controlsde) == sorted(controlsde.__all__)


def test_every_module_can_be_imported():
    for path in sorted((ROOT / "controlsde").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] != "__main__":
            assert importlib.import_module(name).__doc__, name


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


def offences(source):
    """Calls that run text as code, and imports of modules that load code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(node.func.id)
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(node.module)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_text_or_unpickles(path):
    source = path.read_text(encoding="utf-8")
    assert offences(source) == []
    for call in ("torch.load(", "allow_pickle=True", "yaml.unsafe", 'typ="unsafe"'):
        assert call not in source


def test_the_search_for_such_calls_finds_them():
    assert offences("x = eval('1')") == ["eval"]
    assert offences("def f():\n    from pickle import loads\n    import dill.source\n") == ["pickle", "dill.source"]


def test_data_flow_one_way_as_the_map_says():
    """Every module is on the map of CONTRIBUTING.md, and imports nothing that stands further down there."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    place = {Path(name.rstrip("/")).stem: n for n, row in enumerate(rows) for name in re.findall(r"`([\w/.]+)`", row)}
    against = []
    for path in sources():
        room = room_of(path)
        for imported in imports(path):
            if place[imported] > place[room]:
                against.append(f"{path.relative_to(ROOT)} imports {imported}")
    assert not against


def test_no_import_goes_in_a_circle():
    """Of modules, those inside functions and for type checkers alone included."""
    names = {name_of(path): path for path in sources()}
    ahead = {name: set(modules(path, names)) - {name} for name, path in names.items()}
    while ahead:
        ends = {name for name, others in ahead.items() if not others & ahead.keys()}
        if not ends:
            break
        ahead = {name: others for name, others in ahead.items() if name not in ends}
    assert not ahead, sorted(ahead)


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("controlsde", *parts) if parts[0] == "solvers" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(path, names):
    """Which of the named modules one imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "controlsde":
            parts = {f"{node.module}.{alias.name}": node.module for alias in node.names}
            yield from ((part if part in names else whole) for part, whole in parts.items())


def sources():
    """The library's own modules, each once: the packages behind the symlinks where they really are."""
    linked = {ROOT / "controlsde/solvers", ROOT / "controlsde/problems"}
    found = [path for path in (ROOT / "controlsde").rglob("*.py") if not linked & set(path.parents)]
    return [
        path
        for path in (*found, *(ROOT / "solvers").rglob("*.py"))
        if path.parent != ROOT / "controlsde" or not path.stem.startswith("__")
    ]


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return "solvers" if parts[0] == "solvers" else Path(parts[1]).stem


def imports(path):
    """Rooms that a module imports, at its head or inside a function."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "controlsde":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
