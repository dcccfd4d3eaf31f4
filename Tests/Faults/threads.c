/*
 * Preloaded into a child process (LD_PRELOAD): pthread_create(3) fails there as it does where no further thread is allowed, for the
 * threads that ask for it, and for the runtime's own never.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#define EXPORT __attribute__((visibility("default")))

/* How many more threads the calling thread may create; negative where there is no limit. */
static _Thread_local int allowed = -1;

EXPORT void threads_allow(int count) { allowed = count; }

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (allowed == 0)
        return EAGAIN;
    if (allowed > 0)
        allowed--;
    if (real == NULL)
        real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, body, argument);
}
