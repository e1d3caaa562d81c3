/* One direction of a connection, as a key: addresses, ports and protocol of a TCP, UDP or SCTP packet.
 *
 * Sketches take any hash of it. With MIXED, and for BPF, it is the language's, of the key as the language has it: family, high and low half of an address, which of
 * IPv4 is a low half.
 */
#ifndef FLOW_H
#define FLOW_H

#include "hash.h"
#include "packet.h"

#define FLOW_WORDS4 2
#define FLOW_WORDS6 5

/* Where the hash of a flow begins, for each family. */
struct flow_seed {
    uint64_t begin4;
    uint64_t begin6;
};

static inline void flow4(uint64_t *key, const struct headers *headers) {
    key[0] = be64(headers->ipv4 + 12);
    key[1] = (uint64_t)headers->protocol << 32 | be32(headers->ports);
}

static inline void flow6(uint64_t *key, const struct headers *headers) {
    for (int word = 0; word < 4; word++)
        key[word] = be64(headers->ipv6 + 8 + 8 * word);
    key[4] = (uint64_t)headers->protocol << 32 | be32(headers->ports);
}

#if defined(MIXED) || defined(__bpf__)

#define flow_again language_again

static inline bool flow_seed_draw(struct flow_seed *seed, uint64_t salt) {
    uint64_t drawn;
    if (!draw_seed(&drawn))
        return false;
    seed->begin4 = language_hash(language_hash(drawn + salt, 4), 0);
    seed->begin6 = language_hash(drawn + salt, 6);
    return true;
}

/* The source's port lowest, then the other, then the protocol. */
static inline uint64_t flow_end(uint64_t word) { return word >> 32 << 32 | (word & 0xffff) << 16 | (word >> 16 & 0xffff); }

static inline uint64_t flow_hash4(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t hash = language_hash(seed->begin4, key[0] >> 32);
    hash = language_hash(language_hash(hash, 4), 0);
    return language_hash(language_hash(hash, key[0] & UINT32_MAX), flow_end(key[1]));
}

static inline uint64_t flow_hash6(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t hash = language_hash(language_hash(seed->begin6, key[0]), key[1]);
    hash = language_hash(language_hash(language_hash(hash, 6), key[2]), key[3]);
    return language_hash(hash, flow_end(key[4]));
}

#else

#define flow_again quick_again

static inline bool flow_seed_draw(struct flow_seed *seed, uint64_t salt) {
    uint64_t drawn;
    if (!draw_seed(&drawn))
        return false;
    seed->begin4 = drawn + salt;
    seed->begin6 = drawn + salt + GOLDEN;
    return true;
}

static inline uint64_t flow_hash4(const struct flow_seed *seed, const uint64_t *key) {
    return quick_hash(quick_hash(seed->begin4, key[0]), key[1]);
}

static inline uint64_t flow_hash6(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t hash = seed->begin6;
    for (int word = 0; word < FLOW_WORDS6; word++)
        hash = quick_hash(hash, key[word]);
    return hash;
}

#endif

#endif
