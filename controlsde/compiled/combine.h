/* Products of a small matrix with rows of many columns, which lie where pointers say. Included by the kernels. */

#ifndef ROWS
#define ROWS(R, W)                                                                                                \
    {                                                                                                                  \
        v8 s[R][W];                                                                                                    \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) {                                                                              \
                if (add)                                                                                               \
                    s[l][w] = *(v8 *)(into[r + l] + at + 8 * w);                                                       \
                else                                                                                                   \
                    s[l][w] = (v8){0};                                                                                 \
            }                                                                                                          \
        for (int64_t j = 0; j < inner; j++) {                                                                          \
            v8 x[W];                                                                                                   \
            for (int w = 0; w < W; w++) x[w] = *(const v8 *)(from[j] + at + 8 * w);                                    \
            for (int l = 0; l < R; l++)                                                                                \
                for (int w = 0; w < W; w++) s[l][w] += m[(r + l) * pitch + j] * x[w];                                  \
        }                                                                                                              \
        for (int l = 0; l < R; l++)                                                                                    \
            for (int w = 0; w < W; w++) *(v8 *)(into[r + l] + at + 8 * w) = s[l][w];                                   \
    }
#endif

/* into[r] (= or +=) sum over j of m[r, j] from[j], for rows of columns, a multiple of eight. */
INLINE void NAME(combine)(const double *m, int64_t pitch, int64_t rows, int64_t inner, const double **from,
                               double **into, int64_t columns, int add) {
    int64_t at = 0;
    for (; at + 16 <= columns; at += 16) {
        int64_t r = 0;
        for (; r + 6 <= rows; r += 6) ROWS(6, 2)
        for (; r < rows; r++) ROWS(1, 2)
    }
    for (; at < columns; at += 8) {
        int64_t r = 0;
        for (; r + 6 <= rows; r += 6) ROWS(6, 1)
        for (; r < rows; r++) ROWS(1, 1)
    }
}
