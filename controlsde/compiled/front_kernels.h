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
INLINE void NAME(invert_panel)(v8 *p, int64_t size) {
    for (int64_t k = 0; k < size; k++) {
        const double pivot = 1.0 / p[k][k];
        p[k][k] = 1.0;
        p[k] *= pivot;
        for (int64_t i = 0; i < size; i++) {
            if (i == k) continue;
            const double t = p[i][k];
            p[i][k] = 0.0;
            p[i] -= t * p[k];
        }
    }
}

INLINE void NAME(invert_complex_panel)(v8 *p, v8 *q, int64_t size) {
    for (int64_t k = 0; k < size; k++) {
        const double x = p[k][k], y = q[k][k], scale = 1.0 / (x * x + y * y), re = x * scale, im = -y * scale;
        p[k][k] = 1.0, q[k][k] = 0.0;
        const v8 a = p[k] * re - q[k] * im, b = p[k] * im + q[k] * re;
        p[k] = a, q[k] = b;
        for (int64_t i = 0; i < size; i++) {
            if (i == k) continue;
            const double tr = p[i][k], ti = q[i][k];
            p[i][k] = 0.0, q[i][k] = 0.0;
            p[i] -= tr * a - ti * b;
            q[i] -= tr * b + ti * a;
        }
    }
}

/* R rows of x minus t (R, 8) times the rows of `panel` (size, pitch). */
#define SUBTRACT_REAL(R, W)                                                                                            \
    {                                                                                                                  \
        v8 s[R][W];                                                                                                    \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) s[l][w] = *(v8 *)(x + (i + l) * pitch + j + 8 * w);                            \
        for (int64_t k = 0; k < size; k++) {                                                                           \
            v8 y[W];                                                                                                   \
            for (int w = 0; w < W; w++) y[w] = *(const v8 *)(panel + k * pitch + j + 8 * w);                           \
            for (int l = 0; l < R; l++)                                                                                \
                for (int w = 0; w < W; w++) s[l][w] -= t[(i + l) * NAME(PANEL) + k] * y[w];                            \
        }                                                                                                              \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) *(v8 *)(x + (i + l) * pitch + j + 8 * w) = s[l][w];                            \
    }

INLINE void NAME(subtract_real)(double *x, int64_t rows, int64_t pitch, const double *t, const double *panel,
                                int64_t size) {
    int64_t i = 0;
    for (; i + 6 <= rows; i += 6) {
        int64_t j = 0;
        for (; j + 16 <= pitch; j += 16) SUBTRACT_REAL(6, 2)
        for (; j < pitch; j += 8) SUBTRACT_REAL(6, 1)
    }
    for (; i + 3 <= rows; i += 3) {
        int64_t j = 0;
        for (; j + 16 <= pitch; j += 16) SUBTRACT_REAL(3, 2)
        for (; j < pitch; j += 8) SUBTRACT_REAL(3, 1)
    }
    for (; i < rows; i++) {
        int64_t j = 0;
        for (; j + 16 <= pitch; j += 16) SUBTRACT_REAL(1, 2)
        for (; j < pitch; j += 8) SUBTRACT_REAL(1, 1)
    }
}

#define SUBTRACT_COMPLEX(R)                                                                                            \
    {                                                                                                                  \
        v8 s[R], z[R];                                                                                                 \
        for (int l = 0; l < R; l++) {                                                                                  \
            s[l] = *(v8 *)(x + (i + l) * pitch + j);                                                                   \
            z[l] = *(v8 *)(y + (i + l) * pitch + j);                                                                   \
        }                                                                                                              \
        for (int64_t k = 0; k < size; k++) {                                                                           \
            const v8 a = *(const v8 *)(re + k * pitch + j), b = *(const v8 *)(im + k * pitch + j);                     \
            for (int l = 0; l < R; l++) {                                                                              \
                const double tr = t[(i + l) * NAME(PANEL) + k], ti = u[(i + l) * NAME(PANEL) + k];                     \
                s[l] -= tr * a, s[l] += ti * b;                                                                        \
                z[l] -= tr * b, z[l] -= ti * a;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        for (int l = 0; l < R; l++) {                                                                                  \
            *(v8 *)(x + (i + l) * pitch + j) = s[l];                                                                   \
            *(v8 *)(y + (i + l) * pitch + j) = z[l];                                                                   \
        }                                                                                                              \
    }

/* The same with imaginary parts: x + iy minus (t + iu) (re + i im). */
INLINE void NAME(subtract_complex)(double *x, double *y, int64_t rows, int64_t pitch, const double *t, const double *u,
                                   const double *re, const double *im, int64_t size) {
    int64_t i = 0;
    for (; i + 6 <= rows; i += 6)
        for (int64_t j = 0; j < pitch; j += 8) SUBTRACT_COMPLEX(6)
    for (; i + 3 <= rows; i += 3)
        for (int64_t j = 0; j < pitch; j += 8) SUBTRACT_COMPLEX(3)
    for (; i < rows; i++)
        for (int64_t j = 0; j < pitch; j += 8) SUBTRACT_COMPLEX(1)
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
        v8 p[NAME(PANEL)] = {{0}}, q[NAME(PANEL)] = {{0}};
        for (int64_t a = 0; a < size; a++)
            for (int64_t b = 0; b < size; b++) {
                p[a][b] = x[(from + a) * pitch + from + b];
                if (y) q[a][b] = y[(from + a) * pitch + from + b];
            }
        if (y)
            NAME(invert_complex_panel)(p, q, size);
        else
            NAME(invert_panel)(p, size);
        for (int64_t a = 0; a < size; a++) {
            *(v8 *)(t + a * P) = -p[a];
            if (y) *(v8 *)(u + a * P) = -q[a];
        }
        memset(re, 0, sizeof(double) * (y ? 2 : 1) * P * pitch);
        if (y)
            NAME(subtract_complex)(re, im, size, pitch, t, u, x + from * pitch, y + from * pitch, size);
        else
            NAME(subtract_real)(re, size, pitch, t, x + from * pitch, size);
        for (int64_t a = 0; a < size; a++)
            for (int64_t b = 0; b < size; b++) {
                re[a * pitch + from + b] = p[a][b];
                if (y) im[a * pitch + from + b] = q[a][b];
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
        v8 s[4] = {{0}};
        for (int64_t j = 0; j < pitch; j += 8) {
            const v8 f = *(const v8 *)(x + j);
            for (int l = 0; l < 4; l++) s[l] += *(const v8 *)(m + (i + l) * pitch + j) * f;
        }
        for (int l = 0; l < 4; l++)
            for (int w = 0; w < 8; w++) y[i + l] += s[l][w];
    }
    for (; i < rows; i++) {
        v8 s = {0};
        for (int64_t j = 0; j < pitch; j += 8) s += *(const v8 *)(m + i * pitch + j) * *(const v8 *)(x + j);
        for (int w = 0; w < 8; w++) y[i] += s[w];
    }
}

INLINE void NAME(times_complex)(const double *m, const double *n, int64_t rows, int64_t pitch, const double *x,
                                const double *z, double *y, double *w) {
    for (int64_t i = 0; i < rows; i++) {
        v8 s = {0}, t = {0};
        for (int64_t j = 0; j < pitch; j += 8) {
            const v8 a = *(const v8 *)(m + i * pitch + j), b = *(const v8 *)(n + i * pitch + j);
            const v8 f = *(const v8 *)(x + j), g = *(const v8 *)(z + j);
            s += a * f, s -= b * g;
            t += a * g, t += b * f;
        }
        for (int l = 0; l < 8; l++) y[i] += s[l], w[i] += t[l];
    }
}

/* y (pitch) += x (rows) times m (rows, pitch), and so with imaginary parts. */
INLINE void NAME(turned_real)(const double *m, int64_t rows, int64_t pitch, const double *x, double *y) {
    for (int64_t j = 0; j < pitch; j += 8) {
        v8 s = *(v8 *)(y + j), t = {0};
        int64_t i = 0;
        for (; i + 2 <= rows; i += 2) {
            s += x[i] * *(const v8 *)(m + i * pitch + j);
            t += x[i + 1] * *(const v8 *)(m + (i + 1) * pitch + j);
        }
        if (i < rows) s += x[i] * *(const v8 *)(m + i * pitch + j);
        *(v8 *)(y + j) = s + t;
    }
}

INLINE void NAME(turned_complex)(const double *m, const double *n, int64_t rows, int64_t pitch, const double *x,
                                 const double *z, double *y, double *w) {
    for (int64_t j = 0; j < pitch; j += 8) {
        v8 s = *(v8 *)(y + j), t = *(v8 *)(w + j), p = {0}, q = {0};
        for (int64_t i = 0; i < rows; i++) {
            const v8 a = *(const v8 *)(m + i * pitch + j), b = *(const v8 *)(n + i * pitch + j);
            s += x[i] * a, p -= z[i] * b;
            t += z[i] * a, q += x[i] * b;
        }
        *(v8 *)(y + j) = s + p;
        *(v8 *)(w + j) = t + q;
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
        v8 s[R], z[R];                                                                                                 \
        for (int l = 0; l < R; l++) {                                                                                  \
            if (add)                                                                                                   \
                s[l] = *(v8 *)(into[r + l] + at), z[l] = *(v8 *)(into_im[r + l] + at);                                 \
            else                                                                                                       \
                s[l] = z[l] = (v8){0};                                                                                 \
        }                                                                                                              \
        if (from_im)                                                                                                   \
            for (int64_t j = 0; j < inner; j++) {                                                                      \
                const v8 x = *(const v8 *)(from[j] + at), y = *(const v8 *)(from_im[j] + at);                          \
                for (int l = 0; l < R; l++) {                                                                          \
                    const double a = m[(r + l) * pitch + j], b = m_im[(r + l) * pitch + j];                            \
                    s[l] += a * x, s[l] -= b * y;                                                                      \
                    z[l] += a * y, z[l] += b * x;                                                                      \
                }                                                                                                      \
            }                                                                                                          \
        else                                                                                                           \
            for (int64_t j = 0; j < inner; j++) {                                                                      \
                const v8 x = *(const v8 *)(from[j] + at);                                                              \
                for (int l = 0; l < R; l++) {                                                                          \
                    s[l] += m[(r + l) * pitch + j] * x;                                                                \
                    z[l] += m_im[(r + l) * pitch + j] * x;                                                             \
                }                                                                                                      \
            }                                                                                                          \
        for (int l = 0; l < R; l++) *(v8 *)(into[r + l] + at) = s[l], *(v8 *)(into_im[r + l] + at) = z[l];             \
    }

/* The same with imaginary parts; from_im is null where the columns have none. */
INLINE void NAME(combine_complex)(const double *m, const double *m_im, int64_t pitch, int64_t rows, int64_t inner,
                                  const double **from, const double **from_im, double **into, double **into_im,
                                  int64_t columns, int add) {
    for (int64_t at = 0; at < columns; at += 8) {
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
                    for (int64_t j = 0; j < columns; j += 8) {
                        v8 sum = {0};
                        for (int64_t i = 0; i < s; i++) sum += share[i] * *(const v8 *)(row + i * n * columns + j);
                        *(v8 *)(to + j) = sum;
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
            v8 total = {0};
            for (int64_t j = 0; j < columns; j += 8) {
                v8 sum = {0};
                for (int64_t slot = 0; slot < slots; slot++)
                    sum += mix[i * slots + slot] * *(v8 *)(x + (slot * n + place) * columns + j);
                *(v8 *)(to + j) = sum;
                total += *(v8 *)(share + j) * sum;
            }
            after[i * n + u] = 0.0;
            for (int l = 0; l < 8; l++) after[i * n + u] += total[l];
        }
    }
    for (int64_t u = 0; u < (alike ? n : s * n); u++) {
        v8 total = {0};
        for (int64_t j = 0; j < columns; j += 8) total += *(v8 *)(share + j) * *(const v8 *)(right + u * columns + j);
        before[u] = 0.0;
        for (int l = 0; l < 8; l++) before[u] += total[l];
    }
    *residual = NAME(stage_residual)(c, values, NAME(size_of)(c, values), 0, after, before, alike, missed);
    free(work), free(rows);
    return 0;
}

/* See fronts_transport: the entries of A are sums over the drift's values. */
PART void NAME(fronts_transport)(const Fronts *c, int64_t columns, int64_t weights, const double *slope,
                                 const double *densities, const double *multipliers, double *moved, double *pulled) {
    for (int64_t at = 0; at < weights; at += 8)
        for (int64_t i = 0; i < c->unknowns; i++)
            for (int64_t e = c->rows_at[i]; e < c->rows_at[i + 1]; e++) {
                const int64_t j = c->columns[e];
                v8 entry = {0};
                for (int64_t k = c->inputs_at[e]; k < c->inputs_at[e + 1]; k++)
                    entry += c->shares[k] * *(const v8 *)(slope + c->inputs[k] * weights + at);
                for (int64_t column = 0; column < columns; column++) {
                    *(v8 *)(moved + (i * columns + column) * weights + at) += densities[j * columns + column] * entry;
                    *(v8 *)(pulled + (j * columns + column) * weights + at) += multipliers[i * columns + column] * entry;
                }
            }
}
