/* Matches the packets of a source that sends faster than 10,000 a second, beyond a burst of 10,000.
 *
 * In the first Oko's sample the test of the length was the wrong way round, and the count of tokens was read before it was filled up and
 * written back after, so tokens were lost. */
#include "original.h"

#define BURST 10000ull
#define RATE 10000ull

struct bucket {
    uint64_t tokens; /* in billionths */
    uint64_t at;
};

struct ubpf_map_def buckets = {
    .type = UBPF_MAP_TYPE_HASHMAP,
    .key_size = sizeof(uint32_t),
    .value_size = sizeof(struct bucket),
    .max_entries = 1000,
};

uint64_t entry(void *packet, uint64_t length) {
    struct ip_packet *ip = as_ip(packet, length);
    if (!ip)
        return 0;
    uint64_t now = ubpf_time_get_ns();
    uint32_t source = ip->ipv4.from;
    struct bucket *bucket = ubpf_map_lookup(&buckets, &source);
    if (!bucket) {
        struct bucket full = {(BURST - 1) * SECOND, now};
        ubpf_map_update(&buckets, &source, &full);
        return 0;
    }
    uint64_t elapsed = now > bucket->at ? now - bucket->at : 0;
    uint64_t missing = BURST * SECOND - bucket->tokens;
    uint64_t filled = missing / RATE < elapsed ? missing : elapsed * RATE;
    uint64_t tokens = bucket->tokens + filled;
    bucket->at = now;
    if (tokens < SECOND) {
        bucket->tokens = tokens;
        return 1;
    }
    bucket->tokens = tokens - SECOND;
    return 0;
}
