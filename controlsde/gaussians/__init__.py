"""Gaussians, exactly: their distances, what time steps of linear processes end in, and Langevin chains for a mean."""

from controlsde.gaussians.langevin import MeanChain
from controlsde.gaussians.law import Law, kullback_leibler, wasserstein_2
from controlsde.gaussians.reversal import contraction, kept, noised, noised_variance, reverse_process
from controlsde.gaussians.schemes import SCHEMES, LinearProcess, law_after

__all__ = [
    "SCHEMES",
    "Law",
    "LinearProcess",
    "MeanChain",
    "contraction",
    "kept",
    "kullback_leibler",
    "law_after",
    "noised",
    "noised_variance",
    "reverse_process",
    "wasserstein_2",
]
