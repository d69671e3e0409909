/*
 * display.h - the guest's screen, keyboard and mouse on the host: in the terminal, in a window, over VNC.
 *
 * A display knows the machine by the public API alone and runs on a thread of its own: the VM never waits for it. What can go wrong
 * for the host's reasons (no terminal, a taken port) goes wrong in display_open(), before the machine exists.
 */
#ifndef NOVT_DISPLAY_H
#define NOVT_DISPLAY_H

#include "base.h"
#include "novt.h"

enum display_kind { DISPLAY_NONE, DISPLAY_TUI, DISPLAY_SDL, DISPLAY_VNC, DISPLAY_KINDS };

/* What the command line asks for: any of them, together. All zero is no display. */
struct display_spec {
    bool wanted[DISPLAY_KINDS];
    char vnc[128];     /* "HOST:N" or "unix:PATH" */
    unsigned vnc_to;   /* displays up to N + this may be taken instead */
    bool vnc_password; /* clients are asked for one; nobody gets in before it is set */
    char vnc_secret_id[64]; /* whose object's contents it is; "": none */
    const char *vnc_secret; /* those contents; the caller's, may be gone once the display is open */
    bool full_screen;  /* SDL */
    bool window_close_off;
    const char *title; /* NULL: none; the caller's */
};

/* -display's and -vnc's value. 0, or -EINVAL with *err. "none" changes nothing. */
int display_parse(struct display_spec *spec, const char *arg, struct novt_error *err) MUST_CHECK;
int display_parse_vnc(struct display_spec *spec, const char *arg, struct novt_error *err) MUST_CHECK;

/* What a display may ask of the program; on the display's thread. */
struct display_host {
    void (*quit)(void *opaque);
    bool (*monitor)(void *opaque); /* shows the monitor; false, or NULL: there is none */
    void *opaque;
};

struct display;

/* 0, or -errno with *err; *out is NULL for DISPLAY_NONE alone. */
int display_open(struct display **out, const struct display_spec *spec, const struct display_host *host,
                 struct novt_error *err) MUST_CHECK;
/* From now on it shows vm, which must live until display_stop(). 0, or -errno with *err. */
int display_start(struct display *d, struct novt_vm *vm, struct novt_error *err) MUST_CHECK;
void display_stop(struct display *d); /* NULL is fine; the terminal is as it was */
void display_close(struct display *d);
/* The VNC server's password (eight characters count; "": nobody gets in) and until when it is valid (time(); 0: for ever; NULL: as it was). 0;
 * -ENOENT: there is no server; -EPERM: it asks for no password. Any thread. */
int display_vnc_password(struct display *d, const char *password, const i64 *until);

/* Around a stop of the process by its user (Ctrl-Z, kill -TSTP): the terminal as it was, and ours again. resume() alone, after a stop that
 * could not be seen coming (kill -STOP), draws anew. Any thread but a display's own. NULL is fine. */
void display_suspend(struct display *d);
void display_resume(struct display *d);
/* A dying process: the terminal back as well as can be, from any thread. */
void display_panic(struct display *d);

/* A character of a PC's display as Unicode. */
u16 display_cp437(u8 ch);

#endif
