/*
 * cli_session.h - what the files of the monitors share: an end with its client, and the thread that serves all ends.
 *
 * cli_control.c moves bytes and events; cli_hmp*.c carry out words, cli_qmp*.c JSON. Commands run on the control thread and reach
 * the machine by the public API alone.
 */
#ifndef NOVT_CLI_SESSION_H
#define NOVT_CLI_SESSION_H

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>

#include "monitor/cli.h"
#include "monitor/cli_frame.h"
#include "monitor/cli_line.h"
#include "monitor/cli_text.h"

#define CONTROL_EVENTS 64
#define CONTROL_OUT_BYTES (256u << 10) /* a client with more than this unread gives no commands */

struct control_event {
    struct novt_event event;
    struct timespec when;
};

struct control_end {
    struct cli_control *control;
    bool qmp, pretty, greeted;
    struct sock sock;
    int in_fd, out_fd;   /* -1: no client, or out goes to mux */
    int mux_fd;          /* mux: where the serial line's thread puts what is typed; in_fd is its other end */
    struct chardev *mux; /* shared with a serial line */
    struct text out;
    struct line line;      /* HMP */
    struct frame_in frame; /* QMP */
    bool negotiated;
};

struct cli_control {
    struct novt_vm *vm;
    struct cli_io *io;
    const struct cli_options *opt;
    struct control_end end[CONTROL_ENDS + 1];
    unsigned ends;
    int wake_fd;
    pthread_t thread;
    volatile bool running;
    struct novt_listener listener;
    pthread_mutex_t lock; /* of the events */
    struct control_event event[CONTROL_EVENTS];
    unsigned events;
    unsigned buttons; /* of the mouse, as commands left them */
    unsigned fmt_size; /* of the last x/FMT; 0: none yet */
    char fmt_form;
};

/* What a command leaves its client in words or as JSON; newlines become what the client needs. */
void end_put(struct control_end *e, const char *buf, size_t n);
void control_quit(struct cli_control *c, int code); /* as "quit" */
/* Events that wait, to the clients: before an answer that must come behind them. */
void control_pass_events(struct cli_control *c);

/* ---- cli_hmp.c ---- */
void hmp_init(struct control_end *e);
void hmp_open(struct control_end *e); /* a client came: greeting and prompt */
void hmp_feed(struct control_end *e, u8 c);
/* One command line; the answer's lines end with "\n". */
void hmp_execute(struct cli_control *c, const char *line, struct text *out);

struct hmp_args {
    struct cli_control *control;
    struct novt_vm *vm;
    struct text *out;
    const char *fmt; /* behind the slash: x/FMT */
    char *rest;      /* all behind the command */
    char *arg[8];
    unsigned args;
};

/* ---- cli_hmp_mem.c ---- */
/* Sum of numbers and $registers; false with a word on out. */
bool hmp_number(struct hmp_args *a, const char *text, u64 *value);
void hmp_x(struct hmp_args *a);
void hmp_xp(struct hmp_args *a);
void hmp_print(struct hmp_args *a);
void hmp_memsave(struct hmp_args *a);
void hmp_pmemsave(struct hmp_args *a);
/* [addr, addr + bytes) into a file; 0, or -errno with *why a static word. */
int control_memsave(struct novt_vm *vm, bool linear, u64 addr, u64 bytes, const char *path, const char **why);

/* ---- cli_screen.c ---- */
void hmp_info_screen(struct hmp_args *a); /* rows in UTF-8, trailing blanks cut */

/* ---- cli_vnc.c ---- */
void hmp_set_password(struct hmp_args *a);
void hmp_expire_password(struct hmp_args *a);
bool hmp_change_vnc(struct hmp_args *a); /* "change vnc ..."; false: it is not that */

/* ---- cli_hmp_net.c ---- */
int net_card_by_name(const struct cli_options *opt, const char *name); /* its number, -1: none */
void hmp_info_network(struct hmp_args *a);
void hmp_set_link(struct hmp_args *a);
void hmp_hostfwd_add(struct hmp_args *a);
void hmp_hostfwd_remove(struct hmp_args *a);

/* ---- cli_snap.c ---- */
void hmp_savevm(struct hmp_args *a);
void hmp_loadvm(struct hmp_args *a);

/* ---- cli_qmp.c ---- */
void qmp_open(struct control_end *e);
void qmp_feed(struct control_end *e, u8 c);
void qmp_event(struct control_end *e, const struct control_event *ev);
const char *qmp_status_name(enum novt_status status);

/* ---- cli_qmp_cmd.c ---- */
struct qmp_call {
    struct cli_control *control;
    struct novt_vm *vm;
    json_t *args;      /* an object, never NULL */
    json_t *ret;       /* NULL: {} */
    const char *class; /* of the error; NULL: it went well */
    char desc[256];
};
typedef void qmp_fn(struct qmp_call *q);
struct qmp_command {
    const char *name;
    qmp_fn *fn;
    const char *
        args; /* " name type" for each; a capital type letter: must be given. s string, i integer, b boolean, a array */
};
qmp_fn qmp_set_password, qmp_expire_password, qmp_change_vnc_password; /* cli_vnc.c */
/* cli_qmp_schema.c */
qmp_fn qmp_query_schema, qmp_query_events, qmp_query_machines, qmp_query_current_machine, qmp_query_cpu_definitions, qmp_set_link;
#define QMP_EVENTS "BLOCK_IO_ERROR", "POWERDOWN", "RESET", "RESUME", "SHUTDOWN", "STOP"
const struct qmp_command *qmp_find(const char *name);
const struct qmp_command *qmp_nth(unsigned n); /* NULL past the last */
void qmp_fail(struct qmp_call *q, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
