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
    u32 at;
    u8 bytes;
    const char *magic;
} signatures[] = {
    {"qcow2", 0, 4, "QFI\xfb"},
    {"QED", 0, 4, "QED\0"},
    {"VMDK", 0, 4, "KDMV"},
    {"VMDK", 0, 4, "COWD"},
    {"VMDK", 0, 21, "# Disk DescriptorFile"},
    {"VHD", 0, 8, "conectix"},
    {"VHDX", 0, 8, "vhdxfile"},
    {"VDI", 0x40, 4, "\x7f\x10\xda\xbe"},
    {"Parallels", 0, 16, "WithoutFreeSpace"},
    {"Parallels", 0, 16, "WithouFreSpacExt"},
    {"LUKS", 0, 6, "LUKS\xba\xbe"},
    {"Bochs", 0, 23, "Bochs Virtual HD Image\0"},
};

void probe_bytes(const u8 *first, size_t bytes, struct probe_result *out)
{
    *out = (struct probe_result){.name = "raw"};
    for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++)
        if (bytes >= signatures[i].at + signatures[i].bytes &&
            !memcmp(first + signatures[i].at, signatures[i].magic, signatures[i].bytes)) {
            out->name = signatures[i].name;
            out->qcow2 = i == 0;
            out->container = true;
            return;
        }
}
