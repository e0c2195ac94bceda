"""One neuron, five activations: how well each tracks the same reference, with and without noise."""

from __future__ import annotations

from dataclasses import dataclass

from controlsde.claims.harness.claim import Claim, Findings, Setting
from controlsde.claims.harness.optimised import small_budget
from controlsde.claims.harness.variants import compare_variants
from controlsde.control.network import ACTIVATIONS


@dataclass(frozen=True)
class Parameters:
    """activations; two bumps N(±mean, deviation²), horizon T; noise η; neurons, pieces and random starts."""

    activations: tuple[str, ...] = ACTIVATIONS
    mean: float = 1.5
    deviation: float = 0.3
    horizon: float = 1.5
    noise: tuple[float, ...] = (0.0, 1.0)
    width: int = 1
    pieces: int = 8
    seeds: int = 3


def problem_text(parameters: Parameters, activation: str, noise: float) -> str:
    """The same problem for a network with this activation."""
    return f"""
domain: {{box: [[-5, 5]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: {parameters.horizon!r}
  data:
    {{kind: mixture, means: [{-parameters.mean!r}, {parameters.mean!r}], stds: {[parameters.deviation] * 2}}}
noise: {noise!r}
{small_budget(parameters.pieces, width=parameters.width, activation=activation)}
"""


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every activation at every noise level, from the same seeds."""
    variants = compare_variants(
        parameters.activations,
        parameters.noise,
        lambda name, noise: problem_text(parameters, name, noise),
        range(parameters.seeds),
        setting.progress,
    )
    last = parameters.noise[-1]
    return Findings(
        tuple(variants.rows(("l2", "w2", "objective"))),
        (
            variants.panel("error in L²", "l2"),
            variants.panel("error in transport", "w2"),
            variants.panel("objective", "objective", y_log=True),
            variants.picture(f"the best controls, η = {last:g}", last),
        ),
        variants.sentence(),
    )


CLAIM = Claim(
    id="activations",
    source="P1",
    title="Which activation? One neuron, five kinds",
    statement=(
        "The drift is A σ(Wx + b) with weights that are constant on pieces. That narrow networks suffice in the limit "
        "is proved for classes of activations, and says nothing of few pieces: how well does each activation track the "
        "same two bumps on the same budget? There is no expected winner."
    ),
    formulas=(
        "σ: tanh z;  sigmoid 1/(1 + e^{−z});  softplus log(1 + e^z);  sin z;  relu max(z, 0)",
        "tanh and sin push both ways; one neuron of sigmoid, softplus or relu pushes all mass the same way",
    ),
    parameters=Parameters(),
    fast=Parameters(activations=("tanh", "relu"), noise=(1.0,), pieces=2, seeds=1),
    experiment=experiment,
    meaning=(
        "Here the sine does best, with noise and without: alone of the five its neuron has several zeros on the box, "
        "so that it pulls to several places at once, and the target has two. That is a fact about two bumps, not about "
        "sines. The bounded monotone ones, tanh and sigmoid, come next. Softplus and relu, which push without bound, "
        "do worst, and without noise few of their answers survive the verification (of relu none): they squeeze mass "
        "into peaks that no mesh resolves. What did not verify is left out of the means."
    ),
    further="A second neuron gives every kind both signs: `--set width=2`.",
    expects="open",
)
