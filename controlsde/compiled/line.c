/* The functions that Python calls, see library.py: each is compiled for several instruction sets, and the processor
   that it runs on chooses. They hold no state, and may run in several threads at once. */

#include "line.h"
#include "vectors.h"

#define KERNELS "line_kernels.h"
#include "every_set.h"

/* Which sources this was compiled from, for the other side to compare with. */
EXPORT const char *loops_sources(void) { return LOOPS_SOURCES; }

/* Numbers that the factors of all blocks take. */
EXPORT int64_t line_factor_numbers(const Line *c) { return c->pieces * c->blocks * stride_plain(c); }

/* Numbers that the stages of one sweep take. */
static int64_t stage_numbers(const Line *c) { return c->pieces * c->blocks * c->steps * c->stages * c->unknowns; }

/* For weights (K, P) and sigma (K, m, k): factors, stages (K, S, s, n), value and residual (1,). Returns 0, 1 without
   memory, or where a number stopped being finite: -1 - 2 piece for the drift and -2 - 2 piece for the density. */
EXPORT int64_t line_forward(const Line *c, const double *weights, const double *sigma, double *factors, double *stages,
                            double *value, double *residual) {
    return CALL(forward, c, c->initial, weights, sigma, factors, stages, value, residual);
}

/* The same for a rectified drift (K, k) and an initial density (n), where there is no objective: stages and residual. */
EXPORT int64_t line_sweep(const Line *c, const double *drift, const double *initial, double *stages, double *residual) {
    double value, *factors = malloc(sizeof(double) * stride_plain(c)); /* of one block at a time */
    if (!factors) return 1;
    const int64_t failed = CALL(forward, c, initial, NULL, drift, factors, stages, &value, residual);
    free(factors);
    return failed;
}

/* For each of a batch of weights (batch, K, P), sigma and slope (batch, K, m, k): value, gradient (K, P), the larger
   residual of both sweeps, and what line_forward returns. */
EXPORT int64_t line_gradients(const Line *c, int64_t batch, const double *weights, const double *sigma,
                              const double *slope, double *values, double *gradients, double *residuals,
                              int64_t *broken) {
    const int64_t theta = c->pieces * 3 * c->width, bends = c->pieces * c->width * c->points, rows = stage_numbers(c);
    const int64_t factors = c->pieces * c->blocks * stride_plain(c);
    double *work = malloc(sizeof(double) * (factors + 2 * rows + c->pieces * c->points));
    if (!work) return 1;
    double *stages = work + factors, *multipliers = stages + rows, *mean = multipliers + rows;
    int64_t failed = 0;
    for (int64_t i = 0; i < batch && !failed; i++) {
        const double *w = weights + i * theta, *s = sigma + i * bends;
        double back_residual;
        broken[i] = CALL(forward, c, c->initial, w, s, work, stages, values + i, residuals + i);
        failed = broken[i] == 1;
        if (broken[i]) continue;
        failed = CALL(back, c, w, s, work, stages, multipliers, mean, &back_residual);
        residuals[i] = larger(residuals[i], back_residual);
        CALL(pull_back, c, w, s, slope + i * bends, mean, gradients + i * theta);
    }
    free(work);
    return failed;
}

/* After line_forward: gradient (K, P) of all but the regularisation, M^-1 mu of every stage (K, S, s, n), and the largest
   residual (1,). Returns 1 without memory. */
EXPORT int64_t line_gradient(const Line *c, const double *weights, const double *sigma, const double *slope,
                             double *factors, const double *stages, double *gradient, double *multipliers,
                             double *residual) {
    double *mean = malloc(sizeof(double) * c->pieces * c->points);
    if (!mean) return 1;
    const int64_t failed = CALL(back, c, weights, sigma, factors, stages, multipliers, mean, residual);
    if (!failed) CALL(pull_back, c, weights, sigma, slope, mean, gradient);
    free(mean);
    return failed;
}

/* After line_forward: gradient (K, P), the Gauss-Newton matrix and the Hessian (N, N) of all but the regularisation, M^-1
   mu of every stage, and the largest residual (1,). N = K P, or K (P + 1) where `growing` says that each piece has one
   more parameter, its length: what is in these matrices of lengths is what goes through a sensitivity of the density.
   Returns 1 without memory. */
EXPORT int64_t line_expand(const Line *c, const double *weights, const double *sigma, const double *slope,
                           const double *bend, double *factors, const double *stages, double *gradient, double *normal,
                           double *hessian, double *multipliers, double *residual) {
    const int64_t P = 3 * c->width, Q = P + (c->growing != NULL), N = c->pieces * Q, size = (N + 7) / 8 * 8;
    double *work = calloc(c->pieces * c->points + 2 * size * size + c->pieces * P * P, sizeof(double));
    if (!work) return 1;
    double *mean = work, *gram = mean + c->pieces * c->points;
    double *cross = gram + size * size, *own = cross + size * size, found;
    int64_t failed = CALL(back, c, weights, sigma, factors, stages, multipliers, mean, residual);
    if (!failed) {
        CALL(pull_back, c, weights, sigma, slope, mean, gradient);
        CALL(curvature, c, weights, slope, bend, mean, own);
        failed = CALL(sensitivities, c, weights, sigma, slope, factors, stages, multipliers, gram, cross, size, &found);
        *residual = larger(*residual, found);
    }
    for (int64_t i = 0; i < N && !failed; i++)
        for (int64_t j = i; j < N; j++) {
            const double g = gram[i * size + j], x = cross[i * size + j] + cross[j * size + i];
            const int bent = i / Q == j / Q && i % Q < P && j % Q < P;
            const double h = g + x + (bent ? own[(i / Q * P + i % Q) * P + j % Q] : 0.0);
            normal[i * N + j] = normal[j * N + i] = g;
            hessian[i * N + j] = hessian[j * N + i] = h;
        }
    free(work);
    return failed;
}
