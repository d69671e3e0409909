/*
 * loader.c - reads the images and makes them into what fw_cfg offers the boot ROM.
 *
 * The order of events at run time: SeaBIOS runs our option ROM's boot entry, the ROM copies each part by
 * DMA to the addresses planned here and jumps. Nothing is put into guest RAM by the VMM itself, so a reset
 * of the machine boots the same kernel again.
 *
 * Guarantees: every failure is one cause and one remedy; nothing stays allocated after a failure.
 */
#include "monitor/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* From rom/boot.S. */
extern const unsigned char rom_boot[];
extern const unsigned int rom_boot_bytes;

#define BOOT_ROM_NAME "genroms/novt-boot.rom"
#define MODULES_MAX 32

int mon_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy, const char *fmt,
             ...)
{
    va_list ap;

    if (err) {
        err->kind = kind;
        va_start(ap, fmt);
        vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
        va_end(ap);
        snprintf(err->remedy, sizeof(err->remedy), "%s", remedy ? remedy : "");
    }
    return rc;
}

static int read_all(int fd, u8 *data, size_t bytes)
{
    size_t at = 0;

    while (at < bytes) {
        ssize_t n = read(fd, data + at, bytes - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

static const char *open_remedy(int rc)
{
    return rc == -ENOENT ? "check the path" : rc == -EACCES ? "make it readable" : NULL;
}

int image_read(const char *path, const char *what, size_t max_bytes, struct image_file *out,
               struct novt_error *err)
{
    struct stat st;
    u8 *data = NULL;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = mon_fail(err, NOVT_ERR_IMAGE, -errno, open_remedy(-errno), "%s: cannot open %s: %s", what, path,
                      strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc =
            mon_fail(err, NOVT_ERR_IMAGE, -EINVAL, "give a regular file", "%s: %s is not a file", what, path);
        goto out;
    }
    if (st.st_size == 0) {
        rc = mon_fail(err, NOVT_ERR_IMAGE, -ENODATA, "copy the file again", "%s: %s is empty", what, path);
        goto out;
    }
    if ((u64)st.st_size > max_bytes) {
        rc = mon_fail(err, NOVT_ERR_IMAGE, -EFBIG, "check that it is the right file",
                      "%s: %s is too large: %lld bytes, at most %zu", what, path, (long long)st.st_size,
                      max_bytes);
        goto out;
    }
    data = malloc((size_t)st.st_size);
    if (!data) {
        rc = mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host", "%s: no memory for %lld bytes",
                      what, (long long)st.st_size);
        goto out;
    }
    rc = read_all(fd, data, (size_t)st.st_size);
    if (rc) {
        rc = mon_fail(err, NOVT_ERR_IMAGE, rc, "copy the file again", "%s: cannot read %s: %s", what, path,
                      strerror(-rc));
        goto out;
    }
    out->data = data;
    out->bytes = (size_t)st.st_size;
    data = NULL;
out:
    free(data);
    if (fd >= 0)
        close(fd);
    return rc;
}

int loader_finish_rom(const u8 *code, size_t bytes, struct image_file *out)
{
    size_t padded = align_up(bytes + 1, 512);
    u8 sum = 0;

    if (bytes < 0x1a || padded > 255 * 512)
        return -EINVAL;
    out->data = calloc(1, padded);
    if (!out->data)
        return -ENOMEM;
    out->bytes = padded;
    memcpy(out->data, code, bytes);
    out->data[2] = (u8)(padded / 512);
    for (size_t i = 0; i < padded; i++)
        sum = (u8)(sum + out->data[i]);
    out->data[padded - 1] = (u8)(0 - sum);
    return 0;
}

/* struct setup_data: next, type, length, then the bytes (Documentation/arch/x86/boot.rst, "setup_data"). */
#define SETUP_DATA_TYPE 8
#define SETUP_DATA_LEN 12
#define SETUP_DATA_HEAD 16
#define SETUP_RNG_SEED 9u

/* Without a seed a kernel that is asked for random numbers first gathers them for a second from the jitter of its own timing. */
static int add_seed(struct loader_image *image, const struct linux_plan *plan)
{
    size_t chars = strlen(image->cmdline);
    u32 bytes = SETUP_DATA_HEAD + LOADER_SEED_BYTES,
        at = linux_place_setup_data(image->kernel.data, plan, chars, bytes);
    char *text;

    if (!at)
        return 0;
    text = calloc(1, at + bytes);
    if (!text)
        return -ENOMEM;
    memcpy(text, image->cmdline, chars);
    free(image->cmdline);
    image->cmdline = text;
    put_u32((u8 *)text + at + SETUP_DATA_LEN, LOADER_SEED_BYTES);
    image->seed = (u8 *)text + at + SETUP_DATA_HEAD;
    image->linux_boot.cmdline_bytes = at + bytes;
    loader_reseed(image);
    return 0;
}

void loader_reseed(struct loader_image *image)
{
    if (!image->seed)
        return;
    bool whole = getrandom(image->seed, LOADER_SEED_BYTES, GRND_NONBLOCK) == LOADER_SEED_BYTES;
    /* Type 0 means nothing: the guest believes whatever is called a seed. */
    put_u32(image->seed - SETUP_DATA_HEAD + SETUP_DATA_TYPE, whole ? SETUP_RNG_SEED : 0);
}

static int load_linux(struct loader_image *image, const struct loader_args *args, struct novt_error *err)
{
    struct pc_linux *boot = &image->linux_boot;
    struct linux_plan plan;
    const char *defect;
    int rc;

    if (args->initrd) {
        rc = image_read(args->initrd, "initrd", IMAGE_MAX_BYTES, &image->initrd, err);
        if (rc)
            return rc;
        defect = initrd_defect(image->initrd.data, image->initrd.bytes);
        if (defect)
            return mon_fail(err, NOVT_ERR_IMAGE, -EINVAL, "make or copy the initrd again", "initrd: %s: %s",
                            args->initrd, defect);
    }
    rc = linux_plan_boot(image->kernel.data, image->kernel.bytes, image->initrd.bytes, image->cmdline,
                         args->ram_bytes, &plan, err);
    if (rc)
        return rc;
    boot->setup = image->kernel.data;
    boot->setup_bytes = plan.setup_bytes;
    boot->setup_gpa = plan.setup_gpa;
    boot->kernel = image->kernel.data + plan.setup_bytes;
    boot->kernel_bytes = plan.kernel_bytes;
    boot->kernel_gpa = plan.kernel_gpa;
    boot->initrd = image->initrd.data;
    boot->initrd_bytes = image->initrd.bytes;
    boot->initrd_gpa = plan.initrd_gpa;
    boot->cmdline_gpa = plan.cmdline_gpa;
    rc = add_seed(image, &plan);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "free memory on the host", "no memory for the command line");
    boot->cmdline = image->cmdline;
    return 0;
}

/* "file args,file2 args" into modules; text is cut up in place. */
static int read_modules(char *text, struct multiboot_module *mod, struct image_file *file, unsigned *count,
                        struct novt_error *err)
{
    char *next;

    for (*count = 0; text; text = next) {
        char *space, path[4096];
        int rc;

        next = strchr(text, ',');
        if (next)
            *next++ = 0;
        if (*count == MODULES_MAX)
            return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "give fewer modules",
                            "-initrd: more than %d modules", MODULES_MAX);
        space = strchr(text, ' ');
        snprintf(path, sizeof(path), "%.*s", space ? (int)(space - text) : (int)strlen(text), text);
        rc = image_read(path, "module", IMAGE_MAX_BYTES, &file[*count], err);
        if (rc)
            return rc;
        mod[*count] = (struct multiboot_module){file[*count].data, file[*count].bytes, text};
        ++*count;
    }
    return 0;
}

static int load_multiboot(struct loader_image *image, const struct loader_args *args, struct novt_error *err)
{
    struct multiboot_module mod[MODULES_MAX];
    struct image_file file[MODULES_MAX] = {0}, blob = {0};
    struct multiboot_plan plan;
    char *modules = NULL, *cmdline = NULL;
    unsigned count = 0;
    int rc = multiboot_plan_boot(image->kernel.data, image->kernel.bytes, args->ram_bytes, &plan, err);

    if (rc)
        return rc;
    if (asprintf(&cmdline, "%s%s%s", args->kernel, image->cmdline[0] ? " " : "", image->cmdline) < 0)
        cmdline = NULL;
    modules = args->initrd ? strdup(args->initrd) : NULL;
    if (!cmdline || (args->initrd && !modules)) {
        rc = mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host",
                      "no memory for the kernel's strings");
        goto out;
    }
    rc = read_modules(modules, mod, file, &count, err);
    if (rc)
        goto out;
    rc = multiboot_build(image->kernel.data, &plan, mod, count, cmdline, args->ram_bytes, &blob,
                         image->multiboot_info, err);
    if (rc)
        goto out;
    free(image->kernel.data);
    image->kernel = blob;
    image->linux_boot = (struct pc_linux){
        .kernel = blob.data,
        .kernel_bytes = blob.bytes,
        .kernel_gpa = plan.load_gpa,
        .initrd = image->multiboot_info,
        .initrd_bytes = MULTIBOOT_INFO_BYTES,
        .initrd_gpa = MULTIBOOT_INFO_GPA,
        .entry_gpa = plan.entry_gpa,
    };
out:
    for (unsigned i = 0; i < MODULES_MAX; i++)
        free(file[i].data);
    free(modules);
    free(cmdline);
    return rc;
}

int loader_load(struct loader_image *out, const struct loader_args *args, struct novt_error *err)
{
    static const char bootorder[] = "/rom@" BOOT_ROM_NAME "\n";
    u32 header_off;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = image_read(args->kernel, "kernel", IMAGE_MAX_BYTES, &out->kernel, err);
    if (rc)
        return rc;
    out->cmdline = strdup(args->append ? args->append : "");
    if (!out->cmdline || loader_finish_rom(rom_boot, rom_boot_bytes, &out->rom)) {
        rc = mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host", "no memory for the boot ROM");
        goto fail;
    }
    if (linux_recognise(out->kernel.data, out->kernel.bytes))
        rc = load_linux(out, args, err);
    else if (multiboot_recognise(out->kernel.data, out->kernel.bytes, &header_off))
        rc = load_multiboot(out, args, err);
    else
        rc = mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "give a Linux bzImage (vmlinuz) or a multiboot-1 kernel",
                      "kernel: %s is not a kernel", args->kernel);
    if (rc)
        goto fail;
    out->blob[0] = (struct pc_blob){BOOT_ROM_NAME, out->rom.data, out->rom.bytes};
    out->blob[1] = (struct pc_blob){"bootorder", bootorder, sizeof(bootorder)};
    return 0;
fail:
    loader_free(out);
    return rc;
}

void loader_free(struct loader_image *image)
{
    free(image->kernel.data);
    free(image->initrd.data);
    free(image->rom.data);
    free(image->cmdline);
    memset(image, 0, sizeof(*image));
}
