/* Makes one call on a file fail, or all from one on. Loaded before the C library.
 *
 * fail_from(at, code, for_ever, folders): the call number `at` on a path below one of the folders
 * (joined by ':') fails with `code`; with code 0 a read or write does a part of its work. Later
 * calls fail too if `for_ever`. Calls on descriptors count if the descriptor's file is below one.
 * calls_seen() returns how many calls were counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static long failing_call = -1, seen = 0;
static int failure = 0, sticks = 0;
static char below[4096] = "";

void fail_from(long at, int code, int for_ever, const char *folders) {
    snprintf(below, sizeof below, "%s", folders);
    failing_call = at, failure = code, sticks = for_ever, seen = 0;
}

long calls_seen(void) { return seen; }

static int is_below(const char *path) {
    for (const char *start = below; *start;) {
        size_t length = strcspn(start, ":");
        if (length && !strncmp(path, start, length)) return 1;
        start += length + (start[length] == ':');
    }
    return 0;
}

static int handle_is_below(int handle) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int path_is_below(int folder, const char *path) {
    if (!path || failing_call < 0) return 0;
    if (path[0] == '/') return is_below(path);
    if (folder != AT_FDCWD) return handle_is_below(folder);
    char here[PATH_MAX];
    return getcwd(here, sizeof here) && is_below(here);
}

/* 0: go on; 1: fail with errno; 2: do a part of the work. */
static int fault(int counts, int has_parts) {
    if (failing_call < 0 || !counts) return 0;
    long number = seen++;
    if (number != failing_call && !(sticks && number > failing_call)) return 0;
    if (!failure) return has_parts ? 2 : 0;
    errno = failure;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_HANDLE(handle) (failing_call >= 0 && handle_is_below(handle))

#define OPEN(name)                                                            \
    int name(const char *path, int flags, ...) {                              \
        va_list rest;                                                         \
        va_start(rest, flags);                                                \
        mode_t mode = va_arg(rest, mode_t);                                   \
        va_end(rest);                                                         \
        if (fault(path_is_below(AT_FDCWD, path), 0)) return -1;               \
        return NEXT(name)(path, flags, mode);                                 \
    }
#define OPENAT(name)                                                          \
    int name(int folder, const char *path, int flags, ...) {                  \
        va_list rest;                                                         \
        va_start(rest, flags);                                                \
        mode_t mode = va_arg(rest, mode_t);                                   \
        va_end(rest);                                                         \
        if (fault(path_is_below(folder, path), 0)) return -1;                 \
        return NEXT(name)(folder, path, flags, mode);                         \
    }
#define TRANSFER(name, buffer, place, ...)                                    \
    ssize_t name(int handle, buffer data, size_t count place) {               \
        int what = fault(ON_HANDLE(handle), 1);                               \
        if (what == 1) return -1;                                             \
        if (what == 2 && count > 1) count /= 2;                               \
        return NEXT(name)(handle, data, count __VA_ARGS__);                   \
    }
#define COMMA ,

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
TRANSFER(read, void *, )
TRANSFER(write, const void *, )
TRANSFER(pread, void *, COMMA off_t offset, COMMA offset)
TRANSFER(pread64, void *, COMMA off64_t offset, COMMA offset)
TRANSFER(pwrite, const void *, COMMA off_t offset, COMMA offset)
TRANSFER(pwrite64, const void *, COMMA off64_t offset, COMMA offset)

int fsync(int handle) { return fault(ON_HANDLE(handle), 0) ? -1 : NEXT(fsync)(handle); }
int syncfs(int handle) { return fault(ON_HANDLE(handle), 0) ? -1 : NEXT(syncfs)(handle); }
int flock(int handle, int kind) {
    return fault(ON_HANDLE(handle), 0) ? -1 : NEXT(flock)(handle, kind);
}
int ftruncate(int handle, off_t size) {
    return fault(ON_HANDLE(handle), 0) ? -1 : NEXT(ftruncate)(handle, size);
}
int ftruncate64(int handle, off64_t size) {
    return fault(ON_HANDLE(handle), 0) ? -1 : NEXT(ftruncate64)(handle, size);
}
int mkdir(const char *path, mode_t mode) {
    return fault(path_is_below(AT_FDCWD, path), 0) ? -1 : NEXT(mkdir)(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    return fault(path_is_below(folder, path), 0) ? -1 : NEXT(mkdirat)(folder, path, mode);
}
int rmdir(const char *path) {
    return fault(path_is_below(AT_FDCWD, path), 0) ? -1 : NEXT(rmdir)(path);
}
int unlink(const char *path) {
    return fault(path_is_below(AT_FDCWD, path), 0) ? -1 : NEXT(unlink)(path);
}
int unlinkat(int folder, const char *path, int flags) {
    return fault(path_is_below(folder, path), 0) ? -1 : NEXT(unlinkat)(folder, path, flags);
}
int rename(const char *from, const char *to) {
    return fault(path_is_below(AT_FDCWD, to), 0) ? -1 : NEXT(rename)(from, to);
}
int renameat(int from_folder, const char *from, int folder, const char *to) {
    if (fault(path_is_below(folder, to), 0)) return -1;
    return NEXT(renameat)(from_folder, from, folder, to);
}
void *mmap(void *at, size_t size, int protection, int flags, int handle, off_t offset) {
    if (handle >= 0 && fault(ON_HANDLE(handle), 0)) return MAP_FAILED;
    return NEXT(mmap)(at, size, protection, flags, handle, offset);
}
