/*
 * firmware.c - finds the BIOS and the VGA BIOS, which are the distribution's, at run time.
 *
 * NoVT ships no firmware: SeaBIOS comes from Debian's package "seabios" or from wherever a QEMU
 * installation put it. A name is looked for in the caller's directory first, then in the usual ones.
 */
#include "monitor/loader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const firmware_dirs[] = {
    "/usr/share/seabios",       "/usr/share/qemu",       "/usr/share/qemu-kvm",
    "/usr/local/share/seabios", "/usr/local/share/qemu",
};

int firmware_find(const char *dir, const char *name, char *path, size_t bytes)
{
    if (strchr(name, '/')) {
        snprintf(path, bytes, "%s", name);
        return access(path, F_OK) == 0 ? 0 : -ENOENT;
    }
    if (dir) {
        snprintf(path, bytes, "%s/%s", dir, name);
        if (access(path, F_OK) == 0)
            return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(firmware_dirs); i++) {
        snprintf(path, bytes, "%s/%s", firmware_dirs[i], name);
        if (access(path, F_OK) == 0)
            return 0;
    }
    /* A bare name may also be a file of the current directory, as with QEMU. */
    snprintf(path, bytes, "%s", name);
    return access(path, F_OK) == 0 ? 0 : -ENOENT;
}

int firmware_read(const char *dir, const char *name, size_t max_bytes, bool optional, struct image_file *out,
                  struct novt_error *err)
{
    char path[4096];

    if (firmware_find(dir, name, path, sizeof(path))) {
        if (optional)
            return 0;
        return mon_fail(err, NOVT_ERR_HOST, -ENOENT,
                        "install Debian's package: apt-get install seabios; or give a file with -bios",
                        "firmware %s not found", name);
    }
    return image_read(path, "firmware", max_bytes, out, err);
}
