/* `dns_amp.oko` in C. */
#include "packet.h"

/* A question: client, client's port, number. */
#define TABLE asked
#define KEY_WORDS 1
#define VALUE uint8_t
#define EVICTS 1
#include "table.h"

#define TABLE asked6
#define KEY_WORDS 3
#define VALUE uint8_t
#define EVICTS 1
#include "table.h"

#define EXPIRE (5 * SECOND)
#define DNS 53
#define IS_ANSWER 0x80

struct filter {
    struct asked asked;
    struct asked6 asked6;
};

void filter_free(struct filter *filter) {
    asked_drop(&filter->asked);
    asked6_drop(&filter->asked6);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!asked_init(&filter->asked, 131072) || !asked6_init(&filter->asked6, 131072)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool unsolicited(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.udp || (udp_dst_port(headers.udp) != DNS && udp_src_port(headers.udp) != DNS))
        return false;
    const uint8_t *dns = headers.udp + 8;
    if (packet_end(packet) - dns < 12)
        return false;
    bool is_answer = dns[2] & IS_ANSWER;
    uint64_t port = is_answer ? udp_dst_port(headers.udp) : udp_src_port(headers.udp), id = be16(dns);
    bool open = false;
    if (headers.ipv4) {
        uint64_t client = is_answer ? ipv4_dst(headers.ipv4) : ipv4_src(headers.ipv4);
        uint64_t key = client << 32 | port << 16 | id;
        if (is_answer) {
            struct asked_entry *entry = asked_find(&filter->asked, &key);
            if (entry) {
                open = asked_live(entry, now);
                asked_clear(entry);
            }
        } else {
            struct asked_entry *entry = asked_slot(&filter->asked, &key, now);
            if (entry)
                asked_touch(entry, now, EXPIRE);
        }
    } else if (headers.ipv6) {
        const uint8_t *client = headers.ipv6 + (is_answer ? 24 : 8);
        uint64_t key[3] = {be64(client), be64(client + 8), port << 16 | id};
        if (is_answer) {
            struct asked6_entry *entry = asked6_find(&filter->asked6, key);
            if (entry) {
                open = asked6_live(entry, now);
                asked6_clear(entry);
            }
        } else {
            struct asked6_entry *entry = asked6_slot(&filter->asked6, key, now);
            if (entry)
                asked6_touch(entry, now, EXPIRE);
        }
    }
    return is_answer && !open;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = unsolicited(filter, &packets[at], now);
}
