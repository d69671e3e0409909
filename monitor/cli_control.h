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
    const char *parallel; /* LPT1's spec, NULL: none */
    unsigned char uuid[16];
    bool has_uuid;
};

#endif
