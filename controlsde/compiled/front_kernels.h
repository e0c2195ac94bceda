/* The state equation by fronts: factors, sweeps, many columns. Included once for each instruction set.

   The front of a group with own unknowns e and edge b is, after all that is eliminated before it has been added,

       [ D  U ]     and becomes     [  D^-1      -D^-1 U       ]     for a solve   r_b -= L D^-1 r_e,
       [ L  M ]                     [ -L D^-1   M - L D^-1 U   ]                   x_e = D^-1 r_e - D^-1 U x_b,

   and M - L D^-1 U is handed on. Elimination has no pivots: whether that was good enough is measured. Every solve gives the
   residual of its stage equations, of the sum of its columns where it has many, over the sizes of their terms. */

#include "combine.h"

/* --- factors ------------------------------------------------------------------------------------------------------- */

enum { NAME(PANEL) = 8 };

INLINE int64_t NAME(padded)(int64_t count) { return (count + 7) / 8 * 8; }

/* Rows of a front that are eliminated together: panels of one size, as far as it goes. */
INLINE int64_t NAME(panel_of)(int64_t own) {
    const int64_t panels = (own + NAME(PANEL) - 1) / NAME(PANEL);
    return panels ? (own + panels - 1) / panels : 0;
}

/* p (8 rows of 8) -> its inverse, as far as `size`, by Gauss-Jordan elimination. */
INLINE void NAME(invert_panel)(double *p, int64_t size) {
    for (int64_t k = 0; k < size; k++) {
        double *pivotal = p + k * NAME(PANEL);
        const double pivot = 1.0 / pivotal[k];
        pivotal[k] = 1.0;
        for (int j = 0; j < 8; j += LANES) *(vec *)(pivotal + j) *= pivot;
        for (int64_t i = 0; i < size; i++) {
            double *row = p + i * NAME(PANEL);
            if (i == k) continue;
            const double t = row[k];
            row[k] = 0.0;
            for (int j = 0; j < 8; j += LANES) *(vec *)(row + j) -= t * *(vec *)(pivotal + j);
        }
    }
}

INLINE void NAME(invert_complex_panel)(double *p, double *q, int64_t size) {
    for (int64_t k = 0; k < size; k++) {
        const int64_t at = k * NAME(PANEL);
        const double x = p[at + k], y = q[at + k], scale = 1.0 / (x * x + y * y), re = x * scale, im = -y * scale;
        p[at + k] = 1.0, q[at + k] = 0.0;
        for (int64_t j = at; j < at + 8; j += LANES) {
            const vec a = *(vec *)(p + j), b = *(vec *)(q + j);
            *(vec *)(p + j) = a * re - b * im;
            *(vec *)(q + j) = a * im + b * re;
        }
        for (int64_t i = 0; i < size; i++) {
            double *row = p + i * NAME(PANEL), *row_im = q + i * NAME(PANEL);
            if (i == k) continue;
            const double tr = row[k], ti = row_im[k];
            row[k] = 0.0, row_im[k] = 0.0;
            for (int j = 0; j < 8; j += LANES) {
                const vec a = *(vec *)(p + at + j), b = *(vec *)(q + at + j);
                *(vec *)(row + j) -= tr * a - ti * b;
                *(vec *)(row_im + j) -= tr * b + ti * a;
            }
        }
    }
}

/* R rows of x minus t (R, 8) times the rows of `panel` (size, pitch). */
#define SUBTRACT_REAL(R, W)                                                                                            \
    {                                                                                                                  \
        vec s[R][W];                                                                                                    \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) s[l][w] = *(vec *)(x + (i + l) * pitch + j + LANES * w);                            \
        for (int64_t k = 0; k < size; k++) {                                                                           \
            vec y[W];                                                                                                   \
            for (int w = 0; w < W; w++) y[w] = *(const vec *)(panel + k * pitch + j + LANES * w);                           \
            for (int l = 0; l < R; l++)                                                                                \
                for (int w = 0; w < W; w++) s[l][w] -= t[(i + l) * NAME(PANEL) + k] * y[w];                            \
        }                                                                                                              \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) *(vec *)(x + (i + l) * pitch + j + LANES * w) = s[l][w];                            \
    }

INLINE void NAME(subtract_real)(double *x, int64_t rows, int64_t pitch, const double *t, const double *panel,
                                int64_t size) {
    int64_t i = 0;
    for (; i + 6 <= rows; i += 6) {
        int64_t j = 0;
        for (; j + 2 * LANES <= pitch; j += 2 * LANES) SUBTRACT_REAL(6, 2)
        for (; j < pitch; j += LANES) SUBTRACT_REAL(6, 1)
    }
    for (; i + 3 <= rows; i += 3) {
        int64_t j = 0;
        for (; j + 2 * LANES <= pitch; j += 2 * LANES) SUBTRACT_REAL(3, 2)
        for (; j < pitch; j += LANES) SUBTRACT_REAL(3, 1)
    }
    for (; i < rows; i++) {
        int64_t j = 0;
        for (; j + 2 * LANES <= pitch; j += 2 * LANES) SUBTRACT_REAL(1, 2)
        for (; j < pitch; j += LANES) SUBTRACT_REAL(1, 1)
    }
}

#define SUBTRACT_COMPLEX(R)                                                                                            \
    {                                                                                                                  \
        const double *of_t = t + i * NAME(PANEL), *of_u = u + i * NAME(PANEL);                                         \
        vec s[R], z[R];                                                                                                \
        for (int l = 0; l < R; l++) {                                                                                  \
            s[l] = *(vec *)(x + (i + l) * pitch + j);                                                                   \
            z[l] = *(vec *)(y + (i + l) * pitch + j);                                                                   \
        }                                                                                                              \
        for (int64_t k = 0; k < size; k++) {                                                                           \
            const vec a = *(const vec *)(re + k * pitch + j), b = *(const vec *)(im + k * pitch + j);                     \
            for (int l = 0; l < R; l++) {                                                                              \
                const double tr = of_t[l * NAME(PANEL) + k], ti = of_u[l * NAME(PANEL) + k];                             \
                s[l] -= tr * a, s[l] += ti * b;                                                                        \
                z[l] -= tr * b, z[l] -= ti * a;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        for (int l = 0; l < R; l++) {                                                                                  \
            *(vec *)(x + (i + l) * pitch + j) = s[l];                                                                   \
            *(vec *)(y + (i + l) * pitch + j) = z[l];                                                                   \
        }                                                                                                              \
    }

/* The same with imaginary parts: x + iy minus (t + iu) (re + i im). */
INLINE void NAME(subtract_complex)(double *x, double *y, int64_t rows, int64_t pitch, const double *t, const double *u,
                                   const double *re, const double *im, int64_t size) {
    int64_t i = 0;
    for (; i + 6 <= rows; i += 6)
        for (int64_t j = 0; j < pitch; j += LANES) SUBTRACT_COMPLEX(6)
    for (; i + 3 <= rows; i += 3)
        for (int64_t j = 0; j < pitch; j += LANES) SUBTRACT_COMPLEX(3)
    for (; i < rows; i++)
        for (int64_t j = 0; j < pitch; j += LANES) SUBTRACT_COMPLEX(1)
}

/* Takes the columns from `from` on, `size` of them, out of x (rows, pitch) into t (rows, 8). */
INLINE void NAME(take_out)(double *x, int64_t rows, int64_t pitch, int64_t from, int64_t size, double *t) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < size; k++) {
            t[i * NAME(PANEL) + k] = x[i * pitch + from + k];
            x[i * pitch + from + k] = 0.0;
        }
}

/* Eliminates `own` unknowns of a front x + iy (rows, pitch): D^-1, D^-1 U, -L D^-1 and M - L D^-1 U in the places of D, U,
   L and M. Without imaginary parts where y is null. work: 2 * 8 * (rows + pitch). */
INLINE void NAME(eliminate)(double *x, double *y, int64_t own, int64_t rows, int64_t pitch, double *work) {
    const int64_t P = NAME(PANEL), each = NAME(panel_of)(own);
    double *t = work, *u = t + P * rows, *re = u + P * rows, *im = re + P * pitch;
    for (int64_t from = 0; from < own; from += each) {
        const int64_t size = own - from < each ? own - from : each, stop = from + size;
        double p[NAME(PANEL) * NAME(PANEL)] = {0}, q[NAME(PANEL) * NAME(PANEL)] = {0};
        for (int64_t a = 0; a < size; a++)
            for (int64_t b = 0; b < size; b++) {
                p[a * P + b] = x[(from + a) * pitch + from + b];
                if (y) q[a * P + b] = y[(from + a) * pitch + from + b];
            }
        if (y)
            NAME(invert_complex_panel)(p, q, size);
        else
            NAME(invert_panel)(p, size);
        for (int64_t a = 0; a < size * P; a += LANES) {
            *(vec *)(t + a) = -*(vec *)(p + a);
            if (y) *(vec *)(u + a) = -*(vec *)(q + a);
        }
        memset(re, 0, sizeof(double) * (y ? 2 : 1) * P * pitch);
        if (y)
            NAME(subtract_complex)(re, im, size, pitch, t, u, x + from * pitch, y + from * pitch, size);
        else
            NAME(subtract_real)(re, size, pitch, t, x + from * pitch, size);
        for (int64_t a = 0; a < size; a++)
            for (int64_t b = 0; b < size; b++) {
                re[a * pitch + from + b] = p[a * P + b];
                if (y) im[a * pitch + from + b] = q[a * P + b];
            }
        NAME(take_out)(x, rows, pitch, from, size, t);
        if (y) NAME(take_out)(y, rows, pitch, from, size, u);
        for (int below = 0; below < 2; below++) {
            const int64_t first = below ? stop : 0, count = below ? rows - stop : from, at = first * pitch;
            if (y)
                NAME(subtract_complex)(x + at, y + at, count, pitch, t + first * P, u + first * P, re, im, size);
            else
                NAME(subtract_real)(x + at, count, pitch, t + first * P, re, size);
        }
        memcpy(x + from * pitch, re, sizeof(double) * size * pitch);
        if (y) memcpy(y + from * pitch, im, sizeof(double) * size * pitch);
    }
}

/* From a front that has been eliminated: the rows of its own unknowns with the part of the edge negated, the rows of the
   edge as far as its own unknowns go, and what is handed on. */
INLINE void NAME(put_away)(const double *x, int64_t own, int64_t edge, int64_t pitch, double *factors, double *passed) {
    const int64_t narrow = NAME(padded)(own);
    double *lower = factors + own * pitch;
    for (int64_t i = 0; i < own; i++) {
        memcpy(factors + i * pitch, x + i * pitch, sizeof(double) * own);
        for (int64_t j = own; j < own + edge; j++) factors[i * pitch + j] = -x[i * pitch + j];
        for (int64_t j = own + edge; j < pitch; j++) factors[i * pitch + j] = 0.0;
    }
    for (int64_t i = 0; i < edge; i++) {
        const double *row = x + (own + i) * pitch;
        memcpy(lower + i * narrow, row, sizeof(double) * own);
        for (int64_t j = own; j < narrow; j++) lower[i * narrow + j] = 0.0;
        memcpy(passed + i * edge, row + own, sizeof(double) * edge);
    }
}

/* The factors of l I + N for all slots of one block. */
PART int64_t NAME(factorise)(const Fronts *c, const double *values, double *factors) {
    const int64_t wide = NAME(padded)(c->widest), both = c->slots - c->reals > 1 ? 2 : 1;
    double *work = malloc(sizeof(double) * (2 * wide * wide + 4 * NAME(PANEL) * wide + both * c->passed_numbers + 64));
    if (!work) return 1;
    double *passed = work + 2 * wide * wide, *scratch = passed + both * c->passed_numbers;
    for (int64_t slot = 0; slot < c->slots; slot += slot < c->reals ? 1 : 2) {
        const int parts = slot < c->reals ? 1 : 2;
        for (int64_t g = 0; g < c->groups; g++) {
            const int64_t own = c->own[g], edge = c->edge[g], rows = own + edge, pitch = NAME(padded)(rows);
            double *x[2] = {work, parts == 2 ? work + wide * wide : NULL};
            for (int part = 0; part < parts; part++) memset(x[part], 0, sizeof(double) * rows * pitch);
            for (int64_t e = c->entries_at[g]; e < c->entries_at[g + 1]; e++)
                x[0][c->row[e] * pitch + c->column[e]] += values[c->entry[e]];
            for (int64_t i = 0; i < own; i++)
                for (int part = 0; part < parts; part++) x[part][i * pitch + i] += c->eigenvalues[slot + part];
            for (int64_t child = c->children_at[g]; child < c->children_at[g + 1]; child++) {
                const int64_t from = c->child[child], size = c->edge[from], *above = c->above + c->edges_at[from];
                for (int part = 0; part < parts; part++) {
                    const double *change = passed + part * c->passed_numbers + c->passed_at[from];
                    for (int64_t i = 0; i < size; i++) {
                        double *row = x[part] + above[i] * pitch;
                        for (int64_t j = 0; j < size; j++) row[above[j]] += change[i * size + j];
                    }
                }
            }
            NAME(eliminate)(x[0], x[1], own, rows, pitch, scratch);
            for (int part = 0; part < parts; part++)
                NAME(put_away)(x[part], own, edge, pitch, factors + (slot + part) * c->factor_numbers + c->factors_at[g],
                               passed + part * c->passed_numbers + c->passed_at[g]);
        }
    }
    free(work);
    return 0;
}

/* --- one right-hand side ------------------------------------------------------------------------------------------- */

/* y (rows) += (m + in) (x + iz) for factors (rows, pitch) and x, z (pitch), as far as there are imaginary parts. */
INLINE void NAME(times_real)(const double *m, int64_t rows, int64_t pitch, const double *x, double *y) {
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        vec s[4][VECS] = {{{0}}};
        for (int64_t j = 0; j < pitch; j += 8)
            for (int v = 0; v < VECS; v++) {
                const vec f = *(const vec *)(x + j + LANES * v);
                for (int l = 0; l < 4; l++) s[l][v] += *(const vec *)(m + (i + l) * pitch + j + LANES * v) * f;
            }
        for (int l = 0; l < 4; l++) y[i + l] = NAME(plus_sum)(y[i + l], s[l]);
    }
    for (; i < rows; i++) {
        vec s[VECS] = {{0}};
        for (int64_t j = 0; j < pitch; j += 8)
            for (int v = 0; v < VECS; v++)
                s[v] += *(const vec *)(m + i * pitch + j + LANES * v) * *(const vec *)(x + j + LANES * v);
        y[i] = NAME(plus_sum)(y[i], s);
    }
}

INLINE void NAME(times_complex)(const double *m, const double *n, int64_t rows, int64_t pitch, const double *x,
                                const double *z, double *y, double *w) {
    for (int64_t i = 0; i < rows; i++) {
        vec s[VECS] = {{0}}, t[VECS] = {{0}};
        for (int64_t j = 0; j < pitch; j += 8)
            for (int v = 0; v < VECS; v++) {
                const int64_t at = j + LANES * v;
                const vec a = *(const vec *)(m + i * pitch + at), b = *(const vec *)(n + i * pitch + at);
                const vec f = *(const vec *)(x + at), g = *(const vec *)(z + at);
                s[v] += a * f, s[v] -= b * g;
                t[v] += a * g, t[v] += b * f;
            }
        y[i] = NAME(plus_sum)(y[i], s);
        w[i] = NAME(plus_sum)(w[i], t);
    }
}

/* y (pitch) += x (rows) times m (rows, pitch), and so with imaginary parts. */
INLINE void NAME(turned_real)(const double *m, int64_t rows, int64_t pitch, const double *x, double *y) {
    for (int64_t j = 0; j < pitch; j += 8) {
        vec s[VECS], t[VECS] = {{0}};
        for (int v = 0; v < VECS; v++) s[v] = *(vec *)(y + j + LANES * v);
        int64_t i = 0;
        for (; i + 2 <= rows; i += 2)
            for (int v = 0; v < VECS; v++) {
                s[v] += x[i] * *(const vec *)(m + i * pitch + j + LANES * v);
                t[v] += x[i + 1] * *(const vec *)(m + (i + 1) * pitch + j + LANES * v);
            }
        if (i < rows)
            for (int v = 0; v < VECS; v++) s[v] += x[i] * *(const vec *)(m + i * pitch + j + LANES * v);
        for (int v = 0; v < VECS; v++) *(vec *)(y + j + LANES * v) = s[v] + t[v];
    }
}

INLINE void NAME(turned_complex)(const double *m, const double *n, int64_t rows, int64_t pitch, const double *x,
                                 const double *z, double *y, double *w) {
    for (int64_t j = 0; j < pitch; j += 8) {
        vec s[VECS], t[VECS], p[VECS] = {{0}}, q[VECS] = {{0}};
        for (int v = 0; v < VECS; v++) s[v] = *(vec *)(y + j + LANES * v), t[v] = *(vec *)(w + j + LANES * v);
        for (int64_t i = 0; i < rows; i++)
            for (int v = 0; v < VECS; v++) {
                const int64_t at = i * pitch + j + LANES * v;
                const vec a = *(const vec *)(m + at), b = *(const vec *)(n + at);
                s[v] += x[i] * a, p[v] -= z[i] * b;
                t[v] += z[i] * a, q[v] += x[i] * b;
            }
        for (int v = 0; v < VECS; v++) {
            *(vec *)(y + j + LANES * v) = s[v] + p[v];
            *(vec *)(w + j + LANES * v) = t[v] + q[v];
        }
    }
}

/* (l I + N) x = r or its transpose, for one slot or a pair: r + i s (n) in places is used up, and becomes x. */
PART void NAME(solve_one)(const Fronts *c, const double *factors, int64_t slot, int transposed, double *r, double *s,
                          double *work) {
    const int64_t wide = NAME(padded)(c->widest);
    double *f = work, *g = f + wide, *y = g + wide, *w = y + wide;
    const double *re = factors + slot * c->factor_numbers, *im = re + c->factor_numbers;
    for (int64_t group = 0; group < c->groups; group++) {
        const int64_t own = c->own[group], edge = c->edge[group], first = c->first[group], at = c->factors_at[group];
        const int64_t pitch = NAME(padded)(own + edge), narrow = NAME(padded)(own);
        const int64_t *boundary = c->boundary + c->edges_at[group];
        memset(work, 0, sizeof(double) * 4 * wide);
        memcpy(f, r + first, sizeof(double) * own);
        if (s) memcpy(g, s + first, sizeof(double) * own);
        if (!transposed) {
            if (s)
                NAME(times_complex)(re + at + own * pitch, im + at + own * pitch, edge, narrow, f, g, y, w);
            else
                NAME(times_real)(re + at + own * pitch, edge, narrow, f, y);
            for (int64_t i = 0; i < edge; i++) r[boundary[i]] += y[i];
            if (s)
                for (int64_t i = 0; i < edge; i++) s[boundary[i]] += w[i];
        } else {
            if (s)
                NAME(turned_complex)(re + at, im + at, own, pitch, f, g, y, w);
            else
                NAME(turned_real)(re + at, own, pitch, f, y);
            memcpy(r + first, y, sizeof(double) * own);
            for (int64_t i = 0; i < edge; i++) r[boundary[i]] += y[own + i];
            if (s) {
                memcpy(s + first, w, sizeof(double) * own);
                for (int64_t i = 0; i < edge; i++) s[boundary[i]] += w[own + i];
            }
        }
    }
    for (int64_t group = c->groups - 1; group >= 0; group--) {
        const int64_t own = c->own[group], edge = c->edge[group], first = c->first[group], at = c->factors_at[group];
        const int64_t pitch = NAME(padded)(own + edge), narrow = NAME(padded)(own);
        const int64_t *boundary = c->boundary + c->edges_at[group];
        memset(work, 0, sizeof(double) * 4 * wide);
        if (!transposed) {
            memcpy(f, r + first, sizeof(double) * own);
            for (int64_t i = 0; i < edge; i++) f[own + i] = r[boundary[i]];
            if (s) {
                memcpy(g, s + first, sizeof(double) * own);
                for (int64_t i = 0; i < edge; i++) g[own + i] = s[boundary[i]];
                NAME(times_complex)(re + at, im + at, own, pitch, f, g, y, w);
                memcpy(s + first, w, sizeof(double) * own);
            } else
                NAME(times_real)(re + at, own, pitch, f, y);
            memcpy(r + first, y, sizeof(double) * own);
        } else if (edge) {
            for (int64_t i = 0; i < edge; i++) f[i] = r[boundary[i]];
            memcpy(y, r + first, sizeof(double) * own);
            if (s) {
                for (int64_t i = 0; i < edge; i++) g[i] = s[boundary[i]];
                memcpy(w, s + first, sizeof(double) * own);
                NAME(turned_complex)(re + at + own * pitch, im + at + own * pitch, edge, narrow, f, g, y, w);
                memcpy(s + first, w, sizeof(double) * own);
            } else
                NAME(turned_real)(re + at + own * pitch, edge, narrow, f, y);
            memcpy(r + first, y, sizeof(double) * own);
        }
    }
}

/* The size of a matrix: the largest sum of magnitudes in a row of N, and the largest eigenvalue. */
PART double NAME(size_of)(const Fronts *c, const double *values) {
    double largest = 0.0, shift = 0.0;
    for (int64_t i = 0; i < c->unknowns; i++) {
        double sum = 0.0;
        for (int64_t e = c->rows_at[i]; e < c->rows_at[i + 1]; e++) sum += fabs(values[e]);
        largest = sum > largest ? sum : largest;
    }
    for (int64_t slot = 0; slot < c->slots; slot++) {
        const double size = fabs(c->eigenvalues[slot]) + (slot == c->reals ? fabs(c->eigenvalues[slot + 1]) : 0.0);
        shift = size > shift ? size : shift;
    }
    return largest + shift;
}

/* The residual of Y + a x N Y = R, or of Y + a' x N' Y = R, over the sizes of its terms, for N of a `size`; R (s, n), or
   (n) for all stages where `alike`. work: 8 * n. */
INLINE double NAME(stage_residual)(const Fronts *c, const double *values, double of_matrix, int transposed,
                                   const double *y, const double *right, int alike, double *work) {
    const int64_t n = c->unknowns, s = c->stages;
    v4 *each = (v4 *)work, *applied = each + n; /* the stages of one unknown side by side */
    v4 squares = {0}, sizes = {0};
    for (int64_t u = 0; u < n; u++) {
        v4 held = {0};
        for (int64_t i = 0; i < s; i++) held[i] = y[i * n + u];
        each[u] = held;
        applied[u] = (v4){0};
    }
    for (int64_t u = 0; u < n; u++) {
        const v4 from = each[u];
        v4 sum = applied[u];
        if (transposed)
            for (int64_t e = c->rows_at[u]; e < c->rows_at[u + 1]; e++) applied[c->columns[e]] += values[e] * from;
        else {
            for (int64_t e = c->rows_at[u]; e < c->rows_at[u + 1]; e++) sum += values[e] * each[c->columns[e]];
            applied[u] = sum;
        }
    }
    for (int64_t u = 0; u < n; u++) {
        v4 given = {0}, missed = each[u];
        for (int64_t i = 0; i < s; i++) given[i] = right[alike ? u : i * n + u];
        for (int64_t i = 0; i < s; i++)
            for (int64_t j = 0; j < s; j++) missed[i] += c->a[transposed ? j * s + i : i * s + j] * applied[u][j];
        missed -= given;
        squares += missed * missed;
        sizes += each[u] * each[u];
        if (alike) given = (v4){given[0]};
        sizes += given * given;
    }
    const double square = squares[0] + squares[1] + squares[2] + squares[3];
    const double size = sizes[0] + sizes[1] + sizes[2] + sizes[3];
    return size > 0.0 ? sqrt(square / size) / of_matrix : square;
}

/* One step for one density: stages (s, n). work: n * (slots + 8) + 4 * wide. */
INLINE double NAME(step)(const Fronts *c, const double *values, double size, const double *factors,
                         const double *density, double *stages, double *work) {
    const int64_t n = c->unknowns, s = c->stages;
    double *x = work, *scratch = x + c->slots * n;
    for (int64_t slot = 0; slot < c->slots; slot += slot < c->reals ? 1 : 2) {
        double *re = x + slot * n, *im = slot < c->reals ? NULL : re + n;
        for (int64_t place = 0; place < n; place++) re[place] = density[c->order[place]];
        if (im) memset(im, 0, sizeof(double) * n);
        NAME(solve_one)(c, factors, slot, 0, re, im, scratch);
    }
    for (int64_t i = 0; i < s; i++)
        for (int64_t place = 0; place < n; place++) {
            double sum = 0.0;
            for (int64_t slot = 0; slot < c->slots; slot++) sum += c->combination[i * c->slots + slot] * x[slot * n + place];
            stages[i * n + c->order[place]] = sum;
        }
    return NAME(stage_residual)(c, values, size, 0, stages, density, 1, scratch);
}

/* Through all blocks; see fronts_forward. */
PART int64_t NAME(fronts_forward)(const Fronts *c, int64_t steps, const double *values, const double *factors, const double *initial,
                                  double *stages, double *residual) {
    const int64_t n = c->unknowns, s = c->stages;
    double *work = malloc(sizeof(double) * (n * (c->slots + 8) + 4 * NAME(padded)(c->widest) + 64));
    if (!work) return 1;
    const double *density = initial;
    double worst = 0.0;
    for (int64_t block = 0; block < c->blocks; block++) {
        const double *of_block = factors + block * c->slots * c->factor_numbers, *matrix = values + block * c->entries;
        const double size = NAME(size_of)(c, matrix);
        for (int64_t step = 0; step < steps; step++) {
            worst = larger(worst, NAME(step)(c, matrix, size, of_block, density, stages, work));
            density = stages + (s - 1) * n;
            stages += s * n;
        }
    }
    *residual = worst;
    free(work);
    return 0;
}

/* Through all blocks in reverse; see fronts_back. */
PART int64_t NAME(fronts_back)(const Fronts *c, int64_t steps, const double *values, const double *factors, const double *cotangent,
                               double *multipliers, double *starts, double *residual) {
    const int64_t n = c->unknowns, s = c->stages;
    double *work = calloc(n * (c->slots + s + 1 + 8) + 4 * NAME(padded)(c->widest) + 64, sizeof(double));
    if (!work) return 1;
    double *x = work, *right = x + c->slots * n, *carried = right + s * n, *scratch = carried + n, worst = 0.0;
    for (int64_t block = c->blocks - 1; block >= 0; block--) {
        const double *of_block = factors + block * c->slots * c->factor_numbers, *matrix = values + block * c->entries;
        const double size = NAME(size_of)(c, matrix);
        for (int64_t step = steps - 1; step >= 0; step--) {
            const int64_t at = (block * steps + step) * s * n;
            double *lambda = multipliers + at;
            memcpy(right, cotangent + at, sizeof(double) * s * n);
            for (int64_t u = 0; u < n; u++) right[(s - 1) * n + u] += carried[u];
            for (int64_t slot = 0; slot < c->slots; slot++)
                for (int64_t place = 0; place < n; place++) {
                    double sum = 0.0;
                    for (int64_t i = 0; i < s; i++) sum += c->gathered[slot * s + i] * right[i * n + c->order[place]];
                    x[slot * n + place] = sum;
                }
            for (int64_t slot = 0; slot < c->slots; slot += slot < c->reals ? 1 : 2)
                NAME(solve_one)(c, of_block, slot, 1, x + slot * n, slot < c->reals ? NULL : x + (slot + 1) * n, scratch);
            memset(carried, 0, sizeof(double) * n);
            for (int64_t i = 0; i < s; i++)
                for (int64_t place = 0; place < n; place++) {
                    double sum = 0.0;
                    for (int64_t slot = 0; slot < c->slots; slot++)
                        sum += c->multiply[i * c->slots + slot] * x[slot * n + place];
                    lambda[i * n + c->order[place]] = sum;
                    carried[c->order[place]] += sum;
                }
            worst = larger(worst, NAME(stage_residual)(c, matrix, size, 1, lambda, right, 0, scratch));
        }
        memcpy(starts + block * n, carried, sizeof(double) * n);
    }
    *residual = worst;
    free(work);
    return 0;
}

/* --- many columns -------------------------------------------------------------------------------------------------- */

#define ROWS_COMPLEX(R)                                                                                                \
    {                                                                                                                  \
        vec s[R], z[R];                                                                                                 \
        for (int l = 0; l < R; l++) {                                                                                  \
            if (add)                                                                                                   \
                s[l] = *(vec *)(into[r + l] + at), z[l] = *(vec *)(into_im[r + l] + at);                                 \
            else                                                                                                       \
                s[l] = z[l] = (vec){0};                                                                                 \
        }                                                                                                              \
        if (from_im)                                                                                                   \
            for (int64_t j = 0; j < inner; j++) {                                                                      \
                const vec x = *(const vec *)(from[j] + at), y = *(const vec *)(from_im[j] + at);                          \
                for (int l = 0; l < R; l++) {                                                                          \
                    const double a = m[(r + l) * pitch + j], b = m_im[(r + l) * pitch + j];                            \
                    s[l] += a * x, s[l] -= b * y;                                                                      \
                    z[l] += a * y, z[l] += b * x;                                                                      \
                }                                                                                                      \
            }                                                                                                          \
        else                                                                                                           \
            for (int64_t j = 0; j < inner; j++) {                                                                      \
                const vec x = *(const vec *)(from[j] + at);                                                              \
                for (int l = 0; l < R; l++) {                                                                          \
                    s[l] += m[(r + l) * pitch + j] * x;                                                                \
                    z[l] += m_im[(r + l) * pitch + j] * x;                                                             \
                }                                                                                                      \
            }                                                                                                          \
        for (int l = 0; l < R; l++) *(vec *)(into[r + l] + at) = s[l], *(vec *)(into_im[r + l] + at) = z[l];             \
    }

/* The same with imaginary parts; from_im is null where the columns have none. */
INLINE void NAME(combine_complex)(const double *m, const double *m_im, int64_t pitch, int64_t rows, int64_t inner,
                                  const double **from, const double **from_im, double **into, double **into_im,
                                  int64_t columns, int add) {
    for (int64_t at = 0; at < columns; at += LANES) {
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4) ROWS_COMPLEX(4)
        for (; r < rows; r++) ROWS_COMPLEX(1)
    }
}

/* One slot or pair for many columns. right, right_im: the rows of each place (n), right_im null where all are real; those
   from `inside` on are used up. Written: x, x_im (n, C). Without imaginary parts where x_im is null. */
INLINE void NAME(solve_many)(const Fronts *c, const double *factors, int64_t slot, double **right, double **right_im,
                             double **mixed_im, double *x, double *x_im, int64_t columns, const double **rows) {
    const double *re = factors + slot * c->factor_numbers, *im = re + c->factor_numbers;
    const int64_t wide = NAME(padded)(c->widest);
    const double **from = rows, **from_im = from + wide;
    double **into = (double **)(from_im + wide), **into_im = into + wide;
    for (int64_t g = 0; g < c->groups; g++) {
        const int64_t own = c->own[g], edge = c->edge[g], first = c->first[g], pitch = NAME(padded)(own + edge);
        const double *a = re + c->factors_at[g] + own * pitch, *b = im + c->factors_at[g] + own * pitch;
        const int64_t *boundary = c->boundary + c->edges_at[g], narrow = NAME(padded)(own);
        const int plain = first < c->inside && !right_im;
        for (int64_t i = 0; i < own; i++) from[i] = right[first + i], from_im[i] = plain ? NULL : mixed_im[first + i];
        for (int64_t i = 0; i < edge; i++) into[i] = right[boundary[i]], into_im[i] = mixed_im[boundary[i]];
        if (x_im)
            NAME(combine_complex)(a, b, narrow, edge, own, from, plain ? NULL : from_im, into, into_im, columns, 1);
        else
            NAME(combine)(a, narrow, edge, own, from, into, columns, 1);
    }
    for (int64_t g = c->groups - 1; g >= 0; g--) {
        const int64_t own = c->own[g], edge = c->edge[g], first = c->first[g], pitch = NAME(padded)(own + edge);
        const double *a = re + c->factors_at[g], *b = im + c->factors_at[g];
        const int64_t *boundary = c->boundary + c->edges_at[g];
        const int plain = first < c->inside && !right_im;
        for (int64_t i = 0; i < own; i++) {
            from[i] = right[first + i], from_im[i] = plain ? NULL : mixed_im[first + i];
            into[i] = x + (first + i) * columns, into_im[i] = x_im + (first + i) * columns;
        }
        for (int64_t i = 0; i < edge; i++) {
            from[own + i] = x + boundary[i] * columns;
            from_im[own + i] = x_im + boundary[i] * columns;
        }
        if (!x_im)
            NAME(combine)(a, pitch, own, own + edge, from, into, columns, 0);
        else if (plain) {
            NAME(combine_complex)(a, b, pitch, own, own, from, NULL, into, into_im, columns, 0);
            NAME(combine_complex)(a + own, b + own, pitch, own, edge, from + own, from_im + own, into, into_im, columns, 1);
        } else
            NAME(combine_complex)(a, b, pitch, own, own + edge, from, from_im, into, into_im, columns, 0);
    }
}

/* One block for many columns, see fronts_solve. */
PART int64_t NAME(fronts_solve)(const Fronts *c, const double *values, const double *factors, int64_t columns, int alike,
                                const double *right, double *stages, double *residual) {
    const int64_t n = c->unknowns, s = c->stages, wide = NAME(padded)(c->widest), kept = n - c->inside;
    const int64_t modes = alike ? 2 * kept : 2 * n, slots = c->slots;
    double *work = malloc(sizeof(double) * ((slots * n + modes) * columns + (2 * s + 8) * n + columns + 64));
    double **rows = malloc(sizeof(double *) * (2 * n + 4 * wide + 64));
    if (!work || !rows) {
        free(work), free(rows);
        return 1;
    }
    double *x = work, *held = x + slots * n * columns, *sums = held + modes * columns;
    double *share = sums + (2 * s + 8) * n;
    double **of_re = rows, **of_im = of_re + n;
    const double **scratch = (const double **)(of_im + n);
    for (int64_t slot = 0; slot < slots; slot += slot < c->reals ? 1 : 2) {
        const int pair = slot >= c->reals;
        double *x_re = x + slot * n * columns, *x_im = pair ? x_re + n * columns : NULL;
        if (alike)
            for (int64_t place = 0; place < n; place++) {
                const double *row = right + c->order[place] * columns;
                double *to = held + (place - c->inside) * columns;
                of_re[place] = place < c->inside ? (double *)row : to;
                of_im[place] = place < c->inside ? NULL : to + kept * columns;
                if (place < c->inside) continue;
                memcpy(to, row, sizeof(double) * columns);
                if (pair) memset(of_im[place], 0, sizeof(double) * columns);
            }
        else
            for (int64_t place = 0; place < n; place++)
                for (int part = 0; part <= pair; part++) {
                    double *to = held + (part * n + place) * columns;
                    const double *row = right + c->order[place] * columns, *share = c->projected + (slot + part) * s;
                    for (int64_t j = 0; j < columns; j += LANES) {
                        vec sum = {0};
                        for (int64_t i = 0; i < s; i++) sum += share[i] * *(const vec *)(row + i * n * columns + j);
                        *(vec *)(to + j) = sum;
                    }
                    (part ? of_im : of_re)[place] = to;
                }
        NAME(solve_many)(c, factors, slot, of_re, alike ? NULL : of_im, of_im, x_re, x_im, columns, scratch);
    }
    /* the residual is that of one mixture of the columns, with weights that do not let them cancel */
    for (int64_t j = 0; j < columns; j++) share[j] = sin(1.0 + 1.7 * j) + (j % 2 ? 1.5 : -1.5);
    const double *mix = alike ? c->combination : c->distributed;
    double *before = sums, *after = before + s * n, *missed = after + s * n;
    for (int64_t place = 0; place < n; place++) {
        const int64_t u = c->order[place];
        for (int64_t i = 0; i < s; i++) {
            double *to = stages + (i * n + u) * columns;
            vec total[VECS] = {{0}};
            for (int64_t j = 0; j < columns; j += 8)
                for (int v = 0; v < VECS; v++) {
                    const int64_t at = j + LANES * v;
                    vec sum = {0};
                    for (int64_t slot = 0; slot < slots; slot++)
                        sum += mix[i * slots + slot] * *(vec *)(x + (slot * n + place) * columns + at);
                    *(vec *)(to + at) = sum;
                    total[v] += *(vec *)(share + at) * sum;
                }
            after[i * n + u] = NAME(plus_sum)(0.0, total);
        }
    }
    for (int64_t u = 0; u < (alike ? n : s * n); u++) {
        vec total[VECS] = {{0}};
        for (int64_t j = 0; j < columns; j += 8)
            for (int v = 0; v < VECS; v++)
                total[v] += *(vec *)(share + j + LANES * v) * *(const vec *)(right + u * columns + j + LANES * v);
        before[u] = NAME(plus_sum)(0.0, total);
    }
    *residual = NAME(stage_residual)(c, values, NAME(size_of)(c, values), 0, after, before, alike, missed);
    free(work), free(rows);
    return 0;
}

/* See fronts_transport: the entries of A are sums over the drift's values. */
PART void NAME(fronts_transport)(const Fronts *c, int64_t columns, int64_t weights, const double *slope,
                                 const double *densities, const double *multipliers, double *moved, double *pulled) {
    for (int64_t at = 0; at < weights; at += LANES)
        for (int64_t i = 0; i < c->unknowns; i++)
            for (int64_t e = c->rows_at[i]; e < c->rows_at[i + 1]; e++) {
                const int64_t j = c->columns[e];
                vec entry = {0};
                for (int64_t k = c->inputs_at[e]; k < c->inputs_at[e + 1]; k++)
                    entry += c->shares[k] * *(const vec *)(slope + c->inputs[k] * weights + at);
                for (int64_t column = 0; column < columns; column++) {
                    *(vec *)(moved + (i * columns + column) * weights + at) += densities[j * columns + column] * entry;
                    *(vec *)(pulled + (j * columns + column) * weights + at) += multipliers[i * columns + column] * entry;
                }
            }
}
