"""Short ways to write references for tests."""

import numpy as np

from controlsde.problem import schema
from controlsde.reference import build_reference


def reversed_diffusion(data, box, forward="heat", walls="reflecting", horizon=0.5, diffusivity=0.7, **rest):
    kind = schema.Heat if forward == "heat" else schema.OrnsteinUhlenbeck
    spec = schema.ReversedDiffusion(forward=kind(diffusivity=diffusivity), horizon=horizon, data=data, **rest)
    return build_reference(spec, schema.Domain(box=box, walls=walls))


def scheduled(data, box, forward, walls="reflecting", horizon=0.5, **rest):
    spec = schema.ReversedDiffusion(forward=forward, horizon=horizon, data=data, **rest)
    return build_reference(spec, schema.Domain(box=box, walls=walls))


def formula_forward(data, box, drift, walls="reflecting", horizon=0.5, diffusivity=1.0, **rest):
    texts = (drift,) if isinstance(drift, str) else drift
    forward = schema.FormulaForward(drift=texts, diffusivity=diffusivity)
    return scheduled(data, box, forward, walls, horizon, **rest)


def foellmer(data, box, walls="reflecting", **rest):
    spec = schema.Foellmer(data=data, **{"point": (0.0,) * len(box), **rest})
    return build_reference(spec, schema.Domain(box=box, walls=walls))


def between(kind, start, end, box, walls, **rest):
    spec = kind.model_validate({"from": start.model_dump(), "to": end.model_dump(), **rest})
    return build_reference(spec, schema.Domain(box=box, walls=walls))


def moser(start, end, box, walls="reflecting", **rest):
    return between(schema.Moser, start, end, box, walls, **rest)


def displacement(start, end, box, walls="reflecting", **rest):
    return between(schema.Displacement, start, end, box, walls, **rest)


def gaussian(mean, std):
    return schema.Mixture(means=(mean,), stds=(std,))


def formula(text):
    return schema.FormulaSpec(expression=text)


def column(low, high, count):
    return np.linspace(low, high, count)[:, None]


MIXTURE = schema.Mixture(weights=(0.4, 0.6), means=((-0.5,), (0.6,)), stds=((0.3,), (0.2,)))
MIXTURE_2D = schema.Mixture(weights=(0.4, 0.6), means=((-0.5, 0.2), (0.6, -0.3)), stds=((0.3, 0.25), (0.2, 0.3)))
MIXTURE_3D = schema.Mixture(
    weights=(0.4, 0.6), means=((-0.5, 0.2, 0.1), (0.6, -0.3, 0.0)), stds=((0.3, 0.25, 0.3), (0.2, 0.3, 0.4))
)
CORRELATED = schema.Mixture(
    weights=(0.4, 0.6),
    means=((-0.5, 0.2), (0.6, -0.3)),
    covariances=(((0.09, 0.05), (0.05, 0.07)), ((0.04, -0.02), (-0.02, 0.09))),
)
CORRELATED_3D = schema.Mixture(
    means=((-0.2, 0.2, 0.1),), covariances=(((0.2, 0.05, -0.04), (0.05, 0.15, 0.03), (-0.04, 0.03, 0.1)),)
)
STUDENT_T = schema.StudentT(degrees_of_freedom=2.5, location=(0.1,), scale=(0.3,))
STUDENT_T_2D = schema.StudentT(degrees_of_freedom=2.5, location=(0.1, -0.2), scale=(0.4, 0.6))
FUNNEL = schema.Funnel(std=0.8)
IMAGE = schema.Image(pixels=((0, 200, 255), (255, 90, 30), (120, 255, 255)), bandwidth=(0.2,), floor=0.05)
TRUNCATED = schema.Truncated(mean=(0.3,), std=(0.5,))
UNIFORM = schema.Uniform(low=(-0.4,), high=(0.7,))
UNIFORM_2D = schema.Uniform(low=(-0.4, -0.8), high=(0.7, 0.9))
SMOOTH = formula("exp(-x**2) * (1.2 + sin(2*x))")
SMOOTH_2D = formula("exp(-x**2 - y**2 / 2) * (1.2 + sin(2*x*y))")
JUMP = formula("where(x < 0.1, 1, 0.4)")
