/* What Python hands over: sizes, the element matrices, the Radau scheme in its eigenbasis, the network and the norm.

   Arrays are C-contiguous float64 or int64. Sizes: E elements with q = p + 1 nodes each, m = p - 1 of them interior, in
   L lanes (E rounded up to a multiple of 8); V vertices that carry an unknown, and one more, number V, that stands for
   those that carry none; W vertices with room for that one, rounded up; n unknowns; s stages; slots: one for a real
   eigenvalue and two for a complex pair; K pieces of `blocks` blocks of `steps` steps; k drift points, of which the last
   `faces` are on the walls. The Python side of this structure is in library.py, field by field. */
#ifndef CONTROLSDE_LINE_H
#define CONTROLSDE_LINE_H

#include <stdint.h>

typedef struct {
    int64_t nodes, elements, lanes, vertices, room, unknowns, stages, reals, slots;
    int64_t pieces, blocks, steps, points, faces, width;
    const double *convection, *stiffness, *weights, *face, *mass; /* (q, q), (q, q), (q), (2, q), (n) */
    const int64_t *start, *vertex, *left, *right;                 /* (E), (V), (L), (L) */
    const double *lengths, *diffusivity;                          /* h and D of every block, (K * blocks) */
    const double *eigenvalues;                                    /* real, then real and imaginary part of the pair */
    const double *a;                                              /* (s, s) */
    const double *combination, *gathered, *spread, *lift;         /* (s, slots), (slots, s), (s, slots), (slots) */
    const double *multiply, *projected, *recovered;               /* (s, slots), (slots, s), (s, slots) */
    const double *position, *tangential, *outward;                /* x and tau at the drift points (k), (faces) */
    const double *initial, *targets, *time_weight;                /* (n), (K, S, s, n), (K, S, s) */
    const double *scale;                                          /* the norm is |scale * (factor e)|, (n) */
    const double *factor, *squared;                               /* (n, n), and (n, n) of the whole; or null */
    const double *energy_weight, *point_weights;                  /* (K, S, s) or null, and quadrature at the points (k) */
    const int64_t *unknown;                                       /* of each drift point, or -1, (k) */
    const double *growing, *rates;                                /* lengths as parameters: the part of time_weight that
                                                                     grows with them, R p' (K, S, s, n); or null */
} Line;

#endif
