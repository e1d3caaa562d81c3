/* One source, compiled twice by clang: to BPF, as an XDP program whose XDP_PASS is a match, and to native code with the interface of filters in C.
 *
 * A program defines `judge`, which says whether a packet matches, and ends with PROGRAM(name). One that remembers nothing has WITHOUT_STATE before it.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#ifdef __bpf__

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef _Bool bool;

#define SECTION(name) __attribute__((section(name), used))
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_ANY 0

/* As the kernel has it (include/uapi/linux/bpf.h). */
struct xdp_md {
    uint32_t data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*map_update)(void *map, const void *key, const void *value, uint64_t flags) = (void *)2;

struct filter;

#define WITHOUT_STATE

#define PROGRAM(name)                                                                                      \
    SECTION("xdp") int name(struct xdp_md *ctx) {                                                          \
        const uint8_t *data = (const uint8_t *)(long)ctx->data, *end = (const uint8_t *)(long)ctx->data_end; \
        return judge(0, data, end) ? 2 : 1;                                                                \
    }                                                                                                      \
    SECTION("license") char _license[] = "GPL";

#else

#include "filter.h"
#include <stdlib.h>

#define WITHOUT_STATE                                                                      \
    struct filter {                                                                        \
        char nothing;                                                                      \
    };                                                                                     \
    struct filter *filter_new(void) { return calloc(1, sizeof(struct filter)); }           \
    void filter_free(struct filter *filter) { free(filter); }

#define PROGRAM(name)                                                                                                \
    void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) { \
        (void)now;                                                                                                   \
        for (uint64_t at = 0; at < count; at++)                                                                      \
            verdicts[at] = judge(filter, packets[at].data, packets[at].data + packets[at].captured);                 \
    }

#endif

#define IPV4 14
#define TRANSPORT 34

/* An IPv4 packet over Ethernet without options, with TCP or UDP ports. */
static inline __attribute__((always_inline)) bool has_ports(const uint8_t *data, const uint8_t *end) {
    if (data + TRANSPORT + 4 > end)
        return 0;
    if (data[12] != 8 || data[13] != 0 || data[IPV4] != 0x45 || (data[IPV4 + 6] & 0x1f) || data[IPV4 + 7])
        return 0;
    return data[IPV4 + 9] == 6 || data[IPV4 + 9] == 17;
}

static inline __attribute__((always_inline)) uint32_t source(const uint8_t *data) {
    return (uint32_t)data[IPV4 + 12] << 24 | (uint32_t)data[IPV4 + 13] << 16 | (uint32_t)data[IPV4 + 14] << 8 | data[IPV4 + 15];
}

static inline __attribute__((always_inline)) uint16_t dst_port(const uint8_t *data) {
    return (uint16_t)(data[TRANSPORT + 2] << 8 | data[TRANSPORT + 3]);
}

#endif
