/* Includes KERNELS once for each instruction set, under names of its own, of which CALL takes one, see vectors.h. There a
   `vec` is what a register holds: LANES numbers, and VECS of them are eight numbers. A wider one would live in memory. */

#define VECS (8 / LANES)
#if defined(__x86_64__)
#define NAME(f) f##_avx512
#define TARGET FOR_AVX512
#define vec v8
#define LANES 8
#include KERNELS
#undef NAME
#undef TARGET
#undef vec
#undef LANES
#define NAME(f) f##_avx2
#define TARGET FOR_AVX2
#define vec v4
#define LANES 4
#include KERNELS
#undef NAME
#undef TARGET
#undef vec
#undef LANES
#endif
#define NAME(f) f##_plain
#define TARGET
#define vec v2
#define LANES 2
#include KERNELS
