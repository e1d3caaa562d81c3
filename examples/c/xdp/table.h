/* `table.h` over the maps of BPF: the same template, with LRU hashes where entries may be evicted. Places of dead entries are given away by eviction only. */
#define TABLE_PASTE(a, b) a##_##b
#define TABLE_NAME(a, b) TABLE_PASTE(a, b)
#define ENTRY struct TABLE_NAME(TABLE, entry)
#define KEY struct TABLE_NAME(TABLE, key)
#define MAP TABLE_NAME(TABLE, map)

KEY {
    uint64_t word[KEY_WORDS];
};

ENTRY {
    uint64_t expires_at; /* dead from then on; 0 without entry */
    uint64_t written_at;
    VALUE value;
};

struct TABLE {
    uint32_t capacity;
};

struct {
    uint(type, EVICTS ? BPF_MAP_TYPE_LRU_HASH : BPF_MAP_TYPE_HASH);
    uint(max_entries, 65536);
    type(key, KEY);
    type(value, ENTRY);
} MAP SEC(".maps");

static inline void TABLE_NAME(TABLE, drop)(struct TABLE *table) { (void)table; }

static inline bool TABLE_NAME(TABLE, init)(struct TABLE *table, uint32_t capacity) {
    table->capacity = capacity;
    return true;
}

static inline ENTRY *TABLE_NAME(TABLE, find)(struct TABLE *table, const uint64_t *key) {
    (void)table;
    KEY copy;
    memcpy(&copy, key, sizeof copy);
    return bpf_map_lookup_elem(&MAP, &copy);
}

static inline bool TABLE_NAME(TABLE, has)(struct TABLE *table, const uint64_t *key) { return TABLE_NAME(TABLE, find)(table, key); }

static inline ENTRY *TABLE_NAME(TABLE, slot)(struct TABLE *table, const uint64_t *key, uint64_t now) {
    (void)table, (void)now;
    KEY copy;
    memcpy(&copy, key, sizeof copy);
    ENTRY *entry = bpf_map_lookup_elem(&MAP, &copy);
    if (entry)
        return entry;
    ENTRY empty;
    memset(&empty, 0, sizeof empty);
    bpf_map_update_elem(&MAP, &copy, &empty, BPF_NOEXIST);
    return bpf_map_lookup_elem(&MAP, &copy);
}

static inline bool TABLE_NAME(TABLE, live)(ENTRY *entry, uint64_t now) {
    bool live = entry->expires_at > now;
    if (!live)
        memset(&entry->value, 0, sizeof entry->value);
    return live;
}

static inline void TABLE_NAME(TABLE, keep)(ENTRY *entry) { (void)entry; }

static inline void TABLE_NAME(TABLE, touch)(ENTRY *entry, uint64_t now, uint64_t expire) {
    entry->written_at = now;
    entry->expires_at = now + expire;
}

static inline void TABLE_NAME(TABLE, clear)(ENTRY *entry) { entry->expires_at = 0; }

#undef ENTRY
#undef KEY
#undef MAP
#undef TABLE
#undef KEY_WORDS
#undef VALUE
#undef EVICTS
