/* Parse and compare: to a web server, from outside of 10.0.0.0/8. */
#include "foreign.h"

static inline bool judge(struct filter *filter, const uint8_t *data, const uint8_t *end) {
    (void)filter;
    if (!has_ports(data, end))
        return 0;
    uint16_t port = dst_port(data);
    return (port == 80 || port == 443) && source(data) >> 24 != 10 && data[IPV4 + 8] > 1;
}

WITHOUT_STATE
PROGRAM(parse)
