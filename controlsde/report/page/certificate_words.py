"""The checks of the certificate in plain words: the question that each answers, how, and what it means when it fails.

Comes in: a check by its name. Goes out: sentences for a reader who has never seen one. Formulas and the reasons of the
limits stand in `controlsde/verification/certificate.py` and, of free space, in `free_certificate.py` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plain:
    """What a check asks, how it is answered, what a failure means, and where the check does not apply, if anywhere."""

    question: str
    how: str
    failed: str
    only: str = ""


CHANGE = "in the L² norm, as a share of ‖p(T)‖"

PLAIN = {
    "mass_error": Plain(
        "Is no mass lost or made?",
        "The integral of ρ over the box, at every time, beside that at the start.",
        "Closed walls keep all mass. More than rounding means a fault of the software: please report it.",
        "only where walls keep the mass",
    ),
    "negative_mass": Plain(
        "Is the density nowhere negative?",
        "The integral of the negative part of ρ at T; a fine enough mesh leaves next to none.",
        "The mesh is too coarse for the density, which oscillates below zero.",
    ),
    "resolution": Plain(
        "Does the mesh of the verification hold the density?",
        "How much of ρ sits in the finest wave that an element of the mesh can show.",
        "The density has details that even the finest mesh does not show: its numbers are rough.",
    ),
    "refined_l2_change": Plain(
        "Was the solver's own mesh fine enough?",
        f"The same controls again, on at least 1.5 times the elements and in time by another method: how far ρ moves, "
        f"{CHANGE}.",
        "The solver made use of errors of its own mesh. The controls do less than it believed: give it more elements "
        "or steps.",
    ),
    "refinement": Plain(
        "Has the verification itself settled?",
        f"Its last two meshes, and shorter time steps, beside each other: how far ρ(T) moves, {CHANGE}.",
        "The verified numbers still move under refinement, and cannot be trusted to the digits shown.",
    ),
    "target_mass": Plain(
        "Do the distances see all of the target?",
        "The mass of p(T) on the fine grid on which distances are taken, beside 1.",
        "A part of the target falls between the points of the grid: distances to it mean little.",
    ),
    "target_change": Plain(
        "Could the solver see its target?",
        f"p(T) as the solver's mesh holds it, beside p(T) itself, {CHANGE}.",
        "The solver tracked something else than the target: its mesh does not hold it.",
    ),
    "target_norm": Plain(
        "Is nothing narrow hidden in the target?",
        "‖p(T)‖ on that grid beside the same in closed form, or by bounds between all points.",
        "A part of the target is narrower than the cells of the grid, so that no distance sees it.",
    ),
    "final_norm": Plain(
        "Is nothing narrow hidden in the controlled density?",
        "‖ρ(T)‖ on that grid beside the same on the refined mesh.",
        "The controlled density has spikes that are narrower than the cells of the grid.",
    ),
    "start_norm": Plain(
        "Is nothing narrow hidden in the density at the start?",
        "‖p(0)‖ on that grid beside the same in closed form.",
        "A part of the density at t = 0 is narrower than what the grid sees, and is missing from then on.",
        "only where the problem gives the density at t = 0",
    ),
    "start_change": Plain(
        "Does the mesh hold the density at the start?",
        "ρ(0) as the refined mesh holds it, beside ρ(0) itself, as a share of its norm.",
        "What is lost at the start stays lost: the mesh is too coarse for it.",
    ),
    "density_unseen": Plain(
        "Can a density given by a formula hide anything?",
        "Interval arithmetic encloses the formula between all points where it was evaluated.",
        "Between the points something may be that nobody has looked at.",
        "only for densities given by formulas",
    ),
    "drift_unseen": Plain(
        "Does the drift do anything between the points of the mesh?",
        "Interval arithmetic encloses the drift between nodes and moments; what it may do there to ρ is estimated.",
        "The drift has a strip or a pulse so narrow that the mesh steps over it.",
        "only for networks and formulas",
    ),
    "forward_unseen": Plain(
        "Does the forward drift do anything between the points of its mesh?",
        "The same, of the formulas that noise the data.",
        "The reference itself steps over something, and so does all that tracks it.",
        "only for forward processes given by formulas",
    ),
    "diffusivity_unseen": Plain(
        "Is the noise integrated as it varies in time?",
        "The variance that D(t) adds, beside what the moments of the integrator saw of it.",
        "D(t) has a pulse between two moments, which was missed.",
        "only where D varies in time",
    ),
    "characteristics_l2_change": Plain(
        "Does a method without any mesh see the same density?",
        f"Points are traced back along the flow to t = 0, the density along the way: how far ρ(T) is off, {CHANGE}.",
        "The mesh and the characteristics disagree, so that neither can be trusted.",
        "only without noise",
    ),
    "energy_bound_refined": Plain(
        "Does the proved least energy hold on a finer mesh?",
        "The same proof, judged on a finer mesh: by what share of the energy spent the bound moves.",
        "The bound of the energy, and the price, are only rough.",
        "only with noise",
    ),
    "monte_carlo_z": Plain(
        "Do simulated particles see the same error?",
        "Particles are moved by the stochastic equation itself; the difference from the mesh, in standard errors, "
        "along the error at T.",
        "Mesh and particles disagree by more than chance: take more steps a piece, or trust neither.",
        "unless the run was interrupted",
    ),
    "monte_carlo_modes": Plain(
        "Do they see the same density in every detail?",
        "The same over all waves at once, in standard deviations of that sum.",
        "Mesh and particles disagree somewhere by more than chance.",
        "unless the run was interrupted",
    ),
    "terminal_error": Plain(
        "Is the error at T within what the problem asks for?",
        "‖ρ(T) − p(T)‖ on the refined mesh, in the norm of the problem.",
        "The answer misses the limit that the problem sets for the error at T.",
        "only where the problem sets a limit",
    ),
    "lost": Plain(
        "Are all particles still there?",
        "The share of particles whose place at T is not a number.",
        "Particles ran off: the drift is too steep for its time steps, or it blows up. No distance is told then.",
    ),
    "step_change": Plain(
        "Were the time steps short enough?",
        "Particles run again along the same Brownian paths with every step halved: how far their law at T moves, in "
        "the mollified norm, as a share of p's own.",
        "The steps were measured, and not the controls: take more steps a piece.",
    ),
    "exact_drift": Plain(
        "Does the evaluation find no fault where there is none?",
        "The exact drift, which tracks without error, is run through the same evaluation: its worst distance from p, "
        "in standard deviations of draws from p itself.",
        "The evaluation is biased: it would find the exact drift wrong, so that its distances mean little.",
        "where the process starts from p(0) itself",
    ),
    "score_loss_ratio": Plain(
        "Does the fit hold at points that it has not seen?",
        "The score-matching loss at fresh samples of p, over the loss at the points of the fit.",
        "The network has learnt its points by heart: give the solver more samples, or a narrower network.",
        "only of controls that were fitted to samples",
    ),
    "likelihood_change": Plain(
        "Is the likelihood integrated finely enough?",
        "By how many nats a dimension the mean log-likelihood moves when every step along the flow is halved.",
        "The log-likelihood is only rough: take more steps a piece.",
        "only without noise",
    ),
    "bound_agreement": Plain(
        "Do two ways to bound KL agree?",
        "KL(p‖ρ) is bounded by paths that go back from the data and by the drift's misfit at samples of p: the "
        "difference of the two estimates, in standard errors.",
        "Both estimate one number and disagree by more than chance: take more steps a piece, or trust neither.",
        "only with noise",
    ),
}


def closeness(value: float, limit: float) -> str:
    """How much of a limit was used, in words."""
    if value != value:
        return "not a number"
    if limit <= 0:
        return "and none is allowed"
    share = value / limit
    if share > 1:
        return f"{share:.3g} times the limit"
    return (
        "under 1\N{NO-BREAK SPACE}% of the limit"
        if share < 0.01
        else f"{100 * share:.2g}\N{NO-BREAK SPACE}% of the limit"
    )
