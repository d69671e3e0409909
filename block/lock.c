/*
 * lock.c - who uses an image: advisory locks that QEMU and its tools understand.
 *
 * QEMU's scheme (its block/file-posix.c): nobody locks data; for each permission a user has, it holds a shared OFD lock on byte
 * 100 + p, and for each it will not grant to others on byte 200 + p. Then it looks whether another one's locks contradict. We
 * read, or read and write and resize, and tolerate nobody else who writes; readers go together. OFD locks belong to the open file: they
 * go when the process dies,
 * however it dies.
 */
#include "block/internal.h"

#include <fcntl.h>

enum { PERM_READ = BIT(0), PERM_WRITE = BIT(1), PERM_RESIZE = BIT(3), PERMS = 5 };
enum { HAVE_BASE = 100, DENY_BASE = 200 };

static int lock_byte(int fd, int base, unsigned perm)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = base + (int)perm, .l_len = 1};

    if (!fcntl(fd, F_OFD_SETLK, &fl))
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

/* Does anybody else hold the byte? */
static int test_byte(int fd, int base, unsigned perm)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = base + (int)perm, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &fl))
        return -errno;
    return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

int lock_image(int fd, bool write)
{
    unsigned have = write ? PERM_READ | PERM_WRITE : PERM_READ, deny = PERM_WRITE | PERM_RESIZE;
    int rc = 0;

    for (unsigned p = 0; p < PERMS && !rc; p++) {
        if (have & BIT(p))
            rc = lock_byte(fd, HAVE_BASE, p);
        if (!rc && (deny & BIT(p)))
            rc = lock_byte(fd, DENY_BASE, p);
    }
    for (unsigned p = 0; p < PERMS && !rc; p++) {
        if (have & BIT(p))
            rc = test_byte(fd, DENY_BASE, p);
        if (!rc && (deny & BIT(p)))
            rc = test_byte(fd, HAVE_BASE, p);
    }
    return rc;
}
