/*
 * cli_control.h - monitors: what the options ask for, and the thread that serves them.
 *
 * A monitor is an end where somebody gives commands: words on a line (HMP, mode=readline) or JSON (QMP, mode=control), on a
 * socket, on the terminal, or switched with a serial line by Ctrl-A C. All ends are served by one thread of their own, so
 * that a client which stalls or talks nonsense holds nobody but itself.
 */
#ifndef NOVT_CLI_CONTROL_H
#define NOVT_CLI_CONTROL_H

#include "base.h"

#define CONTROL_ENDS 8

struct control_end_spec {
    char spec[256]; /* stdio, a socket's, chardev:ID */
    bool qmp, pretty;
};

struct control_options {
    struct control_end_spec end[CONTROL_ENDS];
    unsigned ends;
    bool monitor_given; /* -monitor, also none: no default one beside a serial line */
    bool qmp_given;
    const char *name;    /* -name, NULL: none */
    const char *pidfile; /* NULL: none */
    bool daemonize, nodefaults, vga_given;
    unsigned char escape; /* -echr: what Ctrl-A is; 0: 1 */
    const char *parallel; /* LPT1's spec, NULL: none */
    bool parallel_given;  /* also none */
};

struct cli_control;
struct cli_io;
struct cli_options;
struct novt_vm;
struct novt_error;

/* Opens what the options ask for; with a serial line on the terminal also a monitor behind its Ctrl-A C. After io_open(). *out is
 * NULL or to be closed in every case. 0, or an exit code with *err. */
int control_open(struct cli_control **out, struct cli_io *io, struct cli_options *opt,
                 struct novt_error *err) MUST_CHECK;
int control_start(struct cli_control *c, struct novt_vm *vm,
                  struct novt_error *err) MUST_CHECK; /* after io_start() */
void control_stop(
    struct cli_control *c); /* after the run, before novt_vm_free(): tells clients of the end. NULL is fine */
void control_close(struct cli_control *c);
/* What a spec comes to once chardev:ID is looked up; NULL: no such chardev. */
const char *control_resolve(const struct cli_options *opt, const char *spec, bool *mux);

#endif
