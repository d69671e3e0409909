/*
 * fwcfg.c - QEMU's fw_cfg at ports 510h (selector), 511h (data) and 514h (DMA); docs/specs/fw_cfg of QEMU.
 *
 * Items are read-only. Reading past the end of one, or one that is not there, gives zeros. A DMA command
 * is a 16-byte big-endian descriptor in guest memory whose address the guest writes, high half first:
 *
 *     u32 control: 31-16 key, 4 write, 3 select, 2 skip, 1 read, 0 error      u32 length      u64 address
 *
 * The control word is rewritten when done: 0, or the error bit.
 */
#include "devices/fwcfg.h"

#include <string.h>

enum { DMA_ERROR = 0x01, DMA_READ = 0x02, DMA_SKIP = 0x04, DMA_SELECT = 0x08, DMA_WRITE = 0x10 };
enum { ID_TRADITIONAL = 0x01, ID_DMA = 0x02 };
enum { KEY_WRITE = 0x4000 };

static void put_be32(u8 *p, u32 v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (u8)(v >> (24 - 8 * i));
}

static u64 get_be(const u8 *p, unsigned bytes)
{
    u64 v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_le(u8 *p, u64 v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (u8)(v >> (8 * i));
}

static void select_key(struct fwcfg *fw, u16 key)
{
    fw->key = key & (u16)~KEY_WRITE;
    fw->offset = 0;
}

/* Up to len bytes of the selected item from the current position; what lies beyond its end is not counted. */
static u32 available(const struct fwcfg *fw, const u8 **data)
{
    if (fw->key >= FWCFG_KEYS)
        return 0;
    const struct fwcfg_item *item = &fw->item[fw->key];
    if (fw->offset >= item->bytes)
        return 0;
    *data = (item->data ? item->data : item->value) + fw->offset;
    return item->bytes - fw->offset;
}

static void advance(struct fwcfg *fw, u32 bytes)
{
    fw->offset = (u32)min_u64((u64)fw->offset + bytes, UINT32_MAX);
}

static u8 next_byte(struct fwcfg *fw)
{
    const u8 *data = NULL;
    u8 v = available(fw, &data) ? *data : 0;
    advance(fw, 1);
    return v;
}

static int dma_out(const struct fwcfg *fw, u64 gpa, const void *buf, size_t len)
{
    return fw->mem.write ? fw->mem.write(fw->mem.opaque, gpa, buf, len) : -EFAULT;
}

/* 0 or -EFAULT. A destination that is not RAM ends it, so the work is bounded by the guest's memory. */
static int dma_read_item(struct fwcfg *fw, u64 gpa, u32 len)
{
    static const u8 zeros[PAGE_BYTES];
    const u8 *data = NULL;
    u32 have = (u32)min_u64(available(fw, &data), len), done = have;
    int err = have ? dma_out(fw, gpa, data, have) : 0;
    while (!err && done < len) {
        u32 piece = (u32)min_u64(len - done, sizeof(zeros));
        err = dma_out(fw, gpa + done, zeros, piece);
        done += piece;
    }
    advance(fw, len);
    return err;
}

static void dma_run(struct fwcfg *fw)
{
    u8 desc[16], done[4];
    u64 gpa = get_be(fw->dma_address, 8);
    memset(fw->dma_address, 0, sizeof(fw->dma_address));
    if (!fw->mem.read || fw->mem.read(fw->mem.opaque, gpa, desc, sizeof(desc)))
        return;
    u32 control = (u32)get_be(desc, 4), len = (u32)get_be(desc + 4, 4);
    u64 address = get_be(desc + 8, 8);
    int err = 0;
    if (control & DMA_SELECT)
        select_key(fw, (u16)(control >> 16));
    if (control & DMA_READ)
        err = dma_read_item(fw, address, len);
    else if (control & DMA_WRITE)
        err = -EFAULT; /* nothing is writable */
    else if (control & DMA_SKIP)
        advance(fw, len);
    put_be32(done, err ? DMA_ERROR : 0);
    (void)dma_out(fw, gpa, done, sizeof(done));
}

static u32 ctl_read(void *opaque, u32 offset, unsigned size)
{
    u32 v = 0;
    if (offset == 0 && size == 2)
        return 0; /* the selector is write-only */
    for (unsigned i = 0; i < size; i++)
        v |= (u32)next_byte(opaque) << (8 * i);
    return v;
}

static void ctl_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    if (offset == 0 && size == 2)
        select_key(opaque, (u16)val);
}

static u32 dma_port_read(void *opaque, u32 offset, unsigned size)
{
    static const char signature[] = "QEMU CFG";
    u32 v = 0;
    (void)opaque;
    for (unsigned i = 0; i < size; i++)
        v |= (u32)(u8)signature[(offset + i) & 7] << (8 * i);
    return v;
}

static void dma_port_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct fwcfg *fw = opaque;
    for (unsigned i = 0; i < size; i++)
        fw->dma_address[(offset + i) & 7] = (u8)(val >> (8 * i));
    if (offset + size == 8)
        dma_run(fw);
}

static const struct bus_ops ctl_ops = {.read = ctl_read, .write = ctl_write, .max_size = 2};
static const struct bus_ops dma_ops = {.read = dma_port_read, .write = dma_port_write, .max_size = 4};

void fwcfg_set_data(struct fwcfg *fw, unsigned key, const void *data, u32 bytes)
{
    ASSERT(key < FWCFG_KEYS);
    fw->item[key] = (struct fwcfg_item){.data = data, .bytes = data ? bytes : 0};
}

void fwcfg_set_int(struct fwcfg *fw, unsigned key, u64 value, unsigned bytes)
{
    ASSERT(key < FWCFG_KEYS && bytes <= 8);
    fw->item[key] = (struct fwcfg_item){.bytes = bytes};
    put_le(fw->item[key].value, value, bytes);
}

/* Directory: u32 count, then u32 size, u16 key, u16 0, char name[56], all big-endian. */
int fwcfg_add_file(struct fwcfg *fw, const char *name, const void *data, size_t bytes)
{
    if (!name || !*name || strlen(name) >= FWCFG_NAME_BYTES || bytes > UINT32_MAX)
        return -EINVAL;
    if (fw->files == FWCFG_FILES)
        return -ENOSPC;
    for (unsigned i = 0; i < fw->files; i++)
        if (!strcmp(fw->name[i], name))
            return -EEXIST;
    unsigned n = fw->files++, key = FWCFG_FILE_FIRST + n;
    memcpy(fw->name[n], name, strlen(name) + 1);
    fwcfg_set_data(fw, key, data, (u32)bytes);
    u8 *entry = fw->dir + 4 + n * 64;
    put_be32(fw->dir, fw->files);
    put_be32(entry, fw->item[key].bytes);
    put_be32(entry + 4, key << 16);
    memcpy(entry + 8, name, strlen(name));
    fwcfg_set_data(fw, FWCFG_FILE_DIR, fw->dir, 4 + fw->files * 64);
    return 0;
}

/* Entries: u64 address, u64 length, u32 type (1 = RAM). */
int fwcfg_add_e820(struct fwcfg *fw, u64 below, u64 above)
{
    const u64 base[2] = {0, 1ull << 32}, bytes[2] = {below, above};
    for (unsigned i = 0; i < 2; i++) {
        put_le(fw->e820 + 20 * i, base[i], 8);
        put_le(fw->e820 + 20 * i + 8, bytes[i], 8);
        put_le(fw->e820 + 20 * i + 16, 1, 4);
    }
    return fwcfg_add_file(fw, "etc/e820", fw->e820, above ? 40 : 20);
}

int fwcfg_init(struct fwcfg *fw, struct io_bus *io, const struct dma_mem *mem)
{
    memset(fw, 0, sizeof(*fw));
    fw->mem = *mem;
    fwcfg_set_data(fw, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_set_int(fw, FWCFG_ID, ID_TRADITIONAL | (mem->read && mem->write ? ID_DMA : 0), 4);
    fwcfg_set_data(fw, FWCFG_FILE_DIR, fw->dir, 4);
    fwcfg_set_int(fw, FWCFG_NB_CPUS, 1, 2);
    fwcfg_set_int(fw, FWCFG_MAX_CPUS, 1, 2);
    fwcfg_set_int(fw, FWCFG_BOOT_MENU, 0, 2);
    int err = io_bus_register(io, 0x510, 2, &ctl_ops, fw);
    if (!err)
        err = io_bus_register(io, 0x514, 8, &dma_ops, fw);
    return err;
}

void fwcfg_reset(struct fwcfg *fw)
{
    select_key(fw, 0);
    memset(fw->dma_address, 0, sizeof(fw->dma_address));
}
