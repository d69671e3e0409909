/*
 * cli_hmp.c - the human monitor: its words, and their table.
 *
 * Commands have QEMU's names, arguments and, where scripts look, its output. The same table serves QMP's human-monitor-command. A command
 * that changes the machine does it by the public API; nothing here is on the VM's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli_session.h"

#ifndef NOVT_VERSION
#define NOVT_VERSION "unknown"
#endif

struct hmp_command {
    const char *name, *alias; /* alias: NULL or another name */
    void (*fn)(struct hmp_args *a);
    const char *params, *help;
    unsigned least; /* arguments that must be given */
};

static void say(struct hmp_args *a, const char *text)
{
    text_puts(a->out, text);
}

/* ---- running ---- */

static void hmp_quit(struct hmp_args *a)
{
    control_quit(a->control, STOP_BY_USER);
}

static void hmp_stop(struct hmp_args *a)
{
    novt_vm_pause(a->vm, NOVT_PAUSED);
}

static void hmp_cont(struct hmp_args *a)
{
    if (novt_vm_resume(a->vm))
        say(a, "Error: Resetting the Virtual Machine is required\n");
}

static void hmp_reset(struct hmp_args *a)
{
    novt_vm_system_reset(a->vm);
}

static void hmp_powerdown(struct hmp_args *a)
{
    novt_vm_powerdown(a->vm);
}

static void hmp_nmi(struct hmp_args *a)
{
    novt_vm_nmi(a->vm);
}

/* ---- input ---- */

static void hmp_sendkey(struct hmp_args *a)
{
    u64 hold = 0;

    if (a->args > 1 && !hmp_number(a, a->arg[1], &hold))
        return;
    switch (novt_vm_send_keys(a->vm, a->arg[0], hold > 60000 ? 60000 : (unsigned)hold)) {
    case 0: break;
    case -ENOSPC: say(a, "Error: the guest has not taken the keys before it\n"); break;
    default: text_printf(a->out, "invalid parameter: %.64s\n", a->arg[0]); break;
    }
}

static void hmp_mouse_move(struct hmp_args *a)
{
    int d[3] = {0};

    for (unsigned i = 0; i < 3 && i < a->args; i++)
        d[i] = atoi(a->arg[i]);
    for (unsigned i = 0; i < 3; i++)
        d[i] = d[i] > 10000 ? 10000 : d[i] < -10000 ? -10000 : d[i];
    novt_vm_mouse(a->vm, d[0], d[1], d[2], a->control->buttons);
}

/* QEMU's mask: 1 left, 2 middle, 4 right. */
static void hmp_mouse_button(struct hmp_args *a)
{
    unsigned mask = (unsigned)atoi(a->arg[0]);

    a->control->buttons = (mask & 1) | (mask & 2) << 1 | (mask & 4) >> 1;
    novt_vm_mouse(a->vm, 0, 0, 0, a->control->buttons);
}

/* ---- looking ---- */

static void info_block(struct hmp_args *a);
static void info_blockstats(struct hmp_args *a);

static void info_status(struct hmp_args *a)
{
    enum novt_status s = novt_vm_status(a->vm);

    text_printf(a->out, "VM status: %s%s%s%s\n", s == NOVT_RUNNING ? "running" : "paused",
                s == NOVT_RUNNING || s == NOVT_PAUSED ? "" : " (",
                s == NOVT_RUNNING || s == NOVT_PAUSED ? "" : qmp_status_name(s),
                s == NOVT_RUNNING || s == NOVT_PAUSED ? "" : ")");
}

static void info_version(struct hmp_args *a)
{
    say(a, NOVT_VERSION " (NoVT)\n");
}

static void info_name(struct hmp_args *a)
{
    const char *name = a->control->opt->control.name;

    if (name)
        text_printf(a->out, "%.*s\n", (int)strcspn(name, ","), name);
}

static void info_uuid(struct hmp_args *a)
{
    const unsigned char *u = a->control->opt->config.uuid;

    for (unsigned i = 0; i < 16; i++)
        text_printf(a->out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
    say(a, "\n");
}

static void info_kvm(struct hmp_args *a)
{
    say(a, "kvm support: not compiled\n");
}

static void info_chardev(struct hmp_args *a)
{
    const struct cli_io *io = a->control->io;
    char name[200];

    for (unsigned i = 0; i < io->devs; i++) {
        const struct chardev *d = &io->dev[i];

        snprintf(name, sizeof(name), "%s", chardev_kind_name(d->kind));
        if (d->kind == CHARDEV_SOCK)
            sock_describe(&d->sock.spec, name, sizeof(name));
        if (d->serial >= 0)
            text_printf(a->out, "serial%d: filename=%s\n", d->serial, name);
        else
            text_printf(a->out, "other%u: filename=%s\n", i, name);
    }
    for (unsigned i = 0; i < a->control->ends; i++) {
        const struct control_end *e = &a->control->end[i];

        snprintf(name, sizeof(name), e->mux ? "mux" : "stdio");
        if (e->sock.listen_fd >= 0 || e->sock.fd >= 0)
            sock_describe(&e->sock.spec, name, sizeof(name));
        text_printf(a->out, "%s%u: filename=%s\n", e->qmp ? "qmp" : "monitor", i, name);
    }
}

static void info_cpus(struct hmp_args *a)
{
    text_printf(a->out, "* CPU #0: thread_id=%d\n", (int)getpid());
}

#define INFO_BYTES (4u << 20)

static void info_of_vm(struct hmp_args *a, const char *what)
{
    char *buf = malloc(INFO_BYTES);
    size_t n = buf ? novt_vm_info(a->vm, what, buf, INFO_BYTES) : 0;

    if (n)
        text_put(a->out, buf, n < INFO_BYTES ? n : INFO_BYTES - 1);
    else
        text_printf(a->out, "nothing is known of \"%.32s\"\n", what);
    free(buf);
}

/* Counters whose names begin with one of the parts. */
static void counters(struct hmp_args *a, const char *const *parts, size_t n)
{
    struct text all = {0}, *out = a->out;

    a->out = &all;
    info_of_vm(a, "stats");
    a->out = out;
    for (const char *at = text_str(&all); *at;) {
        size_t len = strcspn(at, "\n") + 1;

        for (size_t i = 0; i < n; i++)
            if (!strncmp(at, parts[i], strlen(parts[i])))
                text_put(out, at, at[len - 1] ? len : len - 1);
        at += at[len - 1] ? len : len - 1;
    }
    text_free(&all);
}

static void info_jit(struct hmp_args *a)
{
    static const char *const parts[] = {"exits.", "bt.", "refused.", "cache."};

    counters(a, parts, ARRAY_SIZE(parts));
}

static void info_blocks(struct hmp_args *a)
{
    static const char *const parts[] = {"cache."};

    counters(a, parts, ARRAY_SIZE(parts));
}

static void info_mice(struct hmp_args *a)
{
    say(a, "* Mouse #2: QEMU PS/2 Mouse\n");
}

static void info_snapshots(struct hmp_args *a)
{
    say(a, "There is no snapshot available: savevm FILE saves to a file of its own\n");
}

static void info_usb(struct hmp_args *a)
{
    say(a, "Error: USB support not enabled\n");
}

static const struct {
    const char *name, *help;
    void (*fn)(struct hmp_args *a); /* NULL: the library knows (novt_vm_info()) */
} infos[] = {
    {"block", "disks, CDs and floppies", info_block},
    {"blockstats", "and what was read and written", info_blockstats},
    {"blocks", "translated code", info_blocks},
    {"chardev", "where serial lines and monitors go", info_chardev},
    {"cpus", "the CPU", info_cpus},
    {"ioapic", "the I/O APIC", NULL},
    {"irq", "interrupts so far", NULL},
    {"jit", "translation and its counters", info_jit},
    {"kvm", "whether there is KVM", info_kvm},
    {"lapic", "the local APIC", NULL},
    {"mem", "ranges of linear addresses that are mapped", NULL},
    {"mice", "the mouse", info_mice},
    {"mtree", "memory map and ports", NULL},
    {"name", "of the guest", info_name},
    {"network", "network cards and what is behind them", hmp_info_network},
    {"pci", "PCI functions and their places", NULL},
    {"pic", "interrupt controllers", NULL},
    {"qtree", "buses, the devices on them and their properties", NULL},
    {"registers", "of the CPU", NULL},
    {"screen", "the text on it", hmp_info_screen},
    {"snapshots", "what savevm saved inside disk images: nothing", info_snapshots},
    {"stats", "all counters", NULL},
    {"status", "running or paused", info_status},
    {"tlb", "pages of linear addresses that are mapped", NULL},
    {"usb", "there is none", info_usb},
    {"uuid", "of the machine", info_uuid},
    {"version", "of NoVT", info_version},
};

static void hmp_info(struct hmp_args *a)
{
    for (size_t i = 0; a->args && i < ARRAY_SIZE(infos); i++) {
        if (strcmp(a->arg[0], infos[i].name))
            continue;
        if (infos[i].fn)
            infos[i].fn(a);
        else
            info_of_vm(a, infos[i].name);
        return;
    }
    if (a->args) {
        text_printf(a->out, "unknown command: 'info %.64s'\n", a->arg[0]);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(infos); i++)
        text_printf(a->out, "info %-10s -- %s\n", infos[i].name, infos[i].help);
}

/* ---- media ---- */

struct medium_call {
    struct novt_vm *vm;
    const char *id;
    const struct novt_medium *medium; /* without a file: out with it */
    struct novt_error err;
    int rc;
};

static void change_here(void *opaque)
{
    struct medium_call *m = opaque;

    m->rc = novt_vm_change(m->vm, m->id, m->medium, &m->err);
}

/* eject [-f] DRIVE */
static void hmp_eject(struct hmp_args *a)
{
    struct novt_medium none = {.force = a->args > 1 && !strcmp(a->arg[0], "-f")};
    struct medium_call m = {.vm = a->vm, .id = a->arg[a->args - 1], .medium = &none};

    novt_vm_call(a->vm, change_here, &m);
    if (m.rc)
        text_printf(a->out, "Error: %s\n", m.err.cause);
}

/* change DRIVE FILE [FORMAT], change vnc password TEXT */
static void hmp_change(struct hmp_args *a)
{
    struct novt_medium medium = {.file = a->arg[1]};
    struct medium_call m = {.vm = a->vm, .id = a->arg[0], .medium = &medium};

    if (hmp_change_vnc(a))
        return;
    if (a->args > 2 && !novt_format_by_name(a->arg[2], &medium.format)) {
        text_printf(a->out, "Error: unknown format \"%s\"\n", a->arg[2]);
        return;
    }
    novt_vm_call(a->vm, change_here, &m);
    if (m.rc)
        text_printf(a->out, "Error: %s\n", m.err.cause);
}

struct block_call {
    struct novt_vm *vm;
    struct text *out;
    bool stats;
};

static void block_here(void *opaque)
{
    struct block_call *b = opaque;
    struct novt_drive_info d;

    for (unsigned n = 0; novt_vm_drive_info(b->vm, n, &d); n++) {
        if (b->stats) {
            text_printf(b->out,
                        "%s: rd_bytes=%llu wr_bytes=%llu rd_operations=%llu wr_operations=%llu "
                        "flush_operations=%llu errors=%llu\n",
                        d.id, (unsigned long long)d.read_bytes, (unsigned long long)d.written_bytes,
                        (unsigned long long)d.reads, (unsigned long long)d.writes,
                        (unsigned long long)d.flushes, (unsigned long long)d.errors);
            continue;
        }
        if (d.inserted)
            text_printf(b->out, "%s: %s (%s%s%s)\n", d.id, d.file, novt_format_name(d.format),
                        d.read_only ? ", read-only" : "", d.snapshot ? ", snapshot" : "");
        else
            text_printf(b->out, "%s: [not inserted]\n", d.id);
        if (d.removable)
            text_printf(b->out, "    Removable device: tray %s\n", d.tray_open ? "open" : "closed");
        if (d.stopped_by)
            text_printf(b->out, "    I/O status:       %s\n", d.stopped_by == ENOSPC ? "nospace" : "failed");
    }
}

static void info_block(struct hmp_args *a)
{
    struct block_call b = {a->vm, a->out, false};

    novt_vm_call(a->vm, block_here, &b);
}

static void info_blockstats(struct hmp_args *a)
{
    struct block_call b = {a->vm, a->out, true};

    novt_vm_call(a->vm, block_here, &b);
}

static void hmp_screendump(struct hmp_args *a)
{
    enum novt_picture_format format = NOVT_PICTURE_PPM;
    struct novt_error err = {0};

    if (a->args > 2 && !strcmp(a->arg[1], "-f")) {
        if (!strcmp(a->arg[2], "png"))
            format = NOVT_PICTURE_PNG;
        else if (strcmp(a->arg[2], "ppm")) {
            say(a, "Error: formats are png and ppm\n");
            return;
        }
    }
    if (novt_vm_screendump(a->vm, a->arg[0], format, &err))
        text_printf(a->out, "Error: %s\n", err.cause);
}

static void hmp_help(struct hmp_args *a);

static const struct hmp_command commands[] = {
    {"change", NULL, hmp_change, "DRIVE FILE [FORMAT]", "another medium into a CD-ROM or floppy drive", 2},
    {"cont", "c", hmp_cont, "", "go on after stop or -S", 0},
    {"eject", NULL, hmp_eject, "[-f] DRIVE", "takes the medium out", 1},
    {"expire_password", NULL, hmp_expire_password, "vnc TIME", "the VNC password is valid until then: now, never, +SECONDS", 2},
    {"help", "?", hmp_help, "[COMMAND]", "this list", 0},
    {"hostfwd_add", NULL, hmp_hostfwd_add, "[NAME] tcp|udp:[HOST]:PORT-[GUEST]:PORT", "a host port leads to the guest", 1},
    {"hostfwd_remove", NULL, hmp_hostfwd_remove, "[NAME] tcp|udp:[HOST]:PORT", "and no more", 1},
    {"info", NULL, hmp_info, "[WHAT]", "shows the state of something; alone lists of what", 0},
    {"loadvm", NULL, hmp_loadvm, "FILE", "the machine back from a file that savevm made", 1},
    {"memsave", NULL, hmp_memsave, "ADDR SIZE FILE", "linear memory into a file", 3},
    {"mouse_button", NULL, hmp_mouse_button, "STATE", "1 left, 2 middle, 4 right, added up", 1},
    {"mouse_move", NULL, hmp_mouse_move, "DX DY [DZ]", "moves the mouse", 2},
    {"nmi", NULL, hmp_nmi, "", "a non-maskable interrupt", 0},
    {"pmemsave", NULL, hmp_pmemsave, "ADDR SIZE FILE", "physical memory into a file", 3},
    {"print", "p", hmp_print, "/FMT EXPR", "the value of an expression with $registers", 1},
    {"quit", "q", hmp_quit, "", "ends NoVT", 0},
    {"savevm", NULL, hmp_savevm, "FILE", "the whole machine, but for its disks, into a file", 1},
    {"screendump", NULL, hmp_screendump, "FILE [-f png|ppm]", "the screen as a picture", 1},
    {"sendkey", NULL, hmp_sendkey, "KEYS [HOLD_MS]", "presses keys: ctrl-alt-delete", 1},
    {"set_password", NULL, hmp_set_password, "vnc PASSWORD", "what VNC clients are asked for with -vnc ...,password=on", 2},
    {"set_link", NULL, hmp_set_link, "NAME on|off", "a network card's cable in or out", 2},
    {"stop", "s", hmp_stop, "", "pauses", 0},
    {"system_powerdown", NULL, hmp_powerdown, "", "presses the power button", 0},
    {"system_reset", NULL, hmp_reset, "", "presses the reset button", 0},
    {"x", NULL, hmp_x, "/FMT ADDR", "linear memory: COUNT, x d u o c i, b h w g", 1},
    {"xp", NULL, hmp_xp, "/FMT ADDR", "physical memory", 1},
};

/* ---- lines ---- */

static const struct hmp_command *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strcmp(commands[i].name, word) || (commands[i].alias && !strcmp(commands[i].alias, word)))
            return &commands[i];
    return NULL;
}

static void hmp_help(struct hmp_args *a)
{
    const struct hmp_command *one = a->args ? find(a->arg[0]) : NULL;

    if (a->args && !one)
        text_printf(a->out, "unknown command: '%.64s'\n", a->arg[0]);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (!a->args || one == &commands[i])
            text_printf(a->out, "%s%s%s %s -- %s\n", commands[i].name, commands[i].alias ? "|" : "",
                        commands[i].alias ? commands[i].alias : "", commands[i].params, commands[i].help);
}

/* Words at blanks; "quoted text" is one. In place. */
static void split(struct hmp_args *a)
{
    char *at = a->rest;

    while (a->args < ARRAY_SIZE(a->arg)) {
        at += strspn(at, " \t");
        if (!*at)
            return;
        if (*at == '"') {
            a->arg[a->args++] = ++at;
            at += strcspn(at, "\"");
        } else {
            a->arg[a->args++] = at;
            at += strcspn(at, " \t");
        }
        if (!*at)
            return;
        *at++ = 0;
    }
}

void hmp_execute(struct cli_control *c, const char *line, struct text *out)
{
    char copy[LINE_BYTES], words[LINE_BYTES], *name, *slash;
    struct hmp_args a = {.control = c, .vm = c->vm, .out = out, .fmt = ""};
    const struct hmp_command *cmd;
    size_t len;

    snprintf(copy, sizeof(copy), "%s", line);
    name = copy + strspn(copy, " \t");
    len = strcspn(name, " \t");
    if (!len || name[0] == '#')
        return;
    a.rest = name[len] ? name + len + 1 : name + len;
    name[len] = 0;
    slash = strchr(name, '/');
    if (slash) { /* x/10i */
        *slash = 0;
        a.fmt = slash + 1;
    }
    cmd = find(name);
    if (!cmd) {
        text_printf(out, "unknown command: '%.64s'\n", name);
        return;
    }
    if (!slash && cmd->params[0] == '/' &&
        a.rest[strspn(a.rest, " \t")] == '/') { /* x /10i; elsewhere it is a file's path */
        a.rest += strspn(a.rest, " \t") + 1;
        a.fmt = a.rest;
        a.rest += strcspn(a.rest, " \t");
        if (*a.rest)
            *a.rest++ = 0;
    }
    snprintf(words, sizeof(words), "%s", a.rest);
    char *rest = a.rest;
    a.rest = words;
    split(&a);
    a.rest = rest;
    if (a.args < cmd->least)
        text_printf(out, "%s: it needs %s\n", cmd->name, cmd->params);
    else
        cmd->fn(&a);
}

/* ---- an end with a person or a script ---- */

static void put_line(void *opaque, const char *buf, size_t n)
{
    end_put(opaque, buf, n);
}

static void run_line(void *opaque, const char *text)
{
    struct control_end *e = opaque;
    struct text out = {0};
    const char *at;

    hmp_execute(e->control, text, &out);
    at = text_str(&out);
    while (*at) { /* a terminal in raw mode wants both */
        size_t n = strcspn(at, "\n");

        end_put(e, at, n);
        at += n;
        if (*at) {
            end_put(e, "\r\n", 2);
            at++;
        }
    }
    text_free(&out);
    line_prompt(&e->line);
}

/* Words for Tab: commands, what info knows, keys. */
static const char *word(void *opaque, const char *line, unsigned n)
{
    const char *at = line + strspn(line, " ");

    (void)opaque;
    if (!strchr(at, ' '))
        return n < ARRAY_SIZE(commands) ? commands[n].name : NULL;
    if (!strncmp(at, "info ", 5))
        return n < ARRAY_SIZE(infos) ? infos[n].name : NULL;
    if (!strncmp(at, "help ", 5))
        return n < ARRAY_SIZE(commands) ? commands[n].name : NULL;
    return strncmp(at, "sendkey ", 8) ? NULL : novt_key_name(n);
}

void hmp_init(struct control_end *e)
{
    line_init(&e->line);
    e->line.opaque = e;
    e->line.put = put_line;
    e->line.run = run_line;
    e->line.word = word;
}

void hmp_open(struct control_end *e)
{
    static const char greeting[] = "NoVT " NOVT_VERSION " monitor - type 'help' for more information\r\n";

    end_put(e, greeting, sizeof(greeting) - 1);
    line_clear(&e->line);
    line_prompt(&e->line);
}

void hmp_feed(struct control_end *e, u8 c)
{
    line_feed(&e->line, c);
}
