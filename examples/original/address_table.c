/* Matches packets to addresses that are not in a table, or whose entry says so: 1 is drop, 2 is pass. The control plane fills the table; its keys are
 * addresses as numbers of this host's order.
 *
 * In the first Oko's sample the test of the length was the wrong way round: it read packets that were too short, and passed all others. */
#include "original.h"

enum { DROP = 1, PASS = 2 };

struct ubpf_map_def addresses = {
    .type = UBPF_MAP_TYPE_HASHMAP,
    .key_size = sizeof(uint32_t),
    .value_size = sizeof(uint32_t),
    .max_entries = 1000,
};

uint64_t entry(void *packet, uint64_t length) {
    struct ip_packet *ip = as_ip(packet, length);
    if (!ip)
        return 0;
    uint32_t to = turn32(ip->ipv4.to);
    uint32_t *action = ubpf_map_lookup(&addresses, &to);
    return !action || *action != PASS;
}
