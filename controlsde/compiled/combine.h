/* Sums of eight numbers, and products of a small matrix with rows of many columns, which lie where pointers say. Included
   by the kernels. */

#ifndef ROWS
#define ROWS(R, W)                                                                                                \
    {                                                                                                                  \
        vec s[R][W];                                                                                                    \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) {                                                                              \
                if (add)                                                                                               \
                    s[l][w] = *(vec *)(into[r + l] + at + LANES * w);                                                       \
                else                                                                                                   \
                    s[l][w] = (vec){0};                                                                                 \
            }                                                                                                          \
        for (int64_t j = 0; j < inner; j++) {                                                                          \
            vec x[W];                                                                                                   \
            for (int w = 0; w < W; w++) x[w] = *(const vec *)(from[j] + at + LANES * w);                                    \
            for (int l = 0; l < R; l++)                                                                                \
                for (int w = 0; w < W; w++) s[l][w] += m[(r + l) * pitch + j] * x[w];                                  \
        }                                                                                                              \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) *(vec *)(into[r + l] + at + LANES * w) = s[l][w];                                   \
    }
#endif

/* so_far, and then eight numbers one after the other: a sum of many is of as many parts, and has the same digits, whatever
   the width of a vector. */
INLINE double NAME(plus_sum)(double so_far, const vec *parts) {
    for (int v = 0; v < VECS; v++)
        for (int l = 0; l < LANES; l++) so_far += parts[v][l];
    return so_far;
}

/* into[r] (= or +=) sum over j of m[r, j] from[j], for rows of columns, a multiple of eight. */
INLINE void NAME(combine)(const double *m, int64_t pitch, int64_t rows, int64_t inner, const double **from,
                               double **into, int64_t columns, int add) {
    int64_t at = 0;
    for (; at + 2 * LANES <= columns; at += 2 * LANES) {
        int64_t r = 0;
        for (; r + 6 <= rows; r += 6) ROWS(6, 2)
        for (; r < rows; r++) ROWS(1, 2)
    }
    for (; at < columns; at += LANES) {
        int64_t r = 0;
        for (; r + 6 <= rows; r += 6) ROWS(6, 1)
        for (; r < rows; r++) ROWS(1, 1)
    }
}
