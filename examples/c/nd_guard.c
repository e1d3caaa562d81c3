/* `nd_guard.oko` in C. */
#include "packet.h"

#define TABLE owners
#define KEY_WORDS 2
#define VALUE uint64_t
#define EVICTS 0
#include "table.h"

#define EXPIRE (600 * SECOND)
#define NEIGHBOR_ADVERTISEMENT 136
#define TARGET 2
#define NO_OPTIONS 24

#define EVENT claimed
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct claimed claimed;
    struct events events;
    struct owners owners;
};

void filter_free(struct filter *filter) {
    owners_drop(&filter->owners);
    claimed_drop(&filter->claimed);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!owners_init(&filter->owners, 16384) ||
        !events_init(&filter->events) || !claimed_init(&filter->claimed, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool spoofed(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.icmp6 || headers.ipv6[7] != 255)
        return false;
    const uint8_t *icmp6 = headers.icmp6, *end = packet_end(packet);
    if (icmp6[0] != NEIGHBOR_ADVERTISEMENT || end - icmp6 < 24)
        return false;
    /* The link address, if it is the first option. */
    const uint8_t *option = icmp6 + 24;
    if (end - option < 8 || option[0] != TARGET || option[1] != 1)
        return be16(headers.ipv6 + 4) > NO_OPTIONS;
    uint64_t station = mac(option + 2);
    if (station != mac(headers.ethernet + 6))
        return true;
    uint64_t target[2] = {be64(icmp6 + 8), be64(icmp6 + 16)};
    struct owners_entry *entry = owners_slot(&filter->owners, target, now);
    if (!entry)
        return false;
    if (!owners_live(entry, now)) {
        entry->value = station;
    } else if (entry->value != station) {
        uint64_t owner = entry->value;
        owners_keep(entry);
        if (claimed_due(&filter->claimed, target, now, 10 * SECOND))
            TELL(&filter->events, now, target[0], target[1], owner, station);
        return true;
    }
    owners_touch(entry, now, EXPIRE);
    return false;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = spoofed(filter, &packets[at], now);
}
