/*
 * Preloaded into one process: lets the FAULT_NTH call that touches something below FAULT_DIR fail with
 * FAULT_ERRNO, and all that write after it where FAULT_STAYS is set, as on a disk that is full. A file
 * FAULT_HIT is made when that happens. FAULT_TRACE gets the names of all such calls. Programs that
 * the process starts are spared.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char dir[4096], hit_file[4096];
static size_t dir_len;
static long nth, seen, number, stays, trace = -1;

__attribute__((constructor)) static void begin(void) {
    const char *from = getenv("FAULT_DIR");
    if (!from)
        return;
    snprintf(dir, sizeof dir, "%s", from);
    dir_len = strlen(dir);
    nth = atol(getenv("FAULT_NTH"));
    number = atol(getenv("FAULT_ERRNO"));
    stays = getenv("FAULT_STAYS") != NULL;
    snprintf(hit_file, sizeof hit_file, "%s", getenv("FAULT_HIT"));
    if (getenv("FAULT_TRACE"))
        trace = syscall(SYS_openat, AT_FDCWD, getenv("FAULT_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unsetenv("LD_PRELOAD");
}

static int fails(const char *what, int writes) {
    char line[100];
    seen++;
    if (trace >= 0)
        syscall(SYS_write, trace, line, snprintf(line, sizeof line, "%ld %s\n", seen, what));
    if (seen != nth && !(stays && writes && nth && seen > nth))
        return 0;
    long fd = syscall(SYS_openat, AT_FDCWD, hit_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    syscall(SYS_write, fd, line, snprintf(line, sizeof line, "%ld %s\n", seen, what));
    syscall(SYS_close, fd);
    errno = (int)number;
    return 1;
}

static int below(const char *path) { return dir_len && !strncmp(path, dir, dir_len); }

static int fd_below(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (!dir_len)
        return 0;
    long len = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (len <= 0)
        return 0;
    path[len] = 0;
    return below(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                                     \
    int name(const char *path, int flags, ...) {                        \
        va_list more;                                                   \
        va_start(more, flags);                                          \
        mode_t mode = va_arg(more, mode_t);                             \
        va_end(more);                                                   \
        if (below(path) && fails("open", (flags & O_ACCMODE) != O_RDONLY)) \
            return -1;                                                  \
        return REAL(name)(path, flags, mode);                           \
    }
OPENS(open)
OPENS(open64)

#define BY_FD(type, name, writes, declared, passed)     \
    type name declared {                                \
        if (fd_below(fd) && fails(#name, writes))       \
            return -1;                                  \
        return REAL(name) passed;                       \
    }
BY_FD(ssize_t, write, 1, (int fd, const void *from, size_t len), (fd, from, len))
BY_FD(ssize_t, pwrite, 1, (int fd, const void *from, size_t len, off_t at), (fd, from, len, at))
BY_FD(ssize_t, pwrite64, 1, (int fd, const void *from, size_t len, off64_t at), (fd, from, len, at))
BY_FD(ssize_t, read, 0, (int fd, void *to, size_t len), (fd, to, len))
BY_FD(ssize_t, pread, 0, (int fd, void *to, size_t len, off_t at), (fd, to, len, at))
BY_FD(ssize_t, pread64, 0, (int fd, void *to, size_t len, off64_t at), (fd, to, len, at))
BY_FD(off_t, lseek, 0, (int fd, off_t to, int from), (fd, to, from))
BY_FD(off64_t, lseek64, 0, (int fd, off64_t to, int from), (fd, to, from))
BY_FD(int, fsync, 1, (int fd), (fd))
BY_FD(int, fdatasync, 1, (int fd), (fd))

/* The descriptor is gone all the same, as with Linux. */
int close(int fd) {
    const int broken = fd_below(fd) && fails("close", 0);
    const int closed = REAL(close)(fd);
    if (!broken)
        return closed;
    errno = (int)number;
    return -1;
}

#define BY_PATHS(name)                                                  \
    int name(const char *from, const char *to) {                        \
        if ((below(from) || below(to)) && fails(#name, 1))              \
            return -1;                                                  \
        return REAL(name)(from, to);                                    \
    }
BY_PATHS(link)
BY_PATHS(rename)

int mkdir(const char *path, mode_t mode) {
    return below(path) && fails("mkdir", 1) ? -1 : REAL(mkdir)(path, mode);
}
