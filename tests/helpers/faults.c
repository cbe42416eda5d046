/* What a disk and a system can do to a program, at one chosen operation on files.
 *
 * Loaded before the C library, this stands between a program and its system calls. It counts the
 * operations on files below one folder, over all processes of the program, and at one of them kills
 * the process, tears a write in two, or gives an error. It can also write down all of them, and
 * keep what was brought to the disk, so that a power cut can be played afterwards.
 *
 * The environment says what is to happen. It is read anew in each process, as processes may begin
 * with a fork. All own work is done by system calls, past the functions that stand here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENV "STAGEPIPE_TEST_FAULT_"
enum { GO_ON = 0, TEAR = -1 };

struct shared { int parent; unsigned long count; unsigned long copies; };

static struct shared *shared;
static int armed_pid;
static int is_parent;
static int log_fd = -1;
static char root[PATH_MAX], state[PATH_MAX], role[16], kinds[32], action[16];
static unsigned long at;

static void raw_close(int fd) { syscall(SYS_close, fd); }

static int raw_open(const char *path, int flags) {
    return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void put(char *into, size_t size, const char *name) {
    const char *value = getenv(name);
    snprintf(into, size, "%s", value ? value : "");
}

/* Whether this process is one to be looked at. */
static int is_armed(void) {
    char path[PATH_MAX + 16];
    int pid = syscall(SYS_getpid), fd, nobody = 0;
    if (armed_pid == pid) return 1;
    put(root, sizeof root, ENV "ROOT");
    if (!*root) return 0;
    put(state, sizeof state, ENV "STATE");
    put(role, sizeof role, ENV "ROLE");
    put(kinds, sizeof kinds, ENV "KINDS");
    put(action, sizeof action, ENV "ACTION");
    at = strtoul(getenv(ENV "AT") ? getenv(ENV "AT") : "0", NULL, 10);
    snprintf(path, sizeof path, "%s/count", state);
    fd = raw_open(path, O_RDWR);
    if (fd < 0) return 0;
    shared = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    raw_close(fd);
    snprintf(path, sizeof path, "%s/log", state);
    log_fd = raw_open(path, O_WRONLY | O_APPEND);
    __atomic_compare_exchange_n(&shared->parent, &nobody, pid, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    is_parent = shared->parent == pid;
    armed_pid = pid;
    return 1;
}

static int is_below(const char *path) {
    size_t length = strlen(root), end = strlen(path);
    if (strncmp(path, root, length) || path[length] != '/') return 0;
    /* What SQLite's processes share is no file in any other sense. */
    return end < 4 || strcmp(path + end - 4, "-shm");
}

static int of_fd(int fd, char *path) {
    char link[64];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0 && is_below(path);
}

static int of_name(int dir, const char *name, char *path) {
    char above[PATH_MAX];
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        above[0] = 0;
        if (dir == AT_FDCWD) syscall(SYS_getcwd, above, sizeof above);
        else of_fd(dir, above);
        snprintf(path, PATH_MAX, "%.2000s/%.2000s", above, name);
    }
    return is_below(path);
}

static void note(const char *format, ...) {
    char line[3 * PATH_MAX];
    va_list words;
    int length;
    if (log_fd < 0) return;
    va_start(words, format);
    length = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    syscall(SYS_write, log_fd, line, length);
}

static unsigned long inode(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : (unsigned long)status.st_ino;
}

/* What to do about an operation: GO_ON, TEAR, or the number of an error. */
static int verdict(char kind) {
    int is_on = !strcmp(action, "watch");
    unsigned long number;
    if (!strcmp(role, "parent") && !is_parent) return GO_ON;
    if (!strcmp(role, "worker") && is_parent) return GO_ON;
    if (!strchr(kinds, kind)) return GO_ON;
    number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
    if (is_on) return GO_ON;
    if (action[0] == '+' ? number < at : number != at) return GO_ON;
    if (!strcmp(action, "kill")) {
        syscall(SYS_kill, armed_pid, SIGKILL);
        for (;;) pause();
    }
    if (!strcmp(action, "cut")) { /* the power: all of the program at once */
        syscall(SYS_kill, -getpgrp(), SIGKILL);
        for (;;) pause();
    }
    if (!strcmp(action, "tear")) return TEAR;
    return atoi(action + (action[0] == '+'));
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)
#define FAIL(error) do { errno = (error); return -1; } while (0)

/* Writes to the ledger, of which there are many, are a kind of their own. */
static char kind_of_write(const char *path) {
    return strstr(path, "/ledger.sqlite") ? 'Q' : 'W';
}

/* Half of it is written, and then the process is gone. */
#define ON_WRITE(fd, half) \
    char path[PATH_MAX]; \
    if (is_armed() && of_fd(fd, path)) { \
        int found = verdict(kind_of_write(path)); \
        note("W\t%lu\n", inode(fd)); \
        if (found == TEAR) { half; syscall(SYS_kill, armed_pid, SIGKILL); for (;;) pause(); } \
        if (found) FAIL(found); \
    }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    ON_WRITE(fd, real(fd, data, size / 2))
    return real(fd, data, size);
}

#define PWRITE(name, offset_type) \
ssize_t name(int fd, const void *data, size_t size, offset_type offset) { \
    REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
    ON_WRITE(fd, real(fd, data, size / 2, offset)) \
    return real(fd, data, size, offset); \
}
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    ON_WRITE(fd, real(fd, parts, count / 2))
    return real(fd, parts, count);
}

ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    ON_WRITE(to, real(from, a, to, b, size / 2, flags))
    return real(from, a, to, b, size, flags);
}

#define SENDFILE(name, offset_type) \
ssize_t name(int to, int from, offset_type *offset, size_t size) { \
    REAL(ssize_t, #name, int, int, offset_type *, size_t); \
    ON_WRITE(to, real(to, from, offset, size / 2)) \
    return real(to, from, offset, size); \
}
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

#define TRUNCATE(name, offset_type) \
int name(int fd, offset_type size) { \
    char path[PATH_MAX]; \
    REAL(int, #name, int, offset_type); \
    if (is_armed() && of_fd(fd, path)) { \
        int found = verdict('T'); \
        note("W\t%lu\n", inode(fd)); \
        if (found > 0) FAIL(found); \
    } \
    return real(fd, size); \
}
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* Keep what is on the disk now. */
static void keep(int fd, const char *path) {
    char buffer[65536], copy[PATH_MAX + 32], link[64];
    struct stat status;
    unsigned long number = __atomic_add_fetch(&shared->copies, 1, __ATOMIC_SEQ_CST);
    ssize_t length;
    int from, to;
    if (fstat(fd, &status)) return;
    if (S_ISDIR(status.st_mode)) {
        note("D\t%s\n", path);
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    from = raw_open(link, O_RDONLY);
    snprintf(copy, sizeof copy, "%s/kept/%lu", state, number);
    to = raw_open(copy, O_WRONLY | O_CREAT);
    while ((length = syscall(SYS_read, from, buffer, sizeof buffer)) > 0)
        syscall(SYS_write, to, buffer, length);
    raw_close(from);
    raw_close(to);
    note("S\t%lu\t%lu\n", (unsigned long)status.st_ino, number);
}

#define SYNC(name) \
int name(int fd) { \
    char path[PATH_MAX]; \
    int is_ours = is_armed() && of_fd(fd, path), found, result; \
    REAL(int, #name, int); \
    if (is_ours && (found = verdict('S')) > 0) FAIL(found); \
    result = real(fd); \
    if (is_ours && !result && log_fd >= 0) keep(fd, path); \
    return result; \
}
SYNC(fsync)
SYNC(fdatasync)

/* Operations on one name. */
#define ON_NAME(kind, dir, name, call, letter) \
    char path[PATH_MAX]; \
    int is_ours = is_armed() && of_name(dir, name, path), found, result; \
    if (is_ours && (found = verdict(kind)) > 0) FAIL(found); \
    result = call; \
    if (is_ours && !result) note("%c\t%s\n", letter, path); \
    return result;

int unlink(const char *name) {
    REAL(int, "unlink", const char *);
    ON_NAME('U', AT_FDCWD, name, real(name), 'U')
}
int unlinkat(int dir, const char *name, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    ON_NAME('U', dir, name, real(dir, name, flags), 'U')
}
int rmdir(const char *name) {
    REAL(int, "rmdir", const char *);
    ON_NAME('U', AT_FDCWD, name, real(name), 'U')
}
int mkdir(const char *name, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    ON_NAME('M', AT_FDCWD, name, real(name, mode), 'M')
}
int mkdirat(int dir, const char *name, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    ON_NAME('M', dir, name, real(dir, name, mode), 'M')
}

/* Operations on two names. */
#define ON_NAMES(kind, dir, one, other_dir, other, call, word) \
    char path[PATH_MAX], second[PATH_MAX]; \
    int is_ours, found, result; \
    is_ours = is_armed() && (of_name(dir, one, path) | of_name(other_dir, other, second)); \
    if (is_ours && (found = verdict(kind)) > 0) FAIL(found); \
    result = call; \
    if (is_ours && !result) note("%s\t%s\t%s\n", word, path, second); \
    return result;

int rename(const char *one, const char *other) {
    REAL(int, "rename", const char *, const char *);
    ON_NAMES('R', AT_FDCWD, one, AT_FDCWD, other, real(one, other), "R")
}
int renameat(int dir, const char *one, int other_dir, const char *other) {
    REAL(int, "renameat", int, const char *, int, const char *);
    ON_NAMES('R', dir, one, other_dir, other, real(dir, one, other_dir, other), "R")
}
int renameat2(int dir, const char *one, int other_dir, const char *other, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    ON_NAMES('R', dir, one, other_dir, other, real(dir, one, other_dir, other, flags),
             flags & RENAME_EXCHANGE ? "X" : "R")
}
int link(const char *one, const char *other) {
    REAL(int, "link", const char *, const char *);
    ON_NAMES('L', AT_FDCWD, one, AT_FDCWD, other, real(one, other), "L")
}
int linkat(int dir, const char *one, int other_dir, const char *other, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    ON_NAMES('L', dir, one, other_dir, other, real(dir, one, other_dir, other, flags), "L")
}

/* Opening, where it makes a file or empties one. */
static int opened(int fd, int flags, const char *path, int was_there) {
    if (fd >= 0 && !was_there) note("C\t%lu\t%s\n", inode(fd), path);
    else if (fd >= 0 && flags & O_TRUNC) note("W\t%lu\n", inode(fd));
    return fd;
}

#define ON_OPEN(dir, name, call) \
    char path[PATH_MAX]; \
    mode_t mode = 0; \
    int is_ours, found, was_there; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    } \
    is_ours = flags & (O_CREAT | O_TRUNC) && is_armed() && of_name(dir, name, path); \
    if (!is_ours) return call; \
    was_there = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK); \
    if ((found = verdict('C')) > 0) FAIL(found); \
    return opened(call, flags, path, was_there);

#define OPEN(name) \
int name(const char *file, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    ON_OPEN(AT_FDCWD, file, real(file, flags, mode)) \
}
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
int name(int dir, const char *file, int flags, ...) { \
    REAL(int, #name, int, const char *, int, ...); \
    ON_OPEN(dir, file, real(dir, file, flags, mode)) \
}
OPENAT(openat)
OPENAT(openat64)
