/* What Python hands over for factors by fronts: the plan of elimination, and the Radau scheme in its eigenbasis.

   Arrays are C-contiguous float64 or int64. n unknowns in places 0 ... n - 1, the order in which they are eliminated; G
   groups of neighbours in places, group g with own[g] unknowns from place first[g] on, and edge[g] more that they are
   coupled with, all of them in later places. Its front is the matrix of both, own unknowns first. What elimination leaves
   of the edge is handed on to the front of the group that is eliminated next of those that hold a part of it, as one of
   its children; there the edge's unknowns stand at `above`. Places before `inside` belong to groups without children.

   A matrix is l I + N with N in `entries` numbers, row by row; the entries of group g, those whose first unknown in the
   order is its own, stand from entries_at[g] on. Slots: one for a real eigenvalue l and two for a complex pair. */
#ifndef CONTROLSDE_FRONTS_H
#define CONTROLSDE_FRONTS_H

#include <stdint.h>

typedef struct {
    int64_t unknowns, entries, groups, inside, widest; /* the most unknowns of a front */
    int64_t stages, reals, slots, blocks, drift_values;
    int64_t factor_numbers, passed_numbers;                /* of one matrix and slot: factors, and what is handed on */
    const int64_t *order, *first, *own, *edge;             /* (n), and (G) three times */
    const int64_t *edges_at, *boundary, *above;            /* (G), then for every unknown of every edge */
    const int64_t *children_at, *child;                    /* (G + 1), then the groups that hand on to each */
    const int64_t *factors_at, *passed_at;                 /* (G), (G) */
    const int64_t *entries_at, *entry, *row, *column;      /* (G + 1), then number and place in the front, (entries) */
    const int64_t *rows_at, *columns;                      /* of N: (n + 1), (entries) */
    const int64_t *inputs_at, *inputs;                     /* which drift values an entry is a sum of: (entries + 1), … */
    const double *shares;                                  /* … and with which factors */
    const double *lengths, *still;                         /* h of each block's steps, N without a drift (blocks, entries) */
    const double *eigenvalues, *a;                         /* real, then real and imaginary part of the pair; (s, s) */
    const double *combination, *projected, *distributed;   /* (s, slots), (slots, s), (s, slots) */
    const double *gathered, *multiply;                     /* (slots, s), (s, slots) */
} Fronts;

#endif
