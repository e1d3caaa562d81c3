/* Oko filters for C programs: load an object that okoc or clang made, prove it safe, compile it, ask it about packets.
 *
 * The library opens no files, reads no clock and starts no threads. An instance may be used by any number of threads at a time, but
 * oko_free must come after everything else. No function aborts the program, whatever it is given for the bytes of an object or a packet.
 *
 * Texts are UTF-8 and end with a zero byte. Those that belong to an instance live as long as it does. */
#ifndef OKO_H
#define OKO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a call. If it is not OKO_OK, oko_error() says what was wrong, and nothing has changed. */
typedef enum oko_status {
    OKO_OK = 0,
    OKO_BAD_ARGUMENT = 1, /* a null pointer, a text that is not UTF-8, a number of a filter that there is not */
    OKO_REFUSED = 2,      /* the object is malformed, was refused by a verifier, or asks for too much */
    OKO_NO_SUCH = 3,      /* there is no filter, param, state or table of this name */
    OKO_BAD_VALUE = 4,    /* a value is out of its range, or a key or entry does not fit, or there is no room for it */
    OKO_INTERNAL = 5      /* a defect of the library */
} oko_status;

/* The text of the last error of this thread; valid until its next call of the library. Empty if there was none. */
const char *oko_error(void);

typedef struct oko_instance oko_instance;

/* What the programs of an object were written for: Linux, or the first Oko, whose programs are `entry(packet, length)`. */
enum { OKO_ABI_LINUX = 0, OKO_ABI_ORIGINAL = 1 };

/* How to load. Zero in a field stands for the default. */
typedef struct oko_options {
    uint64_t max_state_bytes; /* the most memory that states may take together; default 2 GiB */
    uint32_t workers;         /* for how many threads there are copies of per-core states; default one for each core */
    uint32_t event_bytes;     /* how many bytes of events may wait; default 256 KiB */
    uint32_t abi;             /* what the object's programs were written for: OKO_ABI_LINUX (XDP, and what okoc makes), or OKO_ABI_ORIGINAL */
} oko_options;

/* Loads an object. `options` may be null. */
oko_status oko_load(const void *object, size_t size, const oko_options *options, oko_instance **instance);

/* Loads another version of an object, which goes on with the states of `old` that fit and with the params that were set. The old instance stays, and both may run at
 * a time; free it when no thread uses it any more. */
oko_status oko_replace(const oko_instance *old, const void *object, size_t size, const oko_options *options,
                       oko_instance **instance);

/* Frees an instance; null is nothing. */
void oko_free(oko_instance *instance);

/* The filters of the object, by number from 0. Names are null for numbers that there are not. */
uint32_t oko_filter_count(const oko_instance *instance);
const char *oko_filter_name(const oko_instance *instance, uint32_t filter);
/* How many classes a filter tells apart: 2 if it answers true or false. */
uint32_t oko_class_count(const oko_instance *instance, uint32_t filter);
/* The name of a class; `false` and `true` of those that answer so. */
const char *oko_class_name(const oko_instance *instance, uint32_t filter, uint32_t class_number);
oko_status oko_filter_find(const oko_instance *instance, const char *name, uint32_t *filter);

/* A packet: `size` bytes of it that are there, and how long it was on the wire (0 stands for `size`). */
typedef struct oko_packet {
    const uint8_t *data;
    uint32_t size;
    uint32_t wire_size;
    uint32_t in_port;
} oko_packet;

/* Asks a filter about packets in their order; `classes` takes a number for each: the class, or 1 for true and 0 for false. `now` is nanoseconds on a
 * monotonic clock, at least 1. */
oko_status oko_run(const oko_instance *instance, uint32_t filter, const oko_packet *packets, size_t count,
                   uint64_t now, uint32_t *classes);

/* Params: read and set while filters run. */
oko_status oko_param_get(const oko_instance *instance, const char *name, uint64_t *value);
oko_status oko_param_set(const oko_instance *instance, const char *name, uint64_t value);

/* An entry of a state or table, as it was at one moment: the scalars of its key and value in the order of the object's schema. Of a table's key, how many
 * bits of it count is one more scalar. */
typedef struct oko_entry {
    const uint64_t *key;
    size_t key_count;
    const uint64_t *value;
    size_t value_count;
    uint64_t expires_at; /* nanoseconds; all ones for never */
    uint64_t written_at;
} oko_entry;

/* Calls `each` for every entry of a state that is live at `now`. The entry lives until `each` returns. */
oko_status oko_state_read(const oko_instance *instance, const char *name, uint64_t now,
                          void (*each)(const oko_entry *entry, void *context), void *context);
/* Deletes all entries. */
oko_status oko_state_clear(const oko_instance *instance, const char *name);

/* Tables: the parts of a key, how many of its bits count (all, where there are no prefixes), and the scalars of the value. */
oko_status oko_table_put(const oko_instance *instance, const char *name, const uint64_t *key, size_t key_count,
                         uint32_t bits, const uint64_t *value, size_t value_count);
/* `was_there` may be null. */
oko_status oko_table_remove(const oko_instance *instance, const char *name, const uint64_t *key,
                            size_t key_count, uint32_t bits, bool *was_there);

/* Takes up to `limit` events that filters have emitted, oldest first, and calls `each` for every one. `dropped`, which may be null, takes how many have found no
 * room so far. */
oko_status oko_events(const oko_instance *instance, size_t limit,
                      void (*each)(const char *name, uint64_t time, const uint64_t *values, size_t count,
                                   void *context),
                      void *context, uint64_t *dropped);

#ifdef __cplusplus
}
#endif

#endif
