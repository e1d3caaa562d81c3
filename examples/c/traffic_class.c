/* `traffic_class.oko` in C. */
#include "cells.h"
#include "packet.h"

enum traffic { OTHER, INTERACTIVE, BULK };

#define TABLE volume
#define KEY_WORDS 2
#define VALUE struct window
#define EVICTS 1
#include "table.h"

#define WINDOW (10 * SECOND)
#define EXPIRE (30 * SECOND)
#define EXPEDITED 46

struct filter {
    struct volume volume;
    uint64_t budget; /* param */
};

void filter_free(struct filter *filter) {
    volume_drop(&filter->volume);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->budget = 1000000;
    if (!volume_init(&filter->volume, 131072)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static enum traffic traffic(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4)
        return OTHER;
    if (headers.ipv4[1] >> 2 == EXPEDITED)
        return INTERACTIVE;
    if (headers.tcp) {
        uint16_t src_port = tcp_src_port(headers.tcp), dst_port = tcp_dst_port(headers.tcp);
        uint64_t key[2] = {be64(headers.ipv4 + 12), (uint64_t)src_port << 16 | dst_port};
        uint64_t bytes = packet->wire_len;
        struct volume_entry *entry = volume_slot(&filter->volume, key, now);
        if (entry) {
            volume_live(entry, now);
            bytes = window_add(&entry->value, WINDOW, now, packet->wire_len);
            volume_touch(entry, now, EXPIRE);
        }
        if (bytes > filter->budget)
            return BULK;
        return dst_port == 22 || dst_port == 23 || dst_port == 3389 ? INTERACTIVE : OTHER;
    }
    if (headers.udp && (udp_dst_port(headers.udp) == 53 || udp_src_port(headers.udp) == 53))
        return INTERACTIVE;
    return OTHER;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = traffic(filter, &packets[at], now);
}
