/* A hash table of a fixed number of entries under fixed-size keys, all memory taken at the start.
 *
 * A template: define TABLE (a name), KEY_WORDS (64-bit words of a key), VALUE (a type) and EVICTS (1 or 0: whether the oldest
 * entry makes room when all are live, or the new one is refused), then include this file; as often as there are tables.
 *
 * An entry whose `expires_at` has passed is dead: it holds nothing, and its place may be given to another key. Chains start in an
 * array of indices, at least one for each entry; the hash is keyed by random numbers, as addresses come from strangers.
 */
#ifdef __bpf__
#include "xdp/table.h"
#else

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#ifndef TABLE_H
#define TABLE_H

/* How many entries are looked at for one to give away. */
#define TABLE_CANDIDATES 8

#define TABLE_PASTE(a, b) a##_##b
#define TABLE_NAME(a, b) TABLE_PASTE(a, b)

static inline uint64_t table_fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t table_pow2(uint64_t at_least) {
    uint64_t size = 1;
    while (size < at_least)
        size *= 2;
    return size;
}

#ifdef LOCKED
static inline void entry_lock(_Atomic uint32_t *lock) {
    while (atomic_exchange_explicit(lock, 1, memory_order_acquire))
        __builtin_ia32_pause();
}
static inline void entry_unlock(_Atomic uint32_t *lock) { atomic_store_explicit(lock, 0, memory_order_release); }
#else
static inline void entry_lock(_Atomic uint32_t *lock) { (void)lock; }
static inline void entry_unlock(_Atomic uint32_t *lock) { (void)lock; }
#endif

#endif

#define ENTRY struct TABLE_NAME(TABLE, entry)

ENTRY {
    uint64_t expires_at; /* dead from then on; 0 without entry */
    uint64_t written_at;
    uint32_t next; /* in the chain: index plus 1 */
    _Atomic uint32_t lock;
    uint64_t key[KEY_WORDS];
    VALUE value;
};

struct TABLE {
    ENTRY *entries;
    uint32_t *chains; /* index plus 1, 0 for none */
    uint64_t mask;
    uint64_t seed[2];
    uint32_t capacity;
    uint32_t used;
    uint32_t hand; /* where the next search for an entry to give away begins */
};

static inline void TABLE_NAME(TABLE, drop)(struct TABLE *table) {
    free(table->entries);
    free(table->chains);
}

static inline bool TABLE_NAME(TABLE, init)(struct TABLE *table, uint32_t capacity) {
    uint64_t chains = table_pow2(capacity);
    *table = (struct TABLE){.mask = chains - 1, .capacity = capacity};
    table->entries = calloc(capacity, sizeof *table->entries);
    table->chains = calloc(chains, sizeof *table->chains);
    bool seeded = getrandom(table->seed, sizeof table->seed, 0) == sizeof table->seed;
    table->seed[1] |= 1;
    return table->entries && table->chains && seeded;
}

static inline uint32_t *TABLE_NAME(TABLE, chain)(const struct TABLE *table, const uint64_t *key) {
    uint64_t hash = table->seed[0];
    for (int word = 0; word < KEY_WORDS; word++)
        hash = table_fold(hash ^ key[word], table->seed[1]) + table->seed[0];
#ifdef MIXED
    /* With some factors, one multiplication leaves keys that count up side by side. */
    hash = table_fold(hash, table->seed[1] ^ 0x9e3779b97f4a7c15);
#endif
    return &table->chains[hash & table->mask];
}

static inline bool TABLE_NAME(TABLE, same)(const ENTRY *entry, const uint64_t *key) {
    bool same = true;
    for (int word = 0; word < KEY_WORDS; word++)
        same &= entry->key[word] == key[word];
    return same;
}

/* The entry of a key, dead or live, locked; or NULL. */
static inline ENTRY *TABLE_NAME(TABLE, find)(struct TABLE *table, const uint64_t *key) {
    for (uint32_t at = *TABLE_NAME(TABLE, chain)(table, key); at; at = table->entries[at - 1].next) {
        ENTRY *entry = &table->entries[at - 1];
        if (TABLE_NAME(TABLE, same)(entry, key)) {
            entry_lock(&entry->lock);
            return entry;
        }
    }
    return NULL;
}

/* Whether a key has an entry: of tables that only the control plane writes, whose entries live until it takes them out. */
static inline bool TABLE_NAME(TABLE, has)(const struct TABLE *table, const uint64_t *key) {
    for (uint32_t at = *TABLE_NAME(TABLE, chain)(table, key); at; at = table->entries[at - 1].next)
        if (TABLE_NAME(TABLE, same)(&table->entries[at - 1], key))
            return true;
    return false;
}

/* Takes an entry from its key: the first dead one of a few, else the one written longest ago, if entries may be evicted. */
static ENTRY *TABLE_NAME(TABLE, victim)(struct TABLE *table, uint64_t now) {
    ENTRY *oldest = NULL;
    for (int looked = 0; looked < TABLE_CANDIDATES; looked++) {
        ENTRY *entry = &table->entries[table->hand];
        table->hand = table->hand + 1 == table->capacity ? 0 : table->hand + 1;
        if (entry->expires_at <= now) {
            oldest = entry;
            break;
        }
        if (EVICTS && (!oldest || entry->written_at < oldest->written_at))
            oldest = entry;
    }
    if (!oldest)
        return NULL;
    uint32_t index = (uint32_t)(oldest - table->entries) + 1;
    uint32_t *link = TABLE_NAME(TABLE, chain)(table, oldest->key);
    while (*link != index)
        link = &table->entries[*link - 1].next;
    *link = oldest->next;
    return oldest;
}

static __attribute__((noinline)) ENTRY *TABLE_NAME(TABLE, make)(struct TABLE *table, const uint64_t *key, uint64_t now) {
    ENTRY *entry = table->used < table->capacity ? &table->entries[table->used++] : TABLE_NAME(TABLE, victim)(table, now);
    if (!entry)
        return NULL;
    uint32_t *chain = TABLE_NAME(TABLE, chain)(table, key);
    for (int word = 0; word < KEY_WORDS; word++)
        entry->key[word] = key[word];
    entry->expires_at = 0;
    entry->next = *chain;
    *chain = (uint32_t)(entry - table->entries) + 1;
    entry_lock(&entry->lock);
    return entry;
}

/* The entry of a key, made if there is none, locked; or NULL if there is no room. */
static inline ENTRY *TABLE_NAME(TABLE, slot)(struct TABLE *table, const uint64_t *key, uint64_t now) {
    ENTRY *entry = TABLE_NAME(TABLE, find)(table, key);
    return entry ? entry : TABLE_NAME(TABLE, make)(table, key, now);
}

/* Whether an entry holds something; a dead one is emptied. */
static inline bool TABLE_NAME(TABLE, live)(ENTRY *entry, uint64_t now) {
    bool live = entry->expires_at > now;
    if (!live)
        memset(&entry->value, 0, sizeof entry->value);
    return live;
}

static inline void TABLE_NAME(TABLE, keep)(ENTRY *entry) { entry_unlock(&entry->lock); }

static inline void TABLE_NAME(TABLE, touch)(ENTRY *entry, uint64_t now, uint64_t expire) {
    entry->written_at = now;
    entry->expires_at = now + expire;
    entry_unlock(&entry->lock);
}

static inline void TABLE_NAME(TABLE, clear)(ENTRY *entry) {
    entry->expires_at = 0;
    entry_unlock(&entry->lock);
}

#undef ENTRY
#undef TABLE
#undef KEY_WORDS
#undef VALUE
#undef EVICTS

#endif
