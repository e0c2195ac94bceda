"""Data densities: mixtures, samples, uniform, truncated and formulas, with gradients and samples."""

from controlsde.densities.building import build_density, condition
from controlsde.densities.formula import FormulaDensity
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.protocol import Density, LineDensity
from controlsde.densities.sampling import sample_from_density
from controlsde.densities.truncated import TruncatedMixture
from controlsde.densities.uniform import UniformDensity

__all__ = [
    "Density",
    "FormulaDensity",
    "GaussianMixture",
    "LineDensity",
    "TruncatedMixture",
    "UniformDensity",
    "build_density",
    "condition",
    "sample_from_density",
]
