/* A disk that goes bad: preloaded, it lets the n-th call of a kind below a folder fail, or kills the process there.

   Calls are counted from fault_set on, in the process that called it. Kinds: write, fsync, rename, unlink, mkdir, open
   (for writing). An action of 0 only counts; above 0 it is the errno to fail with; below 0 the process is killed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, FSYNC, RENAME, UNLINK, MKDIR, OPEN, KINDS };

static char folder[4096];
static size_t folder_length;
static pid_t owner;
static int wanted_kind, action;
static long wanted, seen[KINDS];

void fault_set(const char *below, int kind, long n, int act) {
    snprintf(folder, sizeof folder, "%s", below);
    folder_length = strlen(folder);
    owner = getpid();
    wanted_kind = kind;
    wanted = n;
    action = act;
    memset(seen, 0, sizeof seen);
}

void fault_clear(void) { owner = 0; }

long fault_seen(int kind) { return seen[kind]; }

static int below(const char *path) {
    return !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

static int hit(enum kind kind) {
    long n = __atomic_add_fetch(&seen[kind], 1, __ATOMIC_SEQ_CST);
    if (!action || (int)kind != wanted_kind || n != wanted) return 0;
    if (action < 0) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = action;
    return 1;
}

static int on_path(enum kind kind, int at, const char *path) {
    char base[4096], whole[8300], link[64];
    if (owner != getpid() || !path) return 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) return 0;
        base[size] = 0;
        snprintf(whole, sizeof whole, "%s/%s", base, path);
        path = whole;
    }
    return below(path) && hit(kind);
}

static int on_file(enum kind kind, int file) {
    char link[64], path[4096];
    if (owner != getpid()) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return below(path) && hit(kind);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    return on_file(WRITE, file) ? -1 : real(file, data, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    return on_file(WRITE, file) ? -1 : real(file, parts, count);
}
ssize_t pwrite64(int file, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    return on_file(WRITE, file) ? -1 : real(file, data, size, at);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return pwrite64(file, data, size, at); }
int ftruncate64(int file, off_t size) {
    REAL(int, ftruncate64, int, off_t);
    return on_file(WRITE, file) ? -1 : real(file, size);
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }
ssize_t copy_file_range(int from, off_t *at, int to, off_t *there, size_t size, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
    return on_file(WRITE, to) ? -1 : real(from, at, to, there, size, flags);
}
ssize_t sendfile64(int to, int from, off_t *at, size_t size) {
    REAL(ssize_t, sendfile64, int, int, off_t *, size_t);
    return on_file(WRITE, to) ? -1 : real(to, from, at, size);
}
ssize_t sendfile(int to, int from, off_t *at, size_t size) { return sendfile64(to, from, at, size); }

int fsync(int file) {
    REAL(int, fsync, int);
    return on_file(FSYNC, file) ? -1 : real(file);
}
int fdatasync(int file) {
    REAL(int, fdatasync, int);
    return on_file(FSYNC, file) ? -1 : real(file);
}

int rename(const char *old, const char *new) {
    REAL(int, rename, const char *, const char *);
    return on_path(RENAME, AT_FDCWD, new) ? -1 : real(old, new);
}
int renameat(int a, const char *old, int b, const char *new) {
    REAL(int, renameat, int, const char *, int, const char *);
    return on_path(RENAME, b, new) ? -1 : real(a, old, b, new);
}
int renameat2(int a, const char *old, int b, const char *new, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    if (flags && getenv("FAULTY_NO_EXCHANGE")) {
        errno = EINVAL;
        return -1;
    }
    return on_path(RENAME, b, new) ? -1 : real(a, old, b, new, flags);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    return on_path(UNLINK, AT_FDCWD, path) ? -1 : real(path);
}
int unlinkat(int at, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    return on_path(UNLINK, at, path) ? -1 : real(at, path, flags);
}
int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    return on_path(UNLINK, AT_FDCWD, path) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    return on_path(MKDIR, AT_FDCWD, path) ? -1 : real(path, mode);
}
int mkdirat(int at, const char *path, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    return on_path(MKDIR, at, path) ? -1 : real(at, path, mode);
}

#define FOR_WRITING (O_WRONLY | O_RDWR | O_CREAT)
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...);
    MODE(flags)
    if ((flags & FOR_WRITING) && on_path(OPEN, AT_FDCWD, path)) return -1;
    return real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    MODE(flags)
    return open64(path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    REAL(int, openat64, int, const char *, int, ...);
    MODE(flags)
    if ((flags & FOR_WRITING) && on_path(OPEN, at, path)) return -1;
    return real(at, path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return openat64(at, path, flags, mode);
}
