/* A set of prefixes that the control plane writes: whether an address is in one of them.
 *
 * Prefixes lie within one another or apart, so those that are in no other one are ranges of addresses that do not overlap. They are kept in order, and looked through by
 * halves. With `-target bpf` it is a trie.
 */
#ifndef PREFIX_H
#define PREFIX_H

#include "packet.h"

#define FAMILY4 4
#define FAMILY6 6

#ifdef __bpf__

/* As Oko has it: how many bits count, the family, the address. */
struct prefix_key {
    uint32_t bits;
    uint8_t key[17];
} __attribute__((packed));

struct prefixes {
    uint32_t capacity;
};

struct {
    uint(type, BPF_MAP_TYPE_LPM_TRIE);
    uint(max_entries, 1024);
    uint(map_flags, BPF_F_NO_PREALLOC);
    type(key, struct prefix_key);
    type(value, uint8_t);
} prefixes_map SEC(".maps");

static inline void prefixes_drop(struct prefixes *prefixes) { (void)prefixes; }

static inline bool prefixes_init(struct prefixes *prefixes, uint32_t capacity) {
    prefixes->capacity = capacity;
    return true;
}

static inline bool prefixes_has(uint8_t family, const uint8_t *address, uint32_t length) {
    struct prefix_key key = {.bits = 8 + 8 * length};
    key.key[0] = family;
    memcpy(key.key + 1, address, length);
    return bpf_map_lookup_elem(&prefixes_map, &key);
}

static inline bool prefixes_have4(const struct prefixes *prefixes, const uint8_t *address) {
    (void)prefixes;
    return prefixes_has(FAMILY4, address, 4);
}

static inline bool prefixes_have6(const struct prefixes *prefixes, const uint8_t *address) {
    (void)prefixes;
    return prefixes_has(FAMILY6, address, 16);
}

#else

#include <stdlib.h>

struct range4 {
    uint32_t first;
    uint32_t last;
};

typedef unsigned __int128 address6;

struct range6 {
    address6 first;
    address6 last;
};

struct prefixes {
    struct range4 *ranges4;
    struct range6 *ranges6;
    uint32_t count4;
    uint32_t count6;
    uint32_t capacity; /* of each family */
};

static inline void prefixes_drop(struct prefixes *prefixes) {
    free(prefixes->ranges4);
    free(prefixes->ranges6);
}

static inline bool prefixes_init(struct prefixes *prefixes, uint32_t capacity) {
    *prefixes = (struct prefixes){.capacity = capacity};
    prefixes->ranges4 = calloc(capacity, sizeof *prefixes->ranges4);
    prefixes->ranges6 = calloc(capacity, sizeof *prefixes->ranges6);
    return prefixes->ranges4 && prefixes->ranges6;
}

/* Puts a range among others: it is in one of them, or those that are in it go. False if there is no room. */
#define PUT_RANGE(ranges, count, capacity, range)                                      \
    ({                                                                                 \
        uint32_t from = 0, to;                                                         \
        while (from < (count) && (ranges)[from].last < (range).first)                  \
            from++;                                                                    \
        bool inside = from < (count) && (ranges)[from].first <= (range).first &&       \
                      (range).last <= (ranges)[from].last;                             \
        for (to = from; to < (count) && (ranges)[to].last <= (range).last;)            \
            to++;                                                                      \
        bool room = inside || to > from || (count) < (capacity);                       \
        if (!inside && room) {                                                         \
            memmove(&(ranges)[from + 1], &(ranges)[to], ((count) - to) * sizeof(range)); \
            (ranges)[from] = (range);                                                  \
            (count) = (count) - (to - from) + 1;                                       \
        }                                                                              \
        room;                                                                          \
    })

/* Puts a prefix in: a family, an address from the most significant end on, and the number of its bits that count. */
static inline bool prefixes_insert(struct prefixes *prefixes, uint64_t family, uint64_t high, uint64_t low, uint32_t length) {
    if (family == FAMILY4) {
        uint32_t rest = length < 32 ? UINT32_MAX >> length : 0, first = (uint32_t)(high >> 32) & ~rest;
        struct range4 range = {first, first | rest};
        return PUT_RANGE(prefixes->ranges4, prefixes->count4, prefixes->capacity, range);
    }
    address6 rest = length < 128 ? ~(address6)0 >> length : 0, first = ((address6)high << 64 | low) & ~rest;
    struct range6 range = {first, first | rest};
    return PUT_RANGE(prefixes->ranges6, prefixes->count6, prefixes->capacity, range);
}

/* The last range that begins at an address or before, if there is one, is the only one that can have it. */
#define HAS_RANGE(ranges, count, address)                                  \
    ({                                                                     \
        __typeof__(&*(ranges)) at = (ranges);                              \
        for (uint32_t left = (count), half; left > 1; left -= half) {      \
            half = left / 2;                                               \
            at = at[half].first <= (address) ? at + half : at;             \
        }                                                                  \
        (count) > 0 && at->first <= (address) && (address) <= at->last;    \
    })

static inline bool prefixes_have4(const struct prefixes *prefixes, const uint8_t *address) {
    uint32_t wanted = be32(address);
    return HAS_RANGE(prefixes->ranges4, prefixes->count4, wanted);
}

static inline bool prefixes_have6(const struct prefixes *prefixes, const uint8_t *address) {
    address6 wanted = (address6)be64(address) << 64 | be64(address + 8);
    return HAS_RANGE(prefixes->ranges6, prefixes->count6, wanted);
}

#endif

#endif
