/* Nothing: what it costs to ask. */
#include "foreign.h"

static inline bool judge(struct filter *filter, const uint8_t *data, const uint8_t *end) {
    (void)filter, (void)data, (void)end;
    return 1;
}

WITHOUT_STATE
PROGRAM(empty)
