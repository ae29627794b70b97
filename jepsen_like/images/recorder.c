/*
 * A preloaded library that writes down, in the order in which they happen, all calls that change
 * files under one directory: the data, the names, and the syncs. A lock is held over each call and
 * its record, so the log's order is the calls' order, whatever the threads do.
 *
 * IMAGES_DIR        the directory, as a path without links
 * IMAGES_LOG        the log to append to; raftkv's side is jepsen_like/images/stream.py
 * IMAGES_FAIL_SYNC  the number of the sync, from 1, that fails with EIO (absent: none). Nothing is
 *                   synced by it. A write through an O_DSYNC descriptor counts as a sync; its data
 *                   then stands in the page cache only, as in Linux.
 *
 * It keeps no table of descriptors: /proc says which file one is, fcntl how it was opened. That a
 * file is mapped to be written is recorded, the stores are not. Copies inside the kernel, links and
 * fallocate's modes end the process loudly. Whoever reads the log checks that it gives the files
 * that are there, so a call that was forgotten here is noticed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { MARK = 1, OPEN, WRITE, TRUNCATE, ALLOCATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC, MAP };
enum flag { CREATED = 1, EMPTIED = 2, DURABLE = 4, FAILED = 8, DIRECTORY = 16 };

struct record {
  uint8_t kind, flags;
  uint16_t path_size, other_size, zero;
  uint64_t inode, offset, data_size;
} __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static int log_fd = -1;
static long syncs, failing_sync;

static void die(const char *what) {
  dprintf(2, "recorder: %s\n", what);
  _exit(99);
}

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("IMAGES_DIR"), *log = getenv("IMAGES_LOG");
  if (!dir || !log) return;
  if (strlen(dir) >= sizeof directory) die("IMAGES_DIR is too long");
  strcpy(directory, dir);
  log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) die("cannot open IMAGES_LOG");
  if (getenv("IMAGES_FAIL_SYNC")) failing_sync = atol(getenv("IMAGES_FAIL_SYNC"));
}

static void put(const void *data, size_t size) {
  const char *at = data;
  while (size) {
    ssize_t n = syscall(SYS_write, log_fd, at, size);
    if (n <= 0) die("cannot write the log");
    at += n, size -= n;
  }
}

static void note(enum kind kind, int flags, const char *path, const char *other, uint64_t inode,
                 uint64_t offset, const void *data, size_t size) {
  struct record r = {kind, flags, path ? strlen(path) : 0, other ? strlen(other) : 0, 0,
                     inode, offset, size};
  put(&r, sizeof r);
  put(path, r.path_size);
  put(other, r.other_size);
  put(data, size);
}

static int inside(const char *path) {
  size_t n = strlen(directory);
  return log_fd >= 0 && !strncmp(path, directory, n) && (path[n] == '/' || !path[n]);
}

/* The path of a descriptor, if it is a file under the directory. */
static int path_of(int fd, char *path) {
  char link[64];
  if (log_fd < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return inside(path);
}

/* The absolute path of what a call names, if it is under the directory. */
static int resolve(int at, const char *name, char *path) {
  if (log_fd < 0 || !name) return 0;
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
  } else {
    char base[PATH_MAX];
    if (at == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return 0;
    } else if (!path_of(at, base)) {
      return 0;
    }
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) die("a path is too long");
  }
  return inside(path);
}

static uint64_t inode_of(int fd) {
  struct stat s;
  if (fstat(fd, &s)) die("fstat failed");
  return s.st_ino;
}

/* The number of this sync was asked to fail. */
static int sync_fails(void) { return ++syncs == failing_sync; }

void images_mark(const char *text) {
  pthread_mutex_lock(&lock);
  if (log_fd >= 0) note(MARK, 0, NULL, NULL, 0, 0, text, strlen(text));
  pthread_mutex_unlock(&lock);
}

/* --- names ------------------------------------------------------------------------------------ */

static int do_open(int at, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat s;
  if (!resolve(at, name, path)) return syscall(SYS_openat, at, name, flags, mode);
  if ((flags & O_TMPFILE) == O_TMPFILE) die("O_TMPFILE is not recorded");
  pthread_mutex_lock(&lock);
  int existed = !stat(path, &s);
  int fd = syscall(SYS_openat, at, name, flags, mode), error = errno;
  if (fd >= 0) {
    int did = (existed ? 0 : CREATED) | (existed && (flags & O_TRUNC) ? EMPTIED : 0) |
              (flags & O_DSYNC ? DURABLE : 0) | (flags & O_DIRECTORY ? DIRECTORY : 0);
    note(OPEN, did, path, NULL, inode_of(fd), 0, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define MODE_OF(flags)                              \
  mode_t mode = 0;                                  \
  if ((flags) & (O_CREAT | O_TMPFILE)) {            \
    va_list rest;                                   \
    va_start(rest, flags);                          \
    mode = va_arg(rest, mode_t);                    \
    va_end(rest);                                   \
  }

int open(const char *name, int flags, ...) {
  MODE_OF(flags)
  return do_open(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  MODE_OF(flags)
  return do_open(AT_FDCWD, name, flags, mode);
}
int openat(int at, const char *name, int flags, ...) {
  MODE_OF(flags)
  return do_open(at, name, flags, mode);
}
int openat64(int at, const char *name, int flags, ...) {
  MODE_OF(flags)
  return do_open(at, name, flags, mode);
}
int creat(const char *name, mode_t mode) {
  return do_open(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int renameat(int from, const char *old, int to, const char *new) {
  char a[PATH_MAX], b[PATH_MAX];
  int in_a = resolve(from, old, a), in_b = resolve(to, new, b);
  if (in_a != in_b) die("a rename into or out of the directory");
  pthread_mutex_lock(&lock);
  int result = syscall(SYS_renameat2, from, old, to, new, 0), error = errno;
  if (!result && in_a) note(RENAME, 0, a, b, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
int rename(const char *old, const char *new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }

int unlinkat(int at, const char *name, int flags) {
  char path[PATH_MAX];
  int in = resolve(at, name, path);
  pthread_mutex_lock(&lock);
  int result = syscall(SYS_unlinkat, at, name, flags), error = errno;
  if (!result && in) note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, path, NULL, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int at, const char *name, mode_t mode) {
  char path[PATH_MAX];
  int in = resolve(at, name, path);
  pthread_mutex_lock(&lock);
  int result = syscall(SYS_mkdirat, at, name, mode), error = errno;
  if (!result && in) note(MKDIR, 0, path, NULL, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
  char path[PATH_MAX];
  if (resolve(to, new, path)) die("links are not recorded");
  return syscall(SYS_linkat, from, old, to, new, flags);
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

/* --- data ------------------------------------------------------------------------------------- */

static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset,
                        int at_position) {
  char path[PATH_MAX];
  if (!path_of(fd, path)) {
    return at_position ? syscall(SYS_writev, fd, parts, count)
                       : syscall(SYS_pwritev, fd, parts, count, offset, 0);
  }
  pthread_mutex_lock(&lock);
  ssize_t n = at_position ? syscall(SYS_writev, fd, parts, count)
                          : syscall(SYS_pwritev, fd, parts, count, offset, 0);
  int error = errno;
  if (n > 0) {
    if (at_position) offset = lseek(fd, 0, SEEK_CUR) - n;
    char *data = malloc(n);
    if (!data) die("out of memory");
    size_t done = 0;
    for (int i = 0; i < count && done < (size_t)n; i++) {
      size_t piece = parts[i].iov_len;
      if (piece > n - done) piece = n - done;
      memcpy(data + done, parts[i].iov_base, piece);
      done += piece;
    }
    int durable = fcntl(fd, F_GETFL) & O_DSYNC, fails = durable && sync_fails();
    note(WRITE, fails ? FAILED : durable ? DURABLE : 0, path, NULL, inode_of(fd), offset, data, n);
    free(data);
    if (fails) n = -1, error = EIO;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return n;
}

ssize_t write(int fd, const void *data, size_t size) {
  struct iovec part = {(void *)data, size};
  return do_write(fd, &part, 1, 0, 1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return do_write(fd, parts, count, 0, 1);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
  struct iovec part = {(void *)data, size};
  return do_write(fd, &part, 1, offset, 0);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return do_write(fd, parts, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
  return do_write(fd, parts, count, offset, 0);
}

static int do_resize(int fd, enum kind kind, off_t end, int mode, off_t offset, off_t size) {
  char path[PATH_MAX];
  int in = path_of(fd, path);
  if (in && kind == ALLOCATE && mode) die("fallocate with a mode is not recorded");
  pthread_mutex_lock(&lock);
  int result = kind == TRUNCATE ? syscall(SYS_ftruncate, fd, end)
                                : syscall(SYS_fallocate, fd, mode, offset, size);
  int error = errno;
  if (!result && in) note(kind, 0, path, NULL, inode_of(fd), end, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate64(int fd, off_t size) { return do_resize(fd, TRUNCATE, size, 0, 0, 0); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int fallocate64(int fd, int mode, off_t offset, off_t size) {
  return do_resize(fd, ALLOCATE, offset + size, mode, offset, size);
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  return fallocate64(fd, mode, offset, size);
}
int posix_fallocate64(int fd, off_t offset, off_t size) {
  return fallocate64(fd, 0, offset, size) ? errno : 0;
}
int posix_fallocate(int fd, off_t offset, off_t size) {
  return posix_fallocate64(fd, offset, size);
}

static int do_sync(int fd, long call) {
  char path[PATH_MAX];
  struct stat s;
  if (!path_of(fd, path)) return syscall(call, fd);
  pthread_mutex_lock(&lock);
  int fails = sync_fails(), result = fails ? -1 : syscall(call, fd), error = fails ? EIO : errno;
  if (fstat(fd, &s)) die("fstat failed");
  int flags = (result ? FAILED : 0) | (S_ISDIR(s.st_mode) ? DIRECTORY : 0);
  note(SYNC, flags, path, NULL, s.st_ino, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

/* --- what cannot be seen ---------------------------------------------------------------------- */

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  char path[PATH_MAX];
  if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && path_of(fd, path)) {
    pthread_mutex_lock(&lock);
    note(MAP, 0, path, NULL, inode_of(fd), 0, NULL, 0);
    pthread_mutex_unlock(&lock);
  }
  return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, size, protection, flags, fd, offset);
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t size) {
  char path[PATH_MAX];
  if (path_of(to, path)) die("sendfile is not recorded");
  return syscall(SYS_sendfile, to, from, offset, size);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
  return sendfile64(to, from, offset, size);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size,
                        unsigned flags) {
  char path[PATH_MAX];
  if (path_of(to, path)) die("copy_file_range is not recorded");
  return syscall(SYS_copy_file_range, from, from_at, to, to_at, size, flags);
}
