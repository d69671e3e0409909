/*
 * cli_qmp_cmd.c - QMP's commands, one function each, and their table.
 *
 * Arguments were checked against the table before a function is called. A function leaves its answer in ret or calls qmp_fail().
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

static const char *string_arg(struct qmp_call *q, const char *name)
{
    return json_string_value(json_object_get(q->args, name));
}

static u64 int_arg(struct qmp_call *q, const char *name)
{
    return (u64)json_integer_value(json_object_get(q->args, name));
}

/* ---- running ---- */

/* The capabilities that a client enables: there are none to enable. */
static void cmd_capabilities(struct qmp_call *q)
{
    json_t *list = json_object_get(q->args, "enable");

    if (json_array_size(list))
        qmp_fail(q, "Capability '%.60s' is not available",
                 json_is_string(json_array_get(list, 0)) ? json_string_value(json_array_get(list, 0)) : "?");
}

static void cmd_quit(struct qmp_call *q)
{
    control_quit(q->control, STOP_BY_USER);
}

static void cmd_stop(struct qmp_call *q)
{
    novt_vm_pause(q->vm, NOVT_PAUSED);
}

static void cmd_cont(struct qmp_call *q)
{
    if (novt_vm_resume(q->vm))
        qmp_fail(q, "Resetting the Virtual Machine is required");
}

static void cmd_reset(struct qmp_call *q)
{
    novt_vm_system_reset(q->vm);
}

static void cmd_powerdown(struct qmp_call *q)
{
    novt_vm_powerdown(q->vm);
}

static void cmd_nmi(struct qmp_call *q)
{
    novt_vm_nmi(q->vm);
}

/* ---- queries ---- */

static void cmd_query_status(struct qmp_call *q)
{
    enum novt_status s = novt_vm_status(q->vm);

    q->ret = json_pack("{s:s,s:b,s:b}", "status", qmp_status_name(s), "singlestep", 0, "running",
                       s == NOVT_RUNNING);
}

static void cmd_query_version(struct qmp_call *q)
{
    q->ret = json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "micro", 0, "minor", 2, "major", 7, "package",
                       "NoVT " NOVT_VERSION);
}

static void cmd_query_commands(struct qmp_call *q)
{
    const struct qmp_command *cmd;

    q->ret = json_array();
    for (unsigned n = 0; (cmd = qmp_nth(n)); n++)
        json_array_append_new(q->ret, json_pack("{s:s}", "name", cmd->name));
}

static void cmd_query_name(struct qmp_call *q)
{
    const char *name = q->control->opt->control.name;

    q->ret = json_object();
    if (name)
        json_object_set_new(q->ret, "name", json_stringn(name, strcspn(name, ",")));
}

static void cmd_query_uuid(struct qmp_call *q)
{
    const unsigned char *u = q->control->opt->config.uuid;
    char text[40] = "";
    size_t at = 0;

    for (unsigned i = 0; i < 16; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at,
                               i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
    q->ret = json_pack("{s:s}", "UUID", text);
}

static void cmd_query_kvm(struct qmp_call *q)
{
    q->ret = json_pack("{s:b,s:b}", "enabled", 0, "present", 0);
}

static void cmd_query_cpus(struct qmp_call *q)
{
    q->ret = json_pack("[{s:i,s:s,s:i,s:s,s:{s:i,s:i,s:i}}]", "cpu-index", 0, "qom-path",
                       "/machine/unattached/device[0]", "thread-id", (int)getpid(), "target", "i386", "props",
                       "core-id", 0, "thread-id", 0, "socket-id", 0);
}

static void cmd_query_target(struct qmp_call *q)
{
    q->ret = json_pack("{s:s}", "arch", "i386");
}

static void cmd_query_memory(struct qmp_call *q)
{
    u64 bytes = q->control->opt->config.ram_bytes;

    q->ret = json_pack("{s:I}", "base-memory", (json_int_t)(bytes ? bytes : NOVT_RAM_DEFAULT_BYTES));
}

static void cmd_query_chardev(struct qmp_call *q)
{
    const struct cli_io *io = q->control->io;
    char label[32], file[200];

    q->ret = json_array();
    for (unsigned i = 0; i < io->devs; i++) {
        const struct chardev *d = &io->dev[i];

        snprintf(file, sizeof(file), "%s", chardev_kind_name(d->kind));
        if (d->kind == CHARDEV_SOCK)
            sock_describe(&d->sock.spec, file, sizeof(file));
        snprintf(label, sizeof(label), d->serial >= 0 ? "serial%d" : "other%d",
                 d->serial >= 0 ? d->serial : (int)i);
        json_array_append_new(
            q->ret, json_pack("{s:s,s:s,s:b}", "label", label, "filename", file, "frontend-open", 1));
    }
    for (unsigned i = 0; i < q->control->ends; i++) {
        const struct control_end *e = &q->control->end[i];

        snprintf(file, sizeof(file), "%s", e->mux ? "mux" : "stdio");
        if (e->sock.listen_fd >= 0 || e->sock.fd >= 0)
            sock_describe(&e->sock.spec, file, sizeof(file));
        snprintf(label, sizeof(label), "compat_monitor%u", i);
        json_array_append_new(
            q->ret, json_pack("{s:s,s:s,s:b}", "label", label, "filename", file, "frontend-open", 1));
    }
}

static void cmd_query_mice(struct qmp_call *q)
{
    q->ret =
        json_pack("[{s:s,s:i,s:b,s:b}]", "name", "QEMU PS/2 Mouse", "index", 2, "current", 1, "absolute", 0);
}

static void cmd_empty_list(struct qmp_call *q)
{
    q->ret = json_array();
}

/* ---- media ---- */

struct medium_call {
    struct qmp_call *q;
    const char *id;
    struct novt_medium medium;
    struct novt_error err;
    json_t *list;
    int rc;
};

static void block_here(void *opaque)
{
    struct medium_call *m = opaque;
    struct novt_drive_info d;

    for (unsigned n = 0; novt_vm_drive_info(m->q->vm, n, &d); n++) {
        json_t *one = json_pack("{s:s,s:s,s:b,s:b,s:s}", "device", d.id, "qdev", d.id, "removable",
                                d.removable, "locked", 0, "type", "unknown");

        if (d.removable)
            json_object_set_new(one, "tray_open", json_boolean(d.tray_open));
        if (d.bus != NOVT_BUS_FLOPPY)
            json_object_set_new(one, "io-status", json_string(!d.stopped_by ? "ok" : d.stopped_by == ENOSPC ? "nospace" : "failed"));
        if (d.inserted)
            json_object_set_new(one, "inserted",
                                json_pack("{s:s,s:s,s:b,s:b,s:{s:s,s:s,s:I}}", "file", d.file, "drv",
                                          novt_format_name(d.format), "ro", d.read_only, "encrypted", 0,
                                          "image", "filename", d.file, "format", novt_format_name(d.format),
                                          "virtual-size", (json_int_t)d.bytes));
        json_array_append_new(m->list, one);
    }
}

static void cmd_query_block(struct qmp_call *q)
{
    struct medium_call m = {.q = q, .list = json_array()};

    novt_vm_call(q->vm, block_here, &m);
    q->ret = m.list;
}

static void blockstats_here(void *opaque)
{
    struct medium_call *m = opaque;
    struct novt_drive_info d;

    for (unsigned n = 0; novt_vm_drive_info(m->q->vm, n, &d); n++)
        json_array_append_new(m->list,
                              json_pack("{s:s,s:s,s:{s:I,s:I,s:I,s:I,s:I,s:I}}", "device", d.id, "qdev", d.id,
                                        "stats", "rd_bytes", (json_int_t)d.read_bytes, "wr_bytes",
                                        (json_int_t)d.written_bytes, "rd_operations", (json_int_t)d.reads,
                                        "wr_operations", (json_int_t)d.writes, "flush_operations",
                                        (json_int_t)d.flushes, "failed_rd_operations", (json_int_t)d.errors));
}

static void cmd_query_blockstats(struct qmp_call *q)
{
    struct medium_call m = {.q = q, .list = json_array()};

    novt_vm_call(q->vm, blockstats_here, &m);
    q->ret = m.list;
}

static void change_here(void *opaque)
{
    struct medium_call *m = opaque;

    m->rc = novt_vm_change(m->q->vm, m->id, &m->medium, &m->err);
}

static void change(struct qmp_call *q, const char *file)
{
    const char *format = string_arg(q, "format");
    struct medium_call m = {.q = q, .id = string_arg(q, "device"), .medium = {.file = file}};

    m.medium.force = json_is_true(json_object_get(q->args, "force"));
    if (!m.id)
        m.id = string_arg(q, "id");
    if (!m.id) {
        qmp_fail(q, "Parameter 'device' is missing");
        return;
    }
    if (format && !novt_format_by_name(format, &m.medium.format)) {
        qmp_fail(q, "Unknown format '%.40s'", format);
        return;
    }
    novt_vm_call(q->vm, change_here, &m);
    if (m.rc)
        qmp_fail(q, "%.200s", m.err.cause);
}

static void cmd_eject(struct qmp_call *q)
{
    change(q, NULL);
}

static void cmd_change_medium(struct qmp_call *q)
{
    change(q, string_arg(q, "filename"));
}

/* ---- input ---- */

/* A KeyValue into QEMU's name of the key; false with the error set. */
static bool key_name(struct qmp_call *q, json_t *key, char *buf, size_t bytes)
{
    const char *type = json_string_value(json_object_get(key, "type"));
    json_t *data = json_object_get(key, "data");

    if (type && !strcmp(type, "qcode") && json_is_string(data) && strlen(json_string_value(data)) < bytes) {
        snprintf(buf, bytes, "%s", json_string_value(data));
        return true;
    }
    if (type && !strcmp(type, "number") && json_is_integer(data) && json_integer_value(data) > 0 &&
        json_integer_value(data) < 0x100) {
        snprintf(buf, bytes, "0x%02x", (unsigned)json_integer_value(data));
        return true;
    }
    qmp_fail(
        q,
        "Invalid parameter 'keys': a key is {'type':'qcode','data':NAME} or {'type':'number','data':CODE}");
    return false;
}

static void cmd_send_key(struct qmp_call *q)
{
    json_t *keys = json_object_get(q->args, "keys"), *key;
    u64 hold = int_arg(q, "hold-time");
    char all[256] = "", one[32];
    size_t i, at = 0;

    json_array_foreach(keys, i, key)
    {
        if (!key_name(q, key, one, sizeof(one)))
            return;
        if (at + strlen(one) + 2 > sizeof(all)) {
            qmp_fail(q, "Invalid parameter 'keys': too many");
            return;
        }
        at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", at ? "-" : "", one);
    }
    switch (novt_vm_send_keys(q->vm, all, hold > 60000 ? 60000 : (unsigned)hold)) {
    case 0: break;
    case -ENOSPC: qmp_fail(q, "the guest has not taken the keys before it"); break;
    default: qmp_fail(q, "Invalid parameter '%.200s'", all); break;
    }
}

/* One of input-send-event's; d: motion so far. */
static bool input_event(struct qmp_call *q, json_t *ev, int d[3])
{
    static const struct {
        const char *name;
        unsigned button;
        int wheel;
    } buttons[] = {{"left", 1, 0},       {"middle", 4, 0}, {"right", 2, 0}, {"wheel-up", 0, -1},
                   {"wheel-down", 0, 1}, {"side", 8, 0},   {"extra", 16, 0}};
    const char *type = json_string_value(json_object_get(ev, "type"));
    json_t *data = json_object_get(ev, "data");
    bool down = json_is_true(json_object_get(data, "down"));
    const char *word;
    char name[32];

    if (type && !strcmp(type, "key")) {
        if (!key_name(q, json_object_get(data, "key"), name, sizeof(name)))
            return false;
        if (novt_vm_key(q->vm, name, down) == -EINVAL) {
            qmp_fail(q, "Invalid parameter '%s'", name);
            return false;
        }
        return true;
    }
    if (type && !strcmp(type, "btn") && (word = json_string_value(json_object_get(data, "button")))) {
        for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
            if (!strcmp(word, buttons[i].name)) {
                if (down)
                    q->control->buttons |= buttons[i].button;
                else
                    q->control->buttons &= ~buttons[i].button;
                novt_vm_mouse(q->vm, 0, 0, down ? buttons[i].wheel : 0, q->control->buttons);
                return true;
            }
    }
    if (type && !strcmp(type, "rel") && (word = json_string_value(json_object_get(data, "axis")))) {
        json_int_t v = json_integer_value(json_object_get(data, "value"));

        d[!strcmp(word, "y")] += (int)(v > 10000 ? 10000 : v < -10000 ? -10000 : v);
        return true;
    }
    qmp_fail(q, type && !strcmp(type, "abs") ? "there is no absolute pointing device"
                                             : "Invalid parameter 'events'");
    return false;
}

static void cmd_input_send_event(struct qmp_call *q)
{
    json_t *events = json_object_get(q->args, "events"), *ev;
    int d[3] = {0};
    size_t i;

    json_array_foreach(events, i, ev)
    {
        if (i >= 64 || !input_event(q, ev, d))
            break;
    }
    if (d[0] || d[1])
        novt_vm_mouse(q->vm, d[0], d[1], 0, q->control->buttons);
}

/* ---- pictures and memory ---- */

static void cmd_screendump(struct qmp_call *q)
{
    const char *format = string_arg(q, "format");
    struct novt_error err = {0};

    if (format && strcmp(format, "ppm") && strcmp(format, "png")) {
        qmp_fail(q, "Invalid parameter '%.60s'", format);
        return;
    }
    if (novt_vm_screendump(q->vm, string_arg(q, "filename"),
                           format && !strcmp(format, "png") ? NOVT_PICTURE_PNG : NOVT_PICTURE_PPM, &err))
        qmp_fail(q, "%.200s", err.cause);
}

static void memsave(struct qmp_call *q, bool linear)
{
    const char *why;
    int rc = control_memsave(q->vm, linear, int_arg(q, "val"), int_arg(q, "size"), string_arg(q, "filename"),
                             &why);

    if (rc)
        qmp_fail(q, "%s: %s", why, strerror(-rc));
}

static void cmd_memsave(struct qmp_call *q)
{
    memsave(q, true);
}

static void cmd_pmemsave(struct qmp_call *q)
{
    memsave(q, false);
}

static void cmd_hmp(struct qmp_call *q)
{
    struct text out = {0};

    hmp_execute(q->control, string_arg(q, "command-line"), &out);
    /* QEMU's lines end with \r\n here as on a terminal. What is not UTF-8 cannot be in JSON. */
    struct text crlf = {0};
    for (const char *at = text_str(&out); *at; at++) {
        char c = (u8)*at < 128 ? *at : '?';

        if (c == '\n')
            text_puts(&crlf, "\r");
        text_put(&crlf, &c, 1);
    }
    q->ret = json_string(text_str(&crlf));
    text_free(&crlf);
    text_free(&out);
}

static const struct qmp_command commands[] = {
    {"blockdev-change-medium", cmd_change_medium,
     " device s id s filename S format s force b read-only-mode s"},
    {"cont", cmd_cont, ""},
    {"eject", cmd_eject, " device s id s force b"},
    {"human-monitor-command", cmd_hmp, " command-line S cpu-index i"},
    {"inject-nmi", cmd_nmi, ""},
    {"input-send-event", cmd_input_send_event, " device s head i events A"},
    {"memsave", cmd_memsave, " val I size I filename S cpu-index i"},
    {"pmemsave", cmd_pmemsave, " val I size I filename S"},
    {"qmp_capabilities", cmd_capabilities, " enable a"},
    {"query-block", cmd_query_block, ""},
    {"query-blockstats", cmd_query_blockstats, " query-nodes b"},
    {"query-chardev", cmd_query_chardev, ""},
    {"query-commands", cmd_query_commands, ""},
    {"query-cpus-fast", cmd_query_cpus, ""},
    {"query-cpu-definitions", qmp_query_cpu_definitions, ""},
    {"query-current-machine", qmp_query_current_machine, ""},
    {"query-events", qmp_query_events, ""},
    {"query-hotpluggable-cpus", cmd_empty_list, ""},
    {"query-machines", qmp_query_machines, ""},
    {"query-qmp-schema", qmp_query_schema, ""},
    {"query-iothreads", cmd_empty_list, ""},
    {"query-jobs", cmd_empty_list, ""},
    {"query-block-jobs", cmd_empty_list, ""},
    {"query-kvm", cmd_query_kvm, ""},
    {"query-memory-size-summary", cmd_query_memory, ""},
    {"query-mice", cmd_query_mice, ""},
    {"query-name", cmd_query_name, ""},
    {"query-status", cmd_query_status, ""},
    {"query-target", cmd_query_target, ""},
    {"query-uuid", cmd_query_uuid, ""},
    {"query-version", cmd_query_version, ""},
    {"quit", cmd_quit, ""},
    {"change-vnc-password", qmp_change_vnc_password, " password S"},
    {"expire_password", qmp_expire_password, " protocol S time S display s"},
    {"set_password", qmp_set_password, " protocol S password S connected s display s"},
    {"screendump", cmd_screendump, " filename S device s head i format s"},
    {"send-key", cmd_send_key, " keys A hold-time i"},
    {"set_link", qmp_set_link, " name S up B"},
    {"stop", cmd_stop, ""},
    {"system_powerdown", cmd_powerdown, ""},
    {"system_reset", cmd_reset, ""},
};

const struct qmp_command *qmp_nth(unsigned n)
{
    return n < ARRAY_SIZE(commands) ? &commands[n] : NULL;
}

const struct qmp_command *qmp_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}
