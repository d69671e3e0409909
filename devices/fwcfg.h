/*
 * fwcfg.h - QEMU's firmware configuration device.
 */
#ifndef NOVT_DEVICES_FWCFG_H
#define NOVT_DEVICES_FWCFG_H

#include "devices/bus.h"

#define FWCFG_FILES 32
#define FWCFG_NAME_BYTES 56
#define FWCFG_FILE_FIRST 0x20
#define FWCFG_KEYS (FWCFG_FILE_FIRST + FWCFG_FILES)

struct fwcfg_item {
    const u8 *data; /* NULL: `value` in guest byte order */
    u32 bytes;
    u8 value[8];
};

struct fwcfg {
    struct fwcfg_item item[FWCFG_KEYS];
    char name[FWCFG_FILES][FWCFG_NAME_BYTES];
    unsigned files;
    u8 dir[4 + FWCFG_FILES * 64]; /* item 19h: the directory, big-endian */
    u8 e820[2 * 20];
    u16 key;
    u32 offset;
    u8 dma_address[8]; /* big-endian, as written */
    struct dma_mem mem;
};

int fwcfg_init(struct fwcfg *fw, struct io_bus *io, const struct dma_mem *mem) MUST_CHECK;
void fwcfg_reset(struct fwcfg *fw);

/* Memory of data stays the caller's. -ENOSPC, -EEXIST, -EINVAL (name too long, blob of 4 GiB or more). */
int fwcfg_add_file(struct fwcfg *fw, const char *name, const void *data, size_t bytes) MUST_CHECK;
/* Legacy selectors; keys beyond the table are our bug. */
void fwcfg_set_data(struct fwcfg *fw, unsigned key, const void *data, u32 bytes);
void fwcfg_set_int(struct fwcfg *fw, unsigned key, u64 value, unsigned bytes);
/* etc/e820: RAM below and above 4 GiB. */
int fwcfg_add_e820(struct fwcfg *fw, u64 below, u64 above) MUST_CHECK;

enum {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_UUID = 0x02,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_KERNEL_ADDR = 0x07,
    FWCFG_KERNEL_SIZE = 0x08,
    FWCFG_INITRD_ADDR = 0x0a,
    FWCFG_INITRD_SIZE = 0x0b,
    FWCFG_NUMA = 0x0d,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_KERNEL_ENTRY = 0x10,
    FWCFG_KERNEL_DATA = 0x11,
    FWCFG_INITRD_DATA = 0x12,
    FWCFG_CMDLINE_ADDR = 0x13,
    FWCFG_CMDLINE_SIZE = 0x14,
    FWCFG_CMDLINE_DATA = 0x15,
    FWCFG_SETUP_ADDR = 0x16,
    FWCFG_SETUP_SIZE = 0x17,
    FWCFG_SETUP_DATA = 0x18,
    FWCFG_FILE_DIR = 0x19,
};

#endif
