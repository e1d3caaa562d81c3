/* `port_knock.oko` in C. */
#include "packet.h"

enum progress { NONE, ONE, TWO, OPEN };

#define TABLE knocks
#define KEY_WORDS 1
#define VALUE enum progress
#define EVICTS 1
#include "table.h"

#define FIRST 7000
#define SECOND_PORT 8000
#define THIRD 9000
#define SSH 22

struct filter {
    struct knocks knocks;
};

void filter_free(struct filter *filter) {
    knocks_drop(&filter->knocks);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!knocks_init(&filter->knocks, 4096)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static inline enum progress next(enum progress progress, uint16_t port) {
    if (progress == OPEN || (progress == TWO && port == THIRD))
        return OPEN;
    if (progress == ONE && port == SECOND_PORT)
        return TWO;
    return port == FIRST ? ONE : NONE;
}

static void knock(struct filter *filter, uint64_t source, uint16_t port, uint64_t now) {
    struct knocks_entry *entry = knocks_find(&filter->knocks, &source);
    if (!entry) {
        if (next(NONE, port) == NONE)
            return;
        entry = knocks_slot(&filter->knocks, &source, now);
        if (!entry)
            return;
    }
    enum progress progress = knocks_live(entry, now) ? entry->value : NONE;
    entry->value = next(progress, port);
    if (entry->value == NONE)
        knocks_clear(entry);
    else
        knocks_touch(entry, now, entry->value == OPEN ? 60 * SECOND : 5 * SECOND);
}

static bool knocked(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4 || !headers.tcp)
        return false;
    uint64_t source = ipv4_src(headers.ipv4);
    uint16_t port = tcp_dst_port(headers.tcp);
    if (port == SSH) {
        struct knocks_entry *entry = knocks_find(&filter->knocks, &source);
        if (!entry)
            return false;
        bool open = knocks_live(entry, now) && entry->value == OPEN;
        knocks_keep(entry);
        return open;
    }
    if (tcp_flags(headers.tcp) == SYN)
        knock(filter, source, port, now);
    return false;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = knocked(filter, &packets[at], now);
}
