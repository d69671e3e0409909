/*
 * state_disk.c - what the IDE function and the floppy controller save.
 *
 * No request is at a back end then: whoever saves has drained them (pc_quiesce()). A medium's size belongs to the machine, not to its
 * state, and must be the same.
 */
#include "devices/fdc.h"
#include "devices/ide.h"
#include "devices/state_tables.h"

/* ---- IDE ---- */

#define S struct ide_reg
static const struct state_field ide_reg_rows[] = {STATE(S, now), STATE(S, hob)};
STATE_INNER(ide_reg_state, ide_reg_rows, NULL);
#undef S

#define S struct ide_sense
static const struct state_field ide_sense_rows[] = {STATE(S, key), STATE(S, asc), STATE(S, ascq)};
STATE_INNER(ide_sense_state, ide_sense_rows, NULL);
#undef S

#define S struct ide_drive
static const struct state_field ide_drive_rows[] = {
    STATE_SAME(S, kind),
    STATE_PART(S, feature, &ide_reg_state),
    STATE_PART(S, count, &ide_reg_state),
    STATE_PART(S, lba_low, &ide_reg_state),
    STATE_PART(S, lba_mid, &ide_reg_state),
    STATE_PART(S, lba_high, &ide_reg_state),
    STATE(S, device),
    STATE(S, status),
    STATE(S, error),
    STATE_SAME(S, sectors),
    STATE_SAME(S, cylinders),
    STATE_SAME(S, heads),
    STATE_SAME(S, spt),
    STATE(S, now_heads),
    STATE(S, now_spt),
    STATE_MAX(S, multiple, IDE_MULTIPLE_MAX),
    STATE(S, transfer_mode),
    STATE_BOOL(S, write_cache),
    STATE_BOOL(S, standby),
    STATE_BOOL(S, smart_enabled),
    STATE_BOOL(S, smart_autosave),
    STATE_MAX(S, phase, IDE_DMA_OUT),
    STATE_MAX(S, flow, IDE_FLOW_TRIM),
    STATE_BOOL(S, dma),
    STATE_BOOL(S, lba48),
    STATE_BOOL(S, lba_mode),
    STATE_BOOL(S, careful),
    STATE_BOOL(S, flushing),
    STATE(S, command),
    STATE(S, lba),
    STATE_MAX(S, left, 65536),
    STATE_MAX(S, block, DISK_REQUEST_SECTORS),
    STATE_MAX(S, at, IDE_BUF_BYTES),
    STATE_MAX(S, end, IDE_BUF_BYTES),
    STATE_MAX(S, filled, IDE_BUF_BYTES),
    STATE_BYTES(S, packet),
    STATE_MAX(S, block_bytes, 2352),
    STATE(S, raw_fields),
    STATE_PART(S, sense, &ide_sense_state),
    STATE_BOOL(S, medium_changed),
    STATE_BOOL(S, event_new_medium),
    STATE_BOOL(S, event_eject),
    STATE_BOOL(S, event_request),
    STATE_BOOL(S, tray_open),
    STATE_BOOL(S, tray_locked),
    STATE_BYTES(S, buf),
};

static const char *check_ide_drive(const void *obj)
{
    const struct ide_drive *d = obj;
    bool packet = d->flow == IDE_FLOW_PACKET_REPLY || d->flow == IDE_FLOW_PACKET_READ || d->phase == IDE_PACKET;
    bool moves_sectors = (d->flow >= IDE_FLOW_READ && d->flow <= IDE_FLOW_VERIFY) || d->flow == IDE_FLOW_TRIM;

    if (d->in_flight || d->phase == IDE_WORKING)
        return "a request was under way";
    if (d->kind == IDE_NONE ? d->phase != IDE_IDLE : packet && d->kind != IDE_CDROM)
        return "phase and drive do not match";
    if (d->kind == IDE_CDROM && moves_sectors)
        return "phase and drive do not match";
    if (d->at > d->end && d->phase != IDE_IDLE && d->phase != IDE_DMA_IN && d->phase != IDE_DMA_OUT)
        return "data ends before it begins";
    if (d->at > d->filled && (d->phase == IDE_DMA_IN || d->phase == IDE_DMA_OUT))
        return "data ends before it begins";
    if (d->flow == IDE_FLOW_PACKET_READ && d->block_bytes != 2048 && d->block_bytes != 2352)
        return "no such block size";
    if (moves_sectors && d->flow != IDE_FLOW_TRIM && d->kind == IDE_DISK && d->phase != IDE_IDLE && !d->block)
        return "no such block size";
    return NULL;
}
STATE_INNER(ide_drive_state, ide_drive_rows, check_ide_drive);
#undef S

#define S struct ide_master
static const struct state_field ide_master_rows[] = {
    STATE(S, command), STATE(S, status),         STATE(S, table),    STATE(S, next),
    STATE(S, segment_gpa), STATE(S, segment_bytes), STATE_BOOL(S, last),
};
STATE_INNER(ide_master_state, ide_master_rows, NULL);
#undef S

#define S struct ide_channel
static const struct state_field ide_channel_rows[] = {
    STATE_PARTS(S, drive, &ide_drive_state), STATE_PART(S, master, &ide_master_state), STATE_MAX(S, selected, 1),
    STATE(S, control), STATE_BOOL(S, intrq),
};
STATE_INNER(ide_channel_state, ide_channel_rows, NULL);
#undef S

#define S struct ide
static const struct state_field ide_rows[] = {
    STATE_PART(S, pci, &pci_dev_state), STATE_PARTS(S, channel, &ide_channel_state)};
STATE_TABLE(ide_state, ide_rows, NULL, NULL);
#undef S

/* ---- floppy ---- */

#define S struct fdc_medium
static const struct state_field fdc_medium_rows[] = {
    STATE_SAME(S, tracks), STATE_SAME(S, heads), STATE_SAME(S, spt), STATE_SAME(S, rate), STATE_BOOL(S, any_low_rate),
};
STATE_INNER(fdc_medium_state, fdc_medium_rows, NULL);
#undef S

#define S struct fdc_drive
static const struct state_field fdc_drive_rows[] = {
    STATE_SAME(S, present), STATE_SAME(S, type), STATE_PART(S, medium, &fdc_medium_state), STATE(S, track),
    STATE(S, id_sector), STATE_BOOL(S, changed),
};
STATE_INNER(fdc_drive_state, fdc_drive_rows, NULL);
#undef S

#define S struct fdc
static const struct state_field fdc_rows[] = {
    STATE_PARTS(S, drive, &fdc_drive_state),
    STATE(S, dor),
    STATE(S, tdr),
    STATE_MAX(S, rate, 3),
    STATE_MAX(S, phase, FDC_RESULT),
    STATE_BYTES(S, fifo),
    STATE_MAX(S, at, FDC_COMMAND_BYTES),
    STATE_MAX(S, len, FDC_COMMAND_BYTES),
    STATE(S, st0),
    STATE_BOOL(S, interrupt),
    STATE_MAX(S, reset_senses, 4),
    STATE_BYTES(S, specify),
    STATE(S, config),
    STATE(S, precompensation),
    STATE(S, perpendicular),
    STATE(S, end_of_track),
    STATE_BOOL(S, locked),
    STATE(S, command),
    STATE_MAX(S, unit, 3),
    STATE_MAX(S, side, 1),
    STATE(S, track),
    STATE(S, sector),
    STATE(S, last),
    STATE_BOOL(S, multi_track),
    STATE_BOOL(S, careful),
    STATE(S, st2),
    STATE_MAX(S, verify_left, FDC_COUNT_MAX),
    STATE_MAX(S, data_at, FDC_BUF_SECTORS * DISK_SECTOR_BYTES),
    STATE_MAX(S, data_end, FDC_BUF_SECTORS * DISK_SECTOR_BYTES),
    STATE_BYTES(S, buf),
};

static const char *check_fdc(const void *obj)
{
    const struct fdc *f = obj;

    if (f->in_flight || f->phase == FDC_WORKING)
        return "a request was under way";
    if (f->unit >= PC_FLOPPIES && (f->phase == FDC_DMA || f->phase == FDC_PIO))
        return "no such drive";
    /* FORMAT's data are four bytes a sector, however many the saved end says. */
    if (f->phase == FDC_DMA && (f->command & 0x1f) == 0x0d && f->data_at > 4 * f->verify_left)
        return "data ends before it begins";
    return f->at > f->len || f->data_at > f->data_end ? "data ends before it begins" : NULL;
}
STATE_TABLE(fdc_state, fdc_rows, check_fdc, NULL);
#undef S
