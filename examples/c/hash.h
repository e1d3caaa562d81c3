/* Keyed hashes of what sketches and counts of distinct values look at.
 *
 * The key is a random number, as addresses come from strangers; SEED is one for runs that must come out the same. `language_hash` is the hash that the language
 * defines, `quick_hash` one with a multiplication a word, which BPF does not have in that size.
 */
#ifndef HASH_H
#define HASH_H

#include "filter.h"

#define GOLDEN 0x9e3779b97f4a7c15ull

#ifdef __bpf__
static inline bool draw_seed(uint64_t *seed) {
    *seed = SEED;
    return true;
}
#else
#include <sys/random.h>

static inline bool draw_seed(uint64_t *seed) {
#ifdef SEED
    *seed = SEED;
    return true;
#else
    return getrandom(seed, sizeof *seed, 0) == sizeof *seed;
#endif
}
#endif

/* The finaliser of SplitMix64. */
static inline uint64_t language_mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* What a word adds to the hash of a key: the word's number, and the secret, which is the seed and the state's salt. */
static inline uint64_t language_word(uint64_t secret, uint64_t number, uint64_t word) {
    return language_mix(word ^ secret * (2 * number + 1));
}

/* Another hash of the same words. */
static inline uint64_t language_again(uint64_t hash, uint64_t number) { return language_mix(hash + number * GOLDEN); }

#ifndef __bpf__
static inline uint64_t quick_hash(uint64_t hash, uint64_t word) {
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0xa0761d6478bd642full;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t quick_again(uint64_t hash, uint64_t number) { return quick_hash(hash, number * GOLDEN); }
#endif

#endif
