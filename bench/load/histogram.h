/* A histogram of latencies: 64 steps to each power of two of a microsecond, so 1.6 % exact from 1 us to 2 hours. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define STEPS 64u
#define POWERS 28u

struct histogram {
    uint64_t counts[STEPS * POWERS];
    uint64_t total, max_us;
};

static inline void histogram_add(struct histogram *h, uint64_t ns) {
    uint64_t us = ns / 1000;
    if (us > h->max_us) h->max_us = us;
    unsigned index = (unsigned)us;
    if (us >= STEPS) {
        unsigned power = 63 - (unsigned)__builtin_clzll(us) - 6; /* us >> power is in 64..127 */
        index = (power + 1) * STEPS + ((unsigned)(us >> power) - STEPS);
        if (index >= STEPS * POWERS) index = STEPS * POWERS - 1;
    }
    h->counts[index]++;
    h->total++;
}

static inline double histogram_ms(const struct histogram *h, double quantile) {
    uint64_t rank = (uint64_t)(quantile * (double)h->total), seen = 0;
    for (unsigned i = 0; i < STEPS * POWERS; i++) {
        seen += h->counts[i];
        if (seen > rank) {
            unsigned power = i / STEPS;
            return (power ? (double)((uint64_t)(STEPS + i % STEPS) << (power - 1)) : (double)i) / 1000.0;
        }
    }
    return (double)h->max_us / 1000.0;
}

static inline void histogram_print(const struct histogram *h) {
    printf("\"latency_ms\":{\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"count\":%llu}", histogram_ms(h, 0.50),
           histogram_ms(h, 0.95), histogram_ms(h, 0.99), (double)h->max_us / 1000.0, (unsigned long long)h->total);
}

#endif
