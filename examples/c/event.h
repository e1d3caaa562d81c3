/* Events: a ring that somebody else reads, and how often one may be told.
 *
 * A template: define EVENT (a name) and KEY_WORDS (64-bit words of what it is limited by), then include this file; as often as there are events. All of the examples may be
 * told once in a time for each key. Of more keys than LIMITED_KEYS at a time no more is told.
 */
#include "filter.h"

#ifndef EVENT_H
#define EVENT_H

#define LIMITED_KEYS 16384

#ifdef __bpf__

/* Verdicts are compared, not what is told. */
struct events {
    uint32_t dropped;
};

static inline void events_drop(struct events *events) { (void)events; }
static inline bool events_init(struct events *events) {
    events->dropped = 0;
    return true;
}
#define TELL(events, ...) ((void)(events), (void)(const uint64_t[]){__VA_ARGS__})

#else

#include <stdatomic.h>
#include <stdlib.h>

#define EVENTS_WORDS (1u << 15)

struct events {
    uint64_t *words;
    _Atomic uint64_t written; /* words, by the filter */
    _Atomic uint64_t taken;   /* words, by the reader */
    uint64_t dropped;         /* events that found no room */
};

static inline void events_drop(struct events *events) { free(events->words); }

static inline bool events_init(struct events *events) {
    events->words = calloc(EVENTS_WORDS, sizeof *events->words);
    return events->words;
}

/* Writes a record: how many words follow, and these. */
static inline void events_put(struct events *events, const uint64_t *record, uint64_t count) {
    uint64_t at = atomic_load_explicit(&events->written, memory_order_relaxed);
    if (at + 1 + count - atomic_load_explicit(&events->taken, memory_order_acquire) > EVENTS_WORDS) {
        events->dropped++;
        return;
    }
    events->words[at++ % EVENTS_WORDS] = count;
    for (uint64_t word = 0; word < count; word++)
        events->words[at++ % EVENTS_WORDS] = record[word];
    atomic_store_explicit(&events->written, at, memory_order_release);
}

#define TELL(events, ...) \
    events_put(events, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

#endif

#endif

#define TABLE EVENT
#define VALUE uint8_t
#define EVICTS 0
#include "table.h"

/* Whether the event of a key is to be told: it was not for so long. */
static inline bool TABLE_NAME(EVENT, due)(struct EVENT *limit, const uint64_t *key, uint64_t now, uint64_t each) {
    struct TABLE_NAME(EVENT, entry) *entry = TABLE_NAME(EVENT, slot)(limit, key, now);
    if (!entry)
        return false;
    if (entry->expires_at > now) {
        TABLE_NAME(EVENT, keep)(entry);
        return false;
    }
    TABLE_NAME(EVENT, touch)(entry, now, each);
    return true;
}

#undef EVENT
