/* Makes requests: `load KIND PORT FILE CONNECTIONS SECONDS [STREAMS|RATE]`, and says how it went in one line of JSON.
 *
 * KIND: http1 (each connection has one request under way), rate (RATE requests a second, uniform; latency counts from when a
 * request was due), idle (every connection makes one request and stands until input ends), unary and stream (calls of gRPC,
 * STREAMS on each connection; of a stream every answered message counts).
 * FILE: requests, taken in turn. Each is a length of 4 bytes, a number of 4 bytes, so many offsets of 4 bytes (little endian),
 * and its bytes, of which eight at each offset become digits that no other request has. Of HTTP/2 the first is the block of
 * fields of a connection's first call, the others of all later ones; a message of a call is the number alone. */
#include "wire.h"

#include <sys/timerfd.h>

typedef struct {
    uint32_t length, slots;
    const uint32_t *offsets;
    char *bytes;
} Request;

typedef struct {
    int descriptor, open, busy, in_body;
    long left; /* bytes of the answer's body that are still to come */
    double began;
    uint32_t stream; /* the next one */
    uint8_t sent[4096]; /* messages of each call */
    Buffer in, out;
} Connection;

enum { MESSAGES = 20, SAMPLES = 1 << 22 };

static int poll_, streams, http2, streaming;
static uint16_t port;
static Request *requests;
static size_t request_count, next_request;
static uint32_t unique = 1;
static unsigned long done, failed, lost, calls, answered;
static uint64_t bytes_received;
static uint32_t *latency; /* microseconds */
static unsigned long latencies;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) exit((perror(path), 1));
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file);
    char *all = malloc(size);
    rewind(file);
    if (fread(all, 1, size, file) != size) exit(1);
    for (char *at = all; at < all + size;) {
        uint32_t *head = (uint32_t *)at;
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        requests[request_count++] = (Request){head[0], head[1], head + 2, (char *)(head + 2 + head[1])};
        at += 8 + 4 * head[1] + ((head[0] + 3) & ~3u);
    }
    fclose(file);
}

static void digits(char *at) {
    static const char hex[] = "0123456789abcdef";
    uint32_t value = unique * 2654435761u;
    for (int i = 0; i < 8; i++, value >>= 4) at[i] = hex[value & 15];
    unique++;
}

static Request *fresh(size_t index) {
    Request *r = &requests[index];
    for (uint32_t i = 0; i < r->slots; i++) digits(r->bytes + r->offsets[i]);
    return r;
}

static Request *following(void) {
    size_t first = http2 && request_count > 1; /* the block of a first call is not repeated */
    Request *r = fresh(first + next_request % (request_count - first));
    next_request++;
    return r;
}

static void message(Connection *c, uint32_t stream) {
    char bytes[5 + 64] = {0, 0, 0, 0, 64};
    uint8_t *sent = &c->sent[stream / 2 % sizeof c->sent];
    for (int i = 0; i < 8; i++) digits(bytes + 5 + 8 * i);
    ++*sent;
    frame(&c->out, DATA, streaming && *sent < MESSAGES ? 0 : END_STREAM, stream, bytes, sizeof bytes);
}

static void ask(Connection *c) {
    if (!http2) {
        Request *r = following();
        append(&c->out, r->bytes, r->length);
        c->busy = 1;
        c->left = 0;
        c->in_body = 0;
        return;
    }
    Request *r = c->stream == 1 ? fresh(0) : following();
    frame(&c->out, HEADERS, END_HEADERS, c->stream, r->bytes, r->length);
    c->sent[c->stream / 2 % sizeof c->sent] = 0;
    message(c, c->stream);
    c->stream += 2;
}

static int connect_one(Connection *c) {
    struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
    int one = 1;
    c->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->descriptor, (void *)&address, sizeof address)) return -1;
    fcntl(c->descriptor, F_SETFL, O_NONBLOCK);
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event input = {EPOLLIN, {.ptr = c}};
    epoll_ctl(poll_, EPOLL_CTL_ADD, c->descriptor, &input);
    c->in.used = c->out.used = c->out.sent = 0;
    c->busy = 0;
    c->open = 1;
    c->stream = 1;
    if (http2) {
        static const char settings[] = "\x00\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00"; /* no push, window of each */
        uint32_t more = htonl(0x7ffe0000);
        append(&c->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        frame(&c->out, SETTINGS, 0, 0, settings, sizeof settings - 1);
        frame(&c->out, WINDOW_UPDATE, 0, 0, &more, 4);
    }
    return 0;
}

static void again(Connection *c) {
    close(c->descriptor);
    c->open = 0;
    lost++;
    if (connect_one(c)) exit((perror("load: connecting again"), 1));
}

static void counted(Connection *c) {
    done++;
    if (c->began > 0 && latencies < SAMPLES) latency[latencies++] = (now() - c->began) * 1e6;
    c->busy = 0;
}

static int on_http1(Connection *c) {
    for (;;) {
        if (c->in_body) {
            long here = c->left < (long)c->in.used ? c->left : (long)c->in.used;
            take(&c->in, here);
            c->left -= here;
            if (c->left) return 0;
            c->in_body = 0;
            counted(c);
            return 1;
        }
        char *end = c->in.used > 12 ? memmem(c->in.at, c->in.used, "\r\n\r\n", 4) : 0;
        if (!end) return 0;
        *end = 0;
        if (memcmp(c->in.at, "HTTP/1.1 200", 12)) failed++;
        char *length = strcasestr(c->in.at, "\r\ncontent-length:");
        c->left = length ? strtol(length + 17, 0, 10) : 0;
        c->in_body = 1;
        take(&c->in, end + 4 - c->in.at);
    }
}

static int on_http2(Connection *c) {
    size_t place = 0;
    while (c->in.used - place >= 9) {
        const char *at = c->in.at + place;
        uint32_t length = big_endian(at, 3), stream = big_endian(at + 5, 4) & 0x7fffffff;
        int type = at[3], flags = at[4];
        if (c->in.used - place < 9 + length) break;
        if (type == SETTINGS && !(flags & ACK)) frame(&c->out, SETTINGS, ACK, 0, "", 0);
        if (type == PING && !(flags & ACK)) frame(&c->out, PING, ACK, 0, at + 9, 8);
        if (type == GOAWAY || type == RST_STREAM) failed++;
        if (type == DATA && length) {
            if (length != 69) failed++;
            answered++;
            if (streaming && c->sent[stream / 2 % sizeof c->sent] < MESSAGES) message(c, stream);
        }
        if ((type == DATA || type == HEADERS) && flags & END_STREAM) {
            calls++;
            ask(c);
        }
        place += 9 + length;
    }
    take(&c->in, place);
    return 0;
}

static void on_event(Connection *c, uint32_t event, int closed_loop) {
    char bytes[262144];
    if (event & EPOLLOUT && flush(poll_, c->descriptor, &c->out, c) < 0) return again(c);
    if (!(event & ~EPOLLOUT)) return;
    ssize_t n = recv(c->descriptor, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        again(c);
        if (!closed_loop) return;
        if (!http2) ask(c);
    } else if (c->in_body && !c->in.used && n < c->left) {
        c->left -= n; /* the middle of a large body */
        bytes_received += n;
        return;
    } else {
        bytes_received += n;
        append(&c->in, bytes, n);
        if (http2)
            on_http2(c);
        else if (on_http1(c) && closed_loop)
            ask(c);
    }
    if (flush(poll_, c->descriptor, &c->out, c) < 0) again(c);
}

static int by_size(const void *a, const void *b) { return *(uint32_t *)a < *(uint32_t *)b ? -1 : 1; }

static void turn(int timeout, int closed_loop) {
    struct epoll_event events[256];
    int ready = epoll_wait(poll_, events, 256, timeout);
    for (int i = 0; i < ready; i++)
        if (events[i].data.ptr) on_event(events[i].data.ptr, events[i].events, closed_loop);
}

/* Requests that are due go to whoever has none under way; none of the schedule is left out when all are busy. */
static void at_rate(Connection *all, int count, double rate, double until) {
    double due = now();
    int at = 0, timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event input = {EPOLLIN, {.ptr = 0}};
    epoll_ctl(poll_, EPOLL_CTL_ADD, timer, &input);
    while (now() < until) {
        while (due <= now()) {
            int tried = 0;
            while (all[at % count].busy && tried++ < count) at++;
            Connection *c = &all[at++ % count];
            if (c->busy) break;
            c->began = due;
            ask(c);
            if (flush(poll_, c->descriptor, &c->out, c) < 0) again(c);
            due += 1 / rate;
        }
        double wait = due - now();
        if (wait > 0) {
            struct itimerspec when = {{0, 0}, {0, 1 + (long)(wait * 1e9)}};
            timerfd_settime(timer, 0, &when, 0);
        }
        turn(1, 0);
    }
}

int main(int count, char **arguments) {
    if (count < 6) return fputs("load KIND PORT FILE CONNECTIONS SECONDS [STREAMS|RATE]\n", stderr), 64;
    const char *kind = arguments[1];
    int connections = atoi(arguments[4]);
    double seconds = atof(arguments[5]), last = count > 6 ? atof(arguments[6]) : 1;
    int at_a_rate = !strcmp(kind, "rate"), idle = !strcmp(kind, "idle");
    port = atoi(arguments[2]);
    streaming = !strcmp(kind, "stream");
    http2 = streaming || !strcmp(kind, "unary");
    streams = http2 ? last : 1;
    latency = malloc(SAMPLES * sizeof *latency);
    many_descriptors();
    read_requests(arguments[3]);
    poll_ = epoll_create1(0);
    Connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        Connection *c = &all[i];
        if (connect_one(c)) return perror("load: connecting"), 1;
        for (int s = 0; s < streams && !at_a_rate; s++) ask(c);
        if (flush(poll_, c->descriptor, &c->out, c) < 0) return perror("load: sending"), 1;
        while (idle && done + failed < (unsigned long)i + 1) turn(1000, 0);
    }
    double began = now(), until = began + seconds;
    if (idle) {
        printf("{\"requests\": %lu, \"failed\": %lu, \"lost\": %lu}\n", done, failed, lost);
        fflush(stdout);
        while (getchar() != EOF) continue;
        return 0;
    }
    if (at_a_rate)
        at_rate(all, connections, last, until);
    else
        while (now() < until) turn(100, 1);
    double took = now() - began;
    if (http2) done = streaming ? answered : calls;
    if (http2 && answered < calls) failed += calls - answered; /* calls that ended without an answer */
    qsort(latency, latencies, sizeof *latency, by_size);
    printf("{\"requests\": %lu, \"failed\": %lu, \"lost\": %lu, \"seconds\": %.6f, \"bytes\": %llu, \"p50\": %u, \"p99\": %u}\n",
           done, failed, lost, took, (unsigned long long)bytes_received, latencies ? latency[latencies / 2] : 0,
           latencies ? latency[latencies * 99 / 100] : 0);
    return 0;
}
