/* The application behind the proxies: `origin PORT`. Its answers vary as real ones do.
 *
 * HTTP/1.1: `/bytes/N/...` is answered with about N bytes (up to 63 more, in turn), a date, and a tag and an id of its own.
 * HTTP/2: every message of a call is answered with itself, its end with trailers, as gRPC does. */
#include "wire.h"

enum { BODY = 4 << 20 };

typedef struct {
    int descriptor, http2, opened;
    size_t skip;   /* bytes of a request's body that are still to come */
    size_t length; /* and of the answer's, that wait behind `out` */
    uint8_t begun[1 << 16];
    Buffer in, out;
} Connection;

static int poll_;
static char *body, date[64];
static uint32_t answers;

static uint32_t mixed(void) { return answers++ * 2654435761u; }

static void set_date(void) {
    static time_t last;
    time_t now = time(0);
    if (now != last) strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    last = now;
}

/* Large bodies are not copied into the buffer: they leave from where they are. */
static int send_all(Connection *c) {
    if (flush(poll_, c->descriptor, &c->out, c) < 0) return -1;
    while (!c->out.used && c->length) {
        ssize_t n = send(c->descriptor, body, c->length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return -1;
        if (n < 0) {
            if (!c->out.waiting) listen_to(poll_, c->descriptor, EPOLLIN | EPOLLOUT, c);
            c->out.waiting = 1;
            return 0;
        }
        c->length -= n;
    }
    if (!c->out.used && c->out.waiting) {
        listen_to(poll_, c->descriptor, EPOLLIN, c);
        c->out.waiting = 0;
    }
    return 0;
}

static void answer(Connection *c, long wanted) {
    char head[512];
    uint32_t tag = mixed();
    long length = wanted + tag % 64;
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: %s\r\ncontent-length: %ld\r\n"
                     "cache-control: no-cache\r\netag: \"%08x\"\r\nvary: accept-encoding\r\nx-correlation-id: %08x%08x\r\n"
                     "server: app\r\n\r\n",
                     date, length, tag, tag ^ 0x5bd1e995u, answers);
    append(&c->out, head, n);
    if (length < 32768)
        append(&c->out, body, length);
    else
        c->length = length;
}

static int on_http1(Connection *c) {
    while (c->in.used) {
        size_t now = c->skip < c->in.used ? c->skip : c->in.used;
        if (now) take(&c->in, now), c->skip -= now;
        char *end = c->in.used && !c->skip ? memmem(c->in.at, c->in.used, "\r\n\r\n", 4) : 0;
        if (!end) break;
        *end = 0;
        char *path = strstr(c->in.at, " /bytes/"), *length = strcasestr(c->in.at, "\r\ncontent-length:");
        c->skip = length ? strtoul(length + 17, 0, 10) : 0;
        answer(c, path ? atol(path + 8) : 0);
        take(&c->in, end + 4 - c->in.at);
    }
    return send_all(c);
}

static void message(Connection *c, uint32_t stream, const char *at, uint32_t length) {
    /* :status 200 and content-type, which is entered into the table with the first answer. */
    static const char first[] = "\x88\x5f\x10" "application/grpc", later[] = "\x88\xbe";
    if (!c->begun[stream & 0xffff]) {
        c->begun[stream & 0xffff] = 1;
        c->opened ? frame(&c->out, HEADERS, END_HEADERS, stream, later, 2)
                  : frame(&c->out, HEADERS, END_HEADERS, stream, first, sizeof first - 1);
        c->opened = 1;
    }
    frame(&c->out, DATA, 0, stream, at, length);
}

static void end_of_call(Connection *c, uint32_t stream) {
    static const char trailers[] = "\x00\x0b" "grpc-status" "\x01" "0";
    frame(&c->out, HEADERS, END_HEADERS | END_STREAM, stream, trailers, sizeof trailers - 1);
    c->begun[stream & 0xffff] = 0;
}

static int on_http2(Connection *c) {
    size_t place = 0;
    uint32_t received = 0;
    while (c->in.used - place >= 9) {
        const char *at = c->in.at + place;
        uint32_t length = big_endian(at, 3), stream = big_endian(at + 5, 4) & 0x7fffffff;
        int type = at[3], flags = at[4];
        if (c->in.used - place < 9 + length) break;
        if (type == SETTINGS && !(flags & ACK)) frame(&c->out, SETTINGS, ACK, 0, "", 0);
        if (type == PING && !(flags & ACK)) frame(&c->out, PING, ACK, 0, at + 9, 8);
        if (type == DATA && length) message(c, stream, at + 9, length), received += length;
        if ((type == DATA || type == HEADERS) && flags & END_STREAM) end_of_call(c, stream);
        place += 9 + length;
    }
    take(&c->in, place);
    if (received) {
        uint32_t more = htonl(received);
        frame(&c->out, WINDOW_UPDATE, 0, 0, &more, 4);
    }
    return send_all(c);
}

static int on_input(Connection *c) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    char bytes[65536];
    ssize_t n = recv(c->descriptor, bytes, sizeof bytes, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
    append(&c->in, bytes, n);
    if (!c->http2 && c->in.used >= 24 && !memcmp(c->in.at, preface, 24)) {
        static const char settings[] = "\x00\x03\x00\x01\x00\x00\x00\x04\x00\xff\xff\xff"; /* streams, window of each */
        c->http2 = 1;
        take(&c->in, 24);
        frame(&c->out, SETTINGS, 0, 0, settings, sizeof settings - 1);
        uint32_t more = htonl(0x3fffffff);
        frame(&c->out, WINDOW_UPDATE, 0, 0, &more, 4);
    }
    return c->http2 ? on_http2(c) : on_http1(c);
}

static void accept_all(int listening) {
    int one = 1, descriptor;
    while ((descriptor = accept4(listening, 0, 0, SOCK_NONBLOCK)) >= 0) {
        Connection *c = calloc(1, sizeof *c);
        struct epoll_event input = {EPOLLIN, {.ptr = c}};
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->descriptor = descriptor;
        epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &input);
    }
}

int main(int count, char **arguments) {
    int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {AF_INET, htons(count > 1 ? atoi(arguments[1]) : 0), {htonl(INADDR_LOOPBACK)}, {0}};
    struct epoll_event input = {EPOLLIN, {.ptr = 0}}, events[256];
    many_descriptors();
    memset(body = malloc(BODY), 'x', BODY);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (void *)&address, sizeof address) || listen(listening, 4096)) return perror("origin"), 1;
    poll_ = epoll_create1(0);
    epoll_ctl(poll_, EPOLL_CTL_ADD, listening, &input);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll_, events, 256, -1);
        set_date();
        for (int i = 0; i < ready; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listening);
                continue;
            }
            int lost = events[i].events & EPOLLOUT ? send_all(c) : 0;
            if (!lost && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) lost = on_input(c);
            if (lost) close(c->descriptor), free(c->in.at), free(c->out.at), free(c);
        }
    }
}
