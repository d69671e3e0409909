/*
 * loader.h - kernel images become what the boot ROM copies (internal to the monitor).
 *
 * loader_load() reads the files named on the command line, checks them and plans where each part goes;
 * the result is what the machine's fw_cfg offers to monitor/rom/boot.S. The planning functions work on
 * bytes alone and treat them as hostile: every offset and size in a header is checked before use.
 */
#ifndef NOVT_LOADER_H
#define NOVT_LOADER_H

#include "base.h"
#include "devices/devices.h"
#include "include/novt.h"

/* Fills *err (may be NULL) and returns rc, which is a -errno. remedy may be NULL. */
int mon_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy, const char *fmt,
             ...) PRINTF_LIKE(5, 6);

/* A file's bytes, on the heap. */
struct image_file {
    u8 *data;
    size_t bytes;
};

#define IMAGE_MAX_BYTES (2ull << 30)

/* Reads a regular file. `what` names it in messages ("kernel"). kind: whose fault a missing file is. */
int image_read(const char *path, const char *what, size_t max_bytes, struct image_file *out,
               struct novt_error *err) MUST_CHECK;

/* Where a Linux kernel's parts go. Linux/x86 boot protocol 2.00 and later (Documentation/arch/x86/boot.rst). */
struct linux_plan {
    u32 setup_bytes;  /* real-mode part: the first bytes of the file */
    u32 kernel_bytes; /* protected-mode part: what follows */
    u32 setup_gpa, kernel_gpa, cmdline_gpa, initrd_gpa;
};

/* Is it a bzImage (or zImage) at all? */
bool linux_recognise(const u8 *file, size_t bytes);
/* Plans, and patches the setup header in `file`. */
int linux_plan_boot(u8 *file, size_t bytes, size_t initrd_bytes, const char *cmdline, u64 ram_bytes,
                    struct linux_plan *out, struct novt_error *err) MUST_CHECK;

/* Kernels from protocol 2.09 on (2008) take a list of struct setup_data: patches the header to point behind the command line and returns
 * that place as an offset from the command line's start; 0: this kernel takes none, or there is no room for `bytes`. */
u32 linux_place_setup_data(u8 *file, const struct linux_plan *plan, size_t cmdline_chars, u32 bytes);

/* A multiboot-1 kernel: where and what. Multiboot Specification 0.6.96. */
struct multiboot_plan {
    bool elf;
    u32 header_off;
    u32 load_gpa; /* lowest address */
    u32 end_gpa;  /* behind the last byte, bss included */
    u32 entry_gpa;
    u32 file_off, file_bytes; /* address fields in the header only: what to copy to load_gpa */
};

bool multiboot_recognise(const u8 *file, size_t bytes, u32 *header_off);
int multiboot_plan_boot(const u8 *file, size_t bytes, u64 ram_bytes, struct multiboot_plan *out,
                        struct novt_error *err) MUST_CHECK;
/* Copies the parts of the image to mem, which stands for [load_gpa, end_gpa) and is zero. */
void multiboot_place(const u8 *file, const struct multiboot_plan *plan, u8 *mem);

#define MULTIBOOT_INFO_GPA 0x8000u /* rom/boot.S wants it in the first 64 KiB */
#define MULTIBOOT_INFO_BYTES 0x80u /* the memory map follows, see MBI_MMAP_OFF there */

struct multiboot_module {
    const u8 *data;
    size_t bytes;
    const char *args;
};
/* Kernel, modules, their list and strings as one run of bytes for load_gpa, and the information structure. *blob is
 * the caller's to free. */
int multiboot_build(const u8 *file, const struct multiboot_plan *plan, const struct multiboot_module *mod,
                    unsigned mods, const char *cmdline, u64 ram_bytes, struct image_file *blob,
                    u8 info[MULTIBOOT_INFO_BYTES], struct novt_error *err) MUST_CHECK;

/* Is the initramfs whole? Cheap for what has lengths or a trailer (cpio, xz, zstd, lz4, bzip2); gzip is decoded without
 * keeping the output. NULL, or what is wrong with it. Unknown formats pass: the kernel may know them. */
const char *initrd_defect(const u8 *data, size_t bytes);
/* Bytes of the gzip member at data, 0 if it is truncated or damaged. */
size_t gzip_member_bytes(const u8 *data, size_t bytes);

/* Everything that fw_cfg must offer to boot the kernel. Blobs point into the image itself. */
#define LOADER_BLOBS 2
struct loader_image {
    struct pc_linux linux_boot;
    struct pc_blob blob[LOADER_BLOBS]; /* boot ROM, bootorder */
    struct image_file kernel, initrd, rom;
    u8 multiboot_info[MULTIBOOT_INFO_BYTES];
    char *cmdline;
    u8 *seed; /* LOADER_SEED_BYTES for the guest's random numbers, behind cmdline; NULL: none */
};
#define LOADER_SEED_BYTES 32u

struct loader_args {
    const char *kernel, *initrd, *append;
    u64 ram_bytes;
};

int loader_load(struct loader_image *out, const struct loader_args *args, struct novt_error *err) MUST_CHECK;
void loader_free(struct loader_image *image);
/* Another seed: before each start of the kernel, so that no two see the same. */
void loader_reseed(struct loader_image *image);

/* ROM image: pads to 512 bytes, sets size byte and checksum. */
int loader_finish_rom(const u8 *code, size_t bytes, struct image_file *out) MUST_CHECK;

/* Firmware: a name with a slash is a path; any other is looked for in `dir` (may be NULL) and then in the usual
 * directories. optional: a missing file gives 0 with out->data NULL. */
int firmware_read(const char *dir, const char *name, size_t max_bytes, bool optional, struct image_file *out,
                  struct novt_error *err) MUST_CHECK;
/* Where that is: writes the path. 0 or -ENOENT. */
int firmware_find(const char *dir, const char *name, char *path, size_t bytes) MUST_CHECK;

/* Little-endian fields of an image; the caller has checked the offset. */
static inline u32 get_u16(const u8 *p)
{
    return p[0] | (u32)p[1] << 8;
}

static inline u32 get_u32(const u8 *p)
{
    return get_u16(p) | get_u16(p + 2) << 16;
}

static inline u64 get_u64(const u8 *p)
{
    return get_u32(p) | (u64)get_u32(p + 4) << 32;
}

static inline void put_u16(u8 *p, u32 v)
{
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
}

static inline void put_u32(u8 *p, u32 v)
{
    put_u16(p, v);
    put_u16(p + 2, v >> 16);
}

#endif
