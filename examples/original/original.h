/* The ABI of the first Oko: what a program for it declares and calls.
 *
 * A program is one object file. The packet and its length go to `entry`; any result but 0 is a match. Each variable with
 * initialiser is the definition of a map. Bytes of the packet may be read behind a test of the length. */
#ifndef ORIGINAL_H
#define ORIGINAL_H

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;

enum ubpf_map_type {
    UBPF_MAP_TYPE_ARRAY = 1,
    UBPF_MAP_TYPE_BLOOMFILTER = 2,
    UBPF_MAP_TYPE_COUNTMIN = 3,
    UBPF_MAP_TYPE_HASHMAP = 4,
};

struct ubpf_map_def {
    enum ubpf_map_type type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t nb_hash_functions;
};

static void *(*ubpf_map_lookup)(const void *map, const void *key) = (void *)1;
static int (*ubpf_map_update)(void *map, const void *key, const void *value) = (void *)2;
static int (*ubpf_map_delete)(void *map, const void *key) = (void *)3;
static int (*ubpf_map_add)(void *map, const void *element) = (void *)4;
static uint64_t (*ubpf_time_get_ns)(void) = (void *)5;
static uint32_t (*ubpf_hash)(const void *bytes, uint64_t size) = (void *)6;

uint64_t entry(void *packet, uint64_t length);

#define SECOND 1000000000ull

/* Headers as they are on the wire; numbers of more than a byte are in network order until they are turned. */
struct ethernet {
    uint8_t to[6], from[6];
    uint16_t type;
} __attribute__((packed));

struct ipv4 {
    uint8_t version_ihl, tos;
    uint16_t total_length, id, fragment;
    uint8_t ttl, protocol;
    uint16_t checksum;
    uint32_t from, to;
} __attribute__((packed));

struct tcp {
    uint16_t from, to;
    uint32_t seq, ack;
    uint8_t offset, flags;
    uint16_t window, checksum, urgent;
} __attribute__((packed));

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static inline uint16_t turn16(uint16_t value) { return __builtin_bswap16(value); }
static inline uint32_t turn32(uint32_t value) { return __builtin_bswap32(value); }

/* A packet of Ethernet, IPv4 without options, and the first bytes behind. */
struct ip_packet {
    struct ethernet ethernet;
    struct ipv4 ipv4;
} __attribute__((packed));

struct tcp_packet {
    struct ethernet ethernet;
    struct ipv4 ipv4;
    struct tcp tcp;
} __attribute__((packed));

/* The packet, if it is IPv4 without options; else null. */
static inline struct ip_packet *as_ip(void *packet, uint64_t length) {
    struct ip_packet *ip = packet;
    if (length < sizeof *ip || turn16(ip->ethernet.type) != 0x0800 || ip->ipv4.version_ihl != 0x45)
        return 0;
    return ip;
}

/* The packet, if it is TCP over IPv4 without options, and no later fragment; else null. */
static inline struct tcp_packet *as_tcp(void *packet, uint64_t length) {
    struct tcp_packet *tcp = packet;
    if (length < sizeof *tcp || turn16(tcp->ethernet.type) != 0x0800 || tcp->ipv4.version_ihl != 0x45)
        return 0;
    if (tcp->ipv4.protocol != 6 || (turn16(tcp->ipv4.fragment) & 0x1fff) != 0)
        return 0;
    return tcp;
}

/* A connection, the same from both of its ends: what belongs together is ordered together. */
struct connection {
    uint32_t low, high;
    uint16_t low_port, high_port;
};

static inline struct connection connection_of(const struct tcp_packet *packet) {
    struct connection found;
    uint32_t from = packet->ipv4.from, to = packet->ipv4.to;
    uint16_t from_port = packet->tcp.from, to_port = packet->tcp.to;
    if (from < to || (from == to && from_port < to_port))
        found = (struct connection){from, to, from_port, to_port};
    else
        found = (struct connection){to, from, to_port, from_port};
    return found;
}

#endif
