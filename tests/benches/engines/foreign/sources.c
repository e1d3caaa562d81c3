/* A hash table of counters by source: every sixteenth packet of one matches. */
#include "foreign.h"

#define SOURCES 65536

#ifdef __bpf__
struct {
    int (*type)[BPF_MAP_TYPE_HASH];
    int (*max_entries)[SOURCES];
    uint32_t *key;
    uint64_t *value;
} hosts SECTION(".maps");
#else
#include <string.h>

#define TABLE sources
#define KEY_WORDS 1
#define VALUE uint64_t
#define EVICTS 0
#include "table.h"

struct filter {
    struct sources sources;
};
void filter_free(struct filter *filter) {
    sources_drop(&filter->sources);
    free(filter);
}
struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (filter && !sources_init(&filter->sources, SOURCES)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}
#endif

static inline bool judge(struct filter *filter, const uint8_t *data, const uint8_t *end) {
    if (!has_ports(data, end))
        return 0;
#ifdef __bpf__
    (void)filter;
    uint32_t key = source(data);
    uint64_t *counter = map_lookup(&hosts, &key);
    if (!counter) {
        uint64_t first = 1;
        map_update(&hosts, &key, &first, BPF_ANY);
        return 0;
    }
    return ++*counter % 16 == 0;
#else
    uint64_t key = source(data);
    struct sources_entry *entry = sources_find(&filter->sources, &key);
    if (!entry) {
        entry = sources_make(&filter->sources, &key, 1);
        if (entry)
            entry->value = 1;
        return 0;
    }
    return ++entry->value % 16 == 0;
#endif
}

PROGRAM(sources)
