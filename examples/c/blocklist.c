/* `blocklist.oko` in C. */
#include "packet.h"

#ifndef __bpf__
#include <stdlib.h>
#endif

struct filter {
    char nothing;
};

struct filter *filter_new(void) { return calloc(1, sizeof(struct filter)); }

void filter_free(struct filter *filter) { free(filter); }

#define IN(address, a, b, c, d, length) \
    ((address) >> (32 - (length)) == ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d)) >> (32 - (length)))

static bool forged(const struct packet *packet) {
    struct headers headers = headers_of(packet);
    if (headers.ipv4) {
        uint32_t src = ipv4_src(headers.ipv4);
        return IN(src, 0, 0, 0, 0, 8) || IN(src, 10, 0, 0, 0, 8) || IN(src, 100, 64, 0, 0, 10) ||
               IN(src, 127, 0, 0, 0, 8) || IN(src, 169, 254, 0, 0, 16) || IN(src, 172, 16, 0, 0, 12) ||
               IN(src, 192, 0, 2, 0, 24) || IN(src, 192, 168, 0, 0, 16) || IN(src, 198, 18, 0, 0, 15) ||
               IN(src, 198, 51, 100, 0, 24) || IN(src, 203, 0, 113, 0, 24) || IN(src, 224, 0, 0, 0, 3);
    }
    if (headers.ipv6) {
        uint64_t high = be64(headers.ipv6 + 8);
        return high >> 56 == 0 || high == 0x0100000000000000 || high >> 32 == 0x20010db8 || high >> 57 == 0xfc >> 1 ||
               high >> 56 == 0xff;
    }
    return false;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    (void)filter, (void)now;
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = forged(&packets[at]);
}
