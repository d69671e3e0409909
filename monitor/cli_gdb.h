/*
 * cli_gdb.h - -gdb and -s: where a debugger connects.
 *
 * One client at a time, on a TCP port, a unix socket or standard input and output. The bytes are the library's business
 * (novt_gdb_input()); here are the sockets and a thread that moves bytes, so that a client that stalls never holds up the VM.
 */
#ifndef NOVT_CLI_GDB_H
#define NOVT_CLI_GDB_H

#include <pthread.h>

#include "monitor/cli.h"

#define GDB_BACKLOG_BYTES (1u << 20) /* a client that lets more than this wait is dropped */

struct cli_gdb {
    bool open, started;
    int listen_fd, in_fd, out_fd, wake_fd; /* -1: none */
    bool is_stdio;
    char path[108]; /* unix: to unlink */
    struct novt_vm *vm;
    struct cli_control *control; /* whose words "monitor ..." knows */
    struct novt_gdb *stub;       /* while a client is there */
    pthread_t thread;
    volatile bool ending;
    int exit_code;        /* what the client is told at the end */
    pthread_mutex_t lock; /* of what waits to be written */
    u8 *out;
    size_t out_n, out_room;
    bool overrun;
};

/* spec as of -gdb; NULL: there is none. Takes the address. 0, or an exit code with *err. */
int gdb_open(struct cli_gdb *g, const char *spec, struct novt_error *err) MUST_CHECK;
int gdb_start(struct cli_gdb *g, struct novt_vm *vm, struct novt_error *err) MUST_CHECK;
/* Ends the client and all; the machine does not run any more but is still there. */
void gdb_close(struct cli_gdb *g, int exit_code);
bool gdb_spec_is_stdio(const char *spec); /* NULL is fine */

#endif
