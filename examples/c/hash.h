/* Keyed hashes of what sketches and counts of distinct values look at.
 *
 * The key is a random number, as addresses come from strangers; SEED is one for runs that must come out the same. The hash that the language defines is made of
 * `language_piece` and `language_mix`; `quick_hash` is one with a multiplication a word, which BPF does not have in that size.
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

/* The hash of a key is the mix of a sum: where it starts, and of each piece of 32 bits a product with a number of its own. `word` is the number of 64 bits in which two pieces are. */
#define LANGUAGE_PIECES 10

struct language_seed {
    uint64_t start;
    uint64_t factors[LANGUAGE_PIECES];
};

/* The seed's words are outputs of SplitMix64, made odd; the salt is the state's. */
static inline bool language_seed_draw(struct language_seed *seed, uint64_t salt) {
    uint64_t state;
    if (!draw_seed(&state))
        return false;
    seed->start = (language_mix(state += GOLDEN) | 1) + salt;
    for (int piece = 0; piece < LANGUAGE_PIECES; piece++)
        seed->factors[piece] = language_mix(state += GOLDEN) | 1;
    return true;
}

static inline uint64_t language_piece(const struct language_seed *seed, int piece, uint64_t bits) { return seed->factors[piece] * bits; }

static inline uint64_t language_word(const struct language_seed *seed, int word, uint64_t bits) {
    return language_piece(seed, 2 * word, bits & UINT32_MAX) + language_piece(seed, 2 * word + 1, bits >> 32);
}

/* The hash after this one, of the same key; its high half counts. */
static inline uint64_t next_hash(uint64_t hash) { return hash * 0x75b59955; }

#ifndef __bpf__
static inline uint64_t quick_hash(uint64_t hash, uint64_t word) {
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0xa0761d6478bd642full;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#endif

#endif
