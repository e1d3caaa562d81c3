/* One direction of a connection, as a key: addresses, ports and protocol of a TCP, UDP or SCTP packet.
 *
 * Sketches take any hash of it. With MIXED, and for BPF, it is the language's, of the key as the language has it: the high and the low half of each address, which of
 * IPv4 is a low half, and a word of ports, families and protocol.
 */
#ifndef FLOW_H
#define FLOW_H

#include "hash.h"
#include "packet.h"

#define FLOW_WORDS4 2
#define FLOW_WORDS6 5

struct flow_seed {
    uint64_t secret;
    uint64_t begin4; /* what does not depend on a key of IPv4 */
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
    seed->secret = drawn + salt;
    seed->begin4 = language_word(seed->secret, 0, 0) + language_word(seed->secret, 2, 0);
    return true;
}

/* The source's port lowest, then the other, the families and the protocol. */
static inline uint64_t flow_end(uint64_t word, uint64_t family) {
    return word >> 32 << 48 | family << 40 | family << 32 | (word & 0xffff) << 16 | (word >> 16 & 0xffff);
}

static inline uint64_t flow_hash4(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t secret = seed->secret;
    return seed->begin4 + language_word(secret, 1, key[0] >> 32) + language_word(secret, 3, key[0] & UINT32_MAX) +
           language_word(secret, 4, flow_end(key[1], 4));
}

static inline uint64_t flow_hash6(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t hash = language_word(seed->secret, 4, flow_end(key[4], 6));
    for (int word = 0; word < 4; word++)
        hash += language_word(seed->secret, word, key[word]);
    return hash;
}

#else

#define flow_again quick_again

static inline bool flow_seed_draw(struct flow_seed *seed, uint64_t salt) {
    uint64_t drawn;
    if (!draw_seed(&drawn))
        return false;
    seed->secret = drawn + salt;
    seed->begin4 = drawn + salt + GOLDEN;
    return true;
}

static inline uint64_t flow_hash4(const struct flow_seed *seed, const uint64_t *key) {
    return quick_hash(quick_hash(seed->begin4, key[0]), key[1]);
}

static inline uint64_t flow_hash6(const struct flow_seed *seed, const uint64_t *key) {
    uint64_t hash = seed->secret;
    for (int word = 0; word < FLOW_WORDS6; word++)
        hash = quick_hash(hash, key[word]);
    return hash;
}

#endif

#endif
