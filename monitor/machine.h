/*
 * machine.h - what the files behind the public API share: the VM with everything it owns.
 *
 * struct novt_vm is what the engine needs; struct machine around it holds the images, the host's ends
 * of the serial lines and the options that only vm*.c and stats.c look at.
 */
#ifndef NOVT_MACHINE_H
#define NOVT_MACHINE_H

#include <pthread.h>

#include "monitor/input.h"
#include "monitor/breakpoint.h"
#include "monitor/loader.h"
#include "monitor/monitor.h"
#include "net/net.h"

struct disks;

#define INPUT_QUEUE_BYTES 4096u
#define BIOS_MAX_BYTES (16u << 20)
#define VGABIOS_MAX_BYTES (64u << 10)
#define SHADOW_FIRST 0xc0000u /* memory between ROM and RAM, in PAM's units */
#define SHADOW_END 0x100000u
#define SHADOW_UNIT 0x4000u

/* Characters on their way from another thread to a UART. */
struct input_queue {
    pthread_mutex_t lock;
    u8 buf[INPUT_QUEUE_BYTES];
    u32 first, count;
    bool starved; /* the sender could not place all: tell it about room */
};

/* Functions waiting to run on the VM's thread, and whose the machine is (vm_call.c). */
struct call_desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct call_request *first, *last;
    bool owned, runs; /* by a run, or for the time of one call */
    pthread_t owner;
};

struct machine {
    struct novt_vm vm;         /* first: a struct novt_vm pointer is one to its machine */
    struct novt_config config; /* strings are not kept */
    struct input_queue input[PC_SERIALS];
    struct input_desk desk;
    struct call_desk calls;
    struct screen *picture; /* vm_frame.c's */
    struct novt_listener *listeners;
    enum novt_status status;
    u64 paused_tsc;          /* host TSC when the clock was stopped */
    volatile int host_reset; /* the next reset is novt_vm_system_reset()'s */
    struct image_file bios, vgabios;
    struct loader_image image;
    bool has_image;
    struct pc_blob blob[LOADER_BLOBS + 1];
    struct disks *disks; /* vm_disk.c's */
    struct mon_trace trace;
    struct net *net[NOVT_NICS]; /* where the network cards' cables end; NULL: nowhere */
    struct net_dump *net_dump[NOVT_NICS]; /* NULL: nobody listens */
    u64 ram_bytes;
    u64 rom_off; /* memfd offset of the BIOS; all ones for ROM holes follow it */
    u64 hole_off;
    u64 vga_off;
    struct vga_place { /* where the card's memory is mapped: its window, its linear frame buffer */
        u64 gpa;
        u32 bytes, offset; /* bytes 0: nowhere */
    } vga_place[2];
    u32 shadow_write;    /* bit n: unit n of the shadow area takes writes while it reads as ROM */
    bool wired;          /* everything exists: callbacks may use it */
    unsigned no_boot_at; /* progress of the firmware's "nothing to boot" message */
    bool no_boot;
    u64 resets;
    volatile int nmi_button; /* novt_vm_nmi() was called */
    volatile int quit; /* novt_vm_stop() was called */
    volatile int quit_code;
    char cpu_name[16];
};

static inline struct machine *machine_of(struct novt_vm *vm)
{
    return (struct machine *)vm;
}

/* Reset of the whole machine, RAM kept. */
void machine_reset(struct machine *m);

/* vm_call.c. On the VM's thread: at an instruction boundary, and around a run. */
void call_init(struct machine *m);
void call_fini(struct machine *m);
void call_poll(struct machine *m);
void call_run_begin(struct machine *m);
void call_run_end(struct machine *m);

/* vm_input.c, around the PC's life. */
void input_init(struct machine *m);
void input_fini(struct machine *m);
void input_loaded(struct machine *m); /* the PC became another one: fingers are where they were */

/* vm_frame.c */
int frame_init(struct machine *m) MUST_CHECK;
void frame_fini(struct machine *m);
/* Draws the screen for one use: to be freed by vga_picture_free(). 0 or -errno. Any thread. */
int frame_once(struct machine *m, struct vga_picture *p) MUST_CHECK;
/* vm_vga.c */
void vga_memory_init(struct machine *m, struct vga_host *host);
bool vga_memory_written(const struct machine *m); /* through mappings, since the picture was drawn. Any thread */
/* vm_net.c: the cables' ends before pc_new(), the cards to them after it, all gone before pc_free(). */
int net_make(struct machine *m, struct pc_config *cfg, struct novt_error *err) MUST_CHECK;
int net_connect(struct machine *m, struct novt_error *err) MUST_CHECK;
void net_fini(struct machine *m);

/* vm_control.c, on the VM's thread. */
void control_pause(struct machine *m, enum novt_status why);
void control_tell(struct machine *m, const struct novt_event *ev); /* to those who listen */
/* mon_run() stopped (enum mon_stop): resets or pauses the machine as its options say; true: run it on. */
bool control_goes_on(struct machine *m, int why);
void control_ended(struct machine *m, const struct novt_outcome *out); /* tells of the end of a run */

/* vm_smbios.c: fills cfg's uuid, cpu_ and smbios; text is cfg's memory until the PC is made. */
int smbios_config(struct machine *m, struct pc_config *cfg, struct pc_smbios_text text[NOVT_SMBIOS_TEXTS], struct novt_error *err) MUST_CHECK;
/* vm_disk.c: opens the drives' images and puts them into the PC's config; connects them to the PC that came of it; ends them, before the
 * PC goes. */
int disks_open(struct machine *m, struct pc_config *cfg, struct novt_error *err) MUST_CHECK;
void disks_attach(struct machine *m);
void disks_close(struct machine *m);
void disks_reset(struct machine *m); /* after pc_reset() */
/* When the image of drive n was last written; false: nobody knows. */
bool disks_written(const struct machine *m, unsigned n, u64 *s, u64 *ns);
void disks_retry(struct machine *m);       /* the machine goes on: what failed and was held is tried again */
bool disks_hold(const struct machine *m);

/* trace.c */
int trace_open(struct machine *m, struct novt_error *err) MUST_CHECK;
void trace_close(struct machine *m);
void trace_flush(struct machine *m);

#endif
