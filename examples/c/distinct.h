/* How many distinct values there were: registers of HyperLogLog, and the historic inverse probability as the count, as in the language.
 *
 * Define DISTINCT_BITS (the logarithm of the number of registers) before.
 */
#ifndef DISTINCT_H
#define DISTINCT_H

#include "filter.h"

#define DISTINCT_REGISTERS (1ull << DISTINCT_BITS)
#define DISTINCT_MAX (((1ull << 47) - 1) << 16)

struct distinct {
    uint64_t estimate; /* in 65,536ths */
    uint64_t gone;     /* what of registers * 2^32 is gone from the sum of 2^(32 - register) */
    uint8_t registers[DISTINCT_REGISTERS];
};

/* How many zeros a number, not 0, ends with. */
static inline unsigned trailing_zeros(uint32_t x) {
#ifdef __bpf__
    /* Of the builtin clang makes a table, which BPF has no place for. */
    unsigned zeros = 0;
    for (unsigned bits = 16; bits; bits /= 2)
        if (!(x & ((1u << bits) - 1)))
            x >>= bits, zeros += bits;
    return zeros;
#else
    return (unsigned)__builtin_ctz(x);
#endif
}

/* Shows a value's hash; gives the count. */
static inline uint64_t distinct_insert(struct distinct *distinct, uint64_t hash) {
    uint8_t *place = &distinct->registers[hash >> (64 - DISTINCT_BITS)];
    unsigned rank = trailing_zeros((uint32_t)hash | 1u << 31) + 1, old = *place;
    if (rank > old) {
        uint64_t left = (DISTINCT_REGISTERS << 32) - distinct->gone;
        uint64_t estimate = distinct->estimate + (DISTINCT_REGISTERS << 48) / left;
        distinct->estimate = estimate < DISTINCT_MAX ? estimate : DISTINCT_MAX;
        distinct->gone += (1ull << (32 - old)) - (1ull << (32 - rank));
        *place = (uint8_t)rank;
    }
    return (distinct->estimate + (1 << 15)) >> 16;
}

#endif
