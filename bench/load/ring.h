/* What a publishing connection sends: a ring of PUBLISH packets, all built before the first one goes out. */
#ifndef RING_H
#define RING_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define RING_MIN 64 /* packets of a ring, at least: variety, and long writes at QoS 0 */
#define TOPIC_BYTES_MAX 512
#define STAMP "__NOW_US_EPOCH__"
#define STAMP_BYTES 16

struct ring {
    uint8_t *start;
    size_t bytes;
    uint32_t packets;
    uint32_t *ends;   /* where packet k ends */
    uint32_t *stamps; /* where packet k has its time, 0 for nowhere */
};

static struct {
    const char *start;
    size_t length;
} *payloads;
static size_t payload_count, payload_bytes_max;

static inline void die(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("mqtt_load: ", stderr);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

static inline void *allocate(size_t n, size_t size) {
    void *memory = calloc(n ? n : 1, size);
    if (!memory) die("out of memory");
    return memory;
}

/* `pattern` with its first %d replaced by `number`. */
static inline void expand(char *into, size_t size, const char *pattern, int number) {
    const char *at = strstr(pattern, "%d");
    if (at) snprintf(into, size, "%.*s%d%s", (int)(at - pattern), pattern, number, at + 2);
    else snprintf(into, size, "%s", pattern);
}

/* Reads the file of payloads, one on each line; empty lines are skipped. */
static inline void read_payloads(const char *path) {
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) die("--payloads: cannot read %s", path ? path : "(no file named)");
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = allocate(size + 1, 1);
    if (fread(text, 1, size, file) != size) die("--payloads: cannot read all of %s", path);
    fclose(file);
    payloads = allocate(size + 1, sizeof *payloads);
    for (char *line = text, *end; line < text + size; line = end + 1) {
        if (!(end = memchr(line, '\n', (size_t)(text + size - line)))) end = text + size;
        if (end == line) continue;
        payloads[payload_count].start = line;
        payloads[payload_count++].length = (size_t)(end - line);
        if ((size_t)(end - line) > payload_bytes_max) payload_bytes_max = (size_t)(end - line);
    }
    if (!payload_count) die("--payloads: %s has no line", path);
}

/* Packet k has the topic `index * topics + k % topics`, the next line of the payloads, and the identifier
 * `k % in_flight + 1`; the number of packets is a multiple of `in_flight`, so that identifiers go round with it. */
static inline void ring_build(struct ring *ring, int index, int version, int qos, int in_flight, const char *pattern,
                              int topics) {
    char topic[TOPIC_BYTES_MAX];
    int packets = (RING_MIN > topics ? RING_MIN : topics) + in_flight - 1;
    packets -= packets % in_flight;
    ring->packets = (uint32_t)packets;
    ring->ends = allocate(ring->packets, sizeof *ring->ends);
    ring->stamps = allocate(ring->packets, sizeof *ring->stamps);
    ring->start = allocate(ring->packets, payload_bytes_max + TOPIC_BYTES_MAX + 16);
    uint8_t *end = ring->start;
    for (int k = 0; k < packets; k++) {
        size_t line = ((size_t)index * (size_t)packets + (size_t)k) % payload_count, length = payloads[line].length;
        unsigned id = qos ? (unsigned)(k % in_flight) + 1 : 0;
        expand(topic, sizeof topic, pattern, index * topics + k % topics);
        end = put_publish(end, version, topic, id, payloads[line].start, length);
        ring->ends[k] = (uint32_t)(end - ring->start);
        uint8_t *stamp = memmem(end - length, length, STAMP, STAMP_BYTES);
        if (stamp) ring->stamps[k] = (uint32_t)(stamp - ring->start);
    }
    ring->bytes = (size_t)(end - ring->start);
}

/* Puts a time into packet k, as STAMP_BYTES digits. */
static inline void ring_stamp(struct ring *ring, uint32_t k, uint64_t epoch_us) {
    uint8_t *digit = ring->start + ring->stamps[k] + STAMP_BYTES;
    for (int i = 0; i < STAMP_BYTES; i++, epoch_us /= 10) *--digit = (uint8_t)('0' + epoch_us % 10);
}

#endif
