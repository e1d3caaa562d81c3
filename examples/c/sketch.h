/* A count-min sketch over a sliding window.
 *
 * A template: define SKETCH (a name), ROWS, WIDTH (counters of a row) and LENGTH (of the window, in nanoseconds), then include this file.
 *
 * A counter is two words, for buckets of time of even and of odd number, side by side in one cache line. A word is the number of its bucket, modulo 2^20, above a count of
 * 44 bits; a word of another bucket counts as 0, so that nobody has to clear one.
 */
#ifdef __bpf__
#define relaxed_load(word) (*(word))
#elif defined(LOCKED)
#include <stdatomic.h>
#define relaxed_load(word) atomic_load_explicit((_Atomic uint64_t *)(word), memory_order_relaxed)
#else
#define relaxed_load(word) (*(word))
#endif

#ifndef __bpf__
#include <stdlib.h>
#endif

#include "filter.h"
#include "hash.h"

#ifndef SKETCH_H
#define SKETCH_H

#define SKETCH_PASTE(a, b) a##_##b
#define SKETCH_NAME(a, b) SKETCH_PASTE(a, b)
#define SKETCH_COUNT_BITS 44
#define SKETCH_COUNT_MAX ((1ull << SKETCH_COUNT_BITS) - 1)

/* What a word counts for the bucket of a tag. */
static inline uint64_t sketch_count(uint64_t word, uint64_t tag) {
    return word >> SKETCH_COUNT_BITS == tag ? word & SKETCH_COUNT_MAX : 0;
}

/* Adds to a word for the bucket of a tag; gives what it counts then. */
static inline uint64_t sketch_add(uint64_t *word, uint64_t tag, uint64_t amount) {
    uint64_t found = relaxed_load(word);
    if (found >> SKETCH_COUNT_BITS != tag) {
        uint64_t begun = tag << SKETCH_COUNT_BITS | amount;
#if defined(LOCKED) && !defined(__bpf__)
        if (!atomic_compare_exchange_strong_explicit((_Atomic uint64_t *)word, &found, begun, memory_order_relaxed, memory_order_relaxed) &&
            found >> SKETCH_COUNT_BITS == tag)
            return (atomic_fetch_add_explicit((_Atomic uint64_t *)word, amount, memory_order_relaxed) + amount) & SKETCH_COUNT_MAX;
#else
        *word = begun;
#endif
        return amount;
    }
    uint64_t count = found & SKETCH_COUNT_MAX;
    if (count >> (SKETCH_COUNT_BITS - 1)) /* It stays. */
        return count;
#if defined(LOCKED) && !defined(__bpf__)
    return (atomic_fetch_add_explicit((_Atomic uint64_t *)word, amount, memory_order_relaxed) + amount) & SKETCH_COUNT_MAX;
#else
    *word = found + amount;
    return count + amount;
#endif
}

#endif

#define COUNTER struct SKETCH_NAME(SKETCH, counter)

COUNTER {
    uint64_t words[2];
};

#ifdef __bpf__

struct SKETCH {
    uint32_t rows;
};

struct {
    uint(type, BPF_MAP_TYPE_ARRAY);
    uint(max_entries, ROWS * WIDTH);
    type(key, uint32_t);
    type(value, COUNTER);
} SKETCH_NAME(SKETCH, map) SEC(".maps");

static inline void SKETCH_NAME(SKETCH, drop)(struct SKETCH *sketch) { (void)sketch; }

static inline bool SKETCH_NAME(SKETCH, init)(struct SKETCH *sketch) {
    sketch->rows = ROWS;
    return true;
}

static inline COUNTER *SKETCH_NAME(SKETCH, at)(const struct SKETCH *sketch, uint32_t index) {
    (void)sketch;
    return bpf_map_lookup_elem(&SKETCH_NAME(SKETCH, map), &index);
}

#else

struct SKETCH {
    COUNTER *counters;
};

static inline void SKETCH_NAME(SKETCH, drop)(struct SKETCH *sketch) { free(sketch->counters); }

static inline bool SKETCH_NAME(SKETCH, init)(struct SKETCH *sketch) {
    sketch->counters = calloc(ROWS * WIDTH, sizeof *sketch->counters);
    return sketch->counters;
}

static inline COUNTER *SKETCH_NAME(SKETCH, at)(const struct SKETCH *sketch, uint32_t index) { return &sketch->counters[index]; }

#endif

/* Adds to what is counted under a hash; gives the new estimate. */
static inline uint64_t SKETCH_NAME(SKETCH, add)(struct SKETCH *sketch, uint64_t hash, uint64_t amount, uint64_t now) {
    uint64_t number = now / LENGTH, part = ((LENGTH - now % LENGTH) << 16) / LENGTH;
    uint64_t tag = number & 0xfffff, tag_before = (number - 1) & 0xfffff;
    uint64_t current = UINT64_MAX, previous = UINT64_MAX;
#pragma unroll
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t column = (uint32_t)((hash >> 32) * WIDTH >> 32);
        hash = next_hash(hash);
        COUNTER *counter = SKETCH_NAME(SKETCH, at)(sketch, row * WIDTH + column);
        if (!counter) /* There always is one. */
            return 0;
        uint64_t before = sketch_count(relaxed_load(&counter->words[(number & 1) ^ 1]), tag_before);
        uint64_t count = sketch_add(&counter->words[number & 1], tag, amount);
        previous = before < previous ? before : previous;
        current = count < current ? count : current;
    }
    return current + (previous * part >> 16);
}

#undef relaxed_load
#undef COUNTER
#undef SKETCH
#undef ROWS
#undef WIDTH
#undef LENGTH
