/*
 * ports.c - the PC's one-register devices. See ports.h for what each does.
 */
#include "devices/ports.h"

static u32 post_read(void *opaque, u32 offset, unsigned size)
{
    const struct post_port *post = opaque;
    (void)offset;
    (void)size;
    return post->code;
}

static void post_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct post_port *post = opaque;
    (void)offset;
    (void)size;
    post->code = (u8)val;
}

int post_port_init(struct post_port *post, struct io_bus *io)
{
    static const struct bus_ops ops = {.read = post_read, .write = post_write};
    post->code = 0;
    return io_bus_register(io, 0x80, 1, &ops, post);
}

static u32 port92_read(void *opaque, u32 offset, unsigned size)
{
    const struct port92 *p = opaque;
    (void)offset;
    (void)size;
    return (p->val & ~2u) | (p->a20->on ? 2 : 0);
}

static void port92_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct port92 *p = opaque;
    bool reset = val & ~p->val & 1;
    (void)offset;
    (void)size;
    p->val = (u8)val;
    a20_set(p->a20, val & 2);
    if (reset && p->reset_request)
        p->reset_request(p->opaque);
}

int port92_init(struct port92 *p, struct io_bus *io, struct a20 *a20, void (*reset_request)(void *opaque),
                void *opaque)
{
    static const struct bus_ops ops = {.read = port92_read, .write = port92_write};
    *p = (struct port92){.a20 = a20, .reset_request = reset_request, .opaque = opaque};
    return io_bus_register(io, 0x92, 1, &ops, p);
}

void port92_reset(struct port92 *p)
{
    p->val = 0;
}

static u32 debugcon_read(void *opaque, u32 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0xe9;
}

static void debugcon_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct debugcon *dc = opaque;
    u8 byte = (u8)val;
    (void)offset;
    (void)size;
    if (dc->back.write)
        dc->back.write(dc->back.opaque, &byte, 1);
}

int debugcon_init(struct debugcon *dc, struct io_bus *io, u16 base, const struct chr_back *back)
{
    static const struct bus_ops ops = {.read = debugcon_read, .write = debugcon_write};
    dc->back = *back;
    return io_bus_register(io, base, 1, &ops, dc);
}

static u32 debug_exit_read(void *opaque, u32 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void debug_exit_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct debug_exit *de = opaque;
    (void)offset;
    (void)size;
    if (de->fn)
        de->fn(de->opaque, (val << 1 | 1) & 0xff);
}

int debug_exit_init(struct debug_exit *de, struct io_bus *io, u16 base, u16 bytes,
                    void (*fn)(void *opaque, unsigned status), void *opaque)
{
    static const struct bus_ops ops = {.read = debug_exit_read, .write = debug_exit_write, .max_size = 4};
    *de = (struct debug_exit){.fn = fn, .opaque = opaque};
    return io_bus_register(io, base, bytes, &ops, de);
}

static void ferr_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct ferr_port *f = opaque;
    (void)offset;
    (void)size;
    (void)val;
    irq_set(f->irq, false);
}

int ferr_port_init(struct ferr_port *f, struct io_bus *io, struct irq_line irq)
{
    static const struct bus_ops ops = {.write = ferr_write};
    f->irq = irq;
    return io_bus_register(io, 0xf0, 2, &ops, f);
}

void ferr_port_raise(struct ferr_port *f)
{
    irq_set(f->irq, true);
}
