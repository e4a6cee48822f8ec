/* The connection to the broker: TCP, or TLS over it when compiled WITH_TLS (OpenSSL).
 *
 * All TLS connections but the first resume the first one's session, as devices do that come back. */
#ifndef LINK_H
#define LINK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
typedef SSL secure;
#else
typedef void secure;
#endif

struct link {
    int fd;
    bool secured;  /* the handshake is over, or there is none */
    secure *tls;   /* NULL: plain TCP */
};

static uint64_t resumed; /* handshakes that resumed a session */

#ifdef WITH_TLS

static SSL_CTX *tls_context;
static SSL_SESSION *tls_session;

static int tls_keep(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    if (tls_session) return 0;
    tls_session = session;
    return 1; /* it is ours now */
}

/* Certificates are not checked: what is measured is the broker's side. */
static inline bool link_prepare(void) {
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context) return false;
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls_context, tls_keep);
    return true;
}

static inline bool link_secure(struct link *link) {
    link->secured = false;
    link->tls = SSL_new(tls_context);
    if (!link->tls || !SSL_set_fd(link->tls, link->fd)) return false;
    SSL_SESSION *copy = tls_session ? SSL_SESSION_dup(tls_session) : NULL; /* in TLS 1.3 a session is good for one use */
    if (copy) SSL_set_session(link->tls, copy);
    SSL_SESSION_free(copy);
    SSL_set_connect_state(link->tls);
    return true;
}

/* -1 with EAGAIN: later; 0: the end; else -1 with another errno. */
static inline ssize_t tls_result(struct link *link, int result) {
    int error = SSL_get_error(link->tls, result);
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) errno = EAGAIN;
    else if (error != SSL_ERROR_SYSCALL || !errno) errno = EPROTO;
    return -1;
}

/* Goes on with the handshake: 1 when it is over, 0 when there is more to come, -1 when it failed. */
static inline int link_shake(struct link *link) {
    int result = SSL_do_handshake(link->tls);
    if (result != 1) return tls_result(link, result) < 0 && errno == EAGAIN ? 0 : -1;
    link->secured = true;
    resumed += (uint64_t)SSL_session_reused(link->tls);
    return 1;
}

#else

static inline bool link_prepare(void) { return false; }
static inline bool link_secure(struct link *link) { (void)link; return false; }
static inline int link_shake(struct link *link) { (void)link; return -1; }

#endif

/* As send(2) and recv(2) on a non-blocking socket. Of TLS everything is taken that is there, for epoll does not see
 * what OpenSSL holds. */
static inline ssize_t link_send(struct link *link, const void *from, size_t n) {
#ifdef WITH_TLS
    if (link->tls) {
        errno = 0;
        int sent = SSL_write(link->tls, from, (int)n);
        return sent > 0 ? sent : tls_result(link, sent);
    }
#endif
    return send(link->fd, from, n, MSG_NOSIGNAL);
}

static inline ssize_t link_recv(struct link *link, void *to, size_t n) {
#ifdef WITH_TLS
    if (link->tls) {
        size_t total = 0;
        while (total < n) {
            errno = 0;
            int got = SSL_read(link->tls, (char *)to + total, (int)(n - total));
            if (got > 0) total += (size_t)got;
            else if (total) break;
            else return tls_result(link, got);
        }
        return (ssize_t)total;
    }
#endif
    return recv(link->fd, to, n, 0);
}

/* Whether there is more to take although the socket may be empty. */
static inline bool link_more(struct link *link) {
#ifdef WITH_TLS
    return link->tls && SSL_pending(link->tls) > 0;
#else
    (void)link;
    return false;
#endif
}

#endif
