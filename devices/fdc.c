/*
 * fdc.c - registers, commands and resets of the 82077AA.
 *
 *     3F0h status A   3F1h status B   3F2h DOR: 0-1 drive, 2 not reset, 3 interrupts and DMA on, 4-7 motors   3F3h tape
 *     3F4h MSR: 7 ready for a byte, 6 towards the host, 5 data without DMA, 4 busy; written: data rate, reset
 *     3F5h data       3F7h DIR: bit 7 disk changed; written: data rate
 *
 * A command is its bytes in fifo; when the last one is there the table's function runs, and leaves a result, or data on its way, or
 * neither. 3F6h belongs to the IDE channel.
 */
#include "devices/fdc.h"

#include <string.h>

#include "devices/fdc_core.h"

enum { REG_SRA, REG_SRB, REG_DOR, REG_TDR, REG_MSR, REG_DATA, REG_DIR = 7 };
enum { DOR_RUN = 0x04, DOR_GATE = 0x08 };
enum { MSR_RQM = 0x80, MSR_DIO = 0x40, MSR_NON_DMA = 0x20, MSR_BUSY = 0x10 };
enum { FDC_BASE = 0x3f0, DIR_PORT = 0x3f7 };

static void update_irq(struct fdc *f)
{
    irq_set(f->irq, f->interrupt && (f->dor & DOR_GATE));
}

/* An edge even if an earlier interrupt was never looked after. */
void fdc_raise(struct fdc *f)
{
    if (f->interrupt)
        irq_set(f->irq, false);
    f->interrupt = true;
    update_irq(f);
}

static void lower(struct fdc *f)
{
    f->interrupt = false;
    update_irq(f);
}

struct fdc_drive *fdc_unit(struct fdc *f, unsigned n)
{
    return n < PC_FLOPPIES && f->drive[n].present ? &f->drive[n] : NULL;
}

static void await_command(struct fdc *f)
{
    f->phase = FDC_COMMAND;
    f->at = 0;
    f->len = 1;
}

void fdc_result(struct fdc *f, unsigned bytes)
{
    f->phase = FDC_RESULT;
    f->at = 0;
    f->len = (u8)bytes;
}

void fdc_end(struct fdc *f, u8 st0, u8 st1, u8 st2)
{
    f->fifo[0] = (u8)(st0 | f->side << 2 | f->unit);
    f->fifo[1] = st1;
    f->fifo[2] = st2;
    f->fifo[3] = f->track;
    f->fifo[4] = f->side;
    f->fifo[5] = f->sector;
    f->fifo[6] = 2;
    fdc_result(f, 7);
    fdc_raise(f);
}

void fdc_step(struct fdc_drive *d, u8 track)
{
    if (d->track != track && d->medium.tracks)
        d->changed = false;
    d->track = track;
}

/* ---- commands ---- */

static void invalid(struct fdc *f)
{
    f->fifo[0] = ST0_INVALID;
    fdc_result(f, 1);
}

static void specify(struct fdc *f)
{
    f->specify[0] = f->fifo[1];
    f->specify[1] = f->fifo[2];
    await_command(f);
}

static void sense_drive(struct fdc *f)
{
    u8 n = f->fifo[1] & 3;
    const struct fdc_drive *d = fdc_unit(f, n);
    u8 st3 = (u8)(0x28 | (f->fifo[1] & 7)); /* ready, two sides */
    if (d && d->track == 0)
        st3 |= 0x10;
    if (d && d->medium.read_only)
        st3 |= 0x40;
    f->fifo[0] = st3;
    fdc_result(f, 1);
}

static void sought(struct fdc *f, u8 st0)
{
    f->st0 = (u8)(ST0_SEEK_END | st0 | (f->fifo[1] & 7));
    await_command(f);
    fdc_raise(f);
}

static void recalibrate(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    f->fifo[1] &= 3;
    if (d)
        fdc_step(d, 0);
    sought(f, d ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT);
}

static void seek(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    if (d)
        fdc_step(d, f->fifo[2]);
    sought(f, 0);
}

static void relative_seek(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    int to = d ? f->command & 0x40 ? d->track + f->fifo[2] : d->track - f->fifo[2] : 0;
    if (d)
        fdc_step(d, (u8)(to < 0 ? 0 : to > 255 ? 255 : to));
    sought(f, 0);
}

static void sense_interrupt(struct fdc *f)
{
    if (f->reset_senses) {
        f->fifo[0] = (u8)(ST0_READY_CHANGE | (4 - f->reset_senses));
        f->reset_senses--;
    } else if (f->interrupt) {
        f->fifo[0] = f->st0;
    } else {
        invalid(f);
        return;
    }
    const struct fdc_drive *d = fdc_unit(f, f->fifo[0] & 3);
    f->fifo[1] = d ? d->track : 0;
    lower(f);
    fdc_result(f, 2);
}

static void read_id(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    f->unit = f->fifo[1] & 3;
    f->side = f->fifo[1] >> 2 & 1;
    f->track = d ? d->track : 0;
    f->sector = 1;
    if (!fdc_has_ids(f, d))
        return;
    d->id_sector = (u8)(d->id_sector % d->medium.spt + 1);
    f->sector = d->id_sector;
    fdc_end(f, 0, 0, 0);
}

static void dump(struct fdc *f)
{
    for (unsigned n = 0; n < 4; n++) {
        const struct fdc_drive *d = fdc_unit(f, n);
        f->fifo[n] = d ? d->track : 0;
    }
    f->fifo[4] = f->specify[0];
    f->fifo[5] = f->specify[1];
    f->fifo[6] = f->end_of_track;
    f->fifo[7] = (u8)(f->locked << 7 | (f->perpendicular & 0x3f));
    f->fifo[8] = f->config;
    f->fifo[9] = f->precompensation;
    fdc_result(f, 10);
}

static void version(struct fdc *f)
{
    f->fifo[0] = 0x90; /* enhanced controller */
    fdc_result(f, 1);
}

static void part_id(struct fdc *f)
{
    f->fifo[0] = 0x41; /* stepping 1 */
    fdc_result(f, 1);
}

static void perpendicular(struct fdc *f)
{
    if (f->fifo[1] & 0x80)
        f->perpendicular = f->fifo[1] & 0x3f;
    else
        f->perpendicular = (u8)((f->perpendicular & 0x3c) | (f->fifo[1] & 3));
    await_command(f);
}

static void configure(struct fdc *f)
{
    f->config = f->fifo[2];
    f->precompensation = f->fifo[3];
    await_command(f);
}

static void lock(struct fdc *f)
{
    f->locked = f->command & 0x80;
    f->fifo[0] = (u8)(f->locked << 4);
    fdc_result(f, 1);
}

/* The first that matches. */
static const struct {
    u8 mask, code, bytes;
    void (*fn)(struct fdc *f);
} commands[] = {
    {0x1f, 0x06, 9, fdc_transfer}, /* READ */
    {0x3f, 0x05, 9, fdc_transfer}, /* WRITE */
    {0x3f, 0x09, 9, fdc_transfer}, /* WRITE DELETED */
    {0x1f, 0x0c, 9, fdc_transfer}, /* READ DELETED */
    {0x9f, 0x02, 9, fdc_transfer}, /* READ TRACK */
    {0x1f, 0x16, 9, fdc_transfer}, /* VERIFY */
    {0x1f, 0x11, 9, fdc_transfer}, /* SCAN EQUAL, LOW OR EQUAL, HIGH OR EQUAL */
    {0x1f, 0x19, 9, fdc_transfer},
    {0x1f, 0x1d, 9, fdc_transfer},
    {0xbf, 0x0d, 6, fdc_format},    {0xbf, 0x0a, 2, read_id},
    {0xff, 0x07, 2, recalibrate},   {0xff, 0x08, 1, sense_interrupt},
    {0xff, 0x03, 3, specify},       {0xff, 0x04, 2, sense_drive},
    {0xff, 0x0f, 3, seek},          {0xbf, 0x8f, 3, relative_seek},
    {0xff, 0x0e, 1, dump},          {0xff, 0x10, 1, version},
    {0xff, 0x12, 2, perpendicular}, {0xff, 0x13, 4, configure},
    {0x7f, 0x14, 1, lock},          {0xff, 0x18, 1, part_id},
    {0x00, 0x00, 1, invalid},
};

static void command_byte(struct fdc *f, u8 val)
{
    unsigned i = 0;
    if (f->at == 0)
        f->command = val;
    while ((f->command & commands[i].mask) != commands[i].code)
        i++;
    f->fifo[f->at++ & (FDC_COMMAND_BYTES - 1)] = val;
    f->len = commands[i].bytes;
    if (f->at < f->len)
        return;
    if (commands[i].fn != sense_interrupt)
        f->reset_senses = 0; /* who goes on without asking is not told later */
    commands[i].fn(f);
}

static u8 data_read(struct fdc *f)
{
    if (f->phase == FDC_PIO) {
        lower(f);
        return fdc_pio_read(f);
    }
    if (f->phase != FDC_RESULT || f->at >= f->len)
        return 0;
    u8 v = f->fifo[f->at++ & (FDC_COMMAND_BYTES - 1)];
    lower(f);
    if (f->at >= f->len)
        await_command(f);
    return v;
}

static void data_write(struct fdc *f, u8 val)
{
    if (!(f->dor & DOR_RUN) || f->abandoned)
        return;
    if (f->phase == FDC_COMMAND) {
        command_byte(f, val);
    } else if (f->phase == FDC_PIO) {
        lower(f);
        fdc_pio_write(f, val);
    }
}

/* ---- resets and registers ---- */

static void chip_reset(struct fdc *f)
{
    f->abandoned = f->in_flight;
    f->reset_senses = 0;
    f->perpendicular = 0;
    f->data_at = f->data_end = 0;
    if (!f->locked) {
        f->config = 0x20; /* implied seek and FIFO off, polling on */
        f->precompensation = 0;
    }
    lower(f);
    await_command(f);
}

/* The drives' ready lines, polled after a reset, seem to have changed. */
static void after_reset(struct fdc *f)
{
    f->reset_senses = 4;
    f->st0 = ST0_READY_CHANGE;
    fdc_raise(f);
}

static void dor_write(struct fdc *f, u8 val)
{
    u8 was = f->dor;
    f->dor = val;
    if ((was & DOR_RUN) && !(val & DOR_RUN))
        chip_reset(f);
    else if (!(was & DOR_RUN) && (val & DOR_RUN))
        after_reset(f);
    update_irq(f);
}

static u8 msr_read(const struct fdc *f)
{
    if (!(f->dor & DOR_RUN) || f->abandoned)
        return 0;
    switch (f->phase) {
    case FDC_COMMAND: return MSR_RQM | (f->at ? MSR_BUSY : 0);
    case FDC_RESULT: return MSR_RQM | MSR_DIO | MSR_BUSY;
    case FDC_PIO: {
        u8 code = f->command & 0x1f;
        bool out = code == 0x05 || code == 0x09 || code == 0x0d || code == 0x11 || code == 0x19 || code == 0x1d;
        return (u8)(MSR_RQM | MSR_NON_DMA | MSR_BUSY | (out ? 0 : MSR_DIO));
    }
    default: return MSR_BUSY;
    }
}

static u32 reg_read(void *opaque, u32 offset, unsigned size)
{
    struct fdc *f = opaque;
    (void)size;
    switch (offset) {
    case REG_SRA: return 0x40 | (f->interrupt ? 0x80 : 0); /* no second drive connector */
    case REG_SRB: return 0xc0;
    case REG_DOR: return f->dor;
    case REG_TDR: return f->tdr;
    case REG_MSR: return msr_read(f);
    default: return data_read(f);
    }
}

static void reg_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct fdc *f = opaque;
    (void)size;
    switch (offset) {
    case REG_DOR: dor_write(f, (u8)val); break;
    case REG_TDR: f->tdr = val & 3; break;
    case REG_MSR: /* DSR */
        f->rate = val & 3;
        if ((val & 0x80) && (f->dor & DOR_RUN)) {
            chip_reset(f);
            after_reset(f);
        }
        break;
    case REG_DATA: data_write(f, (u8)val); break;
    default: break;
    }
}

static u32 dir_read(void *opaque, u32 offset, unsigned size)
{
    struct fdc *f = opaque;
    const struct fdc_drive *d = fdc_unit(f, f->dor & 3);
    (void)offset;
    (void)size;
    return d && d->changed ? 0x80 : 0;
}

static void ccr_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct fdc *f = opaque;
    (void)offset;
    (void)size;
    f->rate = val & 3;
}

static const struct bus_ops reg_ops = {.read = reg_read, .write = reg_write};
static const struct bus_ops dir_ops = {.read = dir_read, .write = ccr_write};

/* ---- wiring ---- */

static void media_changed(void *opaque)
{
    struct fdc_drive *d = opaque;
    fdc_look_at_medium(d);
    d->changed = true;
}

int fdc_init(struct fdc *f, struct io_bus *io, struct i8237 *dma, struct irq_line irq,
             const struct pc_drive floppy[PC_FLOPPIES])
{
    memset(f, 0, sizeof(*f));
    f->dma = dma;
    f->irq = irq;
    for (unsigned n = 0; n < PC_FLOPPIES; n++) {
        struct fdc_drive *d = &f->drive[n];
        d->fdc = f;
        if (floppy[n].kind == PC_DRIVE_NONE)
            continue;
        if (floppy[n].kind != PC_DRIVE_FLOPPY || !floppy[n].back.submit || !floppy[n].back.geometry)
            return -EINVAL;
        d->present = true;
        d->back = floppy[n].back;
        d->front = (struct disk_front){.media_changed = media_changed, .opaque = d};
        d->type = fdc_type_of(d, floppy[n].floppy_kib);
        if (!d->type)
            return -EINVAL;
    }
    fdc_reset(f);
    i8237_wait(dma, FDC_DMA_CHANNEL, fdc_go_on, f);
    int err = io_bus_register(io, FDC_BASE, 6, &reg_ops, f);
    return err ? err : io_bus_register(io, DIR_PORT, 1, &dir_ops, f);
}

static void drain(struct fdc *f)
{
    if (!f->in_flight)
        return;
    f->abandoned = true;
    const struct disk_back *back = &f->drive[f->unit & 1].back;
    if (back->drain)
        back->drain(back->opaque);
}

void fdc_reset(struct fdc *f)
{
    drain(f);
    f->locked = false;
    f->dor = DOR_RUN | DOR_GATE;
    f->tdr = 0;
    f->rate = 2;
    memset(f->specify, 0, sizeof(f->specify));
    chip_reset(f);
    for (unsigned n = 0; n < PC_FLOPPIES; n++)
        if (f->drive[n].present) {
            fdc_look_at_medium(&f->drive[n]);
            f->drive[n].track = 0;
            f->drive[n].changed = true;
        }
}

void fdc_fini(struct fdc *f)
{
    drain(f);
}

const struct disk_front *fdc_front(struct fdc *f, unsigned n)
{
    struct fdc_drive *d = fdc_unit(f, n);
    return d ? &d->front : NULL;
}

u8 fdc_cmos_type(const struct fdc *f, unsigned n)
{
    return n < PC_FLOPPIES && f->drive[n].present ? f->drive[n].type : 0;
}
