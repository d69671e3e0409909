/*
 * cli.h - what the files of the command line share.
 *
 * cli_options.c (with cli_opt*.c) turns arguments into a config, cli_chardev.c connects the guest's serial lines to the host,
 * cli_term.c owns the terminal's mode, cli_screen.c and cli_display.c show the screen, cli_doctor.c looks at the host,
 * main.c puts them together. All of it uses the public API alone (the doctor also asks where firmware is found).
 */
#ifndef NOVT_CLI_H
#define NOVT_CLI_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>

#include "base.h"
#include "display/display.h"
#include "include/novt.h"
#include "monitor/cli_audio.h"
#include "monitor/cli_control.h"
#include "monitor/cli_sock.h"
#include "monitor/cli_drive.h"

/* Exit codes. Guests with isa-debug-exit choose their own: (value << 1) | 1. */
enum cli_exit {
    EXIT_OK = 0,
    EXIT_USAGE = 2,
    EXIT_HOST = 3,
    EXIT_IMAGE = 4,
    EXIT_NO_BOOT = 5,
    EXIT_TRIPLE_FAULT = 6,
    EXIT_DEAD = 7,
    EXIT_BUG = 70,
    EXIT_TIMEOUT = 124,
    EXIT_SIGNAL = 128, /* + signal number */
};

enum cli_command { CLI_RUN, CLI_DOCTOR, CLI_DONE /* help and lists: printed, nothing to do */ };
enum cli_stats { CLI_STATS_NONE, CLI_STATS_TEXT, CLI_STATS_JSON };

#define CLI_CHARDEVS 8

/* -chardev BACKEND,id=ID,... kept in the spelling of -serial. */
struct cli_chardev_spec {
    char id[32];
    char spec[256];
    char logfile[200]; /* what the guest writes goes here too; empty: nowhere */
    bool mux;          /* a serial line and a monitor may share it */
    bool log_append;
};

/* cli_net.c's: the network as the options name it, until cli_net_finish() makes config.nic of it. */
#define CLI_NET_SPEC_BYTES 2048

struct cli_net {
    struct cli_netdev {
        char id[64], spec[CLI_NET_SPEC_BYTES];
        bool used;
    } netdev[NOVT_NICS];
    struct cli_nic {
        char model[32], netdev[64], spec[CLI_NET_SPEC_BYTES]; /* the back end by id, or itself; both empty: none */
        char id[64];                                          /* the card's own, for monitors */
        bool hub;                                             /* of -net nic: gets the back end of -net user and the like */
    } nic[NOVT_NICS];
    char hub_spec[CLI_NET_SPEC_BYTES];
    struct cli_net_dump { /* -object filter-dump */
        char id[64], netdev[64], file[512];
        u32 max_bytes;
    } dump[NOVT_NICS];
    unsigned netdevs, nics, dumps;
    bool given; /* any option of these: there is no network card by default */
};

struct cli_options {
    enum cli_command command;
    struct novt_config config;
    const char *serial[4]; /* specs, NULL: default */
    unsigned serials;
    struct cli_isa_serial { /* -device isa-serial */
        const char *spec;
        int index; /* -1: the next free one */
    } isa_serial[4];
    unsigned isa_serials;
    const char *debugcon; /* spec */
    struct cli_chardev_spec chardev[CLI_CHARDEVS];
    unsigned chardevs;
    bool nographic, display_none;
    struct cli_net net;
    struct display_spec display;
    struct cli_secret { /* -object secret */
        char id[64], text[256];
    } secret[4];
    unsigned secrets;
    const char *trace_path;
    const char *screen_path; /* --dump-screen */
    FILE *screen_file;       /* cli_screen.c's */
    double timeout_s;        /* 0: none */
    const char *loadvm;      /* -loadvm: a state to start from; NULL: none */
    const char *gdb;         /* -gdb: where a debugger connects; NULL: nowhere */
    enum cli_stats stats;
    struct control_options control;
    struct cli_drives drives;
    struct cli_audio audio;
};

/* 0, or an exit code with *err filled. Help texts go to stdout. */
int cli_parse(struct cli_options *opt, int argc, char **argv, struct novt_error *err) MUST_CHECK;
void cli_help(void);
/* err as two lines on stderr; returns the exit code for its kind. */
int cli_report(const struct novt_error *err);

const char *cli_cpu_name(unsigned n); /* -cpu's models; NULL past the last */

/* ---- cli_drive.c, cli_blockdev.c ---- */
bool drive_is_device(const char *arg); /* is that value of -device a disk? */
int drive_device(struct cli_options *opt, const char *arg, struct novt_error *err) MUST_CHECK;
int drive_finish(struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* all options were read */
/* ---- cli_net.c ---- */
bool cli_net_is_device(const char *name); /* does -device NAME mean a network card? */
void cli_net_help_devices(void);
int cli_net_device(struct cli_options *opt, const char *name, char *list, struct novt_error *err) MUST_CHECK;
int cli_net_dump(struct cli_options *opt, const char *list, struct novt_error *err) MUST_CHECK; /* -object filter-dump,LIST */
/* After all options. defaults: without any of these options there is an e1000 with user networking, as in QEMU. */
int cli_net_finish(struct cli_options *opt, bool defaults, struct novt_error *err) MUST_CHECK;

/* ---- cli_term.c ---- */
struct cli_term {
    int fd; /* -1: no terminal to care for */
    bool raw, wanted; /* is it, is it to be but for a stop */
    struct termios saved;
};
void term_init(struct cli_term *t);    /* is stdin a terminal that is ours? */
void term_raw(struct cli_term *t);     /* characters at once, no signals from keys */
void term_restore(struct cli_term *t); /* signal-safe, idempotent */
void term_again(struct cli_term *t);   /* after a stop: raw if it was to be, unless the shell keeps the terminal */

/* ---- cli_chardev.c ---- */
enum chardev_kind { CHARDEV_NULL, CHARDEV_STDIO, CHARDEV_FILE, CHARDEV_PTY, CHARDEV_SOCK, CHARDEV_PIPE, CHARDEV_TTY };
const char *chardev_kind_name(enum chardev_kind kind); /* as monitors show it */

#define CHARDEV_BUFFER_BYTES 4096u
#define CHARDEV_PENDING_BYTES 1024u

/* A host end: output is buffered and written by whoever fills the buffer or by the I/O thread soon after. */
struct chardev {
    enum chardev_kind kind;
    struct cli_io *io;
    int in_fd, out_fd; /* -1: none */
    int pty_fd;       /* the pty's other end */
    int log_fd;       /* -chardev logfile=; -1: none */
    struct sock sock; /* in_fd and out_fd are its client */
    bool spoke;     /* the guest wrote something; the VM's thread */
    bool escapes;   /* Ctrl-A commands */
    bool after_escape;
    int serial; /* input goes to this UART, -1: none */
    const char *spec; /* as the option gave it */
    int mux_fd;   /* or, after Ctrl-A C, to the monitor behind this pipe; -1: there is none */
    bool to_monitor;
    pthread_mutex_t lock;
    u8 out[CHARDEV_BUFFER_BYTES];
    u32 out_n;
    u8 pending[CHARDEV_PENDING_BYTES]; /* read but not yet taken by the UART's queue */
    u32 pending_n, pending_at;
};

#define CLI_MAX_DEVS 6
struct cli_io {
    struct chardev dev[CLI_MAX_DEVS]; /* COM1 to COM4, LPT1, debug console */
    unsigned devs;
    struct novt_vm *vm;
    struct cli_term *term;
    u8 escape; /* what begins a command: Ctrl-A unless -echr says another */
    struct display *display; /* NULL: none */
    struct cli_term own_term;
    int wake_fd, signal_pipe[2];
    sigset_t signals;
    u64 deadline_ns; /* CLOCK_MONOTONIC, 0: none */
    pthread_t thread, signal_thread;
    volatile bool running;
    volatile int done;
};

#define MUX_FOCUS 0xff /* in a mux pipe: the monitor has the keyboard now */

/* What novt_vm_stop() was called with. */
#define STOP_BY_USER 1
#define STOP_BY_TIMEOUT 2
#define STOP_BY_SIGNAL 1000 /* + signal number */

/* Opens what the options ask for and fills in config's serial lines and debug console. 0 or an exit code with *err. */
int io_open(struct cli_io *io, struct cli_options *opt, struct novt_error *err) MUST_CHECK;
/* The I/O thread: input, timeout, signals, buffered output. Call with the signals of io_signals() blocked. */
int io_start(struct cli_io *io, struct novt_vm *vm, double timeout_s, struct novt_error *err) MUST_CHECK;
void io_stop(struct cli_io *io); /* ends the thread, writes what is buffered, restores the terminal */
void io_close(struct cli_io *io);
/* Output on a device from another thread than the VM's. */
void chardev_put(struct chardev *d, const u8 *buf, size_t len);
/* Any thread: ends the run, with what novt_vm_stop() is called with. */
void io_quit(struct cli_io *io, int code);
void io_panic(void *opaque); /* terminal and output as well as a dying process can */

/* ---- cli_screen.c ---- */
int screen_open(struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* 0 or an exit code with *err */
/* Writes the screen of vm (NULL: it never was) to the file and closes it. 0, or an exit code after a message. */
int screen_close(struct cli_options *opt, struct novt_vm *vm);
void screen_print(struct novt_vm *vm); /* on stderr */

/* ---- cli_display.c ---- */
int cli_display_defaults(struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* when all options are known */
int cli_display_open(struct cli_io *io, struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* 0 or an exit code */
int cli_display_start(struct cli_io *io, struct novt_vm *vm, struct novt_error *err) MUST_CHECK;

/* ---- cli_daemon.c ---- */
struct cli_daemon {
    int ready_fd, pid_fd; /* -1: none */
    const char *pidfile;
};
/* Before anything else is opened. With -daemonize it returns in another process. 0, or an exit code with *err. */
int daemon_begin(struct cli_daemon *d, const struct cli_options *opt, struct novt_error *err) MUST_CHECK;
void daemon_ready(struct cli_daemon *d); /* all is open: whoever waits may go on */
void daemon_end(struct cli_daemon *d);

/* ---- cli_doctor.c ---- */
int cli_doctor(void); /* exit code */

#endif
