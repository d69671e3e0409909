/*
 * smbios.h - the tables in which a PC says who made it, for fw_cfg's "etc/smbios/smbios-tables" and "smbios-anchor".
 *
 * The firmware copies them to where systems look, and puts its own type 0 before them.
 */
#ifndef NOVT_DEVICES_SMBIOS_H
#define NOVT_DEVICES_SMBIOS_H

#include "devices/devices.h"

#define SMBIOS_BYTES 6144
#define SMBIOS_ANCHOR_BYTES 31

struct smbios {
    u8 table[SMBIOS_BYTES];
    u8 anchor[SMBIOS_ANCHOR_BYTES];
    size_t bytes;
    unsigned structures, longest;
};

/* -EINVAL: a text for a field that is not there, or not a number where one is needed; -E2BIG: too much text. */
int smbios_build(struct smbios *s, const struct pc_config *config) MUST_CHECK;

#endif
