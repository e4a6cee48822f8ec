/* mqtt_load: publishes or receives over MQTT as fast as one core can, and says what it measured.
 *
 *   mqtt_load [--mode publish|subscribe|relay|idle] [--host 127.0.0.1] [--port 1883] [--mqtt 4|5] [--qos 0|1] [--tls 1]
 *             [--connections N] [--in-flight W] [--topic things/load-%d/properties] [--topics T] --payloads FILE
 *             [--subscribers N] [--filter F] [--copies C]
 *             [--user NAME-%d] [--password SECRET] [--seconds S | --count M] [--warm-up S] [--rate R]
 *
 * Publishing: each of N connections keeps W messages unacknowledged. All packets are built before the first is sent:
 * a connection owns a ring of PUBLISH packets which it sends over and over, each with a payload (one line of FILE) and
 * a topic of its own (connection i has the topics i*T to i*T+T-1, put in for %d). A packet's identifier is its place
 * in the window, so an acknowledgement is one array access. The 16 bytes __NOW_US_EPOCH__ in a payload become the
 * microseconds since the epoch at sending.
 *
 * Subscribing: N connections subscribe to the topic, count what arrives and take the latency from "sent_us":<16 digits>.
 *
 * Relaying: N connections publish, `--subscribers` more subscribe to `--filter`, and each message is expected `--copies`
 * times. At most N*W messages are on their way to their subscribers, also at QoS 0, so that the broker is kept busy and
 * never flooded. Deliveries are what is counted and timed; those that do not come for STALL_S are counted as lost.
 *
 * Idling: N connections are opened and kept, silent, for S seconds.
 *
 * One JSON object on standard output; progress and faults on standard error. Exit status 1 when the broker refuses,
 * closes a connection, or leaves a message unacknowledged for DRAIN_S after the last one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "link.h"
#include "ring.h"
#include "wire.h"

#define READ_BYTES 262144
#define EVENTS 512
#define CONNECTING_MAX 64 /* connections that are being opened at one time */
#define DRAIN_S 30
#define STALL_S 3
#define PACE_NS 1000000   /* a paced publisher wakes once in this time, which is what it can add to a latency */
#define SECONDS_MAX 3600  /* entries of the rate per second */

struct connection {
    struct link link;
    int index;
    bool ready, polling_out, drained, publisher;
    struct ring ring;
    uint64_t *sent_ns;         /* per place in the window; 0 when it is free */
    uint64_t queued, written;  /* bytes since the start */
    uint32_t next, in_flight, window;
    uint8_t *rest;             /* the start of a frame whose end has not come yet */
    size_t kept;
};

static struct {
    const char *mode, *host, *topic, *payloads, *user, *password, *filter;
    int port, version, qos, connections, in_flight, topics, subscribers, tls;
    double seconds, warm_up, rate;
    uint64_t count, copies;
} options = {.mode = "publish", .host = "127.0.0.1", .topic = "things/load-%d/properties", .port = 1883, .version = 4,
             .qos = 1, .connections = 1, .in_flight = 1, .topics = 1, .seconds = 5, .copies = 1};

static struct connection *connections;
static struct histogram latency;
static int poller, ready_count;
static uint64_t sent, acked, received, received_bytes, lost;
static uint64_t per_second[SECONDS_MAX], start_ns, now;
static uint64_t budget = UINT64_MAX; /* messages that may be sent now */
static bool stopping;
static enum { PUBLISHING, SUBSCRIBING, RELAYING, IDLING } mode;
static int connection_count;
static uint64_t window_max, received_ns; /* relaying: deliveries that may be awaited, and when the last one came */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- sending ---- */

static void poll_for(struct connection *c, bool out) {
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->link.fd, &event)) die("epoll: %s", strerror(errno));
    c->polling_out = out;
}

static void send_now(struct connection *c, const uint8_t *from, const uint8_t *end) {
    while (from < end) { /* a handful of bytes at the start, or acknowledgements: never more than the socket holds */
        ssize_t n = link_send(&c->link, from, (size_t)(end - from));
        if (n > 0) from += n;
        else if (errno != EAGAIN) die("connection %d: %s", c->index, strerror(errno));
    }
}

/* Writes what is queued, or as much as the socket takes. */
static void flush(struct connection *c) {
    while (c->written < c->queued) {
        size_t at = c->written % c->ring.bytes, n = c->queued - c->written;
        if (n > c->ring.bytes - at) n = c->ring.bytes - at;
        ssize_t taken = link_send(&c->link, c->ring.start + at, n);
        if (taken < 0 && errno != EAGAIN) die("connection %d: %s", c->index, strerror(errno));
        if (taken > 0) c->written += (uint64_t)taken;
        if (taken < (ssize_t)n) break;
    }
    /* At QoS 0 nothing comes back that would wake an unpaced sender: the socket's readiness does. */
    bool out = c->written < c->queued || (mode == PUBLISHING && !options.qos && !options.rate && !stopping && budget);
    if (out != c->polling_out) poll_for(c, out);
}

/* Deliveries that were asked for and did not come yet. */
static uint64_t awaited(void) {
    uint64_t due = sent * options.copies, come = received + lost;
    return due > come ? due - come : 0;
}

/* Queues as many messages as window, budget and `most` allow, and writes them. */
static void publish(struct connection *c, uint64_t most) {
    uint64_t epoch_us = 0;
    while (most-- && budget && !stopping && (mode != RELAYING || awaited() < window_max)) {
        uint32_t k = c->next, place = k % (uint32_t)options.in_flight, size = c->ring.ends[k] - (k ? c->ring.ends[k - 1] : 0);
        if (options.qos ? c->in_flight >= c->window || c->sent_ns[place] : c->queued - c->written + size > c->ring.bytes)
            break;
        if (c->ring.stamps[k]) {
            if (!epoch_us) epoch_us = clock_ns(CLOCK_REALTIME) / 1000;
            ring_stamp(&c->ring, k, epoch_us);
        }
        if (options.qos) {
            c->sent_ns[place] = now;
            c->in_flight++;
        }
        c->queued += size;
        c->next = k + 1 == c->ring.packets ? 0 : k + 1;
        sent++;
        budget--;
    }
    flush(c);
}

/* Turns by connection, so that a paced load is spread evenly over all of them. */
static void publish_paced(uint64_t since_ns) {
    static int turn;
    double due = options.rate * (double)(now - since_ns) / 1e9 - (double)sent;
    if (options.count && due > (double)(options.count - sent)) due = (double)(options.count - sent);
    if (due < 1) return;
    double burst = options.rate / 10; /* what a slow broker made us miss is made up for, but not in one heap */
    budget = (uint64_t)(due < burst || burst < 1 ? due : burst);
    uint64_t share = budget / (uint64_t)options.connections + 1;
    for (int i = 0; i < options.connections && budget; i++, turn = (turn + 1) % options.connections)
        publish(&connections[turn], share);
    budget = 0;
}

/* ---- receiving ---- */

static void on_connack(struct connection *c, const uint8_t *p, size_t size) {
    if (p[1]) die("connection %d was refused with code %d", c->index, p[1]);
    /* MQTT 5: the properties start after their length; Receive Maximum is 0x21. Others are skipped by their size. */
    for (size_t i = 3; options.version == 5 && i + 2 < size;) {
        uint8_t property = p[i++];
        if (property == 0x21) {
            if (get_u16(p + i) < c->window) c->window = get_u16(p + i);
            break;
        }
        if (property == 0x11 || property == 0x27) i += 4;
        else if (property == 0x22 || property == 0x13) i += 2;
        else if (property == 0x24 || property == 0x25 || property == 0x28 || property == 0x29 || property == 0x2a) i += 1;
        else if (property == 0x26) { i += 2 + get_u16(p + i); i += 2 + get_u16(p + i); }
        else i += 2 + get_u16(p + i);
    }
    if (!c->publisher && mode != IDLING) {
        const char *filter = options.filter ? options.filter : options.topic;
        uint8_t packet[512];
        send_now(c, packet, put_subscribe(packet, options.version, 1, filter, options.qos));
    } else {
        c->ready = true;
        ready_count++;
    }
}

static void on_puback(struct connection *c, const uint8_t *p, size_t size) {
    unsigned place = get_u16(p) - 1;
    if (place >= (unsigned)options.in_flight || !c->sent_ns[place]) die("connection %d: PUBACK of a stranger", c->index);
    if (size > 2 && p[2] >= 0x80) die("connection %d: PUBACK refuses with code 0x%02x", c->index, p[2]);
    if (mode == PUBLISHING) histogram_add(&latency, now - c->sent_ns[place]);
    c->sent_ns[place] = 0;
    c->in_flight--;
    acked++;
}

static uint8_t *on_delivery(const uint8_t *head, const uint8_t *p, size_t size, uint8_t *reply) {
    const char *mark = memmem(p, size, "\"sent_us\":", 10);
    received++;
    received_bytes += size;
    received_ns = now;
    if (mark && mark + 10 + STAMP_BYTES <= (const char *)p + size) {
        int64_t us = (int64_t)(clock_ns(CLOCK_REALTIME) / 1000) - strtoll(mark + 10, NULL, 10);
        histogram_add(&latency, us > 0 ? (uint64_t)us * 1000 : 0);
    }
    return (*head & 6) ? put_puback(reply, get_u16(p + 2 + get_u16(p))) : reply;
}

static void on_readable(struct connection *c) {
    static uint8_t in[READ_BYTES + 65536], replies[READ_BYTES];
    memcpy(in, c->rest, c->kept);
    ssize_t got = link_recv(&c->link, in + c->kept, READ_BYTES);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("connection %d was closed by the broker (%s)", c->index, got ? strerror(errno) : "end");
    size_t n = c->kept + (size_t)got, at = 0, body = 0, size;
    uint8_t *reply = replies;
    while ((size = frame(in + at, n - at, &body)) != 0) {
        if (size == SIZE_MAX) die("connection %d: malformed frame", c->index);
        const uint8_t *head = in + at;
        switch (*head >> 4) {
        case PUBACK: on_puback(c, head + body, size - body); break;
        case PUBLISH: reply = on_delivery(head, head + body, size - body, reply); break;
        case CONNACK: on_connack(c, head + body, size - body); break;
        case SUBACK:
            if (head[size - 1] >= 0x80) die("connection %d: subscription refused", c->index);
            c->ready = true;
            ready_count++;
            break;
        case PINGRESP: c->drained = true; break;
        case DISCONNECT: die("connection %d: DISCONNECT with code %d", c->index, size > body ? head[body] : 0); break;
        default: die("connection %d: packet of type %d", c->index, *head >> 4);
        }
        at += size;
    }
    c->kept = n - at;
    if (c->kept > 65536) die("connection %d: frame of more than 64 KiB", c->index);
    if (c->kept) memcpy(c->rest ? c->rest : (c->rest = allocate(65536, 1)), in + at, c->kept);
    send_now(c, replies, reply);
}

static void greet(struct connection *c) {
    char client[64], user[512];
    uint8_t packet[2048];
    snprintf(client, sizeof client, "load-%d-%d", (int)getpid(), c->index);
    if (options.user) expand(user, sizeof user, options.user, c->index);
    send_now(c, packet, put_connect(packet, options.version, client, options.user ? user : NULL, options.password));
}

/* Goes on with a handshake; the CONNECT follows it. */
static void on_handshake(struct connection *c) {
    int over = link_shake(&c->link);
    if (over < 0) die("connection %d: the TLS handshake failed", c->index);
    if (over) greet(c);
}

/* One turn of the loop: waits, then reads and writes whatever is ready. */
static uint64_t done(void) { return mode == PUBLISHING ? acked : received; }

static void turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, timeout_ms);
    now = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        uint64_t before = done();
        if (!c->link.secured) on_handshake(c);
        if (c->link.secured && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            do on_readable(c);
            while (link_more(&c->link));
        if (start_ns && now >= start_ns && (now - start_ns) / 1000000000u < SECONDS_MAX)
            per_second[(now - start_ns) / 1000000000u] += done() - before;
        if (!c->publisher || !c->ready || !start_ns) continue;
        if (budget && !stopping) publish(c, UINT64_MAX);
        else if (events[i].events & EPOLLOUT) flush(c);
    }
}

static void connect_all(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    if (inet_pton(AF_INET, options.host, &at.sin_addr) != 1) die("--host: an IPv4 address, please");
    int on = 1;
    if (options.tls && !link_prepare()) die("--tls: built without TLS");
    for (int i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->link.fd = socket(AF_INET, SOCK_STREAM, 0);
        c->link.secured = true;
        if (c->link.fd < 0 || connect(c->link.fd, (struct sockaddr *)&at, sizeof at)) die("connect: %s", strerror(errno));
        setsockopt(c->link.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fcntl(c->link.fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c->link.fd, &event);
        if (!options.tls) greet(c);
        else if (link_secure(&c->link)) on_handshake(c);
        else die("connection %d: no TLS", i);
        /* The first alone: its session is what the others resume. */
        while (i + 1 - ready_count >= (i || !options.tls ? CONNECTING_MAX : 1)) turn(100);
    }
    while (ready_count < connection_count) turn(100);
}

/* Publishers send again for what has been delivered; what does not come is counted as lost. */
static void relay(void) {
    static int turn;
    if (awaited() && now > received_ns + STALL_S * 1000000000ull) {
        lost += awaited();
        received_ns = now;
    }
    for (int i = 0; i < options.connections && awaited() < window_max; i++, turn = (turn + 1) % options.connections)
        publish(&connections[turn], (uint64_t)options.in_flight / 4 + 1);
}

/* ---- the run ---- */

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static bool all_drained(void) {
    if (mode == RELAYING && awaited() && now < received_ns + STALL_S * 1000000000ull) return false;
    if (options.qos && mode != SUBSCRIBING) return acked == sent;
    for (int i = 0; i < connection_count; i++)
        if (!connections[i].drained) return false;
    return true;
}

/* Waits until the broker has answered everything; at QoS 0 a PINGRESP says that it has read everything before. */
static void drain(void) {
    uint64_t until = now + DRAIN_S * 1000000000ull;
    bool pinged = options.qos && mode != SUBSCRIBING && mode != IDLING;
    stopping = true;
    while (!all_drained()) {
        bool written = true;
        for (int i = 0; i < connection_count && written; i++)
            written = connections[i].written == connections[i].queued;
        for (int i = 0; i < connection_count && written && !pinged; i++)
            send_now(&connections[i], (const uint8_t *)"\xc0", (const uint8_t *)"\xc0" + 2);
        pinged |= written;
        turn(10);
        if (now > until) die("%llu messages were not acknowledged within %d s", (unsigned long long)(sent - acked), DRAIN_S);
    }
}

static void parse(int argc, char **argv) {
    static const char *names[] = {"mode",  "host",   "port",     "mqtt",        "qos",      "connections", "in-flight",
                                  "topic", "user",   "password", "count",       "payloads", "seconds",     "warm-up",
                                  "rate",  "topics", "filter",   "subscribers", "copies",   "tls"};
    struct option list[21] = {0};
    for (int i = 0; i < 20; i++) list[i] = (struct option){names[i], required_argument, NULL, i};
    for (int which; (which = getopt_long(argc, argv, "", list, NULL)) != -1;) {
        switch (which) {
        case 0: options.mode = optarg; break;
        case 1: options.host = optarg; break;
        case 2: options.port = atoi(optarg); break;
        case 3: options.version = atoi(optarg); break;
        case 4: options.qos = atoi(optarg); break;
        case 5: options.connections = atoi(optarg); break;
        case 6: options.in_flight = atoi(optarg); break;
        case 7: options.topic = optarg; break;
        case 8: options.user = optarg; break;
        case 9: options.password = optarg; break;
        case 10: options.count = strtoull(optarg, NULL, 10); break;
        case 11: options.payloads = optarg; break;
        case 12: options.seconds = atof(optarg); break;
        case 13: options.warm_up = atof(optarg); break;
        case 14: options.rate = atof(optarg); break;
        case 15: options.topics = atoi(optarg); break;
        case 16: options.filter = optarg; break;
        case 17: options.subscribers = atoi(optarg); break;
        case 18: options.copies = strtoull(optarg, NULL, 10); break;
        case 19: options.tls = atoi(optarg); break;
        default: exit(2);
        }
    }
    static const char *modes[] = {"publish", "subscribe", "relay", "idle"};
    while (mode <= IDLING && strcmp(options.mode, modes[mode])) mode++;
    connection_count = options.connections + (mode == RELAYING ? options.subscribers : 0);
    window_max = (uint64_t)options.connections * (uint64_t)options.in_flight * options.copies;
    if (mode > IDLING || options.connections < 1 || options.subscribers < 0 || !options.copies || options.in_flight < 1 || options.in_flight > 65535 || options.topics < 1 ||
        (options.version != 4 && options.version != 5) || options.qos < 0 || options.qos > 1)
        die("an option is out of its range");
}

static void report(double connect_s, double window_s, double window_cpu_s, uint64_t window_sent, uint64_t window_done) {
    printf("{\"mode\":\"%s\",\"mqtt\":%d,\"qos\":%d,\"connections\":%d,\"in_flight\":%d,", options.mode, options.version,
           options.qos, options.connections, options.in_flight);
    printf("\"connect_s\":%.4f,\"connects_per_s\":%.0f,\"seconds\":%.4f,", connect_s,
           connection_count / (connect_s > 0 ? connect_s : 1e-9), window_s);
    printf("\"sent\":%llu,\"acknowledged\":%llu,\"received\":%llu,\"received_bytes\":%llu,", (unsigned long long)sent,
           (unsigned long long)acked, (unsigned long long)received, (unsigned long long)received_bytes);
    printf("\"lost\":%llu,\"resumed\":%llu,", (unsigned long long)lost, (unsigned long long)resumed);
    printf("\"sent_per_s\":%.1f,\"per_s\":%.1f,\"cpu_s\":%.3f,\"cpu_share\":%.3f,", (double)window_sent / window_s,
           (double)window_done / window_s, window_cpu_s, window_cpu_s / window_s);
    histogram_print(&latency);
    printf(",\"per_second\":[");
    for (int i = 0; i < SECONDS_MAX && i < (int)window_s; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)per_second[i]);
    printf("]}\n");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    connections = allocate((size_t)connection_count, sizeof *connections);
    bool publishes = mode == PUBLISHING || mode == RELAYING;
    if (publishes) read_payloads(options.payloads);
    for (int i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->index = i;
        c->window = (uint32_t)options.in_flight;
        c->publisher = publishes && i < options.connections;
        if (!c->publisher) continue;
        c->sent_ns = allocate((size_t)options.in_flight, sizeof *c->sent_ns);
        ring_build(&c->ring, i, options.version, options.qos, options.in_flight, options.topic, options.topics);
    }
    uint64_t connecting_ns = clock_ns(CLOCK_MONOTONIC);
    connect_all();
    now = clock_ns(CLOCK_MONOTONIC);
    double connect_s = (double)(now - connecting_ns) / 1e9;
    fprintf(stderr, "ready\n");

    uint64_t first_ns = now, end_ns;
    received_ns = now;
    if (options.count) budget = options.count;
    if (options.rate) budget = 0;
    start_ns = now + (uint64_t)(options.warm_up * 1e9);
    end_ns = options.count ? UINT64_MAX : start_ns + (uint64_t)(options.seconds * 1e9);
    if (mode == RELAYING && !options.rate) relay();
    if (mode == PUBLISHING && !options.rate)
        for (int i = 0; i < options.connections; i++) publish(&connections[i], UINT64_MAX);

    bool measuring = false;
    uint64_t sent_before = 0, done_before = 0;
    double cpu_before = 0;
    while (now < end_ns && !(options.count && (mode == SUBSCRIBING ? received : sent) >= options.count)) {
        if (!measuring && now >= start_ns) {
            measuring = true;
            start_ns = now;
            sent_before = sent, done_before = done(), cpu_before = cpu_s();
            memset(&latency, 0, sizeof latency);
        }
        if (mode == RELAYING) {
            turn(options.rate ? 1 : 20);
            if (options.rate) publish_paced(first_ns);
            else relay();
        } else if (options.rate && publishes) {
            nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
            turn(0);
            publish_paced(first_ns);
        } else turn(20);
    }
    if (options.count && publishes) drain();
    uint64_t stop_ns = now, done_in_all = done(), window_sent = sent - sent_before;
    double window_cpu_s = cpu_s() - cpu_before;
    if (!options.count || mode == SUBSCRIBING) drain();
    lost += mode == RELAYING ? awaited() : 0;
    report(connect_s, (double)(stop_ns - start_ns) / 1e9, window_cpu_s, window_sent, done_in_all - done_before);
    return 0;
}
