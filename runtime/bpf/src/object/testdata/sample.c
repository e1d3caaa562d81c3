// What clang makes of the things that BPF objects have: maps with and without a lock, variables in .data, .bss and .rodata,
// a function in .text, a static one beside its caller. sample.o: clang-16 -O2 -g -target bpf -mcpu=v3 -fdebug-compilation-dir=. -c sample.c, then
// llvm-strip-16 -g sample.o.
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

struct key { __u32 addr; __u16 port; __u16 pad; };
struct value { __u64 count; struct bpf_spin_lock lock; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, struct key); __type(value, struct value); } seen SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __uint(key_size, 4); __uint(value_size, 24); } slots SEC(".maps");

__u64 limit = 7;
__u64 runs;
const volatile __u32 ports[3] = {80, 443, 8080};

static void *(*lookup)(void *, const void *) = (void *)1;
static long (*update)(void *, const void *, const void *, __u64) = (void *)2;
static long (*lock)(void *) = (void *)93;
static long (*unlock)(void *) = (void *)94;

__attribute__((noinline)) int port_is_known(__u32 port)
{
	for (int i = 0; i < 3; i++)
		if (ports[i] == port)
			return 1;
	return 0;
}

SEC("xdp") int count(struct xdp_md *ctx)
{
	struct key key = {.addr = ctx->ingress_ifindex, .port = 80};
	struct value *value = lookup(&seen, &key);
	runs++;
	if (!value) {
		struct value fresh = {};
		update(&seen, &key, &fresh, 1);
		return 1;
	}
	lock(&value->lock);
	value->count++;
	unlock(&value->lock);
	return port_is_known(key.port) && value->count > limit ? 2 : 1;
}

SEC("xdp") int second(struct xdp_md *ctx)
{
	__u32 zero = 0;
	return lookup(&slots, &zero) ? 2 : 1;
}

char _license[] SEC("license") = "GPL";
