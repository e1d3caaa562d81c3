/* `tcp_rtt.oko` in C. */
#include "cells.h"
#include "packet.h"

/* When a connection was opened: client, server, their ports. */
#define TABLE opened
#define KEY_WORDS 2
#define VALUE uint64_t
#define EVICTS 1
#include "table.h"

#define TABLE opened6
#define KEY_WORDS 5
#define VALUE uint64_t
#define EVICTS 1
#include "table.h"

/* The answer time of a server. */
#define TABLE answers
#define KEY_WORDS 1
#define VALUE struct ewma
#define EVICTS 1
#include "table.h"

#define TABLE answers6
#define KEY_WORDS 2
#define VALUE struct ewma
#define EVICTS 1
#include "table.h"

#define OPENED_EXPIRE (10 * SECOND)
#define ANSWERS_EXPIRE (600 * SECOND)
#define TICK EWMA_TICK(60 * SECOND)

#define EVENT slow_server
#define KEY_WORDS 1
#include "event.h"

#define EVENT slow_server6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct slow_server slow_server;
    struct slow_server6 slow_server6;
    struct events events;
    struct opened opened;
    struct opened6 opened6;
    struct answers answers;
    struct answers6 answers6;
    uint64_t limit; /* param: nanoseconds */
};

void filter_free(struct filter *filter) {
    opened_drop(&filter->opened);
    opened6_drop(&filter->opened6);
    answers_drop(&filter->answers);
    answers6_drop(&filter->answers6);
    slow_server_drop(&filter->slow_server);
    slow_server6_drop(&filter->slow_server6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 200000000;
    if (!opened_init(&filter->opened, 65536) || !opened6_init(&filter->opened6, 65536) ||
        !answers_init(&filter->answers, 16384) || !answers6_init(&filter->answers6, 16384) ||
        !events_init(&filter->events) || !slow_server_init(&filter->slow_server, LIMITED_KEYS) || !slow_server6_init(&filter->slow_server6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

/* A SYN, or the SYN/ACK that answers it: with client and server exchanged. */
static bool slow4(struct filter *filter, const struct headers *headers, bool is_answer, uint64_t now) {
    uint64_t src = ipv4_src(headers->ipv4), dst = ipv4_dst(headers->ipv4);
    uint64_t src_port = tcp_src_port(headers->tcp), dst_port = tcp_dst_port(headers->tcp);
    if (!is_answer) {
        uint64_t key[2] = {src << 32 | dst, src_port << 16 | dst_port};
        struct opened_entry *entry = opened_slot(&filter->opened, key, now);
        if (entry) {
            if (!opened_live(entry, now))
                entry->value = now;
            opened_touch(entry, now, OPENED_EXPIRE);
        }
        return false;
    }
    uint64_t key[2] = {dst << 32 | src, dst_port << 16 | src_port};
    struct opened_entry *entry = opened_find(&filter->opened, key);
    if (!entry)
        return false;
    bool open = opened_live(entry, now);
    uint64_t since = entry->value;
    opened_clear(entry);
    if (!open)
        return false;
    uint64_t average = now > since ? now - since : 0;
    struct answers_entry *server = answers_slot(&filter->answers, &src, now);
    if (server) {
        answers_live(server, now);
        average = ewma_add(&server->value, TICK, now, average);
        answers_touch(server, now, ANSWERS_EXPIRE);
    }
    if (average <= filter->limit)
        return false;
    if (slow_server_due(&filter->slow_server, &src, now, 10 * SECOND))
        TELL(&filter->events, now, src, average);
    return true;
}

static bool slow6(struct filter *filter, const struct headers *headers, bool is_answer, uint64_t now) {
    const uint8_t *src = headers->ipv6 + 8, *dst = headers->ipv6 + 24;
    uint64_t src_port = tcp_src_port(headers->tcp), dst_port = tcp_dst_port(headers->tcp);
    if (!is_answer) {
        uint64_t key[5] = {be64(src), be64(src + 8), be64(dst), be64(dst + 8), src_port << 16 | dst_port};
        struct opened6_entry *entry = opened6_slot(&filter->opened6, key, now);
        if (entry) {
            if (!opened6_live(entry, now))
                entry->value = now;
            opened6_touch(entry, now, OPENED_EXPIRE);
        }
        return false;
    }
    uint64_t key[5] = {be64(dst), be64(dst + 8), be64(src), be64(src + 8), dst_port << 16 | src_port};
    struct opened6_entry *entry = opened6_find(&filter->opened6, key);
    if (!entry)
        return false;
    bool open = opened6_live(entry, now);
    uint64_t since = entry->value;
    opened6_clear(entry);
    if (!open)
        return false;
    uint64_t average = now > since ? now - since : 0;
    struct answers6_entry *server = answers6_slot(&filter->answers6, key + 2, now);
    if (server) {
        answers6_live(server, now);
        average = ewma_add(&server->value, TICK, now, average);
        answers6_touch(server, now, ANSWERS_EXPIRE);
    }
    if (average <= filter->limit)
        return false;
    if (slow_server6_due(&filter->slow_server6, key + 2, now, 10 * SECOND))
        TELL(&filter->events, now, key[2], key[3], average);
    return true;
}

static bool slow(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.tcp)
        return false;
    uint8_t flags = tcp_flags(headers.tcp);
    if (flags != SYN && flags != (SYN | ACK))
        return false;
    if (headers.ipv4)
        return slow4(filter, &headers, flags != SYN, now);
    return headers.ipv6 && slow6(filter, &headers, flags != SYN, now);
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = slow(filter, &packets[at], now);
}
