/* The state equation in one dimension: factors, sweeps, sensitivities. Included once for each instruction set.

   With the mass M in front, N = -hMA couples only the nodes of one element. For each eigenvalue l of the Radau matrix

       interiors    D = l M_i + N_ii,  P = D^-1,  R = P N_iv,  B = N_vi P
       vertices     Z = (l M_v + sum over elements of (N_vv - N_vi P N_iv))^-1
       a solve      x_v = Z (f_v - sum over elements of B f_i),   x_i = P f_i - R x_v

   and transposed with P', B', R', Z' in the places of P, R, B, Z. Interiors are eliminated without pivots, vertices with
   them. Whether that was good enough is measured: every sweep gives the residuals of its stage equations, over the sizes
   of their terms. Elements, or columns, stand side by side in a vector. */

#include "combine.h"

/* --- where the factors of a block are ------------------------------------------------------------------------------ */

INLINE int64_t NAME(inner)(const Line *c) { return c->nodes - 2 > 0 ? c->nodes - 2 : 0; }
INLINE int64_t NAME(size_n)(const Line *c) { return c->nodes * c->nodes * c->lanes; }
INLINE int64_t NAME(size_p)(const Line *c) { return c->slots * NAME(inner)(c) * NAME(inner)(c) * c->lanes; }
INLINE int64_t NAME(size_r)(const Line *c) { return c->slots * NAME(inner)(c) * 2 * c->lanes; }
INLINE int64_t NAME(size_z)(const Line *c) { return 2 * c->slots * c->room * c->room; }

typedef struct {
    double *n, *p, *r, *b, *z, *size; /* (q, q, L), (slots, m, m, L), (slots, m, 2, L), (slots, 2, m, L), Z' and Z */
} NAME(Factors);

INLINE int64_t NAME(stride)(const Line *c) {
    return NAME(size_n)(c) + NAME(size_p)(c) + 2 * NAME(size_r)(c) + NAME(size_z)(c) + 8;
}

INLINE NAME(Factors) NAME(factors)(const Line *c, double *all, int64_t block) {
    NAME(Factors) f;
    f.n = all + block * NAME(stride)(c);
    f.p = f.n + NAME(size_n)(c);
    f.r = f.p + NAME(size_p)(c);
    f.b = f.r + NAME(size_r)(c);
    f.z = f.b + NAME(size_r)(c);
    f.size = f.z + NAME(size_z)(c);
    return f;
}

/* --- factors ------------------------------------------------------------------------------------------------------- */

/* w (m, m) -> w^-1 by Gauss-Jordan elimination without pivots. */
INLINE void NAME(invert_real)(vec *w, int64_t m) {
    for (int64_t k = 0; k < m; k++) {
        vec pivot = 1.0 / w[k * m + k];
        w[k * m + k] = pivot * 0.0 + 1.0;
        for (int64_t j = 0; j < m; j++) w[k * m + j] *= pivot;
        for (int64_t i = 0; i < m; i++) {
            if (i == k) continue;
            vec t = w[i * m + k];
            w[i * m + k] = t * 0.0;
            for (int64_t j = 0; j < m; j++) w[i * m + j] -= t * w[k * m + j];
        }
    }
}

/* The same for re + i im. */
INLINE void NAME(invert_complex)(vec *re, vec *im, int64_t m) {
    for (int64_t k = 0; k < m; k++) {
        vec x = re[k * m + k], y = im[k * m + k];
        vec scale = 1.0 / (x * x + y * y);
        vec pr = x * scale, pi = -y * scale;
        re[k * m + k] = scale * 0.0 + 1.0;
        im[k * m + k] = scale * 0.0;
        for (int64_t j = 0; j < m; j++) {
            x = re[k * m + j], y = im[k * m + j];
            re[k * m + j] = x * pr - y * pi;
            im[k * m + j] = x * pi + y * pr;
        }
        for (int64_t i = 0; i < m; i++) {
            if (i == k) continue;
            vec tr = re[i * m + k], ti = im[i * m + k];
            re[i * m + k] = tr * 0.0;
            im[i * m + k] = tr * 0.0;
            for (int64_t j = 0; j < m; j++) {
                x = re[k * m + j], y = im[k * m + j];
                re[i * m + j] -= tr * x - ti * y;
                im[i * m + j] -= tr * y + ti * x;
            }
        }
    }
}

/* row -= (fr + i fi) times another row, from `first` on; without imaginary parts where `single`. */
INLINE void NAME(subtract)(double *xr, double *xi, const double *yr, const double *yi, double fr, double fi, int64_t first,
                           int64_t size, int single) {
    if (single)
        for (int64_t j = first; j < size; j++) xr[j] -= fr * yr[j];
    else
        for (int64_t j = first; j < size; j++) {
            const double x = yr[j], y = yi[j];
            xr[j] -= fr * x - fi * y;
            xi[j] -= fr * y + fi * x;
        }
}

/* (xr + i xi) (V, V), with rows of `room`, to its inverse (yr + i yi), by elimination with row pivots; it skips zeros,
   so that a tridiagonal matrix, or a ring, takes O(V^2). single: there are no imaginary parts. */
PART void NAME(invert_vertices)(double *xr, double *xi, double *yr, double *yi, int64_t size, int64_t room, int single) {
    memset(yr, 0, sizeof(double) * room * room);
    memset(yi, 0, sizeof(double) * room * room);
    for (int64_t k = 0; k < size; k++) yr[k * room + k] = 1.0;
    for (int64_t k = 0; k < size; k++) {
        int64_t best = k;
        double most = -1.0;
        for (int64_t i = k; i < size; i++) {
            const double re = xr[i * room + k], im = xi[i * room + k], found = re * re + im * im;
            if (found > most) most = found, best = i;
        }
        if (best != k)
            for (int64_t j = 0; j < size; j++) {
                double *each[4] = {xr, xi, yr, yi};
                for (int t = 0; t < 4; t++) {
                    const double held = each[t][k * room + j];
                    each[t][k * room + j] = each[t][best * room + j];
                    each[t][best * room + j] = held;
                }
            }
        const double dr = xr[k * room + k] / most, di = -xi[k * room + k] / most;
        for (int64_t i = k + 1; i < size; i++) {
            const double re = xr[i * room + k], im = xi[i * room + k];
            if (re == 0.0 && im == 0.0) continue;
            const double fr = re * dr - im * di, fi = re * di + im * dr;
            const int64_t to = i * room, from = k * room;
            NAME(subtract)(xr + to, xi + to, xr + from, xi + from, fr, fi, k, size, single);
            NAME(subtract)(yr + to, yi + to, yr + from, yi + from, fr, fi, 0, size, single);
        }
    }
    for (int64_t k = size - 1; k >= 0; k--) {
        const double re = xr[k * room + k], im = xi[k * room + k], norm = re * re + im * im;
        const double dr = re / norm, di = -im / norm;
        for (int64_t j = 0; j < size; j++) {
            const double x = yr[k * room + j], y = yi[k * room + j];
            yr[k * room + j] = x * dr - y * di;
            yi[k * room + j] = x * di + y * dr;
        }
        for (int64_t i = 0; i < k; i++) {
            const double fr = xr[i * room + k], fi = xi[i * room + k];
            if (fr == 0.0 && fi == 0.0) continue;
            const int64_t to = i * room, from = k * room;
            NAME(subtract)(yr + to, yi + to, yr + from, yi + from, fr, fi, 0, size, single);
        }
    }
}

/* All factors of one block, for its drift (k). */
PART void NAME(factorise)(const Line *c, int64_t which, const double *drift, NAME(Factors) f, double *work) {
    const int64_t q = c->nodes, m = NAME(inner)(c), L = c->lanes, last = q - 1, V = c->vertices, W = c->room;
    const double h = c->lengths[which], spread = h * c->diffusivity[which];
    const double *c_ = c->convection;
    vec n[q * q], v[q], re[m * m + 1], im[m * m + 1], r[2][2 * m + 1];
    double *vertex[2][2]; /* of each mode, real and imaginary part */
    for (int mode = 0; mode < 2; mode++)
        for (int part = 0; part < 2; part++) vertex[mode][part] = work + (2 * mode + part) * W * W;
    double *inverse_re = work + 4 * W * W, *inverse_im = work + 5 * W * W;
    memset(work, 0, sizeof(double) * 4 * W * W);
    const int64_t modes = c->slots - c->reals > 0 ? c->reals + 1 : c->reals;
    double largest = 0.0;
    for (int64_t mode = 0; mode < modes; mode++) {
        const double *l = c->eigenvalues + mode;
        double size = mode < c->reals ? fabs(l[0]) : fabs(l[0]) + fabs(l[1]);
        largest = size > largest ? size : largest;
    }
    double norm = 0.0;
    for (int64_t lane = 0; lane < L; lane += LANES) {
        for (int64_t a = 0; a < q; a++)
            for (int l = 0; l < LANES; l++) v[a][l] = lane + l < c->elements ? drift[(lane + l) * last + a] : 0.0;
        for (int64_t a = 0; a < q; a++) {
            vec sum = v[a] * 0.0;
            for (int64_t o = 0; o < q; o++) sum += c_[a * q + o] * v[o];
            for (int64_t o = 0; o < q; o++)
                n[a * q + o] = spread * c->stiffness[a * q + o] -
                               (0.5 * h) * (c_[a * q + o] * v[o] - c_[o * q + a] * v[a]);
            n[a * q + a] -= (0.5 * h) * sum;
        }
        if (c->faces) {
            const double *through = drift + c->points - 2;
            if (lane == 0)
                for (int64_t a = 0; a < q; a++) n[a * q][0] -= h * c->face[a] * through[0];
            if (lane == (c->elements - 1) / LANES * LANES)
                for (int64_t a = 0; a < q; a++)
                    n[a * q + last][(c->elements - 1) % LANES] -= h * c->face[q + a] * through[1];
        }
        for (int64_t a = 0; a < q; a++) {
            vec sum = v[0] * 0.0 + largest * c->weights[a];
            for (int64_t o = 0; o < q; o++) sum += MAGNITUDE(n[a * q + o]);
            for (int l = 0; l < LANES; l++) norm = sum[l] > norm ? sum[l] : norm;
        }
        for (int64_t a = 0; a < q * q; a++) *(vec *)(f.n + a * L + lane) = n[a];
        for (int64_t mode = 0; mode < modes; mode++) {
            const int single = mode < c->reals, parts = single ? 1 : 2;
            const double shift = c->eigenvalues[mode], turn = single ? 0.0 : c->eigenvalues[mode + 1];
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < m; j++) {
                    re[i * m + j] = n[(i + 1) * q + j + 1] + (i == j ? shift * c->weights[i + 1] : 0.0);
                    im[i * m + j] = v[0] * 0.0 + (i == j ? turn * c->weights[i + 1] : 0.0);
                }
            if (single)
                NAME(invert_real)(re, m);
            else
                NAME(invert_complex)(re, im, m);
            for (int part = 0; part < parts; part++) {
                const vec *p = part ? im : re;
                const int64_t slot = mode + part;
                for (int64_t i = 0; i < m * m; i++) *(vec *)(f.p + (slot * m * m + i) * L + lane) = p[i];
                for (int side = 0; side < 2; side++) {
                    const int64_t end = side ? last : 0;
                    for (int64_t i = 0; i < m; i++) {
                        vec right = v[0] * 0.0, lower = v[0] * 0.0;
                        for (int64_t j = 0; j < m; j++) {
                            right += p[i * m + j] * n[(j + 1) * q + end];
                            lower += n[end * q + j + 1] * p[j * m + i];
                        }
                        r[part][i * 2 + side] = right;
                        *(vec *)(f.r + ((slot * m + i) * 2 + side) * L + lane) = right;
                        *(vec *)(f.b + ((slot * 2 + side) * m + i) * L + lane) = lower;
                    }
                }
                vec value[2][2];
                for (int row = 0; row < 2; row++)
                    for (int column = 0; column < 2; column++) {
                        const int64_t first = row ? last : 0, second = column ? last : 0;
                        vec sum = part ? v[0] * 0.0 : n[first * q + second];
                        for (int64_t j = 0; j < m; j++) sum -= n[first * q + j + 1] * r[part][j * 2 + column];
                        if (row == column) sum += (part ? turn : shift) * c->weights[first];
                        value[row][column] = sum;
                    }
                double *matrix = vertex[mode][part];
                for (int l = 0; l < LANES && lane + l < c->elements; l++) {
                    const int64_t ends[2] = {c->left[lane + l], c->right[lane + l]};
                    for (int row = 0; row < 2; row++)
                        for (int column = 0; column < 2; column++)
                            matrix[ends[row] * W + ends[column]] += value[row][column][l];
                }
            }
        }
    }
    *f.size = norm;
    for (int64_t mode = 0; mode < modes; mode++) {
        NAME(invert_vertices)(vertex[mode][0], vertex[mode][1], inverse_re, inverse_im, V, W, mode < c->reals);
        for (int part = 0; part < (mode < c->reals ? 1 : 2); part++) {
            const double *inverse = part ? inverse_im : inverse_re;
            double *turned = f.z + (mode + part) * W * W, *straight = f.z + (c->slots + mode + part) * W * W;
            memset(turned, 0, sizeof(double) * W * W);
            memset(straight, 0, sizeof(double) * W * W);
            for (int64_t u = 0; u < V; u++)
                for (int64_t w = 0; w < V; w++) {
                    turned[w * W + u] = inverse[u * W + w];
                    straight[u * W + w] = inverse[u * W + w];
                }
        }
    }
}

/* --- one right-hand side ------------------------------------------------------------------------------------------- */

/* (l M + N) x = f, or its transpose, for all slots. f (slots, q, L): its interior rows, one for all slots where `alike`
   says that they are real and the same; fv (slots, W) is used up. Written: x (slots, q, L), xv (slots, W). */
INLINE void NAME(solve)(const Line *c, NAME(Factors) f, int transposed, int alike, const double *right, double *fv,
                        double *x, double *xv) {
    const int64_t q = c->nodes, m = NAME(inner)(c), L = c->lanes, W = c->room, V = c->vertices, s0 = c->reals;
    const int64_t row = transposed ? L : m * L, column = transposed ? m * L : L; /* of P */
    const double *low = transposed ? f.r : f.b, *high = transposed ? f.b : f.r;
    const int64_t low_side = transposed ? L : m * L, low_inner = transposed ? 2 * L : L;
    const int64_t high_side = transposed ? m * L : L, high_inner = transposed ? L : 2 * L;
    const int paired = c->slots > s0;
    const double *fr = right + (alike ? 0 : s0 * q * L), *fi = fr + (alike ? 0 : q * L);
    double *xr = x + s0 * q * L, *xi = xr + q * L;
    for (int side = 0; side < 2; side++)
        for (int64_t lane = 0; lane < L; lane += LANES) {
            const int64_t *end = (side ? c->right : c->left) + lane;
            if (s0) {
                vec sum = {0};
                const double *from = low + side * low_side + lane;
                for (int64_t j = 0; j < m; j++)
                    sum += *(vec *)(from + j * low_inner) * *(vec *)(right + (j + 1) * L + lane);
                for (int l = 0; l < LANES; l++) fv[end[l]] -= sum[l];
            }
            if (paired) {
                vec re = {0}, im = {0};
                const double *of_re = low + s0 * 2 * m * L + side * low_side + lane, *of_im = of_re + 2 * m * L;
                for (int64_t j = 0; j < m; j++) {
                    vec b = *(vec *)(of_re + j * low_inner), d = *(vec *)(of_im + j * low_inner);
                    vec y = *(vec *)(fr + (j + 1) * L + lane);
                    re += b * y;
                    im += d * y;
                    if (!alike) {
                        vec z = *(vec *)(fi + (j + 1) * L + lane);
                        re -= d * z;
                        im += b * z;
                    }
                }
                for (int l = 0; l < LANES; l++) fv[s0 * W + end[l]] -= re[l], fv[(s0 + 1) * W + end[l]] -= im[l];
            }
        }
    const double *z = f.z + (transposed ? c->slots * W * W : 0);
    for (int64_t at = 0; at < W; at += LANES) {
        if (s0) {
            vec sum = {0};
            for (int64_t w = 0; w < V; w++) sum += *(vec *)(z + w * W + at) * fv[w];
            *(vec *)(xv + at) = sum;
        }
        if (paired) {
            vec re = {0}, im = {0};
            const double *of_re = z + s0 * W * W, *of_im = of_re + W * W, *gr = fv + s0 * W, *gi = gr + W;
            for (int64_t w = 0; w < V; w++) {
                vec b = *(vec *)(of_re + w * W + at), d = *(vec *)(of_im + w * W + at);
                re += b * gr[w] - d * gi[w];
                im += b * gi[w] + d * gr[w];
            }
            *(vec *)(xv + s0 * W + at) = re;
            *(vec *)(xv + (s0 + 1) * W + at) = im;
        }
    }
    for (int64_t slot = 0; slot < c->slots; slot++)
        for (int64_t l = 0; l < L; l++) {
            x[slot * q * L + l] = xv[slot * W + c->left[l]];
            x[(slot * q + q - 1) * L + l] = xv[slot * W + c->right[l]];
        }
    for (int64_t lane = 0; lane < L; lane += LANES)
        for (int64_t i = 0; i < m; i++) {
            if (s0) {
                const double *ends = high + i * high_inner + lane, *p = f.p + i * row + lane;
                vec sum = -*(vec *)ends * *(vec *)(x + lane) -
                         *(vec *)(ends + high_side) * *(vec *)(x + (q - 1) * L + lane);
                for (int64_t j = 0; j < m; j++) sum += *(vec *)(p + j * column) * *(vec *)(right + (j + 1) * L + lane);
                *(vec *)(x + (i + 1) * L + lane) = sum;
            }
            if (paired) {
                vec re = {0}, im = {0};
                for (int side = 0; side < 2; side++) {
                    const double *ends = high + s0 * 2 * m * L + i * high_inner + side * high_side + lane;
                    vec b = *(vec *)ends, d = *(vec *)(ends + 2 * m * L);
                    vec y = *(vec *)(xr + (side ? q - 1 : 0) * L + lane), z8 = *(vec *)(xi + (side ? q - 1 : 0) * L + lane);
                    re -= b * y - d * z8;
                    im -= b * z8 + d * y;
                }
                const double *p = f.p + s0 * m * m * L + i * row + lane, *p_im = p + m * m * L;
                for (int64_t j = 0; j < m; j++) {
                    vec b = *(vec *)(p + j * column), d = *(vec *)(p_im + j * column);
                    vec y = *(vec *)(fr + (j + 1) * L + lane);
                    re += b * y;
                    im += d * y;
                    if (!alike) {
                        vec z8 = *(vec *)(fi + (j + 1) * L + lane);
                        re -= d * z8;
                        im += b * z8;
                    }
                }
                *(vec *)(xr + (i + 1) * L + lane) = re;
                *(vec *)(xi + (i + 1) * L + lane) = im;
            }
        }
}

/* parts (8) += the squares of numbers, a multiple of eight. */
INLINE void NAME(add_squares)(const double *values, int64_t count, vec *parts) {
    for (int64_t l = 0; l < count; l += 8)
        for (int v = 0; v < VECS; v++) {
            const vec value = *(const vec *)(values + l + LANES * v);
            parts[v] += value * value;
        }
}

/* Unknowns (n) -> nodes of the elements (q, L); 0 where there is no unknown. */
INLINE void NAME(to_nodes)(const Line *c, const double *values, double *local) {
    const int64_t q = c->nodes, L = c->lanes, V = c->vertices;
    for (int64_t l = 0; l < L; l++) {
        local[l] = c->left[l] == V ? 0.0 : values[c->vertex[c->left[l]]];
        local[(q - 1) * L + l] = c->right[l] == V ? 0.0 : values[c->vertex[c->right[l]]];
    }
    for (int64_t a = 1; a < q - 1; a++) {
        for (int64_t e = 0; e < c->elements; e++) local[a * L + e] = values[c->start[e] + a - 1];
        for (int64_t e = c->elements; e < L; e++) local[a * L + e] = 0.0;
    }
}

/* Contributions of the elements (q, L), summed -> unknowns (n), +=. */
INLINE void NAME(sum_to_unknowns)(const Line *c, const double *local, double factor, double *values) {
    const int64_t q = c->nodes, L = c->lanes, V = c->vertices;
    for (int64_t e = 0; e < c->elements; e++) {
        if (c->left[e] != V) values[c->vertex[c->left[e]]] += factor * local[e];
        if (c->right[e] != V) values[c->vertex[c->right[e]]] += factor * local[(q - 1) * L + e];
        for (int64_t a = 1; a < q - 1; a++) values[c->start[e] + a - 1] += factor * local[a * L + e];
    }
}

/* Nodes (q, L) with vertices (W) -> unknowns (n). */
INLINE void NAME(to_unknowns)(const Line *c, const double *local, const double *at_vertices, double *values) {
    const int64_t q = c->nodes, L = c->lanes;
    for (int64_t e = 0; e < c->elements; e++)
        for (int64_t a = 1; a < q - 1; a++) values[c->start[e] + a - 1] = local[a * L + e];
    for (int64_t u = 0; u < c->vertices; u++) values[c->vertex[u]] = at_vertices[u];
}

/* result = N x on every element, or N'x. */
INLINE void NAME(apply)(const Line *c, const double *n, int transposed, const double *x, double *result) {
    const int64_t q = c->nodes, L = c->lanes;
    for (int64_t lane = 0; lane < L; lane += LANES)
        for (int64_t a = 0; a < q; a++) {
            vec sum = {0};
            for (int64_t b = 0; b < q; b++)
                sum += *(vec *)(n + (transposed ? b * q + a : a * q + b) * L + lane) * *(vec *)(x + b * L + lane);
            *(vec *)(result + a * L + lane) = sum;
        }
}

/* result = T(v) y on every element: ½ c_ab v_b - ½ c_ba v_a + ½ delta_ab sum_r c_ar v_r, or its transpose. */
INLINE void NAME(transport)(const Line *c, int transposed, const double *v, const double *y, double *result) {
    const int64_t q = c->nodes, L = c->lanes;
    for (int64_t lane = 0; lane < L; lane += LANES)
        for (int64_t a = 0; a < q; a++) {
            vec one = {0}, two = {0}, three = {0};
            for (int64_t b = 0; b < q; b++) {
                const double forth = 0.5 * c->convection[a * q + b], back = 0.5 * c->convection[b * q + a];
                vec drift = *(vec *)(v + b * L + lane), value = *(vec *)(y + b * L + lane);
                one += back * value;
                two += forth * (drift * value);
                three += forth * drift;
            }
            vec own = *(vec *)(v + a * L + lane), of = *(vec *)(y + a * L + lane);
            vec total = transposed ? own * one - two : two - own * one;
            *(vec *)(result + a * L + lane) = total + three * of;
        }
}

/* How far M(Y_i - rho) + sum_j a_ij N Y_j is from zero, over the sizes of its terms, in the Euclidean norm. stages
   (s, q, L) and density (q, L) on the nodes of the elements; applied (s, q, L) and missed (W) are overwritten. */
INLINE double NAME(stage_residual)(const Line *c, NAME(Factors) f, const double *stages, const double *density,
                                   double *applied, double *missed) {
    const int64_t q = c->nodes, L = c->lanes, s = c->stages, V = c->vertices, last = q - 1;
    vec size[VECS] = {{0}}, square[VECS] = {{0}};
    double ends = 0.0;
    NAME(add_squares)(density, q * L, size);
    NAME(add_squares)(stages, s * q * L, size);
    for (int64_t j = 0; j < s; j++) NAME(apply)(c, f.n, 0, stages + j * q * L, applied + j * q * L);
    for (int64_t i = 0; i < s; i++) {
        const double *y = stages + i * q * L;
        for (int64_t a = 1; a < last; a++)
            for (int64_t l = a * L; l < (a + 1) * L; l += LANES) {
                vec sum = c->weights[a] * (*(vec *)(y + l) - *(vec *)(density + l));
                for (int64_t j = 0; j < s; j++) sum += c->a[i * s + j] * *(vec *)(applied + j * q * L + l);
                square[l / LANES % VECS] += sum * sum;
            }
        for (int64_t u = 0; u <= V; u++) missed[u] = 0.0;
        for (int64_t e = 0; e < c->elements; e++) {
            double low = c->weights[0] * (y[e] - density[e]);
            double high = c->weights[last] * (y[last * L + e] - density[last * L + e]);
            for (int64_t j = 0; j < s; j++) {
                low += c->a[i * s + j] * applied[j * q * L + e];
                high += c->a[i * s + j] * applied[(j * q + last) * L + e];
            }
            missed[c->left[e]] += low;
            missed[c->right[e]] += high;
        }
        for (int64_t u = 0; u < V; u++) ends += missed[u] * missed[u];
    }
    ends = NAME(plus_sum)(ends, square);
    const double total = NAME(plus_sum)(0.0, size);
    return total > 0.0 ? sqrt(ends / total) / *f.size : ends;
}

/* sum over the slots of share x, for x (slots, q, L) -> (q, L), and the same for xv (slots, W) -> (W). */
INLINE void NAME(gather_slots)(const Line *c, const double *share, const double *x, const double *xv, double *nodes,
                               double *vertices) {
    const int64_t size = c->nodes * c->lanes, W = c->room;
    for (int64_t l = 0; l < size; l += LANES) {
        vec sum = share[0] * *(vec *)(x + l);
        for (int64_t slot = 1; slot < c->slots; slot++) sum += share[slot] * *(vec *)(x + slot * size + l);
        *(vec *)(nodes + l) = sum;
    }
    for (int64_t u = 0; u < W; u += LANES) {
        vec sum = share[0] * *(vec *)(xv + u);
        for (int64_t slot = 1; slot < c->slots; slot++) sum += share[slot] * *(vec *)(xv + slot * W + u);
        *(vec *)(vertices + u) = sum;
    }
}

/* --- the drift of a network ---------------------------------------------------------------------------------------- */

/* v at the drift points (k) of one piece: tau sum_j A_j sigma_j, only outward on the faces. sigma (m, k). */
INLINE void NAME(drift_of)(const Line *c, const double *weights, const double *sigma, double *drift) {
    const int64_t k = c->points;
    for (int64_t x = 0; x < k; x++) drift[x] = 0.0;
    for (int64_t j = 0; j < c->width; j++)
        for (int64_t x = 0; x < k; x++) drift[x] += weights[j] * sigma[j * k + x];
    for (int64_t x = 0; x < k; x++) drift[x] *= c->tangential[x];
    for (int64_t side = 0; side < c->faces; side++) {
        double *at = drift + k - c->faces + side;
        if (!(c->outward[side] * *at > 0.0)) *at = isfinite(*at) ? 0.0 : *at;
    }
}

/* What each unknown adds to the kinetic energy: |v|^2 times the quadrature, (n), for the drift (k) of a piece. */
INLINE void NAME(kinetic)(const Line *c, const double *drift, double *speeds) {
    memset(speeds, 0, sizeof(double) * c->unknowns);
    for (int64_t x = 0; x < c->points - c->faces; x++)
        if (c->unknown[x] >= 0) speeds[c->unknown[x]] += c->point_weights[x] * drift[x] * drift[x];
}

/* --- sweeps -------------------------------------------------------------------------------------------------------- */

/* Forward from `initial` (n), for weights (K, P) and sigma (K, m, k), or without weights for the rectified drift (K, k) in
   the place of sigma, when the factors are those of one block after the other: factors, stages (K * blocks * steps, s, n), the value of the tracking error where there are targets,
   and the largest residual. Returns the piece where a number stopped being finite, as -1 - 2 piece for the drift and
   -2 - 2 piece for the density, or 0. */
PART int64_t NAME(forward)(const Line *c, const double *initial, const double *weights, const double *sigma,
                           double *factors, double *stages, double *value, double *residual) {
    const int64_t q = c->nodes, L = c->lanes, W = c->room, n = c->unknowns, s = c->stages, k = c->points;
    const int64_t P = 3 * c->width;
    const int64_t last = q - 1, V = c->vertices;
    const int64_t room = k + q * L * (2 + c->slots + 2 * s) + (2 * c->slots + s + 1) * W + 6 * W * W + 2 * n + 64;
    double *work = calloc(room, sizeof(double));
    if (!work) return 1;
    double *drift = work, *density = drift + k, *right = density + q * L, *x = right + q * L;
    double *local = x + c->slots * q * L, *applied = local + s * q * L, *fv = applied + s * q * L;
    double *xv = fv + c->slots * W, *ends = xv + c->slots * W, *missed = ends + s * W, *scratch = missed + W;
    double *error = scratch + 6 * W * W, *speeds = error + n;
    const int priced = c->energy_weight && weights;
    double total = 0.0, worst = 0.0;
    int64_t broken = 0;
    NAME(to_nodes)(c, initial, density);
    for (int64_t u = 0; u < V; u++) ends[(s - 1) * W + u] = initial[c->vertex[u]];
    for (int64_t block = 0; block < c->pieces * c->blocks && !broken; block++) {
        const int64_t piece = block / c->blocks;
        if (block % c->blocks == 0) {
            if (weights)
                NAME(drift_of)(c, weights + piece * P, sigma + piece * c->width * k, drift);
            else
                memcpy(drift, sigma + piece * k, sizeof(double) * k);
            for (int64_t i = 0; i < k; i++)
                if (!isfinite(drift[i])) broken = -1 - 2 * piece;
            if (broken) break;
            if (priced) NAME(kinetic)(c, drift, speeds);
        }
        NAME(Factors) f = NAME(factors)(c, factors, weights ? block : 0);
        NAME(factorise)(c, block, drift, f, scratch);
        for (int64_t step = 0; step < c->steps; step++) {
            const int64_t at = block * c->steps + step;
            double *y = stages + at * s * n;
            for (int64_t a = 1; a < last; a++)
                for (int64_t l = a * L; l < (a + 1) * L; l += LANES)
                    *(vec *)(right + l) = c->weights[a] * *(vec *)(density + l);
            for (int64_t slot = 0; slot < c->slots; slot++) {
                const int real = slot != c->reals + 1;
                for (int64_t u = 0; u < V; u++)
                    fv[slot * W + u] = real ? c->mass[c->vertex[u]] * ends[(s - 1) * W + u] : 0.0;
                for (int64_t u = V; u < W; u++) fv[slot * W + u] = 0.0;
            }
            NAME(solve)(c, f, 0, 1, right, fv, x, xv);
            for (int64_t i = 0; i < s; i++) {
                NAME(gather_slots)(c, c->combination + i * c->slots, x, xv, local + i * q * L, ends + i * W);
                NAME(to_unknowns)(c, local + i * q * L, ends + i * W, y + i * n);
            }
            worst = larger(worst, NAME(stage_residual)(c, f, local, density, applied, missed));
            memcpy(density, local + (s - 1) * q * L, sizeof(double) * q * L);
            for (int64_t i = 0; i < s && c->targets; i++) {
                const double *target = c->targets + (at * s + i) * n;
                double sum = 0.0;
                for (int64_t u = 0; u < n; u++) error[u] = y[i * n + u] - target[u];
                if (c->factor)
                    for (int64_t u = 0; u < n; u++) {
                        double size = 0.0;
                        for (int64_t w = 0; w < n; w++) size += c->factor[u * n + w] * error[w];
                        sum += (size * c->scale[u]) * (size * c->scale[u]);
                    }
                else {
                    vec parts[VECS] = {{0}};
                    const int64_t whole = n / 8 * 8;
                    for (int64_t u = 0; u < n; u++) error[u] *= c->scale[u];
                    NAME(add_squares)(error, whole, parts);
                    for (int64_t u = whole; u < n; u++) sum += error[u] * error[u];
                    sum = NAME(plus_sum)(sum, parts);
                }
                total += 0.5 * c->time_weight[at * s + i] * sum;
                if (priced) {
                    double energy = 0.0;
                    for (int64_t u = 0; u < n; u++) energy += y[i * n + u] > 0.0 ? speeds[u] * y[i * n + u] : 0.0;
                    total += 0.5 * c->energy_weight[at * s + i] * energy;
                }
                if (!isfinite(sum)) broken = -2 - 2 * piece;
            }
            if (broken) break;
        }
    }
    *value = total;
    *residual = worst;
    free(work);
    return broken;
}

/* Back, after `forward`: M^-1 mu of every stage (…, s, n), dJ/dv of the rectified drift (K, k), the largest residual.

   The objective's own derivatives are made here: time_weight * squared (Y - p), and those of the energy. */
PART int64_t NAME(back)(const Line *c, const double *weights, const double *sigma, double *factors,
                        const double *stages, double *multipliers, double *mean, double *residual) {
    const int64_t q = c->nodes, L = c->lanes, W = c->room, n = c->unknowns, s = c->stages, k = c->points;
    const int64_t last = q - 1, V = c->vertices;
    const int64_t room = q * L * (6 + 2 * c->slots + s) + (2 * c->slots + s + 3) * W + 2 * n + k + 64;
    double *work = calloc(room, sizeof(double));
    if (!work) return 1;
    double *right = work, *x = right + c->slots * q * L, *total = x + c->slots * q * L, *weight = total + s * q * L;
    double *density = weight + q * L, *applied = density + q * L, *own = applied + q * L, *product = own + q * L;
    double *carried = product + q * L, *fv = carried + q * L, *xv = fv + c->slots * W, *at_ends = xv + c->slots * W;
    double *of_carried = at_ends + s * W, *ends = of_carried + W, *missed = ends + W, *error = missed + W;
    double *speeds = error + n, *drift = speeds + n;
    double worst = 0.0;
    memset(mean, 0, sizeof(double) * c->pieces * k);
    for (int64_t block = c->pieces * c->blocks - 1; block >= 0; block--) {
        NAME(Factors) f = NAME(factors)(c, factors, block);
        double *slope = mean + block / c->blocks * k;
        const double h = c->lengths[block];
        if (c->energy_weight && (block + 1) % c->blocks == 0) {
            const int64_t piece = block / c->blocks;
            NAME(drift_of)(c, weights + piece * 3 * c->width, sigma + piece * c->width * k, drift);
            NAME(kinetic)(c, drift, speeds);
        }
        memset(own, 0, sizeof(double) * 2 * q * L);
        for (int64_t step = c->steps - 1; step >= 0; step--) {
            const int64_t at = block * c->steps + step;
            vec size[VECS] = {{0}};
            double at_size = 0.0;
            for (int64_t i = 0; i < s; i++) {
                const double *y = stages + (at * s + i) * n, *target = c->targets + (at * s + i) * n;
                const double share = c->time_weight[at * s + i];
                if (c->squared)
                    for (int64_t u = 0; u < n; u++) {
                        double sum = 0.0;
                        for (int64_t w = 0; w < n; w++) sum += c->squared[u * n + w] * (y[w] - target[w]);
                        error[u] = share * sum;
                    }
                else
                    for (int64_t u = 0; u < n; u++) error[u] = share * (c->scale[u] * c->scale[u]) * (y[u] - target[u]);
                if (c->energy_weight) {
                    const double price = c->energy_weight[at * s + i];
                    for (int64_t u = 0; u < n; u++) error[u] += y[u] > 0.0 ? 0.5 * price * speeds[u] : 0.0;
                    for (int64_t x = 0; x < k - c->faces; x++) {
                        const double rho = c->unknown[x] < 0 ? 0.0 : y[c->unknown[x]];
                        if (rho > 0.0) slope[x] += price * c->point_weights[x] * rho * drift[x];
                    }
                }
                double *to = total + i * q * L;
                NAME(to_nodes)(c, error, to);
                for (int64_t u = 0; u < V; u++) at_ends[i * W + u] = error[c->vertex[u]];
                if (i == s - 1) {
                    for (int64_t l = L; l < last * L; l += LANES) *(vec *)(to + l) += *(vec *)(carried + l);
                    for (int64_t u = 0; u < V; u++) at_ends[i * W + u] += of_carried[u];
                }
                NAME(add_squares)(to + L, (last - 1) * L, size);
                for (int64_t u = 0; u < V; u++) at_size += at_ends[i * W + u] * at_ends[i * W + u];
            }
            at_size = NAME(plus_sum)(at_size, size);
            for (int64_t slot = 0; slot < c->slots; slot++) {
                const double *share = c->gathered + slot * s;
                for (int64_t l = L; l < last * L; l += LANES) {
                    vec sum = share[0] * *(vec *)(total + l);
                    for (int64_t i = 1; i < s; i++) sum += share[i] * *(vec *)(total + i * q * L + l);
                    *(vec *)(right + slot * q * L + l) = sum;
                }
                for (int64_t u = 0; u < V; u++) {
                    double sum = 0.0;
                    for (int64_t i = 0; i < s; i++) sum += share[i] * at_ends[i * W + u];
                    fv[slot * W + u] = sum;
                }
                for (int64_t u = V; u < W; u++) fv[slot * W + u] = 0.0;
            }
            NAME(solve)(c, f, 1, 0, right, fv, x, xv);
            for (int64_t i = 0; i < s; i++) {
                /* Lambda_i + N' sum_j a_ji M^-1 Lambda_j = the derivative by Y_i */
                NAME(gather_slots)(c, c->spread + i * c->slots, x, xv, weight, ends);
                NAME(apply)(c, f.n, 1, weight, applied);
                const double *lambda = c->multiply + i * c->slots, *to = total + i * q * L;
                vec of_weight[VECS] = {{0}}, square[VECS] = {{0}};
                double off = 0.0, of_size = 0.0;
                for (int64_t a = 1; a < last; a++)
                    for (int64_t l = a * L; l < (a + 1) * L; l += LANES) {
                        vec sum = {0}, w = *(vec *)(weight + l);
                        for (int64_t slot = 0; slot < c->slots; slot++)
                            sum += lambda[slot] * *(vec *)(x + slot * q * L + l);
                        sum = c->weights[a] * sum + *(vec *)(applied + l) - *(vec *)(to + l);
                        square[l / LANES % VECS] += sum * sum;
                        of_weight[l / LANES % VECS] += w * w;
                    }
                for (int64_t u = 0; u <= V; u++) missed[u] = 0.0;
                for (int64_t e = 0; e < c->elements; e++) {
                    missed[c->left[e]] += applied[e];
                    missed[c->right[e]] += applied[last * L + e];
                }
                for (int64_t u = 0; u < V; u++) {
                    double sum = 0.0;
                    for (int64_t slot = 0; slot < c->slots; slot++) sum += lambda[slot] * xv[slot * W + u];
                    sum = c->mass[c->vertex[u]] * sum + missed[u] - at_ends[i * W + u];
                    off += sum * sum;
                    of_size += ends[u] * ends[u];
                }
                off = NAME(plus_sum)(off, square);
                of_size = NAME(plus_sum)(of_size, of_weight);
                const double scale = *f.size * sqrt(of_size) + sqrt(at_size);
                worst = larger(worst, scale > 0.0 ? sqrt(off) / scale : off);
                double *mu = multipliers + (at * s + i) * n;
                for (int64_t l = 0; l < q * L; l += LANES) *(vec *)(weight + l) *= h;
                for (int64_t u = 0; u < W; u += LANES) *(vec *)(ends + u) *= h;
                NAME(to_unknowns)(c, weight, ends, mu);
                /* half of Y c'w - w c'Y + c'(w Y), the last one when all steps are summed */
                NAME(to_nodes)(c, stages + (at * s + i) * n, density);
                for (int64_t lane = 0; lane < L; lane += LANES)
                    for (int64_t b = 0; b < q; b++) {
                        vec one = {0}, two = {0};
                        for (int64_t r = 0; r < q; r++) {
                            const double half = 0.5 * c->convection[r * q + b];
                            one += half * *(vec *)(weight + r * L + lane);
                            two += half * *(vec *)(density + r * L + lane);
                        }
                        vec w = *(vec *)(weight + b * L + lane), y = *(vec *)(density + b * L + lane);
                        *(vec *)(own + b * L + lane) += y * one - w * two;
                        *(vec *)(product + b * L + lane) += w * y;
                    }
                if (c->faces) {
                    const int64_t e = c->elements - 1;
                    double low = 0.0, high = 0.0;
                    for (int64_t b = 0; b < q; b++) {
                        low += c->face[b] * weight[b * L];
                        high += c->face[q + b] * weight[b * L + e];
                    }
                    slope[k - 2] += low * density[0];
                    slope[k - 1] += high * density[last * L + e];
                }
            }
            NAME(gather_slots)(c, c->lift, x, xv, carried, of_carried);
            for (int64_t a = 1; a < last; a++)
                for (int64_t l = a * L; l < (a + 1) * L; l += LANES) *(vec *)(carried + l) *= c->weights[a];
            for (int64_t u = 0; u < V; u++) of_carried[u] *= c->mass[c->vertex[u]];
        }
        for (int64_t lane = 0; lane < L; lane += LANES)
            for (int64_t b = 0; b < q; b++) {
                vec sum = *(vec *)(own + b * L + lane);
                for (int64_t r = 0; r < q; r++)
                    sum += (0.5 * c->convection[r * q + b]) * *(vec *)(product + r * L + lane);
                *(vec *)(own + b * L + lane) = sum;
            }
        for (int64_t e = 0; e < c->elements; e++)
            for (int64_t b = 0; b < q; b++) slope[e * last + b] += own[b * L + e];
    }
    *residual = worst;
    free(work);
    return 0;
}

/* dJ/dtheta (K, P) of the tracking error from dJ/dv of the rectified drift (K, k), which is cut to what passes the
   faces. sigma and slope (K, m, k). */
PART void NAME(pull_back)(const Line *c, const double *weights, const double *sigma, const double *slope, double *mean,
                          double *gradient) {
    const int64_t k = c->points, m = c->width, P = 3 * m;
    double *drift = malloc(sizeof(double) * (k + 1));
    for (int64_t piece = 0; piece < c->pieces; piece++) {
        double *v = mean + piece * k, *g = gradient + piece * P;
        const double *theta = weights + piece * P;
        if (c->faces) {
            NAME(drift_of)(c, theta, sigma + piece * m * k, drift);
            for (int64_t side = 0; side < 2; side++)
                if (drift[k - 2 + side] == 0.0) v[k - 2 + side] = 0.0;
        }
        for (int64_t j = 0; j < m; j++) {
            const double *value = sigma + (piece * m + j) * k, *rise = slope + (piece * m + j) * k;
            double a = 0.0, w = 0.0, b = 0.0;
            for (int64_t x = 0; x < k; x++) {
                const double weighted = v[x] * c->tangential[x], inner = weighted * theta[j] * rise[x];
                a += weighted * value[x];
                w += inner * c->position[x];
                b += inner;
            }
            g[j] = a, g[m + j] = w, g[2 * m + j] = b;
        }
    }
    free(drift);
}

/* --- many columns -------------------------------------------------------------------------------------------------- */

/* normal (N, N) += X'X, its upper triangle by blocks of 8, for X (rows, C) with C <= N. */
INLINE void NAME(add_gram)(const double *x, int64_t rows, int64_t pitch, int64_t columns, double *normal, int64_t size) {
    enum { R = LANES == 8 ? 8 : 4 }; /* rows at a time: 2 R sums fit the registers, 32 with AVX-512 and else 16 */
    for (int64_t i = 0; i < columns; i += R)
        for (int64_t j = i / 8 * 8; j < columns; j += 2 * LANES) {
            const int two = j + LANES < columns;
            vec s[R] = {{0}}, t[R] = {{0}};
            if (two)
                for (int64_t r = 0; r < rows; r++) {
                    const double *row = x + r * pitch;
                    const vec y = *(const vec *)(row + j), z = *(const vec *)(row + j + LANES);
                    for (int l = 0; l < R; l++) s[l] += row[i + l] * y, t[l] += row[i + l] * z;
                }
            else
                for (int64_t r = 0; r < rows; r++) {
                    const double *row = x + r * pitch;
                    const vec y = *(const vec *)(row + j);
                    for (int l = 0; l < R; l++) s[l] += row[i + l] * y;
                }
            for (int l = 0; l < R; l++) {
                *(vec *)(normal + (i + l) * size + j) += s[l];
                if (two) *(vec *)(normal + (i + l) * size + j + LANES) += t[l];
            }
        }
}

/* What the parameters of its own piece do in one step: responses (s, n, own) of the stages, and pulls T(dv)' M^-1 mu
   (P, s, n) on the adjoint; with lengths, one more of each, for dN = N / (S h) with all S steps of a piece. jacobian (P, k) of the rectified drift; multipliers and stages (s, n); rows of `own`. */
PART void NAME(linearise)(const Line *c, NAME(Factors) f, int64_t block, const double *jacobian, const double *stages,
                          const double *multipliers, double *responses, int64_t own, double *pulls, double *work) {
    const int64_t q = c->nodes, L = c->lanes, W = c->room, n = c->unknowns, s = c->stages, k = c->points;
    const int64_t P = 3 * c->width, last = q - 1, end = c->elements - 1;
    const double h = c->lengths[block];
    double *moved = work, *held = moved + c->slots * q * L, *pulling = held + q * L, *drift = pulling + s * q * L;
    double *right = drift + q * L, *x = right + c->slots * q * L, *local = x + c->slots * q * L;
    double *fv = local + q * L, *xv = fv + c->slots * W;
    memset(moved, 0, sizeof(double) * c->slots * q * L);
    for (int64_t i = 0; i < s; i++) {
        NAME(to_nodes)(c, stages + i * n, held);
        NAME(to_nodes)(c, multipliers + i * n, pulling + i * q * L);
        for (int64_t slot = 0; slot < c->slots; slot++) {
            const double share = h * c->projected[slot * s + i];
            for (int64_t l = 0; l < q * L; l += LANES) *(vec *)(moved + slot * q * L + l) += share * *(vec *)(held + l);
        }
    }
    for (int64_t p = 0; p < P + (c->growing != NULL); p++) {
        const double *rise = jacobian + p * k;
        const int timed = p == P;
        const double part = -1.0 / ((double)(c->blocks * c->steps) * h * h);
        for (int64_t a = 0; a < q && !timed; a++) {
            for (int64_t e = 0; e < c->elements; e++) drift[a * L + e] = rise[e * last + a];
            for (int64_t e = c->elements; e < L; e++) drift[a * L + e] = 0.0;
        }
        const double low = c->faces && !timed ? rise[k - 2] : 0.0, high = c->faces && !timed ? rise[k - 1] : 0.0;
        for (int64_t slot = 0; slot < c->slots; slot++) {
            double *y = moved + slot * q * L, *to = right + slot * q * L;
            if (timed) {
                NAME(apply)(c, f.n, 0, y, to);
                for (int64_t l = 0; l < q * L; l += LANES) *(vec *)(to + l) *= part;
            } else
                NAME(transport)(c, 0, drift, y, to);
            if (c->faces)
                for (int64_t b = 0; b < q; b++) {
                    to[b * L] += low * c->face[b] * y[0];
                    to[b * L + end] += high * c->face[q + b] * y[last * L + end];
                }
            memset(fv + slot * W, 0, sizeof(double) * W);
            for (int64_t e = 0; e < c->elements; e++) {
                fv[slot * W + c->left[e]] += to[e];
                fv[slot * W + c->right[e]] += to[last * L + e];
            }
        }
        NAME(solve)(c, f, 0, 0, right, fv, x, xv);
        for (int64_t i = 0; i < s; i++) {
            const double *share = c->recovered + i * c->slots;
            for (int64_t l = L; l < last * L; l += LANES) {
                vec sum = {0};
                for (int64_t slot = 0; slot < c->slots; slot++) sum += share[slot] * *(vec *)(x + slot * q * L + l);
                *(vec *)(local + l) = sum;
            }
            double *to = responses + i * n * own + p;
            for (int64_t e = 0; e < c->elements; e++)
                for (int64_t a = 1; a < last; a++) to[(c->start[e] + a - 1) * own] = local[a * L + e];
            for (int64_t u = 0; u < c->vertices; u++) {
                double sum = 0.0;
                for (int64_t slot = 0; slot < c->slots; slot++) sum += share[slot] * xv[slot * W + u];
                to[c->vertex[u] * own] = sum;
            }
            const double *w = pulling + i * q * L;
            if (timed) {
                NAME(apply)(c, f.n, 1, w, local);
                for (int64_t l = 0; l < q * L; l += LANES) *(vec *)(local + l) *= part;
            } else
                NAME(transport)(c, 1, drift, w, local);
            if (c->faces)
                for (int64_t b = 0; b < q; b++) {
                    local[0] += low * c->face[b] * w[b * L];
                    local[last * L + end] += high * c->face[q + b] * w[b * L + end];
                }
            double *pull = pulls + (p * s + i) * n;
            memset(pull, 0, sizeof(double) * n);
            NAME(sum_to_unknowns)(c, local, 1.0, pull);
        }
    }
}

/* To the pulls (Q, s, n) of one step what does not come of the adjoint: of the price of energy, and of a quadrature that
   grows with the length of the piece. mass (k) += price rho+ of all stages; slip (n) is overwritten. */
PART void NAME(priced_pulls)(const Line *c, int64_t at, int64_t piece, const double *jacobian, const double *drift,
                             const double *speeds, const double *stages, double *mass, double *slip, double *pulls) {
    const int64_t n = c->unknowns, s = c->stages, k = c->points, P = 3 * c->width, steps = c->blocks * c->steps;
    const double duration = (double)steps * c->lengths[piece * c->blocks];
    for (int64_t i = 0; i < s; i++) {
        const double *y = stages + i * n;
        const double price = c->energy_weight ? c->energy_weight[at * s + i] : 0.0;
        if (c->energy_weight) {
            for (int64_t x = 0; x < k - c->faces; x++) {
                const double rho = c->unknown[x] < 0 ? 0.0 : y[c->unknown[x]];
                if (rho > 0.0) mass[x] += price * c->point_weights[x] * rho;
            }
            for (int64_t p = 0; p < P; p++) {
                double *pull = pulls + (p * s + i) * n;
                for (int64_t x = 0; x < k - c->faces; x++) {
                    const int64_t u = c->unknown[x];
                    if (u >= 0 && y[u] > 0.0) pull[u] += price * c->point_weights[x] * drift[x] * jacobian[p * k + x];
                }
            }
        }
        if (c->growing) {
            double *pull = pulls + (P * s + i) * n;
            const double *target = c->targets + (at * s + i) * n;
            const double grown = c->growing[at * s + i] / duration;
            for (int64_t u = 0; u < n; u++) {
                if (c->squared) {
                    double sum = 0.0;
                    for (int64_t w = 0; w < n; w++) sum += c->squared[u * n + w] * (y[w] - target[w]);
                    slip[u] = sum;
                } else
                    slip[u] = c->scale[u] * c->scale[u] * (y[u] - target[u]);
                pull[u] += grown * slip[u];
                if (y[u] > 0.0 && c->energy_weight) pull[u] += 0.5 * price / duration * speeds[u];
            }
        }
    }
}

/* Gauss-Newton part (N, N), cross term (N, N) and curvature of the drift (K, P, P) at the point of `forward` and `back`.

   normal: sum of time_weight (R dY_p)(R dY_q), upper triangle; cross_pq: sum of the pulls of weight p on dY_q, for q of
   no later piece. N is rounded up to a multiple of 8, `size`; both are zero when they come. mean (K, k) is cut at the
   faces. Returns 1 without memory. */
PART int64_t NAME(sensitivities)(const Line *c, const double *weights, const double *sigma, const double *slope,
                                 double *factors, const double *stages, const double *multipliers, double *normal,
                                 double *cross, int64_t size, double *residual) {
    const int64_t q = c->nodes, m = NAME(inner)(c), L = c->lanes, W = c->room, n = c->unknowns, s = c->stages;
    const int64_t k = c->points, V = c->vertices, P = 3 * c->width, Q = P + (c->growing != NULL), E = c->elements;
    const int64_t steps = c->blocks * c->steps, slots = c->slots, wide = m + 2 * slots, own = (Q + 7) / 8 * 8;
    const int64_t both = 2 * V;
    const int64_t room = Q * k + k + 2 * n + steps * s * n * own + steps * s * n * Q + 2 * s * n * size + n * size +
                         E * (2 * slots * m + s * m * wide) + slots * V * V * 2 + both * both + slots * 2 * (V + 1) * size +
                         2 * slots * size + (1 + s) * n + W + q * L * (4 * slots + 2 * s + 6) + 3 * slots * W + k + 64;
    double *work = calloc(room + 64, sizeof(double));
    const double **from = malloc(sizeof(double *) * (wide + both + n + 8));
    double **into = malloc(sizeof(double *) * (s * m + both + n + slots * 2 + 8));
    if (!work || !from || !into) {
        free(work), free(from), free(into);
        return 1;
    }
    double *jacobian = work, *responses = jacobian + Q * k, *pulls = responses + steps * s * n * own;
    double *mass = pulls + steps * s * n * Q, *speeds = mass + k, *slip = speeds + n;
    double *moved = slip + n, *scaled = moved + s * n * size, *carried = scaled + s * n * size;
    double *low = carried + n * size, *high = low + E * 2 * slots * m, *paired = high + E * s * m * wide;
    double *fv = paired + both * both, *yv = fv + slots * (V + 1) * size, *some = yv + slots * (V + 1) * size;
    double *before = some + 2 * slots * size, *after = before + n, *missed = after + s * n, *drift = missed + W;
    double *scratch = drift + k;
    double worst = 0.0;
    for (int64_t piece = 0; piece < c->pieces; piece++) {
        const double *theta = weights + piece * P, *value = sigma + piece * c->width * k, *rise = slope + piece * c->width * k;
        NAME(drift_of)(c, theta, value, drift);
        for (int64_t j = 0; j < c->width; j++)
            for (int64_t x = 0; x < k; x++) {
                const double inner = c->tangential[x] * theta[j] * rise[j * k + x];
                const int shut = x >= k - c->faces && drift[x] == 0.0;
                jacobian[j * k + x] = shut ? 0.0 : c->tangential[x] * value[j * k + x];
                jacobian[(c->width + j) * k + x] = shut ? 0.0 : inner * c->position[x];
                jacobian[(2 * c->width + j) * k + x] = shut ? 0.0 : inner;
            }
        const int64_t seen = (piece + 1) * Q, C = (seen + 7) / 8 * 8, old = piece * Q;
        if (c->energy_weight) {
            NAME(kinetic)(c, drift, speeds);
            memset(mass, 0, sizeof(double) * k);
        }
        for (int64_t block = piece * c->blocks; block < (piece + 1) * c->blocks; block++) {
            NAME(Factors) f = NAME(factors)(c, factors, block);
            for (int64_t e = 0; e < E; e++) {
                for (int64_t slot = 0; slot < slots; slot++)
                    for (int64_t side = 0; side < 2; side++)
                        for (int64_t j = 0; j < m; j++)
                            low[((e * slots + slot) * 2 + side) * m + j] =
                                -f.b[((slot * 2 + side) * m + j) * L + e] * c->mass[c->start[e] + j];
                for (int64_t i = 0; i < s; i++) {
                    const double *share = c->combination + i * slots;
                    for (int64_t a = 0; a < m; a++) {
                        double *row = high + ((e * s + i) * m + a) * wide;
                        for (int64_t j = 0; j < m; j++) {
                            double sum = 0.0;
                            for (int64_t slot = 0; slot < slots; slot++)
                                sum += share[slot] * f.p[((slot * m + a) * m + j) * L + e];
                            row[j] = sum * c->mass[c->start[e] + j];
                        }
                        for (int64_t side = 0; side < 2; side++) {
                            if (c->reals) row[m + side] = -share[0] * f.r[(a * 2 + side) * L + e];
                            if (slots > c->reals) {
                                const double re = f.r[((c->reals * m + a) * 2 + side) * L + e];
                                const double im = f.r[(((c->reals + 1) * m + a) * 2 + side) * L + e];
                                row[m + 2 * c->reals + side] = -(share[c->reals] * re + share[c->reals + 1] * im);
                                row[m + 2 * c->reals + 2 + side] = -(share[c->reals + 1] * re - share[c->reals] * im);
                            }
                        }
                    }
                }
            }
            const double *straight = f.z + slots * W * W;
            if (slots > c->reals)
                for (int64_t u = 0; u < V; u++)
                    for (int64_t w = 0; w < V; w++) {
                        const double re = straight[c->reals * W * W + u * W + w];
                        const double im = straight[(c->reals + 1) * W * W + u * W + w];
                        paired[u * both + w] = re, paired[u * both + V + w] = -im;
                        paired[(V + u) * both + w] = im, paired[(V + u) * both + V + w] = re;
                    }
            for (int64_t step = 0; step < c->steps; step++) {
                const int64_t at = block * c->steps + step;
                NAME(linearise)(c, f, block, jacobian, stages + at * s * n, multipliers + at * s * n, responses, own, pulls,
                                scratch);
                NAME(priced_pulls)(c, at, piece, jacobian, drift, speeds, stages + at * s * n, mass, slip, pulls);
                if (at > 0) {
                    for (int64_t slot = 0; slot < slots; slot++)
                        for (int64_t u = 0; u <= V; u++) {
                            double *to = fv + (slot * (V + 1) + u) * size;
                            const double share = u < V && slot != c->reals + 1 ? c->mass[c->vertex[u]] : 0.0;
                            const double *row = carried + (u < V ? c->vertex[u] : 0) * size;
                            for (int64_t j = 0; j < C; j += LANES) *(vec *)(to + j) = share * *(vec *)(row + j);
                        }
                    for (int64_t e = 0; e < E; e++) {
                        for (int64_t j = 0; j < m; j++) from[j] = carried + (c->start[e] + j) * size;
                        for (int64_t slot = 0; slot < slots; slot++) {
                            into[2 * slot] = fv + (slot * (V + 1) + c->left[e]) * size;
                            into[2 * slot + 1] = fv + (slot * (V + 1) + c->right[e]) * size;
                            /* one side after the other: on a ring of one element both are the same vertex */
                            NAME(combine)(low + (e * slots + slot) * 2 * m, m, 1, m, from, into + 2 * slot, C, 1);
                            NAME(combine)(low + ((e * slots + slot) * 2 + 1) * m, m, 1, m, from, into + 2 * slot + 1, C, 1);
                        }
                    }
                    if (c->reals) {
                        for (int64_t u = 0; u < V; u++) from[u] = fv + u * size, into[u] = yv + u * size;
                        NAME(combine)(straight, W, V, V, from, into, C, 0);
                    }
                    if (slots > c->reals) {
                        for (int64_t part = 0; part < 2; part++)
                            for (int64_t u = 0; u < V; u++) {
                                from[part * V + u] = fv + ((c->reals + part) * (V + 1) + u) * size;
                                into[part * V + u] = yv + ((c->reals + part) * (V + 1) + u) * size;
                            }
                        NAME(combine)(paired, both, both, both, from, into, C, 0);
                    }
                    for (int64_t e = 0; e < E; e++) {
                        for (int64_t j = 0; j < m; j++) from[j] = carried + (c->start[e] + j) * size;
                        for (int64_t slot = 0; slot < slots; slot++) {
                            from[m + 2 * slot] = yv + (slot * (V + 1) + c->left[e]) * size;
                            from[m + 2 * slot + 1] = yv + (slot * (V + 1) + c->right[e]) * size;
                        }
                        for (int64_t i = 0; i < s; i++)
                            for (int64_t a = 0; a < m; a++) into[i * m + a] = moved + (i * n + c->start[e] + a) * size;
                        NAME(combine)(high + e * s * m * wide, wide, s * m, wide, from, into, C, 0);
                    }
                    for (int64_t u = 0; u < V; u++) {
                        for (int64_t slot = 0; slot < slots; slot++) from[slot] = yv + (slot * (V + 1) + u) * size;
                        for (int64_t i = 0; i < s; i++) into[i] = moved + (i * n + c->vertex[u]) * size;
                        NAME(combine)(c->combination, slots, s, slots, from, into, C, 0);
                    }
                    /* the residual for the sum of all of these columns */
                    for (int64_t u = 0; u < n; u++) {
                        vec sum[VECS] = {{0}};
                        for (int64_t j = 0; j < C; j += 8)
                            for (int v = 0; v < VECS; v++) sum[v] += *(vec *)(carried + u * size + j + LANES * v);
                        before[u] = NAME(plus_sum)(0.0, sum);
                    }
                    for (int64_t u = 0; u < s * n; u++) {
                        vec sum[VECS] = {{0}};
                        for (int64_t j = 0; j < C; j += 8)
                            for (int v = 0; v < VECS; v++) sum[v] += *(vec *)(moved + u * size + j + LANES * v);
                        after[u] = NAME(plus_sum)(0.0, sum);
                    }
                    NAME(to_nodes)(c, before, scratch);
                    for (int64_t i = 0; i < s; i++) NAME(to_nodes)(c, after + i * n, scratch + (i + 1) * q * L);
                    worst = larger(worst, NAME(stage_residual)(c, f, scratch + q * L, scratch,
                                                                     scratch + (s + 1) * q * L, missed));
                } else
                    for (int64_t u = 0; u < s * n; u++) memset(moved + u * size, 0, sizeof(double) * C);
                for (int64_t u = 0; u < s * n; u++)
                    for (int64_t p = 0; p < Q; p++) moved[u * size + old + p] += responses[u * own + p];
                /* the cross term */
                for (int64_t p = 0; p < Q; p++) {
                    const double *pull = pulls + p * s * n;
                    double *row = cross + (old + p) * size;
                    for (int64_t j = 0; j < C; j += 8) {
                        vec sum[VECS] = {{0}}, more[VECS] = {{0}};
                        int64_t u = 0;
                        for (; u + 1 < s * n; u += 2)
                            for (int v = 0; v < VECS; v++) {
                                sum[v] += pull[u] * *(vec *)(moved + u * size + j + LANES * v);
                                more[v] += pull[u + 1] * *(vec *)(moved + (u + 1) * size + j + LANES * v);
                            }
                        for (int v = 0; v < VECS; v++) {
                            if (u < s * n) sum[v] += pull[u] * *(vec *)(moved + u * size + j + LANES * v);
                            *(vec *)(row + j + LANES * v) += sum[v] + more[v];
                        }
                    }
                }
                /* the normal matrix */
                for (int64_t i = 0; i < s; i++) {
                    const double root = sqrt(c->time_weight[at * s + i]);
                    if (c->factor) {
                        for (int64_t u = 0; u < n; u++) {
                            from[u] = moved + (i * n + u) * size;
                            into[u] = scaled + (i * n + u) * size;
                        }
                        NAME(combine)(c->factor, n, n, n, from, into, C, 0);
                    }
                    for (int64_t u = 0; u < n; u++) {
                        const double share = root * c->scale[u];
                        const double *row = (c->factor ? scaled : moved) + (i * n + u) * size;
                        for (int64_t j = 0; j < C; j += LANES)
                            *(vec *)(scaled + (i * n + u) * size + j) = share * *(vec *)(row + j);
                    }
                    if (c->growing) { /* the targets move with the ends of the pieces */
                        double node = 0.0;
                        for (int64_t j = 0; j < s; j++) node += c->a[i * s + j];
                        const double within = ((double)(at - piece * steps) + node) / (double)steps;
                        for (int64_t j = 0; j <= piece; j++)
                            for (int64_t u = 0; u < n; u++)
                                scaled[(i * n + u) * size + j * Q + P] -=
                                    root * (j < piece ? 1.0 : within) * c->rates[(at * s + i) * n + u];
                    }
                }
                NAME(add_gram)(scaled, s * n, size, C, normal, size);
                memcpy(carried, moved + (s - 1) * n * size, sizeof(double) * n * size);
            }
        }
        for (int64_t p = 0; c->energy_weight && p < P; p++)
            for (int64_t r = p; r < P; r++) {
                double sum = 0.0;
                for (int64_t x = 0; x < k - c->faces; x++) sum += mass[x] * jacobian[p * k + x] * jacobian[r * k + x];
                normal[(old + p) * size + old + r] += sum;
            }
    }
    *residual = worst;
    free(work), free(from), free(into);
    return 0;
}

/* Sum of mean times d2v/dtheta dtheta of every piece, (K, P, P), by neuron. */
PART void NAME(curvature)(const Line *c, const double *weights, const double *slope, const double *bend,
                          const double *mean, double *curvature) {
    const int64_t k = c->points, m = c->width, P = 3 * m;
    memset(curvature, 0, sizeof(double) * c->pieces * P * P);
    for (int64_t piece = 0; piece < c->pieces; piece++) {
        double *h = curvature + piece * P * P;
        for (int64_t j = 0; j < m; j++) {
            const double *rise = slope + (piece * m + j) * k, *turn = bend + (piece * m + j) * k;
            const double *v = mean + piece * k, a = weights[piece * P + j];
            double aw = 0.0, ab = 0.0, ww = 0.0, wb = 0.0, bb = 0.0;
            for (int64_t x = 0; x < k; x++) {
                const double weighted = v[x] * c->tangential[x], y = c->position[x];
                const double mixed = weighted * rise[x], inner = weighted * a * turn[x];
                aw += mixed * y, ab += mixed;
                ww += inner * y * y, wb += inner * y, bb += inner;
            }
            const int64_t w = m + j, b = 2 * m + j;
            h[j * P + w] = h[w * P + j] = aw;
            h[j * P + b] = h[b * P + j] = ab;
            h[w * P + w] = ww, h[b * P + b] = bb;
            h[w * P + b] = h[b * P + w] = wb;
        }
    }
}
