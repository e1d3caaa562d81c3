/* `scan.oko` in C. */
#include "hash.h"
#include "packet.h"

/* Within a tenth. */
#define DISTINCT_BITS 7
#include "distinct.h"

#define TABLE tried
#define KEY_WORDS 1
#define VALUE struct distinct
#define EVICTS 1
#include "table.h"

#define TABLE tried6
#define KEY_WORDS 2
#define VALUE struct distinct
#define EVICTS 1
#include "table.h"

#define EXPIRE (60 * SECOND)
#define FAMILY4 4
#define FAMILY6 6
/* What the language adds to the seed: FNV-1a of the state's name. */
#define SALT 0x240ab3a6ec25d93full

#define EVENT scan_found
#define KEY_WORDS 1
#include "event.h"

#define EVENT scan_found6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct scan_found scan_found;
    struct scan_found6 scan_found6;
    struct events events;
    struct tried tried;
    struct tried6 tried6;
    struct language_seed seed; /* The counts are those of the language to the last one, so the hash is, too. */
    uint64_t limit;            /* param */
};

void filter_free(struct filter *filter) {
    tried_drop(&filter->tried);
    tried6_drop(&filter->tried6);
    scan_found_drop(&filter->scan_found);
    scan_found6_drop(&filter->scan_found6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 64;
    if (!language_seed_draw(&filter->seed, SALT) || !tried_init(&filter->tried, 16384) || !tried6_init(&filter->tried6, 16384) ||
        !events_init(&filter->events) || !scan_found_init(&filter->scan_found, LIMITED_KEYS) || !scan_found6_init(&filter->scan_found6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool scanning(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.tcp || tcp_flags(headers.tcp) != SYN)
        return false;
    const struct language_seed *seed = &filter->seed;
    uint64_t port = tcp_dst_port(headers.tcp), services = 1;
    if (headers.ipv4) {
        uint64_t source = ipv4_src(headers.ipv4);
        uint64_t hash = language_mix(seed->start + language_piece(seed, 2, ipv4_dst(headers.ipv4)) + language_piece(seed, 4, port | FAMILY4 << 16));
        struct tried_entry *entry = tried_slot(&filter->tried, &source, now);
        if (entry) {
            tried_live(entry, now);
            services = distinct_insert(&entry->value, hash);
            tried_touch(entry, now, EXPIRE);
        }
        if (services > filter->limit && scan_found_due(&filter->scan_found, &source, now, 10 * SECOND))
            TELL(&filter->events, now, source, services);
    } else if (headers.ipv6) {
        const uint8_t *addresses = headers.ipv6 + 8;
        uint64_t source[2] = {be64(addresses), be64(addresses + 8)};
        uint64_t hash = language_mix(seed->start + language_word(seed, 0, be64(addresses + 16)) + language_word(seed, 1, be64(addresses + 24)) +
                                     language_piece(seed, 4, port | FAMILY6 << 16));
        struct tried6_entry *entry = tried6_slot(&filter->tried6, source, now);
        if (entry) {
            tried6_live(entry, now);
            services = distinct_insert(&entry->value, hash);
            tried6_touch(entry, now, EXPIRE);
        }
        if (services > filter->limit && scan_found6_due(&filter->scan_found6, source, now, 10 * SECOND))
            TELL(&filter->events, now, source[0], source[1], services);
    }
    return services > filter->limit;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = scanning(filter, &packets[at], now);
}
