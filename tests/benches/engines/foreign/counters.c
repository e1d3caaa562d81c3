/* An array of counters by port: every sixteenth packet to one matches. */
#include "foreign.h"

#define COUNTERS 1024

#ifdef __bpf__
struct {
    int (*type)[BPF_MAP_TYPE_ARRAY];
    int (*max_entries)[COUNTERS];
    uint32_t *key;
    uint64_t *value;
} ports SECTION(".maps");
#else
struct filter {
    uint64_t counters[COUNTERS];
};
struct filter *filter_new(void) { return calloc(1, sizeof(struct filter)); }
void filter_free(struct filter *filter) { free(filter); }
#endif

static inline bool judge(struct filter *filter, const uint8_t *data, const uint8_t *end) {
    if (!has_ports(data, end))
        return 0;
    uint32_t key = dst_port(data) % COUNTERS;
#ifdef __bpf__
    (void)filter;
    uint64_t *counter = map_lookup(&ports, &key);
    if (!counter)
        return 0;
#else
    uint64_t *counter = &filter->counters[key];
#endif
    return ++*counter % 16 == 0;
}

PROGRAM(counters)
