/*
 * probe.c - what the first bytes of a file say it is.
 *
 * Only to tell disk images in formats of their own from raw ones. A raw disk begins with boot code or zeros; none of these
 * signatures is either. Pure function of the bytes.
 */
#include "block/internal.h"

#include <string.h>

static const struct {
    const char *name;
    enum blk_format format;
    u32 at;
    u8 bytes;
    const char *magic;
} signatures[] = {
    {"qcow2", BLK_QCOW2, 0, 4, "QFI\xfb"},
    {"QED", BLK_QED, 0, 4, "QED\0"},
    {"VMDK", BLK_VMDK, 0, 4, "KDMV"},
    {"VMDK", BLK_VMDK, 0, 4, "COWD"},
    {"VMDK", BLK_VMDK, 0, 21, "# Disk DescriptorFile"},
    {"VHD", BLK_VPC, 0, 8, "conectix"},
    {"VHDX", BLK_VHDX, 0, 8, "vhdxfile"},
    {"VDI", BLK_VDI, 0x40, 4, "\x7f\x10\xda\xbe"},
    {"Parallels", BLK_PARALLELS, 0, 16, "WithoutFreeSpace"},
    {"Parallels", BLK_PARALLELS, 0, 16, "WithouFreSpacExt"},
    {"LUKS", BLK_PROBE, 0, 6, "LUKS\xba\xbe"},
    {"Bochs", BLK_PROBE, 0, 23, "Bochs Virtual HD Image\0"},
};

void probe_bytes(const u8 *first, size_t bytes, struct probe_result *out)
{
    *out = (struct probe_result){.name = "raw", .format = BLK_RAW};
    for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++)
        if (bytes >= signatures[i].at + signatures[i].bytes &&
            !memcmp(first + signatures[i].at, signatures[i].magic, signatures[i].bytes)) {
            out->name = signatures[i].name;
            out->format = signatures[i].format;
            out->container = true;
            return;
        }
}

const char *blk_format_name(enum blk_format format)
{
    static const char *const names[BLK_FORMATS] = {
        [BLK_RAW] = "raw", [BLK_QCOW2] = "qcow2", [BLK_QED] = "qed",   [BLK_VMDK] = "vmdk",
        [BLK_VDI] = "vdi", [BLK_VPC] = "vpc",     [BLK_VHDX] = "vhdx", [BLK_PARALLELS] = "parallels",
    };

    return format < BLK_FORMATS ? names[format] : NULL;
}
