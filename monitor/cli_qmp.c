/*
 * cli_qmp.c - the QEMU Machine Protocol: greeting, negotiation, commands in, answers and events out.
 *
 * One JSON object is one command; its answer comes before the next is looked at. What is not a command gets an error object with QEMU's class
 * and, where programs look at it, QEMU's wording. The values of "id" come back as they were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli_session.h"

#ifndef NOVT_VERSION
#define NOVT_VERSION "unknown"
#endif

static void send_json(struct control_end *e, json_t *value)
{
    char *text =
        value ? json_dumps(value, e->pretty ? JSON_INDENT(4) | JSON_PRESERVE_ORDER : JSON_PRESERVE_ORDER)
              : NULL;

    json_decref(value);
    if (!text)
        return;
    end_put(e, text, strlen(text));
    end_put(e, "\r\n", 2);
    free(text);
}

static void send_error(struct control_end *e, json_t *id, const char *class, const char *desc)
{
    json_t *reply = json_pack("{s:{s:s,s:s}}", "error", "class", class, "desc", desc);

    if (reply && id)
        json_object_set(reply, "id", id);
    send_json(e, reply);
}

void qmp_open(struct control_end *e)
{
    e->negotiated = false;
    frame_reset(&e->frame);
    send_json(e, json_pack("{s:{s:{s:{s:i,s:i,s:i},s:s},s:[]}}", "QMP", "version", "qemu", "micro", 0,
                           "minor", 2, "major", 7, "package", "NoVT " NOVT_VERSION, "capabilities"));
}

/* ---- events ---- */

const char *qmp_status_name(enum novt_status status)
{
    static const char *const names[] = {
        [NOVT_RUNNING] = "running",    [NOVT_PAUSED] = "paused",  [NOVT_PRELAUNCH] = "prelaunch",
        [NOVT_SHUT_DOWN] = "shutdown", [NOVT_DEBUGGED] = "debug", [NOVT_IO_ERROR] = "io-error",
    };

    return (size_t)status < ARRAY_SIZE(names) ? names[status] : "paused";
}

static const char *reason(const struct novt_event *ev)
{
    if (ev->kind == NOVT_EVENT_RESET)
        return ev->guest ? "guest-reset" : "host-qmp-system-reset";
    if (ev->guest)
        return "guest-shutdown";
    return ev->code >= STOP_BY_SIGNAL || ev->code == STOP_BY_TIMEOUT ? "host-signal" : "host-qmp-quit";
}

void qmp_event(struct control_end *e, const struct control_event *ev)
{
    static const char *const names[] = {
        [NOVT_EVENT_STOP] = "STOP",         [NOVT_EVENT_RESUME] = "RESUME",
        [NOVT_EVENT_RESET] = "RESET",       [NOVT_EVENT_POWERDOWN] = "POWERDOWN",
        [NOVT_EVENT_SHUTDOWN] = "SHUTDOWN", [NOVT_EVENT_DRIVE_ERROR] = "BLOCK_IO_ERROR",
    };
    static const char *const actions[] = {
        [NOVT_ON_ERROR_REPORT] = "report", [NOVT_ON_ERROR_STOP] = "stop", [NOVT_ON_ERROR_ENOSPC] = "stop", [NOVT_ON_ERROR_IGNORE] = "ignore"};
    json_t *msg =
        json_pack("{s:{s:I,s:I}, s:s}", "timestamp", "seconds", (json_int_t)ev->when.tv_sec, "microseconds",
                  (json_int_t)(ev->when.tv_nsec / 1000), "event", names[ev->event.kind]);

    if (msg && (ev->event.kind == NOVT_EVENT_RESET || ev->event.kind == NOVT_EVENT_SHUTDOWN))
        json_object_set_new(msg, "data",
                            json_pack("{s:b,s:s}", "guest", ev->event.guest, "reason", reason(&ev->event)));
    if (msg && ev->event.kind == NOVT_EVENT_DRIVE_ERROR)
        json_object_set_new(msg, "data",
                            json_pack("{s:s,s:s,s:s,s:s,s:b,s:s}", "device", ev->event.drive, "node-name", ev->event.drive, "operation",
                                      ev->event.write ? "write" : "read", "action", actions[ev->event.outcome], "nospace",
                                      ev->event.code == ENOSPC, "reason", strerror(ev->event.code)));
    send_json(e, msg);
}

/* ---- commands ---- */

void qmp_fail(struct qmp_call *q, const char *fmt, ...)
{
    va_list ap;

    q->class = "GenericError";
    va_start(ap, fmt);
    vsnprintf(q->desc, sizeof(q->desc), fmt, ap);
    va_end(ap);
}

/* The type letter of argument `name` in a command's list, 0: it takes none of that name. */
static char arg_type(const char *args, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = args; *at;) {
        size_t n;

        at += strspn(at, " ");
        n = strcspn(at, " ");
        if (n == len && !strncmp(at, name, n))
            return at[n] ? at[n + 1] : 0;
        at += n;
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    return 0;
}

static bool check_args(struct qmp_call *q, const char *args)
{
    static const char letters[] = "siban";
    static const char *const words[] = {"string", "integer", "boolean", "array", "number"};
    const char *name;
    json_t *value;

    json_object_foreach(q->args, name, value)
    {
        char type = (char)(arg_type(args, name) | 32);
        bool right = (type == 's' && json_is_string(value)) || (type == 'i' && json_is_integer(value)) ||
                     (type == 'b' && json_is_boolean(value)) || (type == 'a' && json_is_array(value)) ||
                     (type == 'n' && json_is_number(value));
        const char *letter = strchr(letters, type);

        if (!letter || !*letter) {
            qmp_fail(q, "Parameter '%.100s' is unexpected", name);
            return false;
        }
        if (!right) {
            qmp_fail(q, "Invalid parameter type for '%.100s', expected: %s", name, words[letter - letters]);
            return false;
        }
    }
    for (const char *at = args; *at;) { /* " name T": a capital must be there */
        char word[32];
        size_t n;

        at += strspn(at, " ");
        n = strcspn(at, " ");
        snprintf(word, sizeof(word), "%.*s", (int)n, at);
        at += n + 1;
        if (*at < 'a' && !json_object_get(q->args, word)) {
            qmp_fail(q, "Parameter '%s' is missing", word);
            return false;
        }
        at++;
    }
    return true;
}

static void carry_out(struct control_end *e, const char *name, json_t *args, json_t *id)
{
    struct qmp_call q = {.control = e->control, .vm = e->control->vm, .args = args};
    const struct qmp_command *cmd = qmp_find(name);
    json_t *reply;

    if (!e->negotiated && strcmp(name, "qmp_capabilities")) {
        send_error(e, id, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
        return;
    }
    if (!cmd || (e->negotiated && !strcmp(name, "qmp_capabilities"))) {
        snprintf(q.desc, sizeof(q.desc),
                 cmd ? "Capabilities negotiation is already complete, command ignored"
                     : "The command %.100s has not been found",
                 name);
        send_error(e, id, "CommandNotFound", q.desc);
        return;
    }
    if (check_args(&q, cmd->args))
        cmd->fn(&q);
    control_pass_events(e->control);
    if (!q.class && !strcmp(name, "qmp_capabilities"))
        e->negotiated = true;
    if (q.class) {
        json_decref(q.ret);
        send_error(e, id, q.class, q.desc);
        return;
    }
    reply = json_pack("{s:o}", "return", q.ret ? q.ret : json_object());
    if (reply && id)
        json_object_set(reply, "id", id);
    send_json(e, reply);
}

static void take_object(struct control_end *e, json_t *msg)
{
    json_t *execute = json_object_get(msg, "execute"), *args = json_object_get(msg, "arguments");
    json_t *id = json_object_get(msg, "id"), *none = NULL, *value;
    const char *key;
    char desc[160];

    json_object_foreach(msg, key, value)
    {
        if (strcmp(key, "execute") && strcmp(key, "arguments") && strcmp(key, "id")) {
            if (!strcmp(key, "exec-oob"))
                snprintf(desc, sizeof(desc),
                         "QMP input member 'exec-oob' is unexpected: there is no out-of-band execution");
            else
                snprintf(desc, sizeof(desc), "QMP input member '%.80s' is unexpected", key);
            send_error(e, id, "GenericError", desc);
            return;
        }
    }
    if (!execute) {
        send_error(e, id, "GenericError", "QMP input lacks member 'execute'");
        return;
    }
    if (!json_is_string(execute)) {
        send_error(e, id, "GenericError", "QMP input member 'execute' must be a string");
        return;
    }
    if (args && !json_is_object(args)) {
        send_error(e, id, "GenericError", "QMP input member 'arguments' must be an object");
        return;
    }
    if (!args)
        args = none = json_object();
    if (args)
        carry_out(e, json_string_value(execute), args, id);
    json_decref(none);
}

void qmp_feed(struct control_end *e, u8 c)
{
    json_error_t err;
    json_t *msg;

    switch (frame_feed(&e->frame, c)) {
    case FRAME_MORE: return;
    case FRAME_BAD: send_error(e, NULL, "GenericError", "Invalid JSON syntax"); return;
    case FRAME_WHOLE: break;
    }
    msg = json_loadb(text_str(&e->frame.text), e->frame.text.n, JSON_DECODE_ANY, &err);
    frame_reset(&e->frame);
    if (!msg)
        send_error(e, NULL, "GenericError", "JSON parse error, Invalid JSON syntax");
    else if (!json_is_object(msg))
        send_error(e, NULL, "GenericError", "QMP input must be a JSON object");
    else
        take_object(e, msg);
    json_decref(msg);
}
