/* The few MQTT packets that a load generator and a sink need (MQTT 3.1.1 and 5.0, sections 2.1 and 3.1 to 3.14). */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>
#include <string.h>

enum { CONNECT = 1, CONNACK, PUBLISH, PUBACK, SUBSCRIBE = 8, SUBACK, PINGREQ = 12, PINGRESP, DISCONNECT };

static inline uint8_t *put_u16(uint8_t *p, unsigned v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static inline unsigned get_u16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static inline uint8_t *put_varint(uint8_t *p, size_t v) {
    do {
        *p++ = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    return p;
}

static inline uint8_t *put_text(uint8_t *p, const char *text) {
    size_t n = strlen(text);
    p = put_u16(p, (unsigned)n);
    memcpy(p, text, n);
    return p + n;
}

/* Looks at the frame at `p` of which `n` bytes are here. Returns the bytes of the whole frame, 0 when more bytes are
 * needed to tell or to have it whole, and sets `*body` to where the variable header starts. A remaining length of more
 * than four bytes (malformed) returns SIZE_MAX. */
static inline size_t frame(const uint8_t *p, size_t n, size_t *body) {
    size_t length = 0;
    for (size_t i = 1; i <= 4; i++) {
        if (i >= n) return 0;
        length |= (size_t)(p[i] & 0x7f) << 7 * (i - 1);
        if (!(p[i] & 0x80)) {
            *body = i + 1;
            return n >= *body + length ? *body + length : 0;
        }
    }
    return SIZE_MAX;
}

/* The packets below are written to `p`, which must have room; the end is returned. `version` is 4 or 5. */

static inline uint8_t *put_connect(uint8_t *p, int version, const char *client, const char *user, const char *password) {
    size_t length = 10 + (version == 5) + 2 + strlen(client);
    if (user) length += 2 + strlen(user);
    if (password) length += 2 + strlen(password);
    *p++ = CONNECT << 4;
    p = put_text(put_varint(p, length), "MQTT");
    *p++ = (uint8_t)version;
    *p++ = (uint8_t)(0x02 | (user ? 0x80 : 0) | (password ? 0x40 : 0)); /* clean session */
    p = put_u16(p, 0);                                                  /* no keep-alive */
    if (version == 5) *p++ = 0;                                         /* no properties */
    p = put_text(p, client);
    if (user) p = put_text(p, user);
    return password ? put_text(p, password) : p;
}

static inline uint8_t *put_subscribe(uint8_t *p, int version, unsigned id, const char *filter, int qos) {
    *p++ = SUBSCRIBE << 4 | 2;
    p = put_u16(put_varint(p, 2 + (version == 5) + 2 + strlen(filter) + 1), id);
    if (version == 5) *p++ = 0;
    p = put_text(p, filter);
    *p++ = (uint8_t)qos;
    return p;
}

static inline uint8_t *put_publish(uint8_t *p, int version, const char *topic, unsigned id, const void *payload,
                                   size_t n) {
    *p++ = (uint8_t)(PUBLISH << 4 | (id ? 2 : 0));
    p = put_text(put_varint(p, 2 + strlen(topic) + (id ? 2 : 0) + (version == 5) + n), topic);
    if (id) p = put_u16(p, id);
    if (version == 5) *p++ = 0;
    memcpy(p, payload, n);
    return p + n;
}

static inline uint8_t *put_puback(uint8_t *p, unsigned id) {
    *p++ = PUBACK << 4;
    *p++ = 2;
    return put_u16(p, id);
}

#endif
