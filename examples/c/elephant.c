/* `elephant.oko` in C. */
#include "cells.h"
#include "flow.h"

enum size { MOUSE, ELEPHANT };

/* 0.1% of all, at 99%. */
#define SKETCH volume
#define ROWS 5
#define WIDTH 2719
#define LENGTH (10 * SECOND)
#include "sketch.h"

#define TABLE elephants
#define KEY_WORDS FLOW_WORDS4
#define VALUE struct window
#define EVICTS 0
#include "table.h"

#define TABLE elephants6
#define KEY_WORDS FLOW_WORDS6
#define VALUE struct window
#define EVICTS 0
#include "table.h"

#define WINDOW (10 * SECOND)
#define EXPIRE (30 * SECOND)

/* What the language adds to the seed: FNV-1a of the state's name. */
#define SALT 0x21cde1e8e13cf0cfull

#define EVENT elephant_found
#define KEY_WORDS 1
#include "event.h"

#define EVENT elephant_found6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct elephant_found elephant_found;
    struct elephant_found6 elephant_found6;
    struct events events;
    struct volume volume;
    struct flow_seed seed;
    struct elephants elephants;
    struct elephants6 elephants6;
    uint64_t large; /* param */
};

void filter_free(struct filter *filter) {
    volume_drop(&filter->volume);
    elephants_drop(&filter->elephants);
    elephants6_drop(&filter->elephants6);
    elephant_found_drop(&filter->elephant_found);
    elephant_found6_drop(&filter->elephant_found6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->large = 10000000;
    if (!flow_seed_draw(&filter->seed, SALT) || !volume_init(&filter->volume) || !elephants_init(&filter->elephants, 4096) ||
        !elephants6_init(&filter->elephants6, 4096) ||
        !events_init(&filter->events) || !elephant_found_init(&filter->elephant_found, LIMITED_KEYS) || !elephant_found6_init(&filter->elephant_found6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static enum size sizes(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ports)
        return MOUSE;
    uint64_t key[FLOW_WORDS6];
    if (headers.ipv4) {
        flow4(key, &headers);
        uint64_t hash = flow_hash4(&filter->seed, key);
        uint64_t bytes = volume_add(&filter->volume, hash, packet->wire_len, now), source = key[0] >> 32;
        if (bytes <= filter->large)
            return MOUSE;
        if (elephant_found_due(&filter->elephant_found, &source, now, 60 * SECOND))
            TELL(&filter->events, now, key[0], bytes);
        struct elephants_entry *entry = elephants_slot(&filter->elephants, key, now);
        if (entry) {
            elephants_live(entry, now);
            window_add(&entry->value, WINDOW, now, packet->wire_len);
            elephants_touch(entry, now, EXPIRE);
        }
    } else if (headers.ipv6) {
        flow6(key, &headers);
        uint64_t hash = flow_hash6(&filter->seed, key);
        uint64_t bytes = volume_add(&filter->volume, hash, packet->wire_len, now);
        if (bytes <= filter->large)
            return MOUSE;
        if (elephant_found6_due(&filter->elephant_found6, key, now, 60 * SECOND))
            TELL(&filter->events, now, key[0], key[1], key[2], key[3], bytes);
        struct elephants6_entry *entry = elephants6_slot(&filter->elephants6, key, now);
        if (entry) {
            elephants6_live(entry, now);
            window_add(&entry->value, WINDOW, now, packet->wire_len);
            elephants6_touch(entry, now, EXPIRE);
        }
    } else {
        return MOUSE;
    }
    return ELEPHANT;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = sizes(filter, &packets[at], now);
}
