/* One direction of a connection, as a key: addresses, ports and protocol of a TCP, UDP or SCTP packet.
 *
 * Sketches take any hash of it. With MIXED, and for BPF, it is the language's, of the key as the language has it in pieces of 32 bits: the high and the low word of each
 * address, which of IPv4 is the lowest piece alone; the ports; families and protocol.
 */
#ifndef FLOW_H
#define FLOW_H

#include "hash.h"
#include "packet.h"

#define FLOW_WORDS4 2
#define FLOW_WORDS6 5

struct flow_seed {
#if defined(MIXED) || defined(__bpf__)
    struct language_seed seed;
#else
    uint64_t secret;
#endif
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

static inline bool flow_seed_draw(struct flow_seed *seed, uint64_t salt) {
    if (!language_seed_draw(&seed->seed, salt))
        return false;
    seed->begin4 = seed->seed.start + language_piece(&seed->seed, 9, 4 << 8 | 4);
    return true;
}

/* The source's port lowest, then the other. */
static inline uint64_t flow_ports(uint64_t word) { return (word & 0xffff) << 16 | (word >> 16 & 0xffff); }

static inline uint64_t flow_hash4(const struct flow_seed *seed, const uint64_t *key) {
    const struct language_seed *words = &seed->seed;
    return language_mix(seed->begin4 + language_piece(words, 2, key[0] >> 32) + language_piece(words, 6, key[0] & UINT32_MAX) +
                        language_piece(words, 8, flow_ports(key[1])) + language_piece(words, 9, key[1] >> 32 << 16));
}

static inline uint64_t flow_hash6(const struct flow_seed *seed, const uint64_t *key) {
    const struct language_seed *words = &seed->seed;
    uint64_t sum = words->start + language_piece(words, 8, flow_ports(key[4])) + language_piece(words, 9, key[4] >> 32 << 16 | 6 << 8 | 6);
    for (int word = 0; word < 4; word++)
        sum += language_word(words, word, key[word]);
    return language_mix(sum);
}

#else

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
