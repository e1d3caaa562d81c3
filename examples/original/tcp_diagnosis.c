/* Says where a slow TCP transfer is slow, after the measurements of DAPPER (SOSR 2017): matches the packets of connections whose sender has more
 * in flight than it had acknowledged before, whose receiver's window is full, or that sends the same acknowledgement three times.
 *
 * In the first Oko's sample sequence numbers were compared in network order; times were kept in fewer bits than they have; the ends of a
 * connection were ordered by address and by port independently, so that two connections shared a key; and the length of every packet was told as 8. */
#include "original.h"

#define MSS 1460u

struct transfer {
    uint32_t sender;     /* address of the end whose data is measured */
    uint32_t next;       /* behind the highest byte that it sent */
    uint32_t acked;      /* the highest acknowledgement of the other end */
    uint32_t window;     /* that end's window, bytes */
    uint32_t flight;     /* bytes that wait for an acknowledgement */
    uint32_t most;       /* the most that ever were, while nothing was lost */
    uint32_t duplicates; /* acknowledgements of the same byte in a row */
    uint32_t full;       /* packets in a row that filled the window */
    uint64_t sent_at;    /* when the byte before `next` was sent */
    uint64_t rtt;        /* the last time from a byte to its acknowledgement, nanoseconds */
};

struct ubpf_map_def transfers = {
    .type = UBPF_MAP_TYPE_HASHMAP,
    .key_size = sizeof(struct connection),
    .value_size = sizeof(struct transfer),
    .max_entries = 40000,
};

/* How often acknowledgements were repeated, over all connections of a pair of hosts. */
struct ubpf_map_def losses = {
    .type = UBPF_MAP_TYPE_COUNTMIN,
    .key_size = 0,
    .value_size = 2 * sizeof(uint32_t),
    .max_entries = 1024,
    .nb_hash_functions = 4,
};

/* Serial-number order (RFC 1982): sequence numbers go round. */
static inline int is_after(uint32_t a, uint32_t b) { return (int)(a - b) > 0; }

uint64_t entry(void *packet, uint64_t length) {
    struct tcp_packet *tcp = as_tcp(packet, length);
    if (!tcp)
        return 0;
    struct connection key = connection_of(tcp);
    uint8_t flags = tcp->tcp.flags;
    uint64_t now = ubpf_time_get_ns();
    uint32_t seq = turn32(tcp->tcp.seq), ack = turn32(tcp->tcp.ack);
    struct transfer *transfer = ubpf_map_lookup(&transfers, &key);
    if (!transfer) {
        /* The end that answers a SYN sends the data. */
        if ((flags & (SYN | ACK)) == (SYN | ACK)) {
            struct transfer new = {0};
            new.sender = tcp->ipv4.from;
            new.next = seq + 1;
            new.acked = seq + 1;
            new.window = turn16(tcp->tcp.window);
            new.most = MSS;
            new.sent_at = now;
            ubpf_map_update(&transfers, &key, &new);
        }
        return 0;
    }
    if (flags & (FIN | RST)) {
        ubpf_map_delete(&transfers, &key);
        return 0;
    }
    if (tcp->ipv4.to == transfer->sender) {
        transfer->window = turn16(tcp->tcp.window);
        if (is_after(ack, transfer->acked)) {
            if (ack == transfer->next)
                transfer->rtt = now - transfer->sent_at;
            transfer->acked = ack;
            transfer->duplicates = 0;
            return 0;
        }
        transfer->duplicates++;
        if (transfer->duplicates != 3)
            return 0;
        transfer->most = MSS;
        uint32_t hosts[2] = {key.low, key.high};
        ubpf_map_add(&losses, hosts);
        uint32_t *count = ubpf_map_lookup(&losses, hosts);
        return count && *count > 0;
    }
    uint32_t headers = 20 + (tcp->tcp.offset >> 4) * 4;
    uint32_t total = turn16(tcp->ipv4.total_length);
    uint32_t data = total > headers ? total - headers : 0;
    if (data == 0 || !is_after(seq + data, transfer->next))
        return 0;
    uint32_t flight = seq + data - transfer->acked;
    transfer->next = seq + data;
    transfer->sent_at = now;
    transfer->flight = flight;
    transfer->full = flight >= transfer->window ? transfer->full + 1 : 0;
    int grew = flight > transfer->most;
    if (grew)
        transfer->most = flight;
    return grew || transfer->full > 3;
}
