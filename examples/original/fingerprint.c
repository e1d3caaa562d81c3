/* Matches SYNs that one family of systems sends: a window of 8,192, "don't fragment", a TTL of 128 less at most 34 hops, and the options
 * maximum segment size, nothing, window scale, nothing, nothing, selective acknowledgements permitted. It remembers nothing.
 *
 * The first Oko's sample compared the window in network order, and gave up on every packet for its length. */
#include "original.h"

struct options {
    uint8_t mss, mss_length;
    uint16_t mss_value;
    uint8_t nothing;
    uint8_t scale, scale_length, scale_value;
    uint8_t nothing2, nothing3;
    uint8_t sack, sack_length;
} __attribute__((packed));

uint64_t entry(void *packet, uint64_t length) {
    struct tcp_packet *tcp = as_tcp(packet, length);
    if (!tcp || length < sizeof *tcp + sizeof(struct options))
        return 0;
    struct options *options = (void *)(tcp + 1);
    uint32_t data = turn16(tcp->ipv4.total_length) - 20 - (tcp->tcp.offset >> 4) * 4;
    return (tcp->tcp.flags & (SYN | ACK)) == SYN && turn16(tcp->tcp.window) == 8192 && tcp->ipv4.ttl <= 128 &&
           tcp->ipv4.ttl > 93 && turn16(tcp->ipv4.fragment) & 0x4000 && tcp->tcp.offset >> 4 == 8 && data == 0 &&
           options->mss == 2 && options->mss_length == 4 && options->nothing == 1 && options->scale == 3 &&
           options->scale_length == 3 && options->nothing2 == 1 && options->nothing3 == 1 && options->sack == 4 &&
           options->sack_length == 2;
}
