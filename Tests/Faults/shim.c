/*
 * Stands in for libc in the engine's imports, and nowhere else: the test assembly has an import resolver that sends the engine's
 * "libc" here. Each function passes through to the real one, unless a test has set a schedule that says which of its calls
 * fail. A ledger knows the descriptors that the engine has opened and not yet closed.
 *
 * Functions carry their libc names by asm labels, so that no header's prototype is in the way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Of fcntl.h, whose prototypes would be in the way. */
enum { F_DUPFD_CLOEXEC = 1030 };

#define EXPORT __attribute__((visibility("default")))

#define CALLS(X)                                                                                                                \
    X(accept4) X(recv) X(send) X(epoll_ctl) X(epoll_wait) X(eventfd) X(epoll_create1) X(socket) X(bind) X(listen) X(setsockopt) \
    X(getsockopt) X(getsockname) X(shutdown) X(close) X(ioctl) X(write) X(getrlimit) X(clock_gettime) X(syscall) \
    X(connect) X(fcntl) X(statx) X(open) X(timerfd_create) X(timerfd_settime) X(chmod) X(flock) X(unlink) X(sigprocmask)

#define KIND(name) K_##name,
enum kind { CALLS(KIND) KINDS };

#define NAME(name) #name,
static const char *const names[KINDS] = { CALLS(NAME) };

#define REAL(name) static void *real_##name;
CALLS(REAL)

/* The real one, with the right type. */
#define CALL(name, type) ((type)real_##name)

/* ---- schedules ---- */

enum mode { NONE, NTH, EVERY, PER_MILLE };

/* Instead of an errno: recv and send pass through with a length of one byte. Nothing is lost by it. */
enum { ONE_BYTE = -1 };

/* Instead of an errno: connect binds the socket to the address that it connects to, as the kernel does by chance. */
enum { TO_ITSELF = -2 };

static struct schedule {
    atomic_int mode;        /* written last by arm: the fields below are ready when it is set */
    atomic_int n;
    atomic_int error;
    atomic_ullong seed;
    atomic_long left;       /* faults that may still be injected */
    atomic_long calls;      /* since it was armed */
    atomic_long injected;   /* since it was armed */
} schedules[KINDS];

/* splitmix64: which calls are hit is a function of seed and number, whatever the threads do. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Counts a call; 0, or the fault that it is to meet. */
static int fault(enum kind kind)
{
    struct schedule *s = &schedules[kind];
    long call = atomic_fetch_add(&s->calls, 1) + 1;
    int n = atomic_load(&s->n);
    int hit = 0;
    switch (atomic_load(&s->mode)) {
    case NTH: hit = call == n; break;
    case EVERY: hit = call % n == 0; break;
    case PER_MILLE: hit = mix(atomic_load(&s->seed) + (uint64_t)call) % 1000 < (uint64_t)n; break;
    }
    if (!hit || atomic_fetch_sub(&s->left, 1) <= 0)
        return 0;
    atomic_fetch_add(&s->injected, 1);
    return atomic_load(&s->error);
}

/* The call fails before it is made: what it was for, a connection in the queue say, is still there. */
#define FAIL_FIRST(name)             \
    do {                             \
        int error = fault(K_##name); \
        if (error != 0) {            \
            errno = error;           \
            return -1;               \
        }                            \
    } while (0)

EXPORT int shim_kind(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

EXPORT void shim_arm(int kind, int mode, int n, int error, uint64_t seed, long limit)
{
    struct schedule *s = &schedules[kind];
    atomic_store(&s->mode, NONE);
    atomic_store(&s->n, n);
    atomic_store(&s->error, error);
    atomic_store(&s->seed, seed);
    atomic_store(&s->left, limit);
    atomic_store(&s->calls, 0);
    atomic_store(&s->injected, 0);
    atomic_store(&s->mode, mode);
}

/* The counts stay readable. */
EXPORT void shim_disarm(int kind) { atomic_store(&schedules[kind].mode, NONE); }

EXPORT long shim_calls(int kind) { return atomic_load(&schedules[kind].calls); }

EXPORT long shim_injected(int kind) { return atomic_load(&schedules[kind].injected); }

/* ---- the ledger of descriptors ---- */

enum { DESCRIPTORS = 1 << 20, REMARKS = 16 };

static _Atomic uint8_t owner[DESCRIPTORS];  /* 0, or 1 + the kind of call that opened it */
static atomic_int open_count;
static atomic_int violations;
static struct { atomic_int fd; const char *_Atomic what; } remarks[REMARKS];

static void violation(int fd, const char *what)
{
    int i = atomic_fetch_add(&violations, 1);
    if (i < REMARKS) {
        atomic_store(&remarks[i].fd, fd);
        atomic_store(&remarks[i].what, what);
    }
}

static int opened(enum kind kind, int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS) {
        if (atomic_exchange(&owner[fd], (uint8_t)(kind + 1)) != 0)
            violation(fd, "opened, and by the ledger it was open: somebody else closed it");
        else
            atomic_fetch_add(&open_count, 1);
    }
    return fd;
}

EXPORT int shim_open_count(void) { return atomic_load(&open_count); }

EXPORT int shim_violations(void) { return atomic_load(&violations); }

/* What is open and what went wrong, for people. */
EXPORT void shim_describe(char *text, int size)
{
    int at = 0;
    text[0] = 0;
    for (int i = 0; i < atomic_load(&violations) && i < REMARKS && at < size; i++) {
        const char *what = atomic_load(&remarks[i].what);
        at += snprintf(text + at, (size_t)(size - at), "%d: %s\n", atomic_load(&remarks[i].fd), what ? what : "?");
    }
    for (int fd = 0; fd < DESCRIPTORS && at < size; fd++) {
        uint8_t by = atomic_load(&owner[fd]);
        if (by != 0)
            at += snprintf(text + at, (size_t)(size - at), "%d: open, by %s\n", fd, names[by - 1]);
    }
}

/* A test that has failed must not make the next one fail, too. */
EXPORT void shim_forget(void)
{
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        atomic_store(&owner[fd], 0);
    atomic_store(&open_count, 0);
    atomic_store(&violations, 0);
    for (int i = 0; i < REMARKS; i++)
        atomic_store(&remarks[i].what, NULL);
}

/* ---- the calls ---- */

#define LOOK_UP(name) real_##name = dlsym(RTLD_NEXT, #name);
__attribute__((constructor)) static void look_up(void) { CALLS(LOOK_UP) }

/* Declares a function of our own that others find under libc's name. */
#define SHIM(result, name, ...)                            \
    EXPORT result shim_##name(__VA_ARGS__) __asm__(#name); \
    EXPORT result shim_##name(__VA_ARGS__)

SHIM(int, accept4, int fd, void *address, uint32_t *length, int flags)
{
    FAIL_FIRST(accept4);
    return opened(K_accept4, CALL(accept4, int (*)(int, void *, uint32_t *, int))(fd, address, length, flags));
}

SHIM(intptr_t, recv, int fd, void *buffer, size_t length, int flags)
{
    int error = fault(K_recv);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return CALL(recv, intptr_t (*)(int, void *, size_t, int))(fd, buffer, error == ONE_BYTE && length > 1 ? 1 : length, flags);
}

SHIM(intptr_t, send, int fd, const void *buffer, size_t length, int flags)
{
    int error = fault(K_send);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return CALL(send, intptr_t (*)(int, const void *, size_t, int))(fd, buffer, error == ONE_BYTE && length > 1 ? 1 : length, flags);
}

SHIM(int, epoll_ctl, int epoll, int operation, int fd, void *event)
{
    FAIL_FIRST(epoll_ctl);
    return CALL(epoll_ctl, int (*)(int, int, int, void *))(epoll, operation, fd, event);
}

SHIM(int, epoll_wait, int epoll, void *events, int maximum, int timeout)
{
    FAIL_FIRST(epoll_wait);
    return CALL(epoll_wait, int (*)(int, void *, int, int))(epoll, events, maximum, timeout);
}

SHIM(int, eventfd, unsigned initial, int flags)
{
    FAIL_FIRST(eventfd);
    return opened(K_eventfd, CALL(eventfd, int (*)(unsigned, int))(initial, flags));
}

SHIM(int, epoll_create1, int flags)
{
    FAIL_FIRST(epoll_create1);
    return opened(K_epoll_create1, CALL(epoll_create1, int (*)(int))(flags));
}

SHIM(int, socket, int domain, int type, int protocol)
{
    FAIL_FIRST(socket);
    return opened(K_socket, CALL(socket, int (*)(int, int, int))(domain, type, protocol));
}

SHIM(int, bind, int fd, const void *address, uint32_t length)
{
    FAIL_FIRST(bind);
    return CALL(bind, int (*)(int, const void *, uint32_t))(fd, address, length);
}

SHIM(int, listen, int fd, int backlog)
{
    FAIL_FIRST(listen);
    return CALL(listen, int (*)(int, int))(fd, backlog);
}

SHIM(int, setsockopt, int fd, int level, int option, const void *value, uint32_t length)
{
    FAIL_FIRST(setsockopt);
    return CALL(setsockopt, int (*)(int, int, int, const void *, uint32_t))(fd, level, option, value, length);
}

SHIM(int, getsockopt, int fd, int level, int option, void *value, uint32_t *length)
{
    FAIL_FIRST(getsockopt);
    return CALL(getsockopt, int (*)(int, int, int, void *, uint32_t *))(fd, level, option, value, length);
}

SHIM(int, getsockname, int fd, void *address, uint32_t *length)
{
    FAIL_FIRST(getsockname);
    return CALL(getsockname, int (*)(int, void *, uint32_t *))(fd, address, length);
}

SHIM(int, shutdown, int fd, int how)
{
    FAIL_FIRST(shutdown);
    return CALL(shutdown, int (*)(int, int))(fd, how);
}

/* Fails after the real call alone: Linux has released the descriptor whatever close says, and a shim that kept it would
   teach the engine to close again. */
SHIM(int, close, int fd)
{
    int error = fault(K_close);

    /* Before the real call: after it another thread may be given the same number. */
    if (fd < 0 || fd >= DESCRIPTORS || atomic_exchange(&owner[fd], 0) == 0) {
        violation(fd, "closed, and the engine does not own it: closed twice, or never opened");

        /* Not passed on: by now it may be a stranger's. */
        errno = EBADF;
        return -1;
    }
    atomic_fetch_sub(&open_count, 1);
    int result = CALL(close, int (*)(int))(fd);
    if (result != 0 && errno == EBADF)
        violation(fd, "closed, and the kernel did not know it: somebody else had closed it");
    if (error > 0) {
        errno = error;
        return -1;
    }
    return result;
}

SHIM(int, ioctl, int fd, unsigned long request, void *value)
{
    FAIL_FIRST(ioctl);
    return CALL(ioctl, int (*)(int, unsigned long, ...))(fd, request, value);
}

SHIM(intptr_t, write, int fd, const void *buffer, size_t length)
{
    FAIL_FIRST(write);
    return CALL(write, intptr_t (*)(int, const void *, size_t))(fd, buffer, length);
}

SHIM(int, timerfd_create, int clock, int flags)
{
    FAIL_FIRST(timerfd_create);
    return opened(K_timerfd_create, CALL(timerfd_create, int (*)(int, int))(clock, flags));
}

SHIM(int, timerfd_settime, int fd, int flags, const void *value, void *old)
{
    FAIL_FIRST(timerfd_settime);
    return CALL(timerfd_settime, int (*)(int, int, const void *, void *))(fd, flags, value, old);
}

SHIM(int, getrlimit, int resource, void *limits)
{
    FAIL_FIRST(getrlimit);
    return CALL(getrlimit, int (*)(int, void *))(resource, limits);
}

SHIM(int, connect, int fd, const void *address, unsigned length)
{
    int error = fault(K_connect);
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error == TO_ITSELF && CALL(bind, int (*)(int, const void *, unsigned))(fd, address, length) != 0)
        return -1;
    return CALL(connect, int (*)(int, const void *, unsigned))(fd, address, length);
}

SHIM(int, fcntl, int fd, int command, int value)
{
    FAIL_FIRST(fcntl);
    int result = CALL(fcntl, int (*)(int, int, ...))(fd, command, value);
    return command == F_DUPFD_CLOEXEC ? opened(K_fcntl, result) : result;
}

SHIM(int, open, const char *path, int flags, unsigned mode)
{
    FAIL_FIRST(open);
    return opened(K_open, CALL(open, int (*)(const char *, int, ...))(path, flags, mode));
}

SHIM(int, chmod, const char *path, unsigned mode)
{
    FAIL_FIRST(chmod);
    return CALL(chmod, int (*)(const char *, unsigned))(path, mode);
}

SHIM(int, sigprocmask, int how, const void *set, void *old)
{
    FAIL_FIRST(sigprocmask);
    return CALL(sigprocmask, int (*)(int, const void *, void *))(how, set, old);
}

SHIM(int, unlink, const char *path)
{
    FAIL_FIRST(unlink);
    return CALL(unlink, int (*)(const char *))(path);
}

SHIM(int, flock, int fd, int operation)
{
    FAIL_FIRST(flock);
    return CALL(flock, int (*)(int, int))(fd, operation);
}

SHIM(int, statx, int directory, const char *path, int flags, unsigned mask, void *result)
{
    FAIL_FIRST(statx);
    return CALL(statx, int (*)(int, const char *, int, unsigned, void *))(directory, path, flags, mask, result);
}

SHIM(int, clock_gettime, int clock, void *time)
{
    FAIL_FIRST(clock_gettime);
    return CALL(clock_gettime, int (*)(int, void *))(clock, time);
}

SHIM(long, syscall, long number)
{
    FAIL_FIRST(syscall);
    return CALL(syscall, long (*)(long, ...))(number);
}
