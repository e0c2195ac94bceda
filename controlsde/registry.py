"""Everything that a word may name, a line for each: to add one, write its file and its line here.

An installed package adds names of its own by entry points of the same groups; see docs/extending.md.
"""

from __future__ import annotations

from controlsde.foundation.extensions import Extensions

DENSITIES = Extensions(
    "controlsde.densities",
    {
        "mixture": "controlsde.problem.density_specs:MIXTURE",
        "product": "controlsde.problem.density_specs:PRODUCT",
        "samples": "controlsde.problem.density_specs:SAMPLES",
        "gaussians": "controlsde.problem.density_specs:GAUSSIANS",
        "uniform": "controlsde.problem.density_specs:UNIFORM",
        "boxes": "controlsde.problem.density_specs:BOXES",
        "truncated": "controlsde.problem.density_specs:TRUNCATED",
        "student-t": "controlsde.problem.density_specs:STUDENT_T",
        "funnel": "controlsde.problem.density_specs:FUNNEL",
        "image": "controlsde.problem.density_specs:IMAGE",
        "formula": "controlsde.problem.density_specs:FORMULA",
    },
)
SOLVERS = Extensions(
    "controlsde.solvers",
    {
        "shooting": "controlsde.solvers.shooting:SOLVER",
        "collocation": "controlsde.solvers.collocation:SOLVER",
        "score-matching": "controlsde.solvers.drift_fitting:SCORE_MATCHING",
        "switching": "controlsde.solvers.drift_fitting:SWITCHING",
    },
)
BACKENDS = Extensions(  # of the particles; the first that serves a process moves it
    "controlsde.backends",
    {
        "triton": "controlsde.monte_carlo.backends.triton.backend:offer",
        "numba": "controlsde.monte_carlo.backends.numba.backend:offer",
        "torch": "controlsde.monte_carlo.backends.torch.backend:offer",
        "numpy": "controlsde.monte_carlo.backends.numpy.backend:offer",
    },
)
DISTANCES = Extensions(  # between ρ(T) and p(T), in the order in which results tell them
    "controlsde.distances",
    {
        "tv": "controlsde.distances.final:TOTAL_VARIATION",
        "kl": "controlsde.distances.final:KULLBACK_LEIBLER",
        "w1": "controlsde.distances.final:WASSERSTEIN_1",
        "w2": "controlsde.distances.final:WASSERSTEIN_2",
        "h-1": "controlsde.distances.final:SOBOLEV",
    },
)
PARTICLE_DISTANCES = Extensions(  # between particles and p(T), in free space, in the order in which results tell them
    "controlsde.particle_distances",
    {
        "mollified": "controlsde.distances.particle_distances:MOLLIFIED",
        "energy_distance": "controlsde.distances.particle_distances:ENERGY_DISTANCE",
        "sliced_w2": "controlsde.distances.particle_distances:SLICED_WASSERSTEIN_2",
        "bures_w2": "controlsde.distances.particle_distances:BURES_WASSERSTEIN_2",
    },
)
VIEWS = Extensions(  # of results, which stand before what shows them on the map and know it by name alone
    "controlsde.views",
    {
        "report of a result": "controlsde.report.page.writing:report_result",
        "report of a comparison": "controlsde.report.page.writing:report_comparison",
        "report of a simulation": "controlsde.report.page.writing:report_simulation",
        "report of a sweep": "controlsde.report.page.sweep_page:report_sweep",
        "reports of a sweep's runs": "controlsde.report.page.sweep_reports:report_runs",
        "film": "controlsde.report.film:save_film",
        "contact sheet": "controlsde.report.contact_sheet:save_contact_sheet",
    },
)
CLAIMS = Extensions(
    "controlsde.claims",
    {
        "noise-upgrades-convergence": "controlsde.claims.noise_upgrades_convergence:CLAIM",
        "score-loss-bounds-l2": "controlsde.claims.score_loss_bounds_l2:CLAIM",
        "narrow-switching": "controlsde.claims.narrow_switching:CLAIM",
        "gaussian-start": "controlsde.claims.gaussian_start:CLAIM",
        "noise-helps-only-later": "controlsde.claims.noise_helps_only_later:CLAIM",
        "path-kl-is-loose": "controlsde.claims.path_kl_is_loose:CLAIM",
        "ou-semigroup-score": "controlsde.claims.ou_semigroup_score:CLAIM",
        "moser-flow": "controlsde.claims.moser_flow:CLAIM",
        "reverse-wrong-start": "controlsde.claims.reverse_wrong_start:CLAIM",
        "sgld-gaussian-mean": "controlsde.claims.sgld_gaussian_mean:CLAIM",
        "log-concave-contraction": "controlsde.claims.log_concave_contraction:CLAIM",
        "four-error-terms": "controlsde.claims.four_error_terms:CLAIM",
        "score-network-regularity": "controlsde.claims.score_network_regularity:CLAIM",
        "narrow-network-tracks": "controlsde.claims.narrow_network_tracks:CLAIM",
        "narrow-network-2d": "controlsde.claims.narrow_network_2d:CLAIM",
        "gaussian-ode-and-sde": "controlsde.claims.gaussian_ode_and_sde:CLAIM",
        "disconnected-support": "controlsde.claims.disconnected_support:CLAIM",
        "empirical-data": "controlsde.claims.empirical_data:CLAIM",
        "bounded-and-unbounded": "controlsde.claims.bounded_and_unbounded:CLAIM",
        "schedule-sensitivity": "controlsde.claims.schedule_sensitivity:CLAIM",
        "boundary-conditions": "controlsde.claims.boundary_conditions:CLAIM",
        "activations": "controlsde.claims.activations:CLAIM",
        "forward-noise": "controlsde.claims.forward_noise:CLAIM",
        "feedback-and-forgetting": "controlsde.claims.feedback_and_forgetting:CLAIM",
        "slips-in-print": "controlsde.claims.slips_in_print:CLAIM",
        "gramian-and-noise": "controlsde.claims.gramian_and_noise:CLAIM",
        "energy-bound": "controlsde.claims.least_energy:CLAIM",
        "price-of-narrowness": "controlsde.claims.price_of_narrowness:CLAIM",
        "free-lengths": "controlsde.claims.lengths_of_pieces:CLAIM",
        "noise-frontier": "controlsde.claims.noise_frontier:CLAIM",
        "bound-prefers-noise": "controlsde.claims.bound_prefers_noise:CLAIM",
        "narrow-networks-on-digits": "controlsde.claims.narrow_networks_on_digits:CLAIM",
        "noise-frontier-free-lengths": "controlsde.claims.noise_frontier:FREE_LENGTHS",
    },
)
