/* Cells of state: a sliding window over two buckets, a bucket of tokens, and an average that forgets. The arithmetic is that of the language. */
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

/* Takes so many tokens, if they are there. The bucket fills by `rate` a second up to `burst`. */
static inline bool tokens_take(struct tokens *tokens, uint64_t amount, uint64_t rate, uint64_t burst, uint64_t now) {
    uint64_t most = burst * SECOND;
    uint64_t level = tokens->at == 0 || tokens->level > most ? most : tokens->level;
    uint64_t elapsed = now > tokens->at ? now - tokens->at : 0;
    uint64_t missing = most - level;
    /* Without overflow: only what fits is multiplied. */
    level += missing / rate < elapsed ? missing : elapsed * rate;
    bool enough = level >= amount * SECOND;
    tokens->level = enough ? level - amount * SECOND : level;
    tokens->at = now > tokens->at ? now : tokens->at;
    return enough;
}

/* An average in which what came `t` ago has the weight `exp(-t / time constant)`: the weighted sum of what came and the sum of the weights, both in
 * 65,536ths, as of a tick of time. 1,024 ticks are a half-life. */
struct ewma {
    uint64_t sum;
    uint64_t weight;
    uint64_t at;
};

#define EWMA_ONE 65536ull
#define EWMA_MAX ((1ull << 40) - 1)

/* The length of a tick for a time constant, in nanoseconds. */
#define EWMA_TICK(time_constant) ((uint64_t)((time_constant) * 0.69314718055994530942) / 1024)

/* A number times a factor in parts of 2^32, rounded to the nearest. */
static inline uint64_t ewma_times(uint64_t value, uint64_t factor) {
#ifdef __bpf__
    return (value >> 32) * factor + (((value & UINT32_MAX) * factor + (1ull << 31)) >> 32);
#else
    return ((unsigned __int128)value * factor + (1ull << 31)) >> 32;
#endif
}

/* 2^-(ticks / 1024) in parts of 2^32, of less than 1,024 ticks. */
static inline uint64_t ewma_halving(uint64_t ticks) {
    uint64_t sum = 36184164;
    sum = 238388331 - (sum * ticks >> 10);
    sum = 1031764991 - (sum * ticks >> 10);
    sum = 2977044472 - (sum * ticks >> 10);
    return (1ull << 32) - (sum * ticks >> 10);
}

static inline uint64_t saturating_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

/* Adds a value; gives the new average. */
static inline uint64_t ewma_add(struct ewma *ewma, uint64_t tick, uint64_t now, uint64_t value) {
    uint64_t at = now / tick;
    /* Most packets come in the tick of the one before them: nothing fades. */
    if (at > ewma->at) {
        uint64_t elapsed = at - ewma->at, halvings = elapsed >> 10 < 63 ? elapsed >> 10 : 63;
        uint64_t factor = ewma_halving(elapsed & 1023);
        ewma->sum = ewma_times(ewma->sum, factor) >> halvings;
        ewma->weight = ewma_times(ewma->weight, factor) >> halvings;
        ewma->at = at;
    }
    ewma->sum = saturating_add(ewma->sum, (value < EWMA_MAX ? value : EWMA_MAX) * EWMA_ONE);
    ewma->weight = saturating_add(ewma->weight, EWMA_ONE);
    uint64_t average = saturating_add(ewma->sum, ewma->weight / 2) / ewma->weight;
    return average < EWMA_MAX ? average : EWMA_MAX;
}

/* What was added in a second, right after `ewma_add`. */
static inline uint64_t ewma_rate(const struct ewma *ewma, uint64_t time_constant) {
    return ewma->sum / (time_constant / SECOND * EWMA_ONE);
}

#endif
