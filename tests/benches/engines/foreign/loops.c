/* Loops: the header's checksum is right, and the bytes behind the ports weigh enough. */
#include "foreign.h"

static inline bool judge(struct filter *filter, const uint8_t *data, const uint8_t *end) {
    (void)filter;
    if (!has_ports(data, end))
        return 0;
    uint32_t sum = 0;
#pragma clang loop unroll(disable)
    for (int word = 0; word < 10; word++)
        sum += (uint32_t)data[IPV4 + 2 * word] << 8 | data[IPV4 + 2 * word + 1];
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    uint32_t weight = 0;
#pragma clang loop unroll(disable)
    for (int byte = 0; byte < 64; byte++) {
        const uint8_t *at = data + TRANSPORT + 4 + byte;
        if (at + 1 > end)
            break;
        weight += *at;
    }
    return sum == 0xffff && weight > 1000;
}

WITHOUT_STATE
PROGRAM(loops)
