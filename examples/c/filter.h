/* The interface of a filter in C: what a shared object exports. */
#ifndef FILTER_H
#define FILTER_H

#ifdef __bpf__
#include "xdp/xdp.h"
#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packet. The layout is that of the packets that compiled filters of Oko take. */
struct packet {
    const uint8_t *data;
    uint32_t captured; /* bytes at `data` */
    uint32_t wire_len; /* bytes on the wire, at least as many */
    uint32_t in_port;
};

/* Behind its last byte. */
static inline const uint8_t *packet_end(const struct packet *packet) { return packet->data + packet->captured; }

#endif

/* A filter with empty state, or NULL if there is no memory. */
struct filter *filter_new(void);

/* Asks it about the packets of a burst at the instant `now` (nanoseconds, not 0): 1 is a match, 0 none; or the
 * number of the class. */
void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts);

void filter_free(struct filter *filter);

/* Puts a key into the filter's table, as the control plane does; of filters that have one. `key` are its parts as Oko has them (of a prefix the family, then the
 * address from the most significant end on), of which so many bits count. False if there is no room. */
bool filter_insert(struct filter *filter, const uint64_t *key, uint32_t bits);

#define SECOND 1000000000ull

#endif
