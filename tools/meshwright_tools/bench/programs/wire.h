/* What both programs need: non-blocking sockets on epoll, buffers that grow, and the frames of HTTP/2. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

typedef struct {
    char *at;
    size_t used, sent, room;
    int waiting;
} Buffer;

static void append(Buffer *b, const void *bytes, size_t count) {
    if (b->used + count > b->room) {
        b->room = (b->used + count) * 2;
        b->at = realloc(b->at, b->room);
    }
    memcpy(b->at + b->used, bytes, count);
    b->used += count;
}

static void take(Buffer *b, size_t count) {
    memmove(b->at, b->at + count, b->used - count);
    b->used -= count;
}

static void frame(Buffer *b, int type, int flags, uint32_t stream, const void *bytes, uint32_t length) {
    uint8_t head[9] = {length >> 16, length >> 8, length, type, flags, stream >> 24, stream >> 16, stream >> 8, stream};
    append(b, head, 9);
    append(b, bytes, length);
}

static uint32_t big_endian(const char *at, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | (uint8_t)at[i];
    return value;
}

static void listen_to(int poll, int descriptor, uint32_t events, void *owner) {
    struct epoll_event wanted = {events, {.ptr = owner}};
    epoll_ctl(poll, EPOLL_CTL_MOD, descriptor, &wanted);
}

/* Sends what the kernel takes: 0, or -1 when the connection is lost. Asks epoll for the rest. */
static int flush(int poll, int descriptor, Buffer *b, void *owner) {
    while (b->sent < b->used) {
        ssize_t n = send(descriptor, b->at + b->sent, b->used - b->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return -1;
        if (n < 0) {
            if (!b->waiting) listen_to(poll, descriptor, EPOLLIN | EPOLLOUT, owner);
            b->waiting = 1;
            return 0;
        }
        b->sent += n;
    }
    b->used = b->sent = 0;
    if (b->waiting) listen_to(poll, descriptor, EPOLLIN, owner);
    b->waiting = 0;
    return 0;
}

static void many_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
