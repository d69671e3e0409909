/*
 * loader_linux.c - where a bzImage's parts go, by the Linux/x86 boot protocol.
 *
 * The file is setup sectors (real-mode code, with the header at 1F1h) and then the protected-mode part.
 * Planning patches the header as a boot loader must and places the pieces:
 *
 *   10000h setup and its heap and stack | 20000h command line | 100000h kernel | ... initrd | firmware's tables
 *
 * (zImage: setup at 90000h, kernel at 10000h.) The initrd goes as high as initrd_addr_max and the RAM allow.
 * Pure: bytes in, plan out. Every field is bounded against the file and the RAM before use.
 */
#include "monitor/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Setup header fields: offsets in the file. */
#define HDR_SETUP_SECTS 0x1f1
#define HDR_SYSSIZE 0x1f4
#define HDR_VID_MODE 0x1fa
#define HDR_BOOT_FLAG 0x1fe
#define HDR_MAGIC 0x202
#define HDR_VERSION 0x206
#define HDR_LOADER 0x210
#define HDR_LOADFLAGS 0x211
#define HDR_RAMDISK_IMAGE 0x218
#define HDR_RAMDISK_SIZE 0x21c
#define HDR_HEAP_END 0x224
#define HDR_CMDLINE_PTR 0x228
#define HDR_INITRD_MAX 0x22c
#define HDR_RELOCATABLE 0x234
#define HDR_CMDLINE_SIZE 0x238
#define HDR_SETUP_DATA 0x250
#define HDR_PREF_ADDRESS 0x258
#define HDR_INIT_SIZE 0x260
#define HDR_BYTES 0x268

#define LOADFLAG_HIGH 0x01
#define LOADFLAG_HEAP 0x80
#define LOADER_OTHER 0xff /* type_of_loader: no number assigned */

#define SETUP_SECTS_MAX 64u
#define SETUP_GPA_HIGH 0x10000u
#define CMDLINE_GPA_HIGH 0x20000u
#define KERNEL_GPA_HIGH 0x100000u
#define SETUP_GPA_LOW 0x90000u
#define CMDLINE_GPA_LOW 0x99000u
#define KERNEL_GPA_LOW 0x10000u
#define CMDLINE_MAX_BYTES 0x8000u
#define CMDLINE_MAX_BYTES_LOW 0x1000u /* below the extended BIOS data area */
#define CMDLINE_OLD_MAX 255u

/* What SeaBIOS keeps for its tables at the end of RAM. */
#define RAM_TOP_RESERVED (256u << 10)

bool linux_recognise(const u8 *file, size_t bytes)
{
    return bytes >= HDR_BYTES && get_u16(file + HDR_BOOT_FLAG) == 0xaa55 &&
           !memcmp(file + HDR_MAGIC, "HdrS", 4);
}

/* The boot loader's share of "vga=": it sits in the header, the kernel does not read it from the line. */
static void patch_video_mode(u8 *file, const char *cmdline)
{
    const char *at = strstr(cmdline, "vga=");
    unsigned long mode;

    if (!at || (at != cmdline && at[-1] != ' '))
        return;
    at += 4;
    if (!strncmp(at, "normal", 6))
        mode = 0xffff;
    else if (!strncmp(at, "ext", 3))
        mode = 0xfffe;
    else if (!strncmp(at, "ask", 3))
        mode = 0xfffd;
    else
        mode = strtoul(at, NULL, 0);
    put_u16(file + HDR_VID_MODE, (u32)mode);
}

static int check_parts(const u8 *file, size_t bytes, struct linux_plan *plan, struct novt_error *err)
{
    u32 sects = file[HDR_SETUP_SECTS] ? file[HDR_SETUP_SECTS] : 4;
    u32 version = get_u16(file + HDR_VERSION);
    u64 payload;

    if (sects > SETUP_SECTS_MAX)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "use an intact bzImage",
                        "kernel: the header claims %u setup sectors, more than %u", sects, SETUP_SECTS_MAX);
    plan->setup_bytes = (sects + 1) * 512;
    if (bytes <= plan->setup_bytes)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "copy the kernel file again",
                        "kernel: truncated: %zu bytes, but %u setup sectors", bytes, sects);
    if (bytes - plan->setup_bytes > UINT32_MAX / 2)
        return mon_fail(err, NOVT_ERR_IMAGE, -EFBIG, "use an intact bzImage",
                        "kernel: %zu bytes are too many", bytes);
    plan->kernel_bytes = (u32)(bytes - plan->setup_bytes);
    /* syssize counts 16-byte units, the last perhaps partly filled; only 16 bits before 2.04. */
    payload = version >= 0x204 ? (u64)get_u32(file + HDR_SYSSIZE) * 16 : 0;
    if (payload > (u64)plan->kernel_bytes + 15)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "copy the kernel file again",
                        "kernel: truncated: %u bytes of the %llu that its header announces",
                        plan->kernel_bytes, (unsigned long long)payload);
    return 0;
}

static int place_cmdline(u8 *file, const char *cmdline, struct linux_plan *plan, struct novt_error *err)
{
    u32 version = get_u16(file + HDR_VERSION);
    size_t room = plan->cmdline_gpa == CMDLINE_GPA_LOW ? CMDLINE_MAX_BYTES_LOW : CMDLINE_MAX_BYTES;
    size_t len = strlen(cmdline), max = CMDLINE_OLD_MAX;

    if (version >= 0x206)
        max = get_u32(file + HDR_CMDLINE_SIZE);
    if (max > room - 1)
        max = room - 1;
    if (len > max)
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "shorten -append",
                        "-append: %zu characters, this kernel takes %zu", len, max);
    if (version >= 0x202) {
        put_u32(file + HDR_CMDLINE_PTR, plan->cmdline_gpa);
    } else {
        put_u16(file + 0x20, 0xa33f);
        put_u16(file + 0x22, plan->cmdline_gpa - plan->setup_gpa);
    }
    if (version >= 0x201) {
        file[HDR_LOADFLAGS] |= LOADFLAG_HEAP;
        put_u16(file + HDR_HEAP_END, plan->cmdline_gpa - plan->setup_gpa - 0x200);
    }
    patch_video_mode(file, cmdline);
    return 0;
}

/* First address behind what the kernel uses before it reads the memory map. */
static u64 kernel_end(const u8 *file, const struct linux_plan *plan)
{
    u64 end = (u64)plan->kernel_gpa + plan->kernel_bytes;
    u64 run_at, run_end;

    if (get_u16(file + HDR_VERSION) < 0x20a)
        return end;
    run_at = get_u64(file + HDR_PREF_ADDRESS);
    if (run_at > UINT32_MAX)
        return end;
    if (file[HDR_RELOCATABLE] && plan->kernel_gpa > run_at)
        run_at = plan->kernel_gpa;
    run_end = run_at + get_u32(file + HDR_INIT_SIZE);
    return run_end > end ? run_end : end;
}

static int place_initrd(u8 *file, size_t initrd_bytes, u64 ram_bytes, struct linux_plan *plan,
                        struct novt_error *err)
{
    u64 top = ram_bytes > RAM_TOP_RESERVED ? ram_bytes - RAM_TOP_RESERVED : 0;
    u64 low = align_up(kernel_end(file, plan), PAGE_BYTES);
    u64 need = low + align_up(initrd_bytes, PAGE_BYTES), max = 0x37ffffff;
    char remedy[80];

    if (need > top) {
        snprintf(remedy, sizeof(remedy), "give the machine more: -m %lluM",
                 (unsigned long long)((need + RAM_TOP_RESERVED + (1 << 20) - 1) >> 20));
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, remedy, "%llu MiB of RAM do not hold this kernel%s",
                        (unsigned long long)(ram_bytes >> 20), initrd_bytes ? " and its initrd" : "");
    }
    if (!initrd_bytes)
        return 0;
    if (get_u16(file + HDR_VERSION) >= 0x203)
        max = get_u32(file + HDR_INITRD_MAX);
    if (max >= top)
        max = top - 1;
    if (max + 1 < need)
        return mon_fail(err, NOVT_ERR_IMAGE, -E2BIG, "use a smaller initrd",
                        "initrd: %zu bytes do not fit below the kernel's limit of %llXh", initrd_bytes,
                        (unsigned long long)max);
    plan->initrd_gpa = (u32)((max + 1 - initrd_bytes) & ~(u64)PAGE_MASK);
    put_u32(file + HDR_RAMDISK_IMAGE, plan->initrd_gpa);
    put_u32(file + HDR_RAMDISK_SIZE, (u32)initrd_bytes);
    return 0;
}

int linux_plan_boot(u8 *file, size_t bytes, size_t initrd_bytes, const char *cmdline, u64 ram_bytes,
                    struct linux_plan *out, struct novt_error *err)
{
    int rc;

    if (!linux_recognise(file, bytes) || get_u16(file + HDR_VERSION) < 0x200)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "use a bzImage (vmlinuz) or a multiboot kernel",
                        "kernel: not a Linux kernel with boot protocol 2.00 or later");
    memset(out, 0, sizeof(*out));
    rc = check_parts(file, bytes, out, err);
    if (rc)
        return rc;
    file[HDR_LOADER] = LOADER_OTHER;
    if (file[HDR_LOADFLAGS] & LOADFLAG_HIGH) {
        out->setup_gpa = SETUP_GPA_HIGH;
        out->cmdline_gpa = CMDLINE_GPA_HIGH;
        out->kernel_gpa = KERNEL_GPA_HIGH;
    } else {
        out->setup_gpa = SETUP_GPA_LOW;
        out->cmdline_gpa = CMDLINE_GPA_LOW;
        out->kernel_gpa = KERNEL_GPA_LOW;
        if (out->kernel_bytes > SETUP_GPA_LOW - KERNEL_GPA_LOW)
            return mon_fail(err, NOVT_ERR_IMAGE, -EFBIG, "use a bzImage",
                            "kernel: a zImage of %u bytes is too large", out->kernel_bytes);
    }
    rc = place_cmdline(file, cmdline, out, err);
    return rc ? rc : place_initrd(file, initrd_bytes, ram_bytes, out, err);
}

u32 linux_place_setup_data(u8 *file, const struct linux_plan *plan, size_t cmdline_chars, u32 bytes)
{
    u32 at = (u32)align_up(cmdline_chars + 1, 16);

    if (plan->cmdline_gpa != CMDLINE_GPA_HIGH || get_u16(file + HDR_VERSION) < 0x209 ||
        at + bytes > CMDLINE_MAX_BYTES)
        return 0;
    put_u32(file + HDR_SETUP_DATA, plan->cmdline_gpa + at);
    put_u32(file + HDR_SETUP_DATA + 4, 0);
    return at;
}
