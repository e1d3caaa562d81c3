/* `heavy_hitter.oko` in C. */
#include "flow.h"

/* 0.01% of all, at 99.9%. */
#define SKETCH volume
#define ROWS 7
#define WIDTH 27183
#define LENGTH SECOND
#include "sketch.h"

/* What the language adds to the seed: FNV-1a of the state's name. */
#define SALT 0x21cde1e8e13cf0cfull

struct filter {
    struct volume volume;
    struct flow_seed seed;
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
    filter->budget = 12500000;
    if (!flow_seed_draw(&filter->seed, SALT) || !volume_init(&filter->volume)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool heavy(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ports)
        return false;
    uint64_t key[FLOW_WORDS6], hash;
    if (headers.ipv4) {
        flow4(key, &headers);
        hash = flow_hash4(&filter->seed, key);
    } else if (headers.ipv6) {
        flow6(key, &headers);
        hash = flow_hash6(&filter->seed, key);
    } else {
        return false;
    }
    return volume_add(&filter->volume, hash, packet->wire_len, now) > filter->budget;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = heavy(filter, &packets[at], now);
}
