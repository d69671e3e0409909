/*
 * loader_multiboot.c - multiboot-1 kernels (Multiboot Specification 0.6.96).
 *
 * The header lies 4-byte aligned in the first 8 KiB. It either gives load addresses itself or leaves them to
 * the file's ELF32 program headers. The kernel, its modules, their list and all strings become one run of
 * bytes that the boot ROM copies to the load address in one go; the information structure goes to low memory,
 * where the ROM adds the firmware's memory map. Planning is pure and trusts no field.
 */
#include "monitor/loader.h"

#include <stdlib.h>
#include <string.h>

#define MB_MAGIC 0x1badb002u
#define MB_SEARCH_BYTES 8192u
#define MB_HEADER_BYTES 12u
#define MB_HEADER_BYTES_ADDR 32u
#define MB_WANTS_MASK 0x0000ffffu  /* features the loader must have */
#define MB_WANTS_KNOWN 0x00000007u /* page-aligned modules, memory info, video mode (the field stays empty) */
#define MB_HAS_ADDRESSES 0x00010000u

#define INFO_MEM 0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODS 0x008u
#define INFO_LOADER_NAME 0x200u

#define ELF_MAGIC "\177ELF"
#define ELF_HEADER_BYTES 52u
#define ELF_PHDR_BYTES 32u
#define ELF_EM_386 3
#define ELF_PT_LOAD 1

/* Memory that kernels may be loaded to: not the BIOS data, the boot ROM's own and the information, not the adapter hole. */
#define LOW_FIRST 0x10000u
#define LOW_END 0x9f000u
#define HIGH_FIRST 0x100000u
#define HOLE_FIRST 0xa0000u /* up to HIGH_FIRST: screen and firmware; what is loaded there is lost */
#define RAM_TOP_RESERVED (256u << 10)

static const char loader_name[] = "NoVT";

static const char remedy_intact[] = "use an intact multiboot-1 kernel";

bool multiboot_recognise(const u8 *file, size_t bytes, u32 *header_off)
{
    size_t end = bytes < MB_SEARCH_BYTES ? bytes : MB_SEARCH_BYTES;

    for (size_t off = 0; off + MB_HEADER_BYTES <= end; off += 4)
        if (get_u32(file + off) == MB_MAGIC &&
            (u32)(MB_MAGIC + get_u32(file + off + 4) + get_u32(file + off + 8)) == 0) {
            *header_off = (u32)off;
            return true;
        }
    return false;
}

static int plan_addresses(const u8 *file, size_t bytes, struct multiboot_plan *plan, struct novt_error *err)
{
    u32 off = plan->header_off;
    const u8 *h = file + off;
    u32 header_gpa, load_gpa, load_end, bss_end;

    if (bytes - off < MB_HEADER_BYTES_ADDR)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                        "kernel: truncated inside its multiboot header");
    header_gpa = get_u32(h + 12);
    load_gpa = get_u32(h + 16);
    load_end = get_u32(h + 20);
    bss_end = get_u32(h + 24);
    if (header_gpa < load_gpa || header_gpa - load_gpa > off)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                        "kernel: multiboot header address %Xh does not fit load address %Xh", header_gpa,
                        load_gpa);
    plan->file_off = off - (header_gpa - load_gpa);
    plan->file_bytes = (u32)(bytes - plan->file_off);
    if (load_end) {
        if (load_end < load_gpa || load_end - load_gpa > plan->file_bytes)
            return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                            "kernel: truncated: the multiboot header announces bytes up to %Xh", load_end);
        plan->file_bytes = load_end - load_gpa;
    }
    plan->load_gpa = load_gpa;
    plan->end_gpa = load_gpa + plan->file_bytes;
    if (plan->end_gpa < load_gpa)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                        "kernel: multiboot load address %Xh wraps", load_gpa);
    if (bss_end > plan->end_gpa)
        plan->end_gpa = bss_end;
    plan->entry_gpa = get_u32(h + 28);
    return 0;
}

/* A program header's fields that matter (System V ABI, figure 5-1). */
struct segment {
    u32 off, vaddr, paddr, filesz, memsz;
};

/* False: it is not one to load. */
static bool read_segment(const u8 *ph, struct segment *s)
{
    *s = (struct segment){
        .off = get_u32(ph + 4),
        .vaddr = get_u32(ph + 8),
        .paddr = get_u32(ph + 12),
        .filesz = get_u32(ph + 16),
        .memsz = get_u32(ph + 20),
    };
    return get_u32(ph) == ELF_PT_LOAD && s->memsz;
}

/* Linkers like to put the file's headers into a page of their own in front of the code, for a kernel at 1 MiB where the firmware is: the
 * part in there is left out, as a PC's ROM would swallow it. False: nothing is left. */
static bool cut_hole(struct segment *s)
{
    u32 cut, of_file;

    if (s->paddr < HOLE_FIRST || s->paddr >= HIGH_FIRST)
        return true;
    cut = HIGH_FIRST - s->paddr;
    if (cut >= s->memsz)
        return false;
    of_file = cut < s->filesz ? cut : s->filesz;
    s->paddr += cut;
    s->memsz -= cut;
    s->off += of_file;
    s->filesz -= of_file;
    return true;
}

static int plan_elf(const u8 *file, size_t bytes, struct multiboot_plan *plan, struct novt_error *err)
{
    u32 phoff, phnum, entry, lo = UINT32_MAX, hi = 0;

    if (bytes < ELF_HEADER_BYTES || memcmp(file, ELF_MAGIC, 4) || file[4] != 1 || file[5] != 1 ||
        get_u16(file + 18) != ELF_EM_386)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC,
                        "link it as 32-bit ELF for i386, or give addresses in its header",
                        "kernel: has a multiboot header but is not an i386 ELF file");
    entry = get_u32(file + 24);
    phoff = get_u32(file + 28);
    phnum = get_u16(file + 44);
    if (get_u16(file + 42) != ELF_PHDR_BYTES || phoff > bytes || (u64)phnum * ELF_PHDR_BYTES > bytes - phoff)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                        "kernel: ELF program headers lie outside the file");
    plan->elf = true;
    plan->entry_gpa = entry;
    for (u32 i = 0; i < phnum; i++) {
        struct segment s;

        if (!read_segment(file + phoff + i * ELF_PHDR_BYTES, &s))
            continue;
        if (s.filesz > s.memsz || s.off > bytes || s.filesz > bytes - s.off || (u64)s.paddr + s.memsz > UINT32_MAX)
            return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                            "kernel: ELF segment %u reaches outside the file or the address space", i);
        /* Some kernels give a virtual entry address. */
        if (entry - s.vaddr < s.memsz)
            plan->entry_gpa = entry - s.vaddr + s.paddr;
        if (!cut_hole(&s))
            continue;
        if (s.paddr < lo)
            lo = s.paddr;
        if (s.paddr + s.memsz > hi)
            hi = s.paddr + s.memsz;
    }
    if (hi == 0)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy_intact,
                        "kernel: ELF file without anything to load");
    plan->load_gpa = lo;
    plan->end_gpa = hi;
    return 0;
}

int multiboot_plan_boot(const u8 *file, size_t bytes, u64 ram_bytes, struct multiboot_plan *out,
                        struct novt_error *err)
{
    u32 flags, wants;
    int rc;

    memset(out, 0, sizeof(*out));
    if (bytes > IMAGE_MAX_BYTES || !multiboot_recognise(file, bytes, &out->header_off))
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "use a bzImage (vmlinuz) or a multiboot-1 kernel",
                        "kernel: no multiboot header");
    flags = get_u32(file + out->header_off + 4);
    wants = flags & MB_WANTS_MASK & ~MB_WANTS_KNOWN;
    if (wants)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "build it for plain multiboot 1",
                        "kernel: its multiboot header requires unknown features %Xh", wants);
    rc = flags & MB_HAS_ADDRESSES ? plan_addresses(file, bytes, out, err) : plan_elf(file, bytes, out, err);
    if (rc)
        return rc;
    if (!(out->load_gpa >= LOW_FIRST && out->end_gpa <= LOW_END) && out->load_gpa < HIGH_FIRST)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "link it at 1 MiB or above",
                        "kernel: wants %Xh-%Xh, where the firmware is", out->load_gpa, out->end_gpa);
    if ((u64)out->end_gpa + RAM_TOP_RESERVED > ram_bytes)
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "give the machine more RAM with -m",
                        "%llu MiB of RAM do not hold this kernel, which ends at %Xh",
                        (unsigned long long)(ram_bytes >> 20), out->end_gpa);
    return 0;
}

void multiboot_place(const u8 *file, const struct multiboot_plan *plan, u8 *mem)
{
    u32 phoff, phnum;

    if (!plan->elf) {
        memcpy(mem, file + plan->file_off, plan->file_bytes);
        return;
    }
    phoff = get_u32(file + 28);
    phnum = get_u16(file + 44);
    for (u32 i = 0; i < phnum; i++) {
        struct segment s;

        if (read_segment(file + phoff + i * ELF_PHDR_BYTES, &s) && cut_hole(&s))
            memcpy(mem + (s.paddr - plan->load_gpa), file + s.off, s.filesz);
    }
}

/* Appends a string to the blob; returns its guest address. */
static u32 add_string(u8 *mem, u64 *at, u32 load_gpa, const char *s)
{
    u64 here = *at;
    size_t len = strlen(s) + 1;

    memcpy(mem + here, s, len);
    *at += len;
    return (u32)(load_gpa + here);
}

int multiboot_build(const u8 *file, const struct multiboot_plan *plan, const struct multiboot_module *mod,
                    unsigned mods, const char *cmdline, u64 ram_bytes, struct image_file *blob,
                    u8 info[MULTIBOOT_INFO_BYTES], struct novt_error *err)
{
    u64 at = align_up(plan->end_gpa, PAGE_BYTES) - plan->load_gpa, list;
    u64 total = at + mods * 16ull + strlen(cmdline) + 1 + sizeof(loader_name) + PAGE_BYTES;
    u8 *mem;

    for (unsigned i = 0; i < mods; i++)
        total += align_up(mod[i].bytes, PAGE_BYTES) + strlen(mod[i].args) + 1;
    if (plan->load_gpa + total + RAM_TOP_RESERVED > ram_bytes ||
        (plan->load_gpa < LOW_END && plan->load_gpa + total > LOW_END))
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "give the machine more RAM with -m, or fewer modules",
                        "the kernel and its modules do not fit into memory");
    mem = calloc(1, total);
    if (!mem)
        return mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host",
                        "no memory for the kernel image");
    multiboot_place(file, plan, mem);

    memset(info, 0, MULTIBOOT_INFO_BYTES);
    list = at;
    for (unsigned i = 0; i < mods; i++)
        list += align_up(mod[i].bytes, PAGE_BYTES);
    put_u32(info + 20, mods);
    put_u32(info + 24, (u32)(plan->load_gpa + list));
    {
        u64 strings = list + mods * 16ull;

        for (unsigned i = 0; i < mods; i++) {
            u8 *entry = mem + list + i * 16ull;

            if (mod[i].bytes)
                memcpy(mem + at, mod[i].data, mod[i].bytes);
            put_u32(entry, (u32)(plan->load_gpa + at));
            put_u32(entry + 4, (u32)(plan->load_gpa + at + mod[i].bytes));
            put_u32(entry + 8, add_string(mem, &strings, plan->load_gpa, mod[i].args));
            at += align_up(mod[i].bytes, PAGE_BYTES);
        }
        put_u32(info + 16, add_string(mem, &strings, plan->load_gpa, cmdline));
        put_u32(info + 64, add_string(mem, &strings, plan->load_gpa, loader_name));
        blob->bytes = strings;
    }
    blob->data = mem;
    put_u32(info, INFO_MEM | INFO_CMDLINE | INFO_LOADER_NAME | (mods ? INFO_MODS : 0));
    put_u32(info + 4, 639);
    put_u32(info + 8, (u32)((ram_bytes >> 10) - 1024));
    return 0;
}
