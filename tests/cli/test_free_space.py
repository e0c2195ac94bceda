"""The commands in free space: what they print, write and end with, and what they refuse in one line."""

import json

import numpy as np
import pytest

from tests.free_space.cases import BUMPS


def one_line(answer, words):
    """It refuses with exit 2; beside progress there is one line, which holds the words."""
    assert answer.code == 2, answer.err
    assert answer.out == ""
    said = [line for line in answer.err.splitlines() if not line.strip()[:1].isdigit()]
    assert len(said) == 1, answer.err
    assert words in said[0]


TINY = ["--set", "controls.pieces=2", "--set", "monte_carlo.particles=300", "--set", "solver.starts=1"]


@pytest.fixture
def bumps(folder):
    (folder / "bumps.yaml").write_text(BUMPS, encoding="utf-8")
    return folder


def test_a_solve_writes_a_result_that_other_commands_take(run, bumps):
    solved = run("solve", "bumps.yaml", *TINY, "-o", "out", "--json")
    assert solved.code == 0, solved.err
    assert solved.json["verified"]
    assert solved.json["tracking"]["log_likelihood"]["kind"] == "bound"
    for words in ("draws of p from p", "one Gaussian", "log-likelihood", "exact_drift", "verified"):
        assert words in solved.err
    assert (bumps / "out/report.html").exists()
    assert (bumps / "out/marginals.png").exists()

    again = run("evaluate", "bumps.yaml", *TINY, "--controls", "out/result.nc", "--json")
    assert again.code == 0, again.err
    ours, theirs = (one.json["tracking"]["mollified"]["value"] for one in (again, solved))
    assert ours == pytest.approx(theirs, abs=1e-9)

    simulated = run("simulate", "out/result.nc", "--particles", "300", "-o", "sim", "--json")
    assert simulated.code == 0, simulated.err
    assert simulated.json["verified"]
    assert (bumps / "sim/simulation.nc").exists()

    one_line(run("controllability", "out/result.nc"), "of particles, and this needs densities on a mesh")
    one_line(run("feedback", "out/result.nc", "--start", "{kind: uniform}"), "of particles, and this needs")
    one_line(run("film", "out/result.nc", "-o", "a.gif"), "free space")
    one_line(run("simulate", "out/result.nc", "--target-se", "0.1"), "--target-se is for problems in a box")


def test_shooting_steers_particles_on_pieces_whose_lengths_are_free(run, bumps):
    """As one says it: in the file, as an option, and with lengths to be found."""
    from controlsde import load_problem, load_result
    from controlsde.workflow.solving import solver_options

    options = load_problem(bumps / "bumps.yaml", set={"solver": "shooting"}).solver
    assert options == solver_options(load_problem(bumps / "bumps.yaml"), "shooting")
    assert (options.method, options.starts, options.hops, options.particles) == ("adam", 1, 0, 1000)
    steered = ["--set", "solver={kind: shooting, iterations: 12, particles: 200}", "--set", "controls.lengths=free"]
    solved = run("solve", "bumps.yaml", *TINY[:4], *steered, "-o", "out", "--json")
    assert solved.code in (0, 3), solved.err  # whether it has settled by then or not
    assert solved.json["solver"] == "shooting"
    found = load_result(bumps / "out/result.nc")
    assert [row[0] for row in found.history] == list(range(25))  # twice twelve iterations, and the answer
    assert np.abs(np.diff(found.controls.times) - 0.5 * found.controls.times[-1]).max() > 1e-3

    several = ["--set", "solver={kind: shooting, starts: 3}", "--set", "controls.lengths=free"]
    refused = run("solve", "bumps.yaml", *several)
    one_line(refused, "solver.starts must be 1 in free space (got 3)")


def test_a_comparison_tells_the_spread_over_seeds_and_is_read_back(run, bumps):
    from controlsde import FreeComparison

    compared = run(
        "compare", "bumps.yaml", *TINY, "--noise", "0", "--noise", "1", "--seeds", "2", "-o", "both", "--json"
    )
    assert compared.code == 0, compared.err
    document = compared.json
    assert [entry["noise"] for entry in document["entries"]] == [0.0, 1.0]
    assert len(document["cross"]) == 2
    assert document["seeds"] == [[0, 1], [0, 1]]
    for spread, entry in zip(document["spread"], document["entries"], strict=True):
        assert len(spread["mollified"]["values"]) == 2
        assert spread["mollified"]["values"][0] == entry["tracking"]["mollified"]["value"]
        assert document["cross"][entry["noise"] > 0][entry["noise"] > 0] == entry["tracking"]["mollified"]["value"]
    assert {"noise-0.nc", "noise-0-seed-1.nc", "noise-1.nc", "noise-1-seed-1.nc", "comparison.json"} <= {
        path.name for path in (bumps / "both").iterdir()
    }
    assert "seeds" in document["note"]
    drawn = [line for line in compared.err.splitlines() if line.startswith("draws of p")]
    assert [line.count("±") for line in drawn] == [3, 2]  # whole rows, in 80 columns
    loaded = FreeComparison.load(bumps / "both")
    for own, (other,) in zip(loaded.results, loaded.others, strict=True):  # each seed has particles of its own
        assert (own.problem.monte_carlo.seed, other.problem.monte_carlo.seed) == (0, 1)
        assert np.abs(own.particles.final - other.particles.final).max() > 0.1
    again = json.loads(json.dumps(loaded.to_json()))
    for entry in (*again["entries"], *document["entries"]):
        entry["result"] = entry["result"].rpartition("/")[2]  # the folder as it is named there
    assert again == document


def test_a_check_predicts_and_runs_nothing(run, bumps):
    checked = run("check", "bumps.yaml", "--json")
    assert checked.code == 0, checked.err
    assert checked.json["dimension"] == 3
    assert checked.json["components"] == 2
    assert checked.json["refused"] == []
    assert {path.name for path in bumps.iterdir()} == {"bumps.yaml", "small.yaml"}


def test_a_check_tells_the_bandwidth(run):
    assert run("check", "iris", "--json").json["bandwidth"] == pytest.approx(0.219796, abs=1e-5)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("domain.walls=reflecting", "domain.walls has no place in free space"),
        ("domain.box=[[-1, 1]]", "domain.box has no place in free space"),
        ("domain.dimension=5", "domain.dimension is 5, and the data have 3 column(s)"),
        ("mesh.elements=8", "mesh has no place in free space"),
        ("network.tangential=true", "network.tangential is for walls"),
        ("objective.norm=l2", "objective.norm l2 needs a mesh; in free space use mollified"),
        ("objective.energy=1", "objective.energy is measured on a mesh"),
        ("solver=collocation", "solver.kind collocation needs a mesh"),
        ("solver=switching", "solver.kind switching needs a mesh"),
        ("reference.data={kind: uniform}", "domain.dimension"),
        ("reference.forward={kind: formula, drift: [x, y, z]}", "formula is solved on a mesh"),
        ("reference.start=stationary", ""),
        ("objective.scales=0.001", "objective.scales"),
    ],
)
def test_what_does_not_fit_free_space_is_one_line_with_the_cure(run, bumps, setting, words):
    answer = run("solve", "bumps.yaml", "--set", setting, "-o", "out", *TINY)
    if not words:
        assert answer.code == 0, answer.err
        return
    one_line(answer, words)
    assert not (bumps / "out").exists() or not list((bumps / "out").iterdir())


@pytest.mark.parametrize(
    "command",
    [["bound", "--within", "0.1"], ["reach", "--within", "0.1", "--least", "energy"], ["explore", "--no-browser"]],
)
@pytest.mark.usefixtures("bumps")
def test_what_needs_a_mesh_is_refused_in_one_line(run, command):
    one_line(run(command[0], "bumps.yaml", *command[1:]), "mesh" if command[0] != "explore" else "not in free space")


def test_seeds_are_for_free_space(run):
    one_line(run("compare", "two-bumps", "--seeds", "2"), "--seeds is for problems in free space")


def test_mollified_is_for_particles(run):
    one_line(run("solve", "two-bumps", "--set", "objective.norm=mollified"), "mollified is for particles in free space")


@pytest.mark.slow
@pytest.mark.usefixtures("bumps")
def test_a_quick_look_says_what_it_changes(run):
    looked = run("solve", "bumps.yaml", "--set", "controls.pieces=2", "--quick", "-o", "out")
    assert looked.code == 0, looked.err
    assert "solver.tolerance 0.01 → 0.05" in looked.err
