/* `retransmission.oko` in C. */
#include "cells.h"
#include "packet.h"

/* How far the data of one direction of a connection has come, and whether the last segment was a repetition. */
struct place {
    uint32_t end;
    bool again;
};

/* Segments with data, and those of them that came again. */
struct counts {
    struct window all;
    struct window again;
};

/* Source, destination, their ports. */
#define TABLE progress
#define KEY_WORDS 2
#define VALUE struct place
#define EVICTS 1
#include "table.h"

/* By host. */
#define TABLE segments
#define KEY_WORDS 1
#define VALUE struct counts
#define EVICTS 1
#include "table.h"

#define WINDOW (10 * SECOND)
#define PROGRESS_EXPIRE (120 * SECOND)
#define SEGMENTS_EXPIRE (60 * SECOND)

#define EVENT loss
#define KEY_WORDS 1
#include "event.h"

struct filter {
    struct loss loss;
    struct events events;
    struct progress progress;
    struct segments segments;
};

void filter_free(struct filter *filter) {
    progress_drop(&filter->progress);
    segments_drop(&filter->segments);
    loss_drop(&filter->loss);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!progress_init(&filter->progress, 65536) || !segments_init(&filter->segments, 16384) ||
        !events_init(&filter->events) || !loss_init(&filter->loss, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool retransmission(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4 || !headers.tcp)
        return false;
    int data = be16(headers.ipv4 + 2) - (headers.ipv4[0] & 15) * 4 - (headers.tcp[12] >> 4) * 4;
    if (data <= 0)
        return false;
    uint32_t end = be32(headers.tcp + 4) + (uint32_t)data;
    uint64_t key[2] = {be64(headers.ipv4 + 12), be32(headers.tcp)};
    bool again = false;
    struct progress_entry *entry = progress_slot(&filter->progress, key, now);
    if (entry) {
        /* Numbers of sequence are compared around the circle. */
        again = progress_live(entry, now) && (int32_t)(end - entry->value.end) <= 0;
        if (!again)
            entry->value.end = end;
        entry->value.again = again;
        progress_touch(entry, now, PROGRESS_EXPIRE);
    }
    uint64_t host = ipv4_dst(headers.ipv4);
    uint64_t all = 1, repeated = 1;
    struct segments_entry *segments = segments_slot(&filter->segments, &host, now);
    if (segments) {
        segments_live(segments, now);
        all = window_add(&segments->value.all, WINDOW, now, 1);
        if (again)
            repeated = window_add(&segments->value.again, WINDOW, now, 1);
        segments_touch(segments, now, SEGMENTS_EXPIRE);
    }
    if (again && all >= 100 && repeated * 20 > all && loss_due(&filter->loss, &host, now, 10 * SECOND))
        TELL(&filter->events, now, host, all, repeated);
    return again;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = retransmission(filter, &packets[at], now);
}
