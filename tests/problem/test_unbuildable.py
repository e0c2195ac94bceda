"""What is valid key by key and can still not be computed with: one line with place and cure."""

import pytest

from tests.quick import slow

BOX = "domain: {box: [[-5, 5]]}\n"
MIXTURE = "{kind: mixture, means: [-1.5, 1.5], stds: [0.3, 0.3]}"
SMALL = "mesh: {elements: [8], steps_per_piece: 2}\nmonte_carlo: {particles: 100}\n"


def reversed_diffusion(data=MIXTURE, forward="ornstein-uhlenbeck"):
    return (
        BOX + f"reference:\n  kind: reversed-diffusion\n  horizon: 1.5\n  forward: {forward}\n  data: {data}\n" + SMALL
    )


def drift(*texts, box=BOX):
    listed = ", ".join(f'"{text}"' for text in texts)
    return reversed_diffusion().replace(BOX, box) + f"drift: {{kind: formula, expressions: [{listed}]}}\n"


PLANE = "domain: {box: [[-6, 6], [-6, 6]]}\n"

# Beyond what doubles hold, or single precision, or anything that could be followed in steps; or not finite somewhere.
DRIFTS = {
    "sinh(x)*1e300": ("at most 666667", "x = -5", "scale it down"),
    "1e308": ("at most", "scale it down"),
    "softplus(1e308)": ("at most", "scale it down"),
    "1e200*exp(-x**2)": ("at most", "x = 0"),
    "exp(1e3*t)": ("at most", "t = "),
    "1e308*t": ("at most", "t = "),
    "exp(90*x)/(1 + exp(90*x))": ("single precision", "1e38"),
    "log(x)": ("finite", "nan at x = -5"),
    "0/0*x": ("column 2", "not finite"),
    "sqrt(-x)": ("finite", "x = 0.005"),
    "x/(t - 0.75)": ("finite", "t = 0.75"),
}

FORWARDS = ("sinh(x)*1e300", "1e308", "softplus(1e308)", "1e200*exp(-x**2)", "log(x)", "sqrt(-x)")

SCHEDULES = {
    "1e308": "at most 1e+06",
    "exp(1e3*s)": "finite",
    "1e200*exp(-s**2)": "at most 1e+06",
    "log(s)": "finite",
    "1/s": "finite",
    "s - 1": "got -1 at s = 0",
    "0*s": "zero from s = 0",
    "sin(1e9*s) + 1": "cannot be integrated",
}


@pytest.mark.parametrize("command", ["check", "evaluate"])
@pytest.mark.parametrize("text", DRIFTS)
def test_a_drift_that_cannot_be_computed_with_is_told_where_it_is_written(text, command, refused):
    (line,) = refused(command, "bad.yaml", text=drift(text))
    assert line.startswith("bad.yaml:9:38: drift.expressions.0 ")
    for part in DRIFTS[text]:
        assert part in line


@pytest.mark.parametrize("command", ["check", "evaluate"])
def test_each_component_of_a_drift_is_tried_on_the_whole_box(command, refused):
    text = drift("x", "1e300*y", box=PLANE).replace("means: [-1.5, 1.5]", "means: [[-1.5, 0], [1.5, 0]]")
    (line,) = refused(command, "bad.yaml", text=text.replace("[8]", "[3, 3]"))
    assert line.startswith("bad.yaml:9:43: drift.expressions.1 must be at most")
    assert "x = -6, y = -6" in line


@pytest.mark.parametrize("command", ["check", "evaluate"])
@pytest.mark.parametrize("text", FORWARDS)
def test_a_forward_process_that_cannot_be_computed_is_told_with_its_place(text, command, refused):
    forward = f'{{kind: formula, drift: "{text}", diffusivity: 1}}'
    (line,) = refused(command, "bad.yaml", text=reversed_diffusion(forward=forward))
    assert line.startswith("bad.yaml:5:35: reference.forward.drift")


@pytest.mark.parametrize("command", ["check", slow("evaluate")])
@pytest.mark.parametrize("text", SCHEDULES)
def test_a_schedule_that_cannot_be_computed_with_is_told_where_it_is_written(text, command, refused):
    forward = f'{{kind: ve, schedule: "{text}"}}'
    (line,) = refused(command, "bad.yaml", text=reversed_diffusion(forward=forward))
    assert line.startswith("bad.yaml:5:33: reference.forward.schedule")
    assert SCHEDULES[text] in line


@pytest.mark.parametrize("text", ["1e5", "600000*sin(3*x)", "where(t < 1, 0, 1e5*x)"])
def test_a_drift_is_allowed_to_cross_the_box_within_the_shortest_piece(text, accepted):
    assert not any("warning" in line and "drift" in line for line in accepted(drift(text)).splitlines())


@pytest.mark.parametrize("command", ["check", slow("evaluate"), "solve", slow("compare")])
def test_a_density_that_no_basis_holds_is_told_where_it_is_written(command, refused):
    data = '{kind: formula, expression: "exp(-x**2*1e10)"}'
    line = refused(command, "bad.yaml", text=reversed_diffusion(data))[-1]
    assert line.startswith("bad.yaml:6:9: reference.data: ")
    assert "broader" in line
    assert "nan" not in line


def test_a_density_that_cannot_be_integrated_is_told_with_its_place(refused):
    data = '{kind: formula, expression: "sin(1e9*x) + 1"}'
    (line,) = refused("check", "bad.yaml", text=reversed_diffusion(data))
    assert line.startswith("bad.yaml:6:37: reference.data.expression: the function is unbounded or varies on every")


@pytest.mark.parametrize("command", ["check", pytest.param("solve", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("text", "at"), [slow(("sign(x)", "x = 0")), ("where(x < 1, -x, 2)", "x = 1")])
def test_a_forward_process_that_jumps_is_told_with_place_and_cure(text, at, command, refused):
    forward = f'{{kind: formula, drift: "{text}", diffusivity: 1}}'
    line = refused(command, "bad.yaml", text=reversed_diffusion(forward=forward))[-1]
    assert line.startswith(f"bad.yaml:5:35: reference.forward.drift: jumps at {at}")
    assert "tanh" in line


@pytest.mark.slow
@pytest.mark.parametrize("text", ["-1e5*x", "1e4*x"])
def test_a_forward_process_too_strong_for_any_mesh_is_refused_soon(text, refused):
    forward = f'{{kind: formula, drift: "{text}", diffusivity: 1}}'
    (line,) = refused("check", "bad.yaml", text=reversed_diffusion(forward=forward), seconds=60)
    assert line.startswith("bad.yaml:5:35: reference.forward.drift: the forward process is not resolved")


NARROW = "{kind: mixture, means: [0], stds: [0.001]}"
BROAD = "{kind: mixture, means: [0], stds: [0.5]}"


def between(first, last, kind):
    return BOX + f"reference:\n  kind: {kind}\n  horizon: 1.5\n  from: {first}\n  to: {last}\n" + SMALL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (between(NARROW, BROAD, "displacement"), "bad.yaml:5:9: reference.from: the mesh holds a mass of"),
        (between(BROAD, NARROW, "displacement"), "bad.yaml:6:7: reference.to: the mesh holds a mass of"),
        (between(BROAD, NARROW, "moser"), "bad.yaml:5:9: reference.from: the moser field is unbounded"),
        (
            between("uniform", BROAD, "displacement").replace(BOX, "domain: {box: [[-5, 5]], walls: periodic}\n"),
            "bad.yaml:1:33: domain.walls: displacement references move mass on straight lines",
        ),
        (
            reversed_diffusion().replace(BOX, "domain: {box: [[-3, 3]], walls: periodic}\n"),
            "bad.yaml:1:33: domain.walls: an ornstein-uhlenbeck process does not fit periodic walls",
        ),
        (
            BOX + "reference: {kind: foellmer, horizon: 1.5, data: {kind: formula, expression: '1'}}\n",
            "bad.yaml:2:49: reference.data: foellmer references have a closed form",
        ),
        (
            BOX + "reference: {kind: foellmer, horizon: 1.5, diffusivity: 100, data: uniform}\n",
            "bad.yaml:1:15: domain.box: the pinned Brownian motion has",
        ),
    ],
)
@pytest.mark.parametrize("command", ["check", slow("solve")])
def test_what_arises_while_a_reference_is_built_is_told_at_its_key(text, expected, command, refused):
    line = refused(command, "bad.yaml", text=text)[-1]
    assert line.startswith(expected)


def test_elements_that_are_named_as_a_cure_are_enough(refused, accepted):
    data = '{kind: formula, expression: "exp(-1e4*x**2)"}'
    (line,) = refused("check", "bad.yaml", text=reversed_diffusion(data))
    elements = line.rsplit("use mesh.elements: ", 1)[1]
    accepted(reversed_diffusion(data).replace("[8]", elements))


def test_widths_that_are_named_as_a_cure_are_enough(refused, accepted):
    text = reversed_diffusion("{kind: mixture, means: [0], stds: [0.00001]}")
    (line,) = refused("check", "bad.yaml", text=text, seconds=60)
    assert line.startswith("bad.yaml:6:9: reference.data: ")
    least = line.split("the least stds that fit here are ")[1].split(",")[0]
    elements = line.split("with mesh.elements: ")[1].split(";")[0]
    accepted(text.replace("0.00001", least).replace("[8]", elements))
