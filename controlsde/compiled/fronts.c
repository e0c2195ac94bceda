/* Factors by fronts, as Python calls them, see library.py: they hold no state, and may run in several threads at once. */

#include "fronts.h"
#include "vectors.h"

#define KERNELS "front_kernels.h"
#include "every_set.h"

/* What is held of all blocks: the entries of N, then the factors. */
static double *factors_of(const Fronts *c, double *held, int64_t block) {
    return held + c->blocks * c->entries + block * c->slots * c->factor_numbers;
}

/* All functions return 1 without memory, else 0.

   For drifts (blocks, drift values): N = still - h times the transport, and the factors of l I + N, into `held`, with
   numbers for (entries + slots * factor_numbers) of every block. */
EXPORT int64_t fronts_factorise(const Fronts *c, const double *drift, double *held) {
    int64_t failed = 0;
    for (int64_t block = 0; block < c->blocks && !failed; block++) {
        double *values = held + block * c->entries;
        for (int64_t e = 0; e < c->entries; e++) {
            double sum = 0.0;
            for (int64_t k = c->inputs_at[e]; k < c->inputs_at[e + 1]; k++)
                sum += c->shares[k] * drift[block * c->drift_values + c->inputs[k]];
            values[e] = c->still[block * c->entries + e] - c->lengths[block] * sum;
        }
        failed = CALL(factorise, c, values, factors_of(c, held, block));
    }
    return failed;
}

/* Y + a x N Y = 1 x rho, step after step through all blocks: for initial (n) the stages (blocks, steps, s, n). */
EXPORT int64_t fronts_forward(const Fronts *c, int64_t steps, double *held, const double *initial, double *stages,
                              double *residual) {
    return CALL(fronts_forward, c, steps, held, factors_of(c, held, 0), initial, stages, residual);
}

/* L + a' x N' L = Z, the steps in reverse, with the sum of L over its stages added to the last one of Z of the step
   before: for cotangent (blocks, steps, s, n) the multipliers, of that shape, and the sum at the start of each block
   (blocks, n). */
EXPORT int64_t fronts_back(const Fronts *c, int64_t steps, double *held, const double *cotangent, double *multipliers,
                           double *starts, double *residual) {
    return CALL(fronts_back, c, steps, held, factors_of(c, held, 0), cotangent, multipliers, starts, residual);
}

/* Y + a x N Y = R in one block: for right (s, n, columns), or (n, columns) of all stages where alike, the stages (s, n,
   columns). The columns are a multiple of eight. */
EXPORT int64_t fronts_solve(const Fronts *c, int64_t block, int64_t columns, int64_t alike, double *held,
                            const double *right, double *stages, double *residual) {
    return CALL(fronts_solve, c, held + block * c->entries, factors_of(c, held, block), columns, alike != 0, right, stages,
                residual);
}

/* For derivatives of the drift by weights, slope (drift values, P), the transport that they make of densities (n, columns),
   moved (n, columns, P), and its transpose of multipliers (n, columns), pulled (n, columns, P). P is a multiple of eight,
   and both arrays are zero. */
EXPORT int64_t fronts_transport(const Fronts *c, int64_t columns, int64_t weights, const double *slope,
                                const double *densities, const double *multipliers, double *moved, double *pulled) {
    CALL(fronts_transport, c, columns, weights, slope, densities, multipliers, moved, pulled);
    return 0;
}
