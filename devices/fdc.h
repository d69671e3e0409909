/*
 * fdc.h - the 82077AA floppy controller of a PC: ports 3F0h-3F5h and 3F7h, interrupt 6, DMA channel 2, two drives.
 *
 * fdc.c holds registers and commands, fdc_transfer.c moves sectors, fdc_media.c knows the formats. Time is not modelled: heads are
 * where they are sent at once, data takes what the back end takes. One request is in flight at a time; a reset waits for it with
 * RQM down. Source: Intel 82077AA data sheet; rates and formats per medium as in QEMU.
 */
#ifndef NOVT_DEVICES_FDC_H
#define NOVT_DEVICES_FDC_H

#include "devices/devices.h"
#include "devices/i8237.h"

#define FDC_BUF_SECTORS 96u /* both sides of the densest track */
#define FDC_COMMAND_BYTES 16u
#define FDC_COUNT_MAX 512u /* sectors that VERIFY or FORMAT counts: two sides of a track of 255 */
#define FDC_DMA_CHANNEL 2u

enum fdc_phase {
    FDC_COMMAND, /* the guest writes a command, byte by byte */
    FDC_WORKING, /* the back end */
    FDC_DMA,     /* data or room for it is there: the DMA channel */
    FDC_PIO,     /* the same, by the data register */
    FDC_RESULT,  /* the guest reads it */
};

/* What lies in a drive. */
struct fdc_medium {
    u8 tracks, heads, spt; /* all 0: nothing, or nothing readable */
    u8 rate;               /* 0 500, 1 300, 2 250, 3 1000 kbit/s */
    bool any_low_rate;     /* 300 or 250: the drive turns at either speed */
    bool read_only;
};

struct fdc_drive {
    struct fdc *fdc;
    bool present;
    struct disk_back back;
    struct disk_front front;
    u8 type; /* CMOS's: 1 360 KB, 2 1.2 MB, 3 720 KB, 4 1.44 MB, 5 2.88 MB */
    struct fdc_medium medium;
    u8 track;     /* where the heads are */
    u8 id_sector; /* the one whose ID passed last */
    bool changed; /* DSKCHG: until a step pulse with a medium in */
};

struct fdc {
    struct i8237 *dma;
    struct irq_line irq;
    struct fdc_drive drive[PC_FLOPPIES];

    u8 dor, tdr, rate;
    enum fdc_phase phase;
    u8 fifo[FDC_COMMAND_BYTES]; /* command, later result */
    u8 at, len;
    u8 st0;          /* of the last seek or reset, for SENSE INTERRUPT STATUS */
    bool interrupt;  /* pending */
    u8 reset_senses; /* drives whose ready change after a reset is not yet sensed, from drive 4 - n */
    u8 specify[2];   /* step rate, head load; bit 0 of the second: no DMA */
    u8 config, precompensation, perpendicular, end_of_track;
    bool locked;

    /* the command under way */
    u8 command, unit, side, track;
    u8 sector, last; /* next, and EOT */
    bool multi_track, careful;
    u8 st2;
    u32 verify_left;       /* VERIFY with a count; FORMAT TRACK: sectors */
    u32 data_at, data_end; /* of buf */
    u8 buf[FDC_BUF_SECTORS * DISK_SECTOR_BYTES];

    struct disk_request request;
    bool in_flight, abandoned;
};

/* floppy[n]: drives A and B, kind PC_DRIVE_FLOPPY or PC_DRIVE_NONE. 0 or -errno. */
int fdc_init(struct fdc *fdc, struct io_bus *io, struct i8237 *dma, struct irq_line irq,
             const struct pc_drive floppy[PC_FLOPPIES]) MUST_CHECK;
void fdc_reset(struct fdc *fdc); /* waits for what is in flight */
void fdc_fini(struct fdc *fdc);

const struct disk_front *fdc_front(struct fdc *fdc, unsigned n); /* NULL: no such drive */
u8 fdc_cmos_type(const struct fdc *fdc, unsigned n);             /* 0: no drive */

#endif
