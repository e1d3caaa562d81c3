/* What a C program may rely on. Given: an object with the filter `many` (bool) over the state `seen` (key: port, value: n) and the param `limit` in 1..=100. */
#include <oko.h>
#include <stdio.h>
#include <string.h>

static uint8_t object[8 << 20];
static int failures;

#define CHECK(fact) \
    do { \
        if (!(fact)) printf("line %d: not so: %s (last error: %s)\n", __LINE__, #fact, oko_error()), failures++; \
    } while (0)

static uint64_t sum;
static size_t entries;

static void each(const oko_entry *entry, void *context) {
    CHECK(context == &sum);
    CHECK(entry->key_count == 1 && entry->value_count == 1);
    CHECK(entry->expires_at == UINT64_MAX);
    sum += entry->value[0];
    entries++;
}

static void no_event(const char *name, uint64_t time, const uint64_t *values, size_t count, void *context) {
    (void)time, (void)values, (void)count, (void)context;
    printf("an event %s that nobody emitted\n", name), failures++;
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) return 2;
    size_t size = fread(object, 1, sizeof object, file);
    oko_instance *instance = NULL, *next = NULL;

    CHECK(oko_load(NULL, 10, NULL, &instance) == OKO_BAD_ARGUMENT && !instance);
    CHECK(oko_load("not an object", 13, NULL, &instance) == OKO_REFUSED && !instance);
    CHECK(strstr(oko_error(), "not a BPF object file"));
    oko_options foreign = {.abi = OKO_ABI_ORIGINAL}, unknown = {.abi = 7};
    CHECK(oko_load(object, size, &foreign, &instance) == OKO_REFUSED && strstr(oko_error(), "function `entry`"));
    CHECK(oko_load(object, size, &unknown, &instance) == OKO_BAD_ARGUMENT && strstr(oko_error(), "abi 7"));
    oko_options tight = {.max_state_bytes = 1};
    CHECK(oko_load(object, size, &tight, &instance) == OKO_REFUSED && strstr(oko_error(), "limit of 1"));
    CHECK(oko_load(object, size, NULL, &instance) == OKO_OK && instance);

    CHECK(oko_filter_count(instance) == 1 && !strcmp(oko_filter_name(instance, 0), "many"));
    CHECK(oko_class_count(instance, 0) == 2 && !strcmp(oko_class_name(instance, 0, 1), "true"));
    CHECK(!oko_filter_name(instance, 1) && !oko_class_name(instance, 0, 2) && !oko_class_count(NULL, 0));
    uint32_t filter = 9;
    CHECK(oko_filter_find(instance, "few", &filter) == OKO_NO_SUCH && filter == 9);
    CHECK(oko_filter_find(instance, "many", &filter) == OKO_OK && filter == 0);

    /* 40 packets of five ports: more than a burst. */
    oko_packet packets[40] = {0};
    uint32_t classes[40];
    for (int i = 0; i < 40; i++) packets[i] = (oko_packet){(const uint8_t *)"frame", 5, 0, i % 5};
    CHECK(oko_param_set(instance, "limit", 7) == OKO_OK);
    CHECK(oko_run(instance, filter, packets, 40, 1, classes) == OKO_OK);
    for (int i = 0; i < 40; i++) CHECK(classes[i] == (i / 5 >= 7));
    CHECK(oko_run(instance, 1, packets, 40, 1, classes) == OKO_BAD_ARGUMENT);
    CHECK(oko_run(instance, filter, packets, 40, 0, classes) == OKO_BAD_ARGUMENT);
    CHECK(oko_run(instance, filter, NULL, 0, 1, NULL) == OKO_OK);

    uint64_t limit = 0;
    CHECK(oko_param_set(instance, "limit", 101) == OKO_BAD_VALUE && strstr(oko_error(), "1..=100"));
    CHECK(oko_param_get(instance, "limit", &limit) == OKO_OK && limit == 7);
    CHECK(oko_param_get(instance, "bound", &limit) == OKO_NO_SUCH);

    CHECK(oko_state_read(instance, "seen", 2, each, &sum) == OKO_OK && entries == 5 && sum == 40);
    CHECK(oko_state_read(instance, "unseen", 2, each, &sum) == OKO_NO_SUCH);
    uint64_t key[1] = {1}, value[1] = {1};
    CHECK(oko_table_put(instance, "seen", key, 1, 32, value, 1) == OKO_NO_SUCH && strstr(oko_error(), "no table"));
    CHECK(oko_table_remove(instance, "seen", key, 1, 32, NULL) == OKO_NO_SUCH);
    uint64_t dropped = 9;
    CHECK(oko_events(instance, 100, no_event, NULL, &dropped) == OKO_OK && dropped == 0);

    CHECK(oko_replace(instance, "garbage", 7, NULL, &next) == OKO_REFUSED && !next);
    CHECK(oko_replace(instance, object, size, NULL, &next) == OKO_OK && next);
    oko_free(instance);
    CHECK(oko_param_get(next, "limit", &limit) == OKO_OK && limit == 7);
    CHECK(oko_run(next, filter, packets, 5, 3, classes) == OKO_OK && classes[0] == 1);
    CHECK(oko_state_clear(next, "seen") == OKO_OK);
    entries = 0;
    CHECK(oko_state_read(next, "seen", 4, each, &sum) == OKO_OK && entries == 0);
    oko_free(next);
    oko_free(NULL);
    return failures != 0;
}
