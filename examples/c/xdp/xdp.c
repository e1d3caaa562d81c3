/* A filter of the folder above as an XDP program: compile this with -DFILTER='"../telnet.c"'. A match passes; of a filter with classes, any but the first. */
#include "xdp.h"

#include FILTER

/* What `filter_new` would make: the params at their defaults. */
struct filter the_filter SEC(".data");

static inline void *calloc(size_t count, size_t size) {
    (void)count, (void)size;
    return &the_filter;
}

SEC("xdp") int filter(struct xdp_md *context) {
    const uint8_t *data = (const uint8_t *)(unsigned long)context->data;
    const uint8_t *end = (const uint8_t *)(unsigned long)context->data_end;
    struct packet packet = {data, end, end - data, context->ingress_ifindex};
    uint32_t verdict = 0;
    filter_run(filter_new(), &packet, 1, bpf_ktime_get_ns(), &verdict);
    return verdict ? XDP_PASS : XDP_DROP;
}
