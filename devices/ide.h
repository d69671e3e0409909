/*
 * ide.h - the PIIX3's IDE function: two channels with two drives each, ATA disks or ATAPI CD-ROMs.
 *
 * ide.c holds the task file, the data port and the resets, ide_disk.c the disk's commands, ide_smart.c its health, atapi.c and atapi_cmd.c the CD-ROM's,
 * ide_dma.c the bus master, ide_identify.c what a drive says about itself. A drive has one request at its back end at a time;
 * while it runs the guest sees BSY, and a reset keeps BSY up until it is back. All that a guest can see is in plain fields.
 * Sources: ATA/ATAPI-6, MMC-3, Intel 82371SB data sheet; what is left open there is as in QEMU.
 */
#ifndef NOVT_DEVICES_IDE_H
#define NOVT_DEVICES_IDE_H

#include "devices/devices.h"
#include "devices/pci.h"

#define IDE_BUF_BYTES (DISK_REQUEST_SECTORS * DISK_SECTOR_BYTES)
#define IDE_PACKET_BYTES 12u
#define IDE_MULTIPLE_MAX 16u

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CDROM };

/* Who has to do something next. */
enum ide_phase {
    IDE_IDLE,
    IDE_WORKING,  /* BSY: the back end */
    IDE_DATA_IN,  /* DRQ: the guest reads buf from at to end by the data port */
    IDE_DATA_OUT, /* DRQ: the guest writes it */
    IDE_PACKET,   /* DRQ: the guest writes a packet */
    IDE_DMA_IN,   /* the bus master takes buf from at to filled */
    IDE_DMA_OUT,  /* the bus master fills it */
};

/* What the data is, and so what follows when the phase is over. */
enum ide_flow {
    IDE_FLOW_NONE,
    IDE_FLOW_REPLY,  /* one block that was made here: IDENTIFY and the like */
    IDE_FLOW_BUFFER, /* WRITE BUFFER */
    IDE_FLOW_READ,
    IDE_FLOW_WRITE,
    IDE_FLOW_VERIFY,
    IDE_FLOW_FLUSH,
    IDE_FLOW_PACKET_REPLY,
    IDE_FLOW_PACKET_READ,
    IDE_FLOW_TRIM,
};

struct ide_sense {
    u8 key, asc, ascq;
};

/* A task file register: what was written last, and before. */
struct ide_reg {
    u8 now, hob;
};

struct ide_drive {
    enum ide_kind kind;
    struct disk_back back;
    struct disk_front front;
    struct ide_channel *channel;
    char serial[21], model[41], firmware[9];
    u64 wwn;
    u16 rotation_rate;
    bool write_cache_default;

    struct ide_reg feature, count, lba_low, lba_mid, lba_high;
    u8 device, status, error;

    u64 sectors; /* of a disk */
    u16 cylinders, heads, spt;
    u16 now_heads, now_spt; /* INITIALIZE DEVICE PARAMETERS */
    u8 bios_translation;    /* for CMOS: 0 none, 1 LBA, 2 large */
    u8 multiple;            /* sectors; 0: READ MULTIPLE and its like are refused */
    u8 transfer_mode;       /* SET FEATURES 03h, FFh: none yet */
    bool write_cache;
    bool standby;
    bool smart_enabled, smart_autosave;

    enum ide_phase phase;
    enum ide_flow flow;
    bool dma;      /* this command's data goes by bus master */
    bool lba48;    /* this command's registers are two deep */
    bool lba_mode; /* and not cylinders, heads, sectors */
    bool careful;  /* a read failed: what can be read of it is read piecemeal */
    bool flushing; /* the request in flight is the flush behind a write */
    u8 command;
    u64 lba;   /* first sector (CD-ROM: block) not yet at its destination */
    u32 left;  /* as many from there */
    u32 block; /* sectors in a DRQ block */
    u32 at, end, filled;

    u8 packet[IDE_PACKET_BYTES];
    u32 block_bytes; /* of a CD-ROM read: 2048, or 2352 for raw sectors */
    u8 raw_fields;   /* READ CD: byte 9 */
    struct ide_sense sense;
    bool medium_changed; /* UNIT ATTENTION is due */
    bool event_new_medium, event_eject, event_request;
    bool tray_open, tray_locked;

    struct disk_request request;
    bool in_flight;
    bool abandoned; /* a reset came while in_flight: its result concerns nobody */
    u8 buf[IDE_BUF_BYTES];
};

/* Bus master of one channel. */
struct ide_master {
    u8 command, status;
    u32 table; /* BMIDTP */
    u32 next;  /* descriptor fetched next */
    u32 segment_gpa, segment_bytes;
    bool last; /* the segment is the table's last */
};

struct ide_channel {
    struct ide *ide;
    struct ide_drive drive[2];
    struct ide_master master;
    struct irq_line irq;
    u8 selected, control;
    bool intrq;
};

struct ide {
    struct pci_dev pci;
    struct dma_mem mem;
    struct ide_channel channel[2];
};

/* drive[n]: primary master, primary slave, secondary master, secondary slave. 0 or -errno. */
int ide_init(struct ide *ide, struct io_bus *io, struct pci_bus *pci, const struct irq_line irq[2],
             const struct dma_mem *mem, const struct pc_drive drive[PC_IDE_DRIVES]) MUST_CHECK;
void ide_reset(struct ide *ide); /* waits for what is in flight */
void ide_fini(struct ide *ide);  /* likewise; the back ends may go then */

/* For back ends of drives that take media; NULL otherwise. */
const struct disk_front *ide_front(struct ide *ide, unsigned n);

/* What a BIOS finds in CMOS about drive n. False: no disk. */
struct ide_bios_disk {
    u16 cylinders, heads, spt;
    u8 translation;
};
bool ide_bios_disk(const struct ide *ide, unsigned n, struct ide_bios_disk *out);

#endif
