/*
 * ide_core.h - what the files of the IDE controller share; ide.h says which does what.
 *
 * A command's life: ide_disk_command() or atapi_command() sets the transfer up and moves it to a phase; when the phase is over (the
 * guest has moved its block, the bus master its segment, the back end its request), the flow decides what comes next.
 */
#ifndef NOVT_DEVICES_IDE_CORE_H
#define NOVT_DEVICES_IDE_CORE_H

#include "devices/ide.h"

enum { ST_ERR = 0x01, ST_DRQ = 0x08, ST_DSC = 0x10, ST_DF = 0x20, ST_DRDY = 0x40, ST_BSY = 0x80 };
enum { ER_ABRT = 0x04, ER_IDNF = 0x10, ER_UNC = 0x40 };
enum { CTL_NIEN = 0x02, CTL_SRST = 0x04, CTL_HOB = 0x80 };
enum { DEV_SLAVE = 0x10, DEV_LBA = 0x40, DEV_FIXED = 0xa0 };

/* ide.c */
void ide_raise(struct ide_drive *d);          /* INTRQ */
void ide_done(struct ide_drive *d);           /* the command ends well; interrupts */
void ide_fail(struct ide_drive *d, u8 error); /* or with ERR; interrupts */
void ide_data_phase(struct ide_drive *d, enum ide_phase phase, u32 at,
                    u32 end); /* DRQ; the caller interrupts or not */
void ide_submit(struct ide_drive *d, enum disk_op op, u64 sector,
                u32 sectors); /* BSY; ends in ide_backend_done() */
void ide_signature(struct ide_drive *d);
void ide_string(u8 *to, const char *from,
                size_t bytes); /* ATA's: padded with blanks, the bytes of each word swapped */

/* ide_disk.c */
void ide_disk_command(struct ide_drive *d, u8 command);
void ide_disk_block_over(
    struct ide_drive *d); /* the guest has moved buf up to end, or the bus master up to filled */
void ide_disk_request_over(struct ide_drive *d, int err);
void ide_disk_reply(struct ide_drive *d); /* the first sector of buf to the guest */

/* ide_smart.c */
void ide_smart(struct ide_drive *d);

/* ide_identify.c */
void ide_identify_disk(const struct ide_drive *d, u8 *to); /* 512 bytes each */
void ide_identify_cdrom(const struct ide_drive *d, u8 *to);
void ide_geometry(struct ide_drive *d); /* of a disk: asks its back end, reads its partition table */

/* ide_dma.c */
void ide_master_run(struct ide_drive *d); /* the drive is in a DMA phase: as much as the bus master takes */
void ide_master_init(struct ide *ide);
void ide_master_end(struct ide_drive *d); /* the drive has moved all */

/* atapi.c */
void atapi_command(struct ide_drive *d, u8 command); /* ATA commands that a CD-ROM knows */
void atapi_packet(struct ide_drive *d);              /* d->packet is complete */
void atapi_block_over(struct ide_drive *d);
void atapi_request_over(struct ide_drive *d, int err);
void atapi_good(struct ide_drive *d);
void atapi_check(struct ide_drive *d, u8 key, u8 asc, u8 ascq);
void atapi_reply(struct ide_drive *d, u32 bytes, u32 allocated); /* from buf */
void atapi_read(struct ide_drive *d, u32 lba, u32 blocks, u32 block_bytes);

/* atapi_cmd.c */
void atapi_execute(struct ide_drive *d, u32 blocks); /* the packet; blocks: of the medium, 0 without one */

#endif
