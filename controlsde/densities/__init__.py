"""Data densities: mixtures, samples, pictures, uniform, truncated and formulas, with gradients and samples."""

from controlsde.densities.boxes import BoxesDensity
from controlsde.densities.conditioned import ConditionedDensity
from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.density import Density, LineDensity
from controlsde.densities.density_building import build_density, condition
from controlsde.densities.formula_density import FormulaDensity
from controlsde.densities.image import ImageDensity
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.sampling import GridSampler
from controlsde.densities.truncated import TruncatedMixture

__all__ = [
    "BoxesDensity",
    "ConditionedDensity",
    "CorrelatedMixture",
    "Density",
    "FormulaDensity",
    "GaussianMixture",
    "GridSampler",
    "ImageDensity",
    "LineDensity",
    "TruncatedMixture",
    "build_density",
    "condition",
]
