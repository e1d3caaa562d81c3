/* What the filters of the folder above find in place of the C library, of `table.h` and of the rest of `filter.h` when they are compiled as XDP programs. */
#ifndef XDP_H
#define XDP_H

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef unsigned long size_t;
#define UINT32_MAX 0xffffffffu
#define UINT64_MAX 0xffffffffffffffffull
#define memcpy __builtin_memcpy
#define memset __builtin_memset

#define SEC(name) __attribute__((section(name), used))
#define uint(name, number) int(*name)[number]
#define type(name, what) typeof(what) *name

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_LPM_TRIE = 11, BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_NO_PREALLOC = 1 };
enum { XDP_DROP = 1, XDP_PASS = 2 };

struct xdp_md {
    uint32_t data, data_end, data_meta, ingress_ifindex, rx_queue_index;
};

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, uint64_t flags) = (void *)2;
static uint64_t (*bpf_ktime_get_ns)(void) = (void *)5;

/* The end of a packet's bytes is a pointer of its own, that the verifier knows. */
struct packet {
    const uint8_t *data;
    const uint8_t *end;
    uint32_t wire_len;
    uint32_t in_port;
};

static inline const uint8_t *packet_end(const struct packet *packet) { return packet->end; }

/* There is one filter; its params are variables. Its tables are maps, which are there already. */
struct filter;
static inline void *calloc(size_t count, size_t size);
static inline void free(void *nothing) { (void)nothing; }

#endif
