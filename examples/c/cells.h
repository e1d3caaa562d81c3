/* Cells of state: a sliding window over two buckets, and a bucket of tokens. The arithmetic is that of the language. */
#ifndef CELLS_H
#define CELLS_H

#include "filter.h"

/* A count over the last `length` nanoseconds, from the counts of the current bucket of time and of the one before. */
struct window {
    uint64_t number;
    uint64_t current;
    uint64_t previous;
};

#define WINDOW_COUNT_MAX ((1ull << 48) - 1)

/* The window as it is in bucket `number`. */
static inline struct window window_at(const struct window *window, uint64_t number) {
    if (window->number >= number)
        return *window;
    uint64_t previous = window->number + 1 == number ? window->current : 0;
    return (struct window){number, 0, previous};
}

static inline uint64_t window_sum(const struct window *window, uint64_t length, uint64_t now) {
    uint64_t part = ((length - now % length) << 16) / length;
    return window->current + (window->previous * part >> 16);
}

static inline uint64_t window_total(const struct window *window, uint64_t length, uint64_t now) {
    struct window here = window_at(window, now / length);
    return window_sum(&here, length, now);
}

static inline uint64_t window_add(struct window *window, uint64_t length, uint64_t now, uint64_t amount) {
    *window = window_at(window, now / length);
    uint64_t sum = window->current + amount;
    window->current = sum < WINDOW_COUNT_MAX ? sum : WINDOW_COUNT_MAX;
    return window_sum(window, length, now);
}

/* Tokens: the level in billionths of one, and when it was taken from last (0: never, it is full). */
struct tokens {
    uint64_t level;
    uint64_t at;
};

/* Takes a token, if there is one. The bucket fills by `rate` a second up to `burst`. */
static inline bool tokens_take(struct tokens *tokens, uint64_t rate, uint64_t burst, uint64_t now) {
    uint64_t most = burst * SECOND;
    uint64_t level = tokens->at == 0 || tokens->level > most ? most : tokens->level;
    uint64_t elapsed = now > tokens->at ? now - tokens->at : 0;
    uint64_t missing = most - level;
    /* Without overflow: only what fits is multiplied. */
    level += missing / rate < elapsed ? missing : elapsed * rate;
    bool enough = level >= SECOND;
    tokens->level = enough ? level - SECOND : level;
    tokens->at = now > tokens->at ? now : tokens->at;
    return enough;
}

#endif
