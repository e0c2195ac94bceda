/* Includes KERNELS once for each instruction set, under names of its own, of which CALL takes one, see vectors.h. */

#if defined(__x86_64__)
#define NAME(f) f##_avx512
#define TARGET FOR_AVX512
#include KERNELS
#undef NAME
#undef TARGET
#define NAME(f) f##_avx2
#define TARGET FOR_AVX2
#include KERNELS
#undef NAME
#undef TARGET
#endif
#define NAME(f) f##_plain
#define TARGET
#include KERNELS
