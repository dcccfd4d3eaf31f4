/* Another wall clock for one process: preloaded, it adds to CLOCK_REALTIME what the file $C10K_CLOCK holds, a 64-bit number of seconds
 * that may change at any time. All other clocks are the machine's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift;

__attribute__((constructor)) static void open_shift(void)
{
    const char *path = getenv("C10K_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
    {
        void *map = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
        shift = map == MAP_FAILED ? 0 : map;
        close(fd);
    }
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    {
        time->tv_sec += *shift;
    }

    return result;
}
