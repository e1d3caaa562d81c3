/* `syn_flood.oko` in C. */
#include "cells.h"
#include "packet.h"

struct balance {
    struct window opened;
    struct window closed;
};

#define TABLE servers
#define KEY_WORDS 1
#define VALUE struct balance
#define EVICTS 1
#include "table.h"

#define TABLE clients
#define KEY_WORDS 1
#define VALUE uint64_t
#define EVICTS 1
#include "table.h"

#define WINDOW (10 * SECOND)
#define SERVER_EXPIRE (60 * SECOND)
#define CLIENT_EXPIRE (600 * SECOND)

struct filter {
    struct servers servers;
    struct clients clients;
    uint64_t excess; /* param */
};

void filter_free(struct filter *filter) {
    servers_drop(&filter->servers);
    clients_drop(&filter->clients);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->excess = 1000;
    if (!servers_init(&filter->servers, 65536) || !clients_init(&filter->clients, 65536)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

/* Counts the opening of a connection; says whether far more are opened than closed. */
static inline bool open_one(struct filter *filter, uint64_t server, uint64_t now) {
    struct servers_entry *entry = servers_slot(&filter->servers, &server, now);
    uint64_t opened = 1, closed = 0;
    if (entry) {
        servers_live(entry, now);
        opened = window_add(&entry->value.opened, WINDOW, now, 1);
        closed = window_total(&entry->value.closed, WINDOW, now);
        servers_touch(entry, now, SERVER_EXPIRE);
    }
    return opened > closed + filter->excess;
}

static inline bool is_stranger(struct filter *filter, uint64_t client, uint64_t now) {
    struct clients_entry *entry = clients_find(&filter->clients, &client);
    if (!entry)
        return true;
    bool stranger = !clients_live(entry, now) || entry->value == 0;
    clients_keep(entry);
    return stranger;
}

static bool syn_flood(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4 || !headers.tcp)
        return false;
    uint8_t flags = tcp_flags(headers.tcp);
    uint64_t client = ipv4_src(headers.ipv4), server = ipv4_dst(headers.ipv4);
    if (flags == SYN)
        return open_one(filter, server, now) && is_stranger(filter, client, now);
    if (flags & (FIN | RST)) {
        struct servers_entry *entry = servers_slot(&filter->servers, &server, now);
        if (entry) {
            servers_live(entry, now);
            window_add(&entry->value.closed, WINDOW, now, 1);
            servers_touch(entry, now, SERVER_EXPIRE);
        }
    } else if (flags & ACK && !(flags & SYN)) {
        struct clients_entry *entry = clients_slot(&filter->clients, &client, now);
        if (entry) {
            clients_live(entry, now);
            entry->value += entry->value != UINT64_MAX;
            clients_touch(entry, now, CLIENT_EXPIRE);
        }
    }
    return false;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = syn_flood(filter, &packets[at], now);
}
