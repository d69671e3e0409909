/*
 * fdc_core.h - what the files of the floppy controller share; fdc.h says which does what.
 */
#ifndef NOVT_DEVICES_FDC_CORE_H
#define NOVT_DEVICES_FDC_CORE_H

#include "devices/fdc.h"

enum {
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_READY_CHANGE = 0xc0,
    ST0_SEEK_END = 0x20,
    ST0_EQUIPMENT = 0x10
};
enum { ST1_END = 0x80, ST1_DATA = 0x20, ST1_NO_DATA = 0x04, ST1_PROTECTED = 0x02, ST1_NO_MARK = 0x01 };
enum { ST2_DELETED = 0x40, ST2_DATA = 0x20, ST2_CYLINDER = 0x10, ST2_EQUAL = 0x08, ST2_NOT_MET = 0x04 };
enum { CONFIG_IMPLIED_SEEK = 0x40, SPECIFY_NO_DMA = 0x01 };

/* fdc.c */
void fdc_raise(struct fdc *f);
void fdc_result(struct fdc *f, unsigned bytes);        /* fifo holds them */
struct fdc_drive *fdc_unit(struct fdc *f, unsigned n); /* NULL: not connected */
void fdc_step(struct fdc_drive *d, u8 track);
/* Ends a command with data: ST0-ST2 and where it stopped. Interrupts. */
void fdc_end(struct fdc *f, u8 st0, u8 st1, u8 st2);

/* fdc_transfer.c */
void fdc_transfer(struct fdc *f); /* READ, WRITE, VERIFY, READ TRACK and their like; the command is in fifo */
void fdc_format(struct fdc *f);
void fdc_go_on(void *opaque); /* the DMA channel may be free */
u8 fdc_pio_read(struct fdc *f);
void fdc_pio_write(struct fdc *f, u8 val);
/* Is the medium's ID field readable: is there one, at this rate, on this side? Else ends the command, false. */
bool fdc_has_ids(struct fdc *f, const struct fdc_drive *d);

/* fdc_media.c */
void fdc_look_at_medium(struct fdc_drive *d);
u8 fdc_type_of(const struct fdc_drive *d,
               unsigned kib); /* CMOS type; kib 0: what fits the medium. 0: no such drive */

#endif
