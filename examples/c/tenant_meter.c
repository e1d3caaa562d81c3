/* `tenant_meter.oko` in C. */
#include "cells.h"
#include "packet.h"

#define TABLE tenants
#define KEY_WORDS 1
#define VALUE struct tokens
#define EVICTS 1
#include "table.h"

#define EXPIRE (60 * SECOND)
#define VXLAN 4789
#define HAS_VNI 0x08
#define LONGEST 65535

struct filter {
    struct tenants tenants;
    uint64_t share; /* param: bits a second */
    uint64_t burst; /* param: bits */
};

void filter_free(struct filter *filter) {
    tenants_drop(&filter->tenants);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->share = 1000000000;
    filter->burst = 8000000;
    if (!tenants_init(&filter->tenants, 65536)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool over_share(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.udp || udp_dst_port(headers.udp) != VXLAN || packet->wire_len > LONGEST)
        return false;
    /* By their other port these are DNS and QUIC. */
    uint16_t other = udp_src_port(headers.udp);
    const uint8_t *vxlan = headers.udp + 8;
    if (other == 53 || other == 443 || packet_end(packet) - vxlan < 8 || !(vxlan[0] & HAS_VNI))
        return false;
    uint64_t vni = be32(vxlan + 4) >> 8;
    struct tenants_entry *entry = tenants_slot(&filter->tenants, &vni, now);
    if (!entry)
        return packet->wire_len * 8 > filter->burst;
    tenants_live(entry, now);
    bool within = tokens_take(&entry->value, packet->wire_len * 8, filter->share, filter->burst, now);
    tenants_touch(entry, now, EXPIRE);
    return !within;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = over_share(filter, &packets[at], now);
}
