"""The command line: exit codes, one JSON document on stdout, messages on stderr, and what is written where."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.problem import list_problems, load_problem
from controlsde.result.result import Result
from controlsde.tracking.objective import Objective

from .commands import HEAT, files, loaded_by

EVALUATE = HEAT + 'drift: {kind: formula, expressions: ["0.1*sin(2*pi*x)"]}\n'


ENTRY_KEYS = {
    "problem", "solver", "noise", "status", "verified", "objective", "iterations", "seconds", "tracking",
    "discrete", "certificate", "diagnosis", "retry", "result",
}  # fmt: skip


L2_KEYS = {"l2_sup", "l2_rms", "l2_final", "l2_initial"}


TRACKING_KEYS = L2_KEYS | {"tv_final", "kl_final", "w1_final", "w2_final", "h-1_final"}


CERTIFICATE_KEYS = {
    "mass_error", "negative_mass", "resolution", "refined_l2_change", "monte_carlo",
    "characteristics_l2_change", "gradient_norm", "checks",
}  # fmt: skip


PARTICLE_KEYS = {"particles", "l2_final", "l2_final_se", "z"}


def test_a_verified_solve_exits_0_with_one_json_document_alone_on_stdout(solved):
    _, answer = solved
    assert answer.code == 0, answer.err
    document = answer.json
    assert document["status"] == "converged"
    assert document["verified"] is True


def test_json_of_solve_has_the_documented_keys(solved):
    folder, answer = solved
    document = answer.json
    assert set(document) >= ENTRY_KEYS
    assert set(document["seconds"]) >= {"build", "solve", "verify"}
    assert set(document["tracking"]) == TRACKING_KEYS
    assert set(document["discrete"]) == L2_KEYS
    assert set(document["certificate"]) >= CERTIFICATE_KEYS
    assert set(document["certificate"]["monte_carlo"]) >= PARTICLE_KEYS
    for check in document["certificate"]["checks"]:
        assert set(check) == {"name", "value", "limit", "passed"}
    assert (folder / document["result"]).is_file()


def test_solve_writes_the_result_and_figures_and_nothing_else(solved):
    folder, _ = solved
    pictures = {"out/density.png", "out/weights.png", "out/error.png", "out/convergence.png"}
    assert files(folder) == {"small.yaml", "out/result.nc", "out/report.html"} | pictures


def test_tables_and_progress_go_to_stderr(solved):
    _, answer = solved
    for text in ("building the reference", "L² error at T", "refined_l2_change", "verified, ", "figures: out"):
        assert text in answer.err


def test_without_a_terminal_stderr_has_no_escape_codes(solved):
    _, answer = solved
    assert "\x1b" not in answer.err


def test_no_color_removes_colours_on_a_terminal(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    coloured = "\x1b[32m"  # green
    Path("exact.yaml").write_text(EVALUATE)
    assert coloured in run("evaluate", "exact.yaml").err
    monkeypatch.setenv("NO_COLOR", "1")
    plain = run("evaluate", "exact.yaml").err
    assert coloured not in plain
    assert "verified, " in plain


def test_quick_takes_little_effort_but_what_is_set_stays(run):
    document = run("solve", "two-bumps", "--quick", "--set", "solver.hops=2", "-o", "out", "--json", "-q").json
    solved = Result.load("out/result.nc").problem
    assert len(document["starts"]) == solved.solver.starts == 4
    assert solved.solver.hops == 2
    assert document["certificate"]["monte_carlo"]["particles"] == solved.monte_carlo.particles == 20_000


def test_quick_says_what_it_changes(run):
    Path("more.yaml").write_text(HEAT.replace("starts: 1,", "starts: 5,"))
    answer = run("solve", "more.yaml", "--quick", "-o", "out")
    assert "--quick takes a first look: solver.starts 5 → 4, solver.hops 160 → 8\n" in answer.err
    assert "--quick takes a first look" not in run("solve", "small.yaml", "--quick", "-o", "out").err  # little as it is


def test_quick_leaves_a_whole_part_that_is_set_as_it_is(run):
    run("solve", "small.yaml", "--quick", "--set", "solver={kind: shooting, starts: 5, hops: 1}", "-o", "out", "-q")
    assert Result.load("out/result.nc").problem.solver.starts == 5


@pytest.mark.slow
def test_quick_is_as_quick_with_another_solver_than_the_files(run):
    Path("other.yaml").write_text(HEAT.replace("kind: shooting, starts: 1, iterations: 60,", "kind: collocation,"))
    run("solve", "other.yaml", "--quick", "--solver", "shooting", "-o", "shot", "-q")
    solver = Result.load("shot/result.nc").problem.solver
    assert (solver.kind, solver.starts, solver.hops) == ("shooting", 4, 8)


def test_quick_never_takes_more_than_a_problem_asks_for(run):
    run("solve", "small.yaml", "--quick", "-o", "out", "-q")
    quick = Result.load("out/result.nc").problem
    own = load_problem("small.yaml")
    assert quick.solver.starts <= own.solver.starts
    assert quick.solver.hops <= own.solver.hops
    assert quick.monte_carlo.particles <= own.monte_carlo.particles


def test_too_few_iterations_exit_3_and_say_what_to_try(run):
    answer = run("solve", "small.yaml", "-o", "out", "--set", "solver.iterations=1", "--json")
    assert answer.code == 3
    assert answer.json["status"] == "not-converged"
    assert "NOT CONVERGED" in answer.err
    assert "try --set solver.iterations=100\n" in answer.err
    assert answer.json["diagnosis"][0]["try"] == "--set solver.iterations=100"
    assert Path("out/result.nc").is_file()


def test_an_unresolved_density_exits_4_with_check_value_limit_and_cure(run):
    Path("coarse.yaml").write_text(
        EVALUATE.replace("0.1*sin(2*pi*x)", "40*(0.5-x)").replace(
            "elements: [4], degree: 6", "elements: [1], degree: 3"
        )
    )
    answer = run("evaluate", "coarse.yaml", "--json")
    assert answer.code == 4
    failed = next(check for check in answer.json["certificate"]["checks"] if check["name"] == "refined_l2_change")
    assert failed["passed"] is False
    assert "NOT VERIFIED" in answer.err
    assert f"refined_l2_change is {failed['value']:.2g}, limit {failed['limit']:.2g}\n" in answer.err
    first = answer.json["diagnosis"][0]
    assert first["cause"] == "mesh"
    assert f"  mesh: {first['message']}\n" in answer.err
    assert f"  try {first['try']}\n" in answer.err.replace("'", "")


def test_retry_follows_the_remedy_keeps_the_better_answer_and_says_so(run):
    answer = run("solve", "small.yaml", "-o", "out", "--set", "solver.iterations=2", "--retry", "--json")
    assert answer.code == 0
    document = answer.json
    assert document["diagnosis"] == []
    assert document["retry"]["set"] == {"solver.iterations": 100}
    assert document["retry"]["cause"] == "iterations"
    assert document["retry"]["kept"] is True
    assert document["retry"]["other"]["status"] == "not-converged"
    assert "once more with --set solver.iterations=100" in answer.err
    kept = Result.load("out/result.nc")
    assert kept.problem.solver.iterations == 100
    assert kept.retry.to_json() == document["retry"]


@pytest.mark.slow
def test_retry_of_a_comparison_changes_every_level(run):
    levels = ("--noise", "0.5", "--noise", "1")
    few = ("--set", "solver.iterations=2")
    answer = run("compare", "small.yaml", *levels, *few, "-o", "out", "--retry", "--json", "-q")
    assert answer.code == 0
    for entry in answer.json["entries"]:
        assert entry["retry"]["set"] == {"solver.iterations": 100}
        assert Result.load(entry["result"]).problem.solver.iterations == 100


def test_quiet_leaves_stderr_empty_when_all_is_well(run):
    Path("exact.yaml").write_text(EVALUATE)
    assert run("evaluate", "exact.yaml", "-q").err == ""


def test_quiet_still_tells_of_trouble(run):
    answer = run("solve", "small.yaml", "-q", "-o", "out", "--set", "solver.iterations=1")
    assert "NOT CONVERGED" in answer.err


def test_verbose_prints_a_line_for_every_iteration(run):
    answer = run("solve", "small.yaml", "-v", "-o", "out", "--json")
    lines = [line for line in answer.err.splitlines() if "iteration " in line and "objective" in line]
    assert len(lines) >= answer.json["iterations"]


def test_help_of_every_command_exits_0_and_explains_it(run):
    listed = run("--help")
    assert listed.code == 0
    for name in ("solve", "compare", "evaluate", "check", "problems", "schema"):
        assert name in listed.out
        answer = run(name, "--help")
        assert answer.code == 0
        assert f"Usage: controlsde {name}" in answer.out
        assert "..." not in answer.out.split("Options:")[0].split("\n", 2)[2]


def test_help_imports_nothing_heavy(folder):
    assert loaded_by(folder, ["solve", "--help"], ("torch", "casadi", "matplotlib", "xarray")) == "[]"


def test_an_unknown_command_or_option_exits_2(run):
    assert run("sovle", "small.yaml").code == 2
    assert run("solve", "small.yaml", "--noisy").code == 2


def test_compare_gives_one_entry_a_noise_level_and_the_cross_table(run, folder):
    answer = run("compare", "small.yaml", "--noise", "0.5", "--noise", "1", "-o", "both", "--json", "-q")
    assert answer.code == 0, answer.err
    document = answer.json
    assert set(document) == {"problem", "entries", "cross", "note"}
    assert [entry["noise"] for entry in document["entries"]] == [0.5, 1.0]
    for place, entry in enumerate(document["entries"]):
        assert set(entry) >= ENTRY_KEYS
        assert document["cross"][place][place] == pytest.approx(entry["tracking"]["l2_final"])
        assert Result.load(entry["result"]).noise == entry["noise"]
    pictures = {"densities.png", "errors.png", "cross.png", "distances.png"}
    assert pictures | {"report.html", "comparison.json"} <= {Path(name).name for name in files(folder / "both")}


def test_a_repeated_negative_or_worded_noise_level_exits_2_and_writes_nothing(run, folder):
    before = files(folder)
    for levels in (("1", "1"), ("-1",), ("nan",), ("1e400",), ("much",)):
        answer = run("compare", "small.yaml", *(word for level in levels for word in ("--noise", level)))
        assert answer.code == 2, levels
        assert answer.out == ""
    assert files(folder) == before


def test_evaluating_saved_controls_gives_the_same_tracking_numbers(solved, run):
    folder, answer = solved
    again = run("evaluate", folder / "small.yaml", "--controls", folder / "out/result.nc", "--json")
    assert again.code == 0
    document = again.json
    assert document["status"] == "given"
    assert document["result"] is None
    for part in ("tracking", "discrete"):
        for name, value in answer.json[part].items():
            assert document[part][name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    particles = answer.json["certificate"]["monte_carlo"]
    assert document["certificate"]["monte_carlo"]["l2_final"] == pytest.approx(particles["l2_final"])


def test_evaluate_writes_only_where_it_is_told_to(run, folder):
    Path("exact.yaml").write_text(EVALUATE)
    before = files(folder)
    assert run("evaluate", "exact.yaml", "-q").code == 0
    assert files(folder) == before
    assert run("evaluate", "exact.yaml", "-q", "-o", "out").code == 0
    assert files(folder) - before == {"out/result.nc", "out/density.png", "out/error.png", "out/report.html"}


def one_line(answer, *texts):
    """The answer refuses with exit 2 and one line on stderr that holds the texts."""
    assert answer.code == 2, answer.err
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1, answer.err
    for text in texts:
        assert text in answer.err


def test_missing_cut_or_foreign_controls_exit_2_in_one_line(solved, run):
    folder, _ = solved
    content = (folder / "out/result.nc").read_bytes()
    Path("short.nc").write_bytes(content[: len(content) // 2])
    Path("text.nc").write_text("A W b\n1 2 3\n")
    Path("empty.nc").write_bytes(b"")
    one_line(run("evaluate", "small.yaml", "--controls", "missing.nc"), "missing.nc: no such file")
    for name in ("short.nc", "text.nc", "empty.nc"):
        one_line(run("evaluate", "small.yaml", "--controls", name), f"{name}: not a readable NetCDF file")
    one_line(run("evaluate", "small.yaml", "--controls", "."), "no such file")


def test_controls_of_another_width_or_horizon_exit_2_with_the_cure(solved, run):
    folder, _ = solved
    saved = folder / "out/result.nc"
    one_line(run("evaluate", "small.yaml", "--controls", saved, "-q", "--set", "network.width=3"), "network.width=1")
    one_line(run("evaluate", "small.yaml", "--controls", saved, "-q", "--set", "reference.horizon=0.3"), "[0, 0.2]")


def test_a_netcdf_without_controls_exits_2_and_says_what_is_missing(run):
    import xarray as xr

    xr.Dataset({"y": ("x", np.zeros(3))}).to_netcdf("other.nc", engine="h5netcdf")
    one_line(run("evaluate", "small.yaml", "--controls", "other.nc"), "holds no controls")


def test_evaluate_with_nothing_to_evaluate_exits_2(run):
    one_line(run("evaluate", "small.yaml", "-q"), "--controls")


def test_solving_a_problem_with_its_own_drift_exits_2_and_says_evaluate(run):
    Path("exact.yaml").write_text(EVALUATE)
    one_line(run("solve", "exact.yaml"), "controlsde evaluate")
    one_line(run("compare", "exact.yaml"), "controlsde evaluate")


def test_an_unknown_problem_exits_2_with_the_nearest_shipped_name(run):
    one_line(run("solve", "two-bump"), "did you mean 'two-bumps'?")


def test_an_unknown_solver_exits_2_and_lists_the_known_ones(run):
    one_line(run("solve", "small.yaml", "--solver", "magic"), "shooting, collocation", "'magic'")


def test_the_solver_option_replaces_the_files_solver_and_takes_its_settings(run):
    answer = run(
        "solve", "small.yaml", "--solver", "collocation", "--set", "solver.iterations=1", "-q", "--json", "-o", "out"
    )
    assert answer.json["solver"] == "collocation"
    assert answer.json["iterations"] <= 1
    assert Result.load("out/result.nc").problem.solver.kind == "collocation"


@pytest.mark.slow
def test_naming_the_files_own_solver_keeps_its_options(run):
    run("solve", "small.yaml", "--solver", "shooting", "-q", "-o", "out")
    assert Result.load("out/result.nc").problem.solver.iterations == 60


def test_two_solvers_at_once_exit_2(run):
    answer = run("solve", "small.yaml", "--solver", "collocation", "--set", "solver=shooting")
    one_line(answer, "contradict")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("network.width", "write KEY=VALUE"),
        ("=2", "the key is missing"),
        ("network.width=0", "network.width must be"),
        ("network.widht=2", "did you mean 'width'?"),
        ("noise=[", "--set noise=["),
        ("noise=!!python/object:os.system x", "not allowed"),
        ("domain.box.7=[0,1]", "index"),
    ],
)
def test_an_override_that_cannot_be_used_exits_2_and_names_itself(run, folder, override, part):
    one_line(run("solve", "small.yaml", "--set", override), f"--set {override.partition('=')[0]}", part)
    assert files(folder) == {"small.yaml"}


def test_a_folder_that_is_a_file_or_below_one_exits_2_before_anything_runs(run, folder):
    Path("taken").write_text("mine")
    for target in ("taken", "taken/below", "small.yaml/deep/er"):
        one_line(run("solve", "small.yaml", "-o", target), "not a folder", "-o DIR")
    assert Path("taken").read_text() == "mine"
    assert files(folder) == {"small.yaml", "taken"}


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is writable for root")
def test_an_unwritable_folder_exits_2_before_anything_runs(run):
    Path("locked").mkdir(mode=0o500)
    one_line(run("solve", "small.yaml", "-o", "locked/out"), "not writable")


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(run, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    one_line(run("solve", "small.yaml", "-o", "out"), "not writable", "-o DIR")
    one_line(run("compare", "small.yaml", "-o", "out"), "not writable", "-o DIR")


def test_problems_lists_every_shipped_problem_with_its_description(run, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    answer = run("problems")
    assert answer.code == 0
    for shipped in list_problems():
        (line,) = [line for line in answer.out.splitlines() if line.startswith(f"{shipped.name} ")]
        assert line.endswith(" ".join(shipped.description.split()))


def test_problems_as_json_gives_names_and_files(run):
    for shipped in run("problems", "--json").json:
        assert Path(shipped["path"]).stem == shipped["name"]


def test_schema_equals_the_documented_one(run):
    documented = Path(__file__).parents[2] / "docs" / "problem.schema.json"
    assert run("schema").json == json.loads(documented.read_text())


def test_check_predicts_sizes_and_writes_nothing(run, folder):
    answer = run("check", "small.yaml", "--json")
    assert answer.code == 0
    assert answer.json["unknowns"] == 25
    assert answer.json["stage_values"] == 25 * 3 * 2 * 2
    assert answer.json["refused"] == []
    assert files(folder) == {"small.yaml"}


def test_an_evaluation_of_nothing_says_what_may_be_given(run):
    answer = run("evaluate", "two-bumps", "-q")
    assert answer.code == 2
    expected = "two-bumps: --controls must be given, or a `drift:` in the problem: nothing to evaluate"
    assert answer.err.strip().splitlines()[-1] == expected


def test_check_warns_of_a_mesh_that_does_not_hold_the_reference(run):
    answer = run("check", "two-bumps", "--set", "mesh.elements=[3]")
    assert answer.code == 0
    assert "mesh.elements: [6]" in answer.err


def test_check_refuses_a_density_that_falls_between_the_nodes(run):
    narrow = "reference.data={kind: mixture, means: [0.1], stds: [1e-6]}"
    one_line(run("check", "two-bumps", "--set", narrow), "holds a mass of 0 ", "mesh.elements")


def test_results_at_nearly_the_same_noise_keep_apart(run):
    answer = run("compare", "small.yaml", "--noise", "1", "--noise", "1.0000001", "-o", "out", "--json")
    assert answer.code == 0, answer.err
    names = [entry["result"] for entry in answer.json["entries"]]
    assert names == ["out/noise-1.nc", "out/noise-1.0000001.nc"]
    assert [Result.load(name).noise for name in names] == [1.0, 1.0000001]


def test_something_in_the_way_of_a_result_is_found_before_anything_runs(run, folder):
    Path("out/result.nc").mkdir(parents=True)
    one_line(run("solve", "small.yaml", "-o", "out"), "out/result.nc", "move it away")
    Path("there").mkdir()
    Path("there/noise-0").write_text("")
    one_line(run("compare", "small.yaml", "-o", "there"), "there/noise-0", "move it away")
    assert not [name for name in files(folder) if name.endswith(".png")]


def test_controls_for_another_network_are_warned_of_and_two_drifts_refused(solved, run):
    folder, _ = solved
    result = str(folder / "out/result.nc")
    answer = run("evaluate", "small.yaml", "--controls", result, "--set", "network.activation=sin", "-q")
    assert "was made for network.activation=tanh, not sin" in answer.err
    weights = folder / "weights.safetensors"
    Result.load(result).save_weights(weights)
    again = run("evaluate", "small.yaml", "--controls", weights, "--set", "network.activation=sin", "-q", "--json")
    assert f"{weights} was made for network.activation=tanh, not sin" in again.err
    same = run("evaluate", "small.yaml", "--controls", weights, "-q", "--json")
    assert "was made for" not in same.err
    assert same.json["tracking"] == Result.load(result).to_json()["tracking"]
    Path("exact.yaml").write_text(EVALUATE)
    one_line(run("evaluate", "exact.yaml", "--controls", result), "exact.yaml", "leave one of them out")


@pytest.mark.parametrize("part", ["²", "9" * 5000])
def test_an_index_that_is_no_whole_number_is_refused(run, part):
    answer = run("check", "two-bumps", "--set", f"reference.data.means.{part}=1")
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_a_reference_that_cannot_be_built_names_the_key_that_it_is_about(run):
    on_a_circle = ("--set", "domain.walls=periodic", "--set", "domain.box=[[-3, 3]]")
    told = "--set domain.walls=periodic: domain.walls: an ornstein-uhlenbeck process does not fit periodic walls"
    one_line(run("check", "two-bumps", *on_a_circle), told)


def test_a_number_no_longer_finite_names_its_piece_and_keeps_the_last_iterate(run, monkeypatch):
    true, calls = Objective.evaluate, []

    def breaks_down(self, weights):
        calls.append(weights)
        if len(calls) > 4:
            raise NonFiniteError(1, "the density")
        return true(self, weights)

    monkeypatch.setattr(Objective, "evaluate", breaks_down)
    answer = run("solve", "small.yaml", "-o", "out", "--json")
    assert answer.code == 3
    assert "finite in piece 2" in answer.err
    assert "kept the last good iterate" in answer.err
    assert np.isfinite(answer.json["objective"])
    assert np.isfinite(Result.load("out/result.nc").controls.A).all()


def test_when_no_start_can_be_evaluated_exit_3_and_nothing_is_written(run, folder, monkeypatch):
    def breaks_down(*_):
        raise NonFiniteError(0, "the density")

    monkeypatch.setattr(Objective, "evaluate", breaks_down)
    answer = run("solve", "small.yaml", "-o", "out")
    assert answer.code == 3
    assert "no start could be evaluated: the density stopped being finite in piece 1" in answer.err
    assert files(folder) == {"small.yaml"}


def test_a_failure_that_nobody_foresaw_exits_1_with_its_trace(run, monkeypatch):
    def breaks(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("controlsde.tracking.posed.build_reference", breaks)
    answer = run("solve", "small.yaml", "-o", "out")
    assert answer.code == 1
    assert "a bug" in answer.err
    assert "please report it" in answer.err


def test_running_out_of_memory_says_so_in_one_line(run, monkeypatch):
    def breaks(*_):
        raise MemoryError

    monkeypatch.setattr("controlsde.tracking.posed.build_reference", breaks)
    answer = run("solve", "small.yaml", "-q", "-o", "out")
    assert answer.code == 1
    assert answer.err == "out of memory; `controlsde check PROBLEM` predicts how much a problem needs\n"


def test_what_is_not_finite_is_called_so_everywhere(run, tmp_path):
    problem = tmp_path / "beyond.yaml"
    problem.write_text(
        """
domain: {box: [[-5, 5]]}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: 1
  data: {kind: mixture, means: [1.0], stds: [0.5]}
noise: 0.5
drift: {kind: formula, expressions: ["2 + where(x > 4.9999, -20000, 0)"]}
monte_carlo: {particles: 1000, steps_per_piece: 16}
controls: {pieces: 2}
"""
    )
    found = run("evaluate", str(problem), "-o", str(tmp_path / "out"))
    assert found.code == 4
    assert "nan" not in found.err
    assert re.search(r"L² error at T +not finite", found.err)
    assert "on finer meshes it grows beyond what a computer holds" in found.err
