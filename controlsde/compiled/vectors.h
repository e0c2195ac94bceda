/* Vectors of each width, and which instruction set a call is for: kernels are included once for each of them under names
   of their own, see every_set.h, and CALL takes the widest that the processor has. */
#ifndef CONTROLSDE_VECTORS_H
#define CONTROLSDE_VECTORS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef double v8 __attribute__((vector_size(64), aligned(8)));
typedef double v4 __attribute__((vector_size(32), aligned(8)));
typedef double v2 __attribute__((vector_size(16), aligned(8)));
#define MAGNITUDE(x) ((__typeof__(x))((__typeof__((x) < (x)))(x) & INT64_MAX)) /* of each number */

#define INLINE static inline __attribute__((always_inline)) TARGET
#define PART static __attribute__((noinline)) TARGET

/* The larger of two numbers, and one that is no number where there is one. */
static inline double larger(double so_far, double found) { return found > so_far || found != found ? found : so_far; }

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(__x86_64__)
#define FOR_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma")))
#define FOR_AVX2 __attribute__((target("avx2,fma")))
static inline int level(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
}
#define CALL(f, ...) (level() == 2 ? f##_avx512(__VA_ARGS__) : level() == 1 ? f##_avx2(__VA_ARGS__) : f##_plain(__VA_ARGS__))
#else
#define CALL(f, ...) f##_plain(__VA_ARGS__)
#endif

#endif
