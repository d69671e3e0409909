/*
 * nbd.c - qcow2 images and those of other machines, read and written by a qemu-nbd process of our own through libnbd.
 *
 * QEMU's own code is the one that knows the formats best. The process gets a socket that already has its only client: it is made in a
 * private directory, connected, unlinked, and then handed over as systemd would (LISTEN_FDS), so nobody else can come in. It lives as
 * long as the connection: when we die, however we die, it closes the image and ends. What the guest flushed is on the disk by then.
 *
 * libnbd is loaded when the first such image is opened, so that a host without it runs everything else.
 */
#include "block/internal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_TRIES 3000 /* of 10 ms: how long qemu-nbd may take to close its image */

struct nbd_handle;

/* libnbd.so.0, whose ABI is stable. */
struct libnbd {
    struct nbd_handle *(*create)(void);
    void (*close)(struct nbd_handle *h);
    int (*connect_socket)(struct nbd_handle *h, int fd);
    int64_t (*get_size)(struct nbd_handle *h);
    int (*is_read_only)(struct nbd_handle *h);
    int (*pread)(struct nbd_handle *h, void *buf, size_t bytes, uint64_t at, uint32_t flags);
    int (*pwrite)(struct nbd_handle *h, const void *buf, size_t bytes, uint64_t at, uint32_t flags);
    int (*flush)(struct nbd_handle *h, uint32_t flags);
    int (*trim)(struct nbd_handle *h, uint64_t bytes, uint64_t at, uint32_t flags);
    int (*shutdown)(struct nbd_handle *h, uint32_t flags);
    const char *(*get_error)(void);
    int (*get_errno)(void);
};

struct nbd_image {
    struct blk_image image; /* first */
    struct libnbd lib;
    struct nbd_handle *h;
    pid_t pid; /* of qemu-nbd, 0: none */
    int flush_error;
    bool discard;
};

/* ---- the image ---- */

static int nbd_error(const struct nbd_image *nbd)
{
    return host_error(nbd->lib.get_errno());
}

static int nbd_read(struct blk_image *image, u64 at, void *buf, size_t bytes)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    return nbd->lib.pread(nbd->h, buf, bytes, at, 0) ? nbd_error(nbd) : 0;
}

static int nbd_write(struct blk_image *image, u64 at, const void *buf, size_t bytes)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    return nbd->lib.pwrite(nbd->h, buf, bytes, at, 0) ? nbd_error(nbd) : 0;
}

/* As for raw images: once a flush failed, nobody knows what is lost. */
static int nbd_flush(struct blk_image *image)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    if (!nbd->flush_error && nbd->lib.flush(nbd->h, 0))
        nbd->flush_error = nbd_error(nbd);
    return nbd->flush_error;
}

/* The process ends by itself when its client is gone; it must be gone before somebody opens the image again. */
static void wait_for_end(pid_t pid)
{
    for (unsigned i = 0; i < END_TRIES; i++) {
        if (waitpid(pid, NULL, WNOHANG))
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static int nbd_discard(struct blk_image *image, u64 at, u64 bytes)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    while (nbd->discard && bytes) {
        u64 part = min_u64(bytes, 1u << 30); /* a request's length has 32 bits */

        if (nbd->lib.trim(nbd->h, part, at, 0))
            return nbd_error(nbd);
        at += part;
        bytes -= part;
    }
    return 0;
}

static void nbd_close(struct blk_image *image)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    if (nbd->h) {
        nbd->lib.shutdown(nbd->h, 0);
        nbd->lib.close(nbd->h);
    }
    if (nbd->pid)
        wait_for_end(nbd->pid);
    free(nbd);
}

static const struct blk_ops nbd_ops = {.read = nbd_read, .write = nbd_write, .flush = nbd_flush, .discard = nbd_discard, .close = nbd_close};

/* ---- starting it ---- */

static bool load_library(struct libnbd *lib)
{
    static const struct {
        const char *name;
        size_t at;
    } symbols[] = {
        {"nbd_create", offsetof(struct libnbd, create)},
        {"nbd_close", offsetof(struct libnbd, close)},
        {"nbd_connect_socket", offsetof(struct libnbd, connect_socket)},
        {"nbd_get_size", offsetof(struct libnbd, get_size)},
        {"nbd_is_read_only", offsetof(struct libnbd, is_read_only)},
        {"nbd_pread", offsetof(struct libnbd, pread)},
        {"nbd_pwrite", offsetof(struct libnbd, pwrite)},
        {"nbd_flush", offsetof(struct libnbd, flush)},
        {"nbd_trim", offsetof(struct libnbd, trim)},
        {"nbd_shutdown", offsetof(struct libnbd, shutdown)},
        {"nbd_get_error", offsetof(struct libnbd, get_error)},
        {"nbd_get_errno", offsetof(struct libnbd, get_errno)},
    };
    void *so = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);

    for (unsigned i = 0; so && i < ARRAY_SIZE(symbols); i++) {
        void *symbol = dlsym(so, symbols[i].name);

        if (!symbol)
            return false;
        memcpy((u8 *)lib + symbols[i].at, &symbol, sizeof(symbol));
    }
    return so != NULL;
}

static bool find_program(const char *name, char *path, size_t bytes)
{
    const char *at = getenv("PATH");

    for (at = at ? at : "/usr/bin:/bin"; *at;) {
        size_t n = strcspn(at, ":");

        if (n && (size_t)snprintf(path, bytes, "%.*s/%s", (int)n, at, name) < bytes && !access(path, X_OK))
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

const char *blk_formats_lack(void)
{
    struct libnbd lib;
    char program[4096];

    if (!load_library(&lib))
        return "libnbd0 qemu-utils";
    return find_program("qemu-nbd", program, sizeof(program)) ? NULL : "qemu-utils";
}

/* A listening socket and the one connection to it; nothing of it is left in the file system. */
static int make_socket(int *listener, int *client)
{
    char dir[] = "/tmp/novt-XXXXXX";
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int rc = 0;

    *listener = *client = -1;
    if (!mkdtemp(dir))
        return -errno;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/nbd", dir);
    *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*listener < 0 || *client < 0 || bind(*listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(*listener, 1) ||
        connect(*client, (struct sockaddr *)&addr, sizeof(addr)))
        rc = -errno;
    unlink(addr.sun_path);
    rmdir(dir);
    return rc;
}

static const char *cache_name(enum blk_cache cache)
{
    static const char *const names[] = {[BLK_WRITEBACK] = "--cache=writeback",
                                        [BLK_WRITETHROUGH] = "--cache=writethrough",
                                        [BLK_DIRECT] = "--cache=none",
                                        [BLK_DIRECTSYNC] = "--cache=directsync",
                                        [BLK_UNSAFE] = "--cache=unsafe"};

    return names[cache];
}

/* In a session of its own: Ctrl-C in our terminal is for us to handle. The shell only puts in its process id. */
static int spawn(struct nbd_image *nbd, const char *program, const char *path, bool fat, enum blk_cache cache, int listener, int messages)
{
    char format[32];
    const char *argv[] = {"sh",           "-c",
                          "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"",
                          "sh",           program,
                          format, cache_name(cache),
                          nbd->image.read_only ? "--read-only" : nbd->discard ? "--discard=unmap" : "--discard=ignore",
                          "--",           path,
                          NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    if (fat) /* the path is a list of options */
        snprintf(format, sizeof(format), "--image-opts");
    else
        snprintf(format, sizeof(format), "--format=%s", blk_format_name(nbd->image.format));
    sigemptyset(&none);
    rc = posix_spawn_file_actions_init(&files);
    if (rc)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc) {
        posix_spawn_file_actions_destroy(&files);
        return -rc;
    }
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&files, 0, 1);
    posix_spawn_file_actions_adddup2(&files, messages, 2);
    posix_spawn_file_actions_adddup2(&files, listener, 3);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    rc = posix_spawn(&nbd->pid, "/bin/sh", &files, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (rc)
        nbd->pid = 0;
    return -rc;
}

/* What qemu-nbd said before it gave up, as one line. */
static int explain(int messages, const char *path, enum blk_format format, const char *otherwise, struct blk_error *err)
{
    char text[256] = "";
    const char *what = text;
    ssize_t n = pread(messages, text, sizeof(text) - 1, 0);
    bool lock, host;

    text[n > 0 ? n : 0] = 0;
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = p[1] ? ' ' : 0;
    if (!strncmp(what, "qemu-nbd: ", 10))
        what += 10;
    lock = strstr(text, " lock") != NULL;
    host = lock || strstr(text, "Permission denied") || strstr(text, "No such file") || strstr(text, "memory") || !text[0];
    if (lock)
        return blk_fail(err, false, -EAGAIN, "end the other program, or add snapshot=on to both, or readonly=on",
                        "%s is in use by another process (its lock is taken)", path);
    return blk_fail(err, !host, -EIO, "look at it with: qemu-img check IMAGE", "%s cannot be opened as %s: %.200s", path,
                    blk_format_name(format), text[0] ? what : otherwise);
}

/* Looks at the file as we would, for the clearer messages. */
static int check_access(struct nbd_image *nbd, const struct blk_source *source, struct blk_error *err)
{
    bool write = !source->read_only && !source->snapshot;
    u64 bytes;
    int fd, rc = host_open(source->path, write ? O_RDWR : O_RDONLY, &fd, &bytes, err);

    if (write && source->else_read_only && (rc == -EACCES || rc == -EROFS || rc == -EPERM)) {
        write = false;
        rc = host_open(source->path, O_RDONLY, &fd, &bytes, err);
    }
    if (!rc)
        close(fd);
    nbd->image.read_only = !write;
    return rc;
}

static int start(struct nbd_image *nbd, const struct blk_source *source, struct blk_error *err)
{
    char program[4096], *path = NULL;
    int listener = -1, client = -1, messages = -1, rc;
    bool fat = fat_is_one(source->path);

    if (!find_program("qemu-nbd", program, sizeof(program)))
        return blk_fail(err, false, -ENOENT, "apt-get install qemu-utils", "%s: a %s image needs qemu-nbd, which is not there",
                        source->path, blk_format_name(nbd->image.format));
    rc = fat ? fat_options(source, &path, &nbd->image.read_only, err) : check_access(nbd, source, err);
    if (rc)
        return rc;
    if (!fat)
        path = realpath(source->path, NULL); /* from the root: no name that QEMU would take for a protocol */
    messages = memfd_create("qemu-nbd", MFD_CLOEXEC);
    rc = path && messages >= 0 ? make_socket(&listener, &client) : -errno;
    if (!rc)
        rc = spawn(nbd, program, path, fat, source->cache, listener, messages);
    if (listener >= 0)
        close(listener); /* or we would wait for ourselves to answer */
    if (rc) {
        rc = blk_fail(err, false, rc, "free memory and descriptors on the host", "%s: qemu-nbd cannot be started: %s",
                      source->path, strerror(-rc));
        if (client >= 0)
            close(client);
    } else if (nbd->lib.connect_socket(nbd->h, client)) {
        /* It says why before it ends. */
        wait_for_end(nbd->pid);
        nbd->pid = 0;
        rc = explain(messages, source->path, nbd->image.format, nbd->lib.get_error(), err);
    }
    if (messages >= 0)
        close(messages);
    free(path);
    return rc;
}

int nbd_open(struct blk_image **out, const struct blk_source *source, enum blk_format format, struct blk_error *err)
{
    struct nbd_image *nbd = calloc(1, sizeof(*nbd));
    i64 bytes;
    int rc;

    *out = NULL;
    if (!nbd)
        return blk_fail(err, false, -ENOMEM, "free memory on the host", "%s: no memory", source->path);
    nbd->discard = source->discard;
    nbd->image.ops = &nbd_ops;
    nbd->image.format = format;
    if (!load_library(&nbd->lib)) {
        free(nbd);
        return blk_fail(err, false, -ENOENT, "apt-get install libnbd0 qemu-utils", "%s: a %s image needs libnbd, which is not there",
                        source->path, blk_format_name(format));
    }
    nbd->h = nbd->lib.create();
    if (!nbd->h) {
        free(nbd);
        return blk_fail(err, false, -ENOMEM, "free memory on the host", "%s: no memory for libnbd", source->path);
    }
    rc = start(nbd, source, err);
    if (rc)
        goto fail;
    bytes = nbd->lib.get_size(nbd->h);
    if (bytes < (i64)DISK_SECTOR_BYTES) {
        rc = blk_fail(err, true, -EINVAL, "make a disk with: qemu-img create -f qcow2 FILE 4G", "%s is empty", source->path);
        goto fail;
    }
    if (nbd->lib.is_read_only(nbd->h) && !nbd->image.read_only) {
        rc = blk_fail(err, false, -EROFS, "add snapshot=on or readonly=on", "%s cannot be written", source->path);
        goto fail;
    }
    nbd->image.bytes = (u64)bytes & ~(u64)(DISK_SECTOR_BYTES - 1);
    *out = &nbd->image;
    return 0;
fail:
    nbd_close(&nbd->image);
    return rc;
}
