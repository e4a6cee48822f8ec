/* mqtt_sink: takes every PUBLISH, throws it away and acknowledges it at once.
 *
 * It shows the ceiling of mqtt_load: no broker can be faster than one that does nothing. Prints `port <n>` on a line
 * of its own once it listens on 127.0.0.1, and ends when its standard input is closed. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define READ_BYTES 262144
#define EVENTS 256

struct peer {
    int fd, version;
    size_t kept;          /* bytes of an incomplete frame in `rest` */
    uint8_t rest[65536];
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Writes the answer to one frame at `out` and returns its end. */
static uint8_t *answer(struct peer *peer, const uint8_t *p, size_t body, uint8_t *out) {
    switch (p[0] >> 4) {
    case CONNECT:
        peer->version = p[body + 6];
        *out++ = CONNACK << 4;
        *out++ = peer->version == 5 ? 3 : 2;
        memset(out, 0, 3);
        return out + (peer->version == 5 ? 3 : 2);
    case PUBLISH:
        return (p[0] & 6) ? put_puback(out, get_u16(p + body + 2 + get_u16(p + body))) : out;
    case PINGREQ:
        *out++ = PINGRESP << 4;
        *out++ = 0;
        return out;
    default:
        return out;
    }
}

/* Reads what is there and answers it with one write; 0 when the peer has gone. */
static int serve(struct peer *peer) {
    static uint8_t in[READ_BYTES], out[READ_BYTES];
    memcpy(in, peer->rest, peer->kept);
    ssize_t got = recv(peer->fd, in + peer->kept, sizeof in - peer->kept, 0);
    if (got <= 0) return 0;
    size_t n = peer->kept + (size_t)got, at = 0, body = 0, size;
    uint8_t *end = out;
    while ((size = frame(in + at, n - at, &body)) != 0) {
        if (size == SIZE_MAX) return 0;
        end = answer(peer, in + at, body, end);
        at += size;
    }
    peer->kept = n - at;
    if (peer->kept > sizeof peer->rest) return 0;
    memcpy(peer->rest, in + at, peer->kept);
    for (uint8_t *from = out; from < end;) { /* the socket blocks: a sink that slows its peer is fine */
        ssize_t sent = send(peer->fd, from, (size_t)(end - from), MSG_NOSIGNAL);
        if (sent <= 0) return 0;
        from += sent;
    }
    return 1;
}

int main(void) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&at, &length);
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);

    struct peer listening = {.fd = listener}, input = {.fd = STDIN_FILENO};
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = &listening};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &input;
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == &input) return 0;
            if (peer == &listening) {
                struct peer *fresh = calloc(1, sizeof *fresh);
                if (!fresh || (fresh->fd = accept(listener, NULL, NULL)) < 0) die("accept");
                setsockopt(fresh->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.ptr = fresh;
                epoll_ctl(poller, EPOLL_CTL_ADD, fresh->fd, &event);
            } else if (!serve(peer)) {
                close(peer->fd);
                free(peer);
            }
        }
    }
}
