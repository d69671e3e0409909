/*
 * gdb.c - the gdb stub: frames, packets, run control.
 *
 * Bytes of a client come in by novt_gdb_input() on any thread and are handled on the VM's thread, between two instructions of the
 * guest; answers go out by the owner's write(), on that thread too. A frame is $data#sum, answered by + or - unless the client
 * turned that off. A packet that is not known gets an empty answer, as the protocol wants; one that is malformed gets E22. While
 * the guest runs a client has nothing to say but Ctrl-C (03h); the stop is then told by a reply of its own, as every stop is
 * that a c, s or vCont still waits for.
 */
#include "monitor/gdb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/breakpoint.h"

#define CTRL_C 0x03
#define SIG_INT 2
#define SIG_TRAP 5
#define SSTEP_DEFAULT 7u /* ENABLE, NOIRQ, NOTIMER */

static const char hex_digit[] = "0123456789abcdef";

/* ---- writing ---- */

void gdb_put(struct gdb_out *out, const char *text)
{
    size_t n = min_u64(strlen(text), GDB_PACKET_BYTES - out->len);

    memcpy(out->text + out->len, text, n);
    out->len += (u32)n;
}

void gdb_putf(struct gdb_out *out, const char *fmt, ...)
{
    char line[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    gdb_put(out, line);
}

void gdb_put_hex(struct gdb_out *out, const u8 *data, size_t len)
{
    for (size_t i = 0; i < len && out->len + 2 <= GDB_PACKET_BYTES; i++) {
        out->text[out->len++] = hex_digit[data[i] >> 4];
        out->text[out->len++] = hex_digit[data[i] & 15];
    }
}

bool gdb_put_binary(struct gdb_out *out, const char *data, size_t len)
{
    u32 n = out->len;

    for (size_t i = 0; i < len; i++) {
        bool escape = data[i] && strchr("#$}*", data[i]);

        if (n + 2 > GDB_PACKET_BYTES)
            return false;
        if (escape)
            out->text[n++] = '}';
        out->text[n++] = (char)(escape ? data[i] ^ 0x20 : data[i]);
    }
    out->len = n;
    return true;
}

void gdb_put_error(struct gdb_out *out, int err)
{
    if (err)
        gdb_putf(out, "E%02x", (unsigned)(err < 0 ? -err : err) & 0xff);
    else
        gdb_put(out, "OK");
}

void gdb_send_frame(struct novt_gdb *g)
{
    struct gdb_out *out = &g->out;
    u8 sum = 0;

    g->last[0] = '$';
    memcpy(g->last + 1, out->text, out->len);
    for (u32 i = 0; i < out->len; i++)
        sum = (u8)(sum + (u8)out->text[i]);
    g->last[out->len + 1] = '#';
    g->last[out->len + 2] = (u8)hex_digit[sum >> 4];
    g->last[out->len + 3] = (u8)hex_digit[sum & 15];
    g->last_len = out->len + 4;
    out->len = 0;
    g->write(g->opaque, g->last, g->last_len);
}

/* ---- reading ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool gdb_take(struct gdb_in *in, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(in->end - in->at) < n || memcmp(in->at, text, n) != 0)
        return false;
    in->at += n;
    return true;
}

bool gdb_take_num(struct gdb_in *in, u64 *v)
{
    unsigned n = 0;

    *v = 0;
    while (in->at < in->end && n < 17 && hex_value(*in->at) >= 0) {
        *v = *v << 4 | (u64)hex_value(*in->at++);
        n++;
    }
    return n > 0 && n <= 16;
}

bool gdb_take_hex(struct gdb_in *in, u8 *to, size_t len)
{
    if ((size_t)(in->end - in->at) < 2 * len)
        return false;
    for (size_t i = 0; i < len; i++, in->at += 2) {
        int hi = hex_value(in->at[0]), lo = hex_value(in->at[1]);

        if (hi < 0 || lo < 0)
            return false;
        to[i] = (u8)(hi << 4 | lo);
    }
    return true;
}

/* ---- stops ---- */

static void stop_reply(struct novt_gdb *g, bool asked)
{
    static const char *const watch[BRK_KINDS] = {
        [BRK_WRITE] = "watch", [BRK_READ] = "rwatch", [BRK_ACCESS] = "awatch"};
    const struct brk_set *s = g->vm->brk;
    bool ours = novt_vm_status(g->vm) == NOVT_DEBUGGED && s && s->why != BRK_WHY_OTHER;

    gdb_putf(&g->out, "T%02xthread:01;", ours || asked ? SIG_TRAP : SIG_INT);
    if (ours && s->why == BRK_WHY_WATCH)
        gdb_putf(&g->out, "%s:%08x;", watch[s->hit_kind], s->hit_lin);
}

static void on_event(void *opaque, const struct novt_event *event)
{
    struct novt_gdb *g = opaque;

    if (event->kind != NOVT_EVENT_STOP || !g->owed)
        return;
    g->owed = false;
    stop_reply(g, false);
    gdb_send_frame(g);
}

/* The answer comes when the machine stands again. */
static void go_on(struct novt_gdb *g, bool step)
{
    if (step)
        brk_step_next(g->vm, g->sstep & GDB_SSTEP_NOIRQ);
    else
        brk_run_next(g->vm);
    g->owed = true;
    if (novt_vm_resume(g->vm)) {
        g->owed = false;
        brk_run_next(g->vm);
        gdb_put_error(&g->out, EPERM);
    }
}

static void interrupt(struct novt_gdb *g)
{
    brk_run_next(g->vm);
    novt_vm_pause(g->vm, NOVT_PAUSED);
}

/* ---- packets ---- */

static void read_registers(struct novt_gdb *g)
{
    u8 value[GDB_REG_BYTES_MAX];

    for (unsigned n = 0; n < gdb_reg_count(); n++) {
        gdb_reg_read(g->vm, n, value);
        gdb_put_hex(&g->out, value, gdb_reg_bytes(n));
    }
}

/* All of them; the first that is refused ends it. Fewer bytes than registers: the rest stays. */
static int write_registers(struct novt_gdb *g, struct gdb_in *in)
{
    u8 value[GDB_REG_BYTES_MAX];
    int rc = 0;

    for (unsigned n = 0; n < gdb_reg_count() && in->at < in->end; n++) {
        int one;

        if (!gdb_take_hex(in, value, gdb_reg_bytes(n)))
            return -EINVAL;
        one = gdb_reg_write(g->vm, n, value);
        rc = rc ? rc : one;
    }
    return rc;
}

static void read_register(struct novt_gdb *g, struct gdb_in *in)
{
    u8 value[GDB_REG_BYTES_MAX];
    u64 n;

    if (!gdb_take_num(in, &n) || n >= gdb_reg_count()) {
        gdb_put_error(&g->out, EINVAL);
        return;
    }
    gdb_reg_read(g->vm, (unsigned)n, value);
    gdb_put_hex(&g->out, value, gdb_reg_bytes((unsigned)n));
}

static int write_register(struct novt_gdb *g, struct gdb_in *in)
{
    u8 value[GDB_REG_BYTES_MAX];
    u64 n;

    if (!gdb_take_num(in, &n) || n >= gdb_reg_count() || !gdb_take(in, "=") ||
        !gdb_take_hex(in, value, gdb_reg_bytes((unsigned)n)))
        return -EINVAL;
    return gdb_reg_write(g->vm, (unsigned)n, value);
}

static void read_memory(struct novt_gdb *g, struct gdb_in *in)
{
    u8 data[GDB_PACKET_BYTES / 2];
    u64 addr, len;
    int rc = -EINVAL;

    if (gdb_take_num(in, &addr) && gdb_take(in, ",") && gdb_take_num(in, &len)) {
        len = min_u64(len, sizeof(data)); /* less than asked for is an answer */
        rc = gdb_mem_read(g->vm, g->phys, addr, data, len);
        /* The part before a page that is not there. */
        if (rc && len && PAGE_BYTES - (addr & PAGE_MASK) < len) {
            len = PAGE_BYTES - (addr & PAGE_MASK);
            rc = gdb_mem_read(g->vm, g->phys, addr, data, len);
        }
    }
    if (rc)
        gdb_put_error(&g->out, rc);
    else
        gdb_put_hex(&g->out, data, len);
}

static int write_memory(struct novt_gdb *g, struct gdb_in *in, bool binary)
{
    u8 data[GDB_PACKET_BYTES];
    u64 addr, len;

    if (!gdb_take_num(in, &addr) || !gdb_take(in, ",") || !gdb_take_num(in, &len) || !gdb_take(in, ":") ||
        len > sizeof(data))
        return -EINVAL;
    if (binary)
        return (u64)(in->end - in->at) == len ? gdb_mem_write(g->vm, g->phys, addr, (const u8 *)in->at, len)
                                              : -EINVAL;
    return gdb_take_hex(in, data, len) ? gdb_mem_write(g->vm, g->phys, addr, data, len) : -EINVAL;
}

/* Z and z: type,addr,kind. false: a type that is not known. */
static bool set_point(struct novt_gdb *g, struct gdb_in *in, bool insert)
{
    u64 type, addr, len;

    if (!gdb_take_num(in, &type) || !gdb_take(in, ",") || !gdb_take_num(in, &addr) || !gdb_take(in, ",") ||
        !gdb_take_num(in, &len) || addr >> 32 || len >> 32) {
        gdb_put_error(&g->out, EINVAL);
        return true;
    }
    if (type >= BRK_KINDS)
        return false;
    gdb_put_error(&g->out, insert ? brk_insert(g->vm, (enum brk_kind)type, (u32)addr, (u32)len)
                                  : brk_remove(g->vm, (enum brk_kind)type, (u32)addr, (u32)len));
    return true;
}

/* c, s: maybe an address to go on at; C, S: a signal before it. */
static void run_packet(struct novt_gdb *g, struct gdb_in *in, char what)
{
    u64 v;

    if ((what == 'C' || what == 'S') && gdb_take_num(in, &v) && !gdb_take(in, ";"))
        in->at = in->end;
    if (in->at < in->end && gdb_take_num(in, &v)) {
        g->vm->cpu.halted = 0;
        g->vm->cpu.eip = (u32)v;
    }
    go_on(g, what == 's' || what == 'S');
}

/* vCont;action[:thread]...: the first action that is for our only thread. */
static void cont_packet(struct novt_gdb *g, struct gdb_in *in)
{
    while (gdb_take(in, ";") && in->at < in->end) {
        char action = *in->at++;
        u64 v, thread = 1;
        bool all = true;

        if (action == 'C' || action == 'S')
            (void)gdb_take_num(in, &v);
        if (gdb_take(in, ":")) {
            if (gdb_take(in, "p") && !(gdb_take_num(in, &v) && gdb_take(in, ".")))
                break;
            all = gdb_take(in, "-1");
            if (!all && !gdb_take_num(in, &thread))
                break;
        }
        if (!all && thread > 1)
            continue;
        if (!strchr("cCsS", action))
            break;
        go_on(g, action == 's' || action == 'S');
        return;
    }
    gdb_put_error(&g->out, EINVAL);
}

static void detach(struct novt_gdb *g)
{
    brk_clear(g->vm);
    brk_run_next(g->vm);
    g->owed = false;
    (void)!novt_vm_resume(g->vm);
}

static void kill_machine(struct novt_gdb *g)
{
    brk_clear(g->vm);
    g->owed = false;
    novt_vm_stop(g->vm, 0);
}

static void v_packet(struct novt_gdb *g, struct gdb_in *in)
{
    if (gdb_take(in, "Cont?")) {
        gdb_put(&g->out, "vCont;c;C;s;S");
    } else if (gdb_take(in, "Cont")) {
        cont_packet(g, in);
    } else if (gdb_take(in, "Kill;")) {
        gdb_put(&g->out, "OK");
        kill_machine(g);
    }
}

/* Handles what is in g->packet. false: there is no answer, for now or ever. */
static bool handle(struct novt_gdb *g)
{
    struct gdb_in in = {g->packet, g->packet + g->len};
    char what = in.at < in.end ? *in.at++ : 0;

    switch (what) {
    case '?':
        interrupt(g); /* a client that asks expects it to stand */
        stop_reply(g, true);
        break;
    case 'g': read_registers(g); break;
    case 'G': gdb_put_error(&g->out, write_registers(g, &in)); break;
    case 'p': read_register(g, &in); break;
    case 'P': gdb_put_error(&g->out, write_register(g, &in)); break;
    case 'm': read_memory(g, &in); break;
    case 'M': gdb_put_error(&g->out, write_memory(g, &in, false)); break;
    case 'X': gdb_put_error(&g->out, write_memory(g, &in, true)); break;
    case 'Z': set_point(g, &in, true); break;
    case 'z': set_point(g, &in, false); break;
    case 'c':
    case 'C':
    case 's':
    case 'S': run_packet(g, &in, what); return g->out.len != 0;
    case 'v': v_packet(g, &in); return g->out.len != 0 || !g->owed;
    case 'q': gdb_query(g, &in, false); break;
    case 'Q': gdb_query(g, &in, true); break;
    case 'H':
    case 'T': gdb_put(&g->out, "OK"); break; /* there is one thread */
    case 'D':
        gdb_put(&g->out, "OK");
        detach(g);
        break;
    case 'k': kill_machine(g); return false;
    default: break;
    }
    return true;
}

static void received(struct novt_gdb *g, bool good)
{
    if (!g->no_ack)
        g->write(g->opaque, (const u8 *)(good ? "+" : "-"), 1);
    if (!good)
        return;
    g->out.len = 0;
    if (handle(g))
        gdb_send_frame(g);
}

static void end_of_frame(struct novt_gdb *g, u8 c)
{
    int hi = hex_value((char)g->given), lo = hex_value((char)c);

    g->frame = GDB_IDLE;
    received(g, !g->too_long && hi >= 0 && lo >= 0 && (hi << 4 | lo) == g->sum);
}

static void take_data(struct novt_gdb *g, u8 c)
{
    if (g->len < GDB_PACKET_BYTES)
        g->packet[g->len++] = (char)c;
    else
        g->too_long = true;
}

static void take_byte(struct novt_gdb *g, u8 c)
{
    switch (g->frame) {
    case GDB_IDLE:
        if (c == '$') {
            g->frame = GDB_DATA;
            g->len = g->sum = 0;
            g->too_long = false;
        } else if (c == CTRL_C) {
            interrupt(g);
        } else if (c == '-' && g->last_len) {
            g->write(g->opaque, g->last, g->last_len);
        }
        break;
    case GDB_DATA:
        if (c == '#') {
            g->frame = GDB_SUM1;
            break;
        }
        if (c == '$') { /* a frame that was broken off */
            g->len = g->sum = 0;
            break;
        }
        g->sum = (u8)(g->sum + c);
        if (c == '}')
            g->frame = GDB_ESCAPE;
        else
            take_data(g, c);
        break;
    case GDB_ESCAPE:
        g->sum = (u8)(g->sum + c);
        take_data(g, c ^ 0x20);
        g->frame = GDB_DATA;
        break;
    case GDB_SUM1:
        g->given = c;
        g->frame = GDB_SUM2;
        break;
    case GDB_SUM2: end_of_frame(g, c); break;
    }
}

/* ---- for the owner ---- */

struct input_args {
    struct novt_gdb *g;
    const u8 *buf;
    size_t len;
};

static void input_call(void *opaque)
{
    struct input_args *a = opaque;

    for (size_t i = 0; i < a->len && !a->g->ended; i++)
        take_byte(a->g, a->buf[i]);
}

void novt_gdb_input(struct novt_gdb *g, const uint8_t *buf, size_t len)
{
    struct input_args a = {g, buf, len};

    novt_vm_call(g->vm, input_call, &a);
}

static void open_call(void *opaque)
{
    struct novt_gdb *g = opaque;

    g->was_patient = g->vm->patient;
    g->vm->patient = true;
    novt_vm_listen(g->vm, &g->listener);
    if (novt_vm_status(g->vm) == NOVT_RUNNING)
        novt_vm_pause(g->vm, NOVT_PAUSED);
}

int novt_gdb_open(struct novt_gdb **out, struct novt_vm *vm,
                  void (*write)(void *opaque, const uint8_t *buf, size_t len), void *opaque)
{
    struct novt_gdb *g = calloc(1, sizeof(*g));

    *out = g;
    if (!g)
        return -ENOMEM;
    g->vm = vm;
    g->write = write;
    g->opaque = opaque;
    g->sstep = SSTEP_DEFAULT;
    g->listener = (struct novt_listener){.fn = on_event, .opaque = g};
    novt_vm_call(vm, open_call, g);
    return 0;
}

void novt_gdb_commands(struct novt_gdb *g, char *(*command)(void *opaque, const char *line), void *opaque)
{
    g->command = command;
    g->command_opaque = opaque;
}

struct close_args {
    struct novt_gdb *g;
    int exit_code;
};

static void close_call(void *opaque)
{
    struct close_args *a = opaque;
    struct novt_gdb *g = a->g;

    brk_clear(g->vm);
    brk_run_next(g->vm);
    g->vm->patient = g->was_patient;
    if (a->exit_code >= 0) {
        gdb_putf(&g->out, "W%02x", (unsigned)a->exit_code & 0xff);
        gdb_send_frame(g);
    }
    g->ended = true;
}

void novt_gdb_close(struct novt_gdb *g, int exit_code)
{
    struct close_args a = {g, exit_code};

    if (!g)
        return;
    novt_vm_call(g->vm, close_call, &a);
    novt_vm_unlisten(g->vm, &g->listener);
    free(g);
}
