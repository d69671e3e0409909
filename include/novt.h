/*
 * novt.h - the public API: a PC in a library.
 *
 * A VM is made from a config, run on a thread of the caller's choice until something stops it, and
 * freed. Several VMs may live in one process, each run on its own thread. Nothing here exits, aborts
 * or prints for its caller: failures come back as -errno with a cause and a remedy in struct
 * novt_error. (The one exception is a bug of ours, which ends the process with code 70.)
 *
 * Threads: new, free, run, reset, registers and memory belong to one thread at a time; only
 * novt_vm_stop(), novt_vm_kick(), novt_vm_nmi(), novt_vm_serial_input(), novt_vm_text(), novt_vm_screen(), novt_vm_frame() and
 * novt_vm_screendump(), the keyboard's and the mouse's, and what says "any thread" may be called from others while it runs.
 * From the first run on the process's handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGURG are NoVT's; where no guest is the
 * cause, the first five have their default action. A run uses its thread's alternate signal stack and GS base, and gives them back.
 */
#ifndef NOVT_H
#define NOVT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct novt_vm;

#define NOVT_RAM_DEFAULT_BYTES (128ull << 20)
#define NOVT_RAM_MIN_BYTES (1ull << 20)
#define NOVT_RAM_MAX_BYTES (3072ull << 20)

/* Whose fault a failure is. */
enum novt_error_kind {
    NOVT_ERR_NONE,
    NOVT_ERR_USAGE, /* the config asks for something that cannot be */
    NOVT_ERR_HOST,  /* the host refuses a resource or a permission, or lacks a file of its own (firmware) */
    NOVT_ERR_IMAGE, /* a kernel, initrd or firmware image is not what it should be */
};

struct novt_error {
    enum novt_error_kind kind;
    char cause[320];  /* one line, no newline */
    char remedy[320]; /* one line; empty if none is known */
};

/* The host's end of a serial line. write and room run on the VM's thread; both may be NULL. */
struct novt_serial {
    bool present;
    void (*write)(void *opaque, const uint8_t *buf, size_t len);
    void (*room)(void *opaque); /* novt_vm_serial_input() had taken too little: now there is room */
    void *opaque;
};

/* Where the PC speaker is heard: samples of one channel, called on the VM's thread. Sample number `at` begins at / rate seconds after the
 * machine was made, by its own clock; numbers that never come were silent. n = 0: silent for a while, the host may rest. */
struct novt_sound {
    uint32_t rate; /* samples a second, 1000 to 192000; 0: nobody listens */
    void (*play)(void *opaque, uint64_t at, const int16_t *sample, size_t n);
    void *opaque;
};

#define NOVT_NICS 8

/* A network card. */
struct novt_nic {
    const char *model; /* ne2k_isa ne2k_pci rtl8139 e1000 virtio-net-pci; NULL: e1000 */
    const char *net;   /* the other end of its cable, as QEMU's -netdev without id: "user,hostfwd=tcp::2222-:22"; NULL: nowhere */
    bool optional;     /* where the host has no libslirp for "user" the cable ends nowhere, instead of an error */
    uint8_t mac[6];    /* all zero: 52:54:00:12:34:56, counting up */
    uint8_t slot;      /* on PCI; 0: the first free one */
    uint16_t iobase;   /* ISA: ports and interrupt; 0: 300h and 9, the next card 320h and 10, ... */
    uint8_t irq;
    const char *dump;        /* a file, made anew, that gets every frame in pcap's format; NULL: none */
    uint32_t dump_max_bytes; /* of a frame; 0: all */
};

/* Items of trace_items (the command line's -d). */
#define NOVT_TRACE_IN_ASM 0x01u
#define NOVT_TRACE_OUT_ASM 0x02u
#define NOVT_TRACE_EXEC 0x04u
#define NOVT_TRACE_INT 0x08u
#define NOVT_TRACE_MMU 0x10u
#define NOVT_TRACE_IO 0x20u
#define NOVT_TRACE_EXIT 0x40u
#define NOVT_TRACE_LINK 0x80u

/* How the guest's code runs. */
enum novt_engine {
    NOVT_ENGINE_AUTO,   /* translated, or directly in a sandbox process where that is legal and pays */
    NOVT_ENGINE_BT,     /* translated only; no further process is started */
    NOVT_ENGINE_DIRECT, /* directly wherever it is legal, whatever it costs: for tests */
};

/* Rare paths forced, for tests. */
#define NOVT_STRESS_TINY_CACHE 0x01u
#define NOVT_STRESS_ONE_INSN 0x02u
#define NOVT_STRESS_NO_CHAIN 0x04u
#define NOVT_STRESS_SLOW_MEM 0x08u
#define NOVT_STRESS_FAIL_ALLOC 0x10u
#define NOVT_STRESS_VERIFY 0x20u

/* ---- drives ---- */

enum novt_drive_bus { NOVT_BUS_IDE, NOVT_BUS_FLOPPY, NOVT_BUS_VIRTIO };
enum novt_format {
    NOVT_FORMAT_PROBE, /* by its first bytes */
    NOVT_FORMAT_RAW,
    NOVT_FORMAT_QCOW2, /* this and what follows: by qemu-nbd */
    NOVT_FORMAT_QED,
    NOVT_FORMAT_VMDK,
    NOVT_FORMAT_VDI,
    NOVT_FORMAT_VPC,
    NOVT_FORMAT_VHDX,
    NOVT_FORMAT_PARALLELS,
};
/* QEMU's names: "raw", "qcow2", ...; NULL for PROBE. By name: false if there is none. */
const char *novt_format_name(enum novt_format format);
bool novt_format_by_name(const char *name, enum novt_format *format);

enum novt_cache {
    NOVT_CACHE_WRITEBACK,    /* what the guest wrote is durable when it has flushed */
    NOVT_CACHE_WRITETHROUGH, /* ... when it was written */
    NOVT_CACHE_NONE,         /* as WRITEBACK, past the host's page cache */
    NOVT_CACHE_DIRECTSYNC,   /* as WRITETHROUGH, past the host's page cache */
    NOVT_CACHE_UNSAFE,       /* the guest's flushes do nothing */
};

/* What is in a drive. */
struct novt_medium {
    const char *file; /* NULL: nothing (CD-ROM and floppy drives only) */
    enum novt_format format;
    enum novt_cache cache;
    bool snapshot;        /* writes go to a temporary file; the image stays as it is */
    bool read_only;       /* CD-ROMs always are */
    bool force;           /* novt_vm_change(): even while the guest holds the tray */
    bool discard;         /* what the guest discards (TRIM) goes back to the host's file system */
};

/* When the host fails a read or a write of an image. */
enum novt_on_error {
    NOVT_ON_ERROR_REPORT, /* the guest sees an error of its hardware */
    NOVT_ON_ERROR_STOP,   /* the machine pauses as NOVT_IO_ERROR; novt_vm_resume() tries again */
    NOVT_ON_ERROR_ENOSPC, /* STOP when there is no space left, else REPORT */
    NOVT_ON_ERROR_IGNORE, /* the guest sees success */
};

#define NOVT_DRIVES 16
#define NOVT_IDE_DRIVES 4
#define NOVT_FLOPPIES 2
#define NOVT_VIRTIO_DISKS 8

struct novt_drive {
    enum novt_drive_bus bus;
    unsigned index; /* IDE: 2 * channel + unit; floppy: A, B; virtio: order of creation */
    bool cdrom;     /* IDE only */
    const char *id; /* for novt_vm_change() and its like; NULL: QEMU's ide0-hd0, ide1-cd0, floppy0, virtio0 */
    struct novt_medium medium;
    const char *serial, *model, *firmware;         /* IDE's names of itself; NULL: QEMU's */
    uint64_t wwn;                                  /* IDE; 0: none */
    uint16_t rotation_rate;                        /* IDE: turns a minute, 1: a solid-state disk; 0: not said */
    uint32_t cylinders, heads, sectors_per_track;  /* 0: chosen */
    unsigned floppy_kib;                           /* type of the floppy drive: 360 720 1200 1440 2880; 0: what fits the medium */
    unsigned pci_slot;                             /* virtio; 0: the next free one */
    unsigned boot_index;                           /* 1 is tried first; 0: not in the list */
    enum novt_on_error on_read_error, on_write_error; /* writes: also flushes */
};

/* A text in which the machine says who made it; type and key as in QEMU's -smbios. */
struct novt_smbios_text {
    uint8_t type;
    const char *key, *value;
};

#define NOVT_SMBIOS_TEXTS 32

/* All zero is a machine with the defaults. Strings and opaque pointers must live until novt_vm_new()
 * returns; callbacks until novt_vm_free(). */
struct novt_config {
    uint64_t ram_bytes;  /* 0: NOVT_RAM_DEFAULT_BYTES; rounded up to MiB */
    const char *cpu;     /* 486 pentium pentium2 pentium3 pentium4 max; NULL: max */
    bool no_apic;        /* neither local APIC nor I/O APIC, as in a 486 */
    bool hpet;           /* an HPET */
    bool no_acpi;        /* neither ACPI tables nor the power management chip they need: no power button, no power-off */
    const char *bios;    /* file; a path, or a name in the firmware directories; NULL: bios-256k.bin */
    const char *vgabios; /* likewise; NULL: vgabios-stdvga.bin, not an error if missing; "": no VGA card */
    const char *firmware_dir;     /* searched before the usual directories; NULL: none */
    bool no_firmware;             /* no BIOS, no VGA: the caller fills memory and registers itself */
    const char *kernel;           /* bzImage or multiboot-1 file, NULL: none */
    const char *initrd;           /* initramfs, or multiboot modules "file args,file2 args" */
    const char *append;           /* kernel command line */
    bool serial_console;          /* SeaBIOS shows its text screen on COM1 too */
    struct novt_serial serial[4]; /* COM1 to COM4 */
    uint8_t uuid[16];             /* of the machine, as SMBIOS shows it; all zero: none */
    struct novt_smbios_text smbios[NOVT_SMBIOS_TEXTS];
    unsigned smbios_texts;
    bool parallel_present;        /* LPT1; what the guest prints goes to parallel(), on the VM's thread */
    void (*parallel)(void *opaque, const uint8_t *buf, size_t len);
    void *parallel_opaque;
    struct novt_sound speaker;
    struct novt_nic nic[NOVT_NICS];
    unsigned nics;
    uint16_t debugcon_iobase;     /* 0: none */
    void (*debugcon)(void *opaque, const uint8_t *buf, size_t len);
    void *debugcon_opaque;
    uint16_t debug_exit_iobase;  /* 0: none */
    uint16_t debug_exit_iosize;  /* 0: 2 */
    const struct novt_drive *drive; /* copied */
    size_t drives;                  /* at most NOVT_DRIVES */
    const char *boot_order;      /* letters a c d n as QEMU's -boot; NULL: "cad" */
    const char *boot_once;       /* until the first reset; NULL: boot_order */
    bool boot_menu;              /* the firmware offers a choice */
    bool boot_strict;            /* only what has a boot_index */
    bool floppy_unchecked;       /* a floppy boots without the signature 55AAh: those of the first PCs have none */
    uint32_t boot_menu_ms;       /* how long it waits for a key; 0: the firmware's default */
    uint32_t boot_fail_ms;       /* with nothing to boot it tries again after so long, plus 1; 0: never */
    void (*warning)(void *opaque, const char *text); /* one line to tell the user; may be NULL */
    void *warning_opaque;
    bool no_reboot;              /* a reset of the machine ends novt_vm_run() */
    bool no_shutdown;            /* instead of ending, power-off (and reset with no_reboot) leaves it paused as NOVT_SHUT_DOWN */
    bool start_paused;           /* the first run starts as NOVT_PRELAUNCH: nothing happens until novt_vm_resume() */
    bool patient;                /* somebody looks after it: halted with interrupts off or with nothing to boot it just waits */
    int64_t rtc_epoch_s;         /* what the RTC shows at start, 0: the host's UTC */
    size_t code_cache_bytes;     /* 0: default */
    uint32_t engine;             /* enum novt_engine */
    uint32_t stress;             /* NOVT_STRESS_* */
    uint32_t trace_items;        /* NOVT_TRACE_* */
    uint32_t trace_lo, trace_hi; /* linear addresses to trace; both 0: all */
    int trace_fd;                /* where to; 0: stderr */
    bool perf_map;               /* write /tmp/perf-PID.map for perf */
    void (*panic)(void *opaque); /* runs after the dump of a bug of ours, before the process ends */
    void *panic_opaque;
};

/* 0, or -errno with *err filled (err may be NULL). The machine comes out reset. */
int novt_vm_new(struct novt_vm **out, const struct novt_config *config, struct novt_error *err);
void novt_vm_free(struct novt_vm *vm); /* NULL is fine */

/* Why novt_vm_run() returned. */
enum novt_why {
    NOVT_STOPPED, /* novt_vm_stop(); code is what it was given. Running again goes on where it was */
    NOVT_POWEROFF,
    NOVT_RESET,        /* with no_reboot only */
    NOVT_DEBUG_EXIT,   /* code is the process exit status, as QEMU's: (value << 1) | 1 */
    NOVT_TRIPLE_FAULT, /* with no_reboot only */
    NOVT_DEAD,         /* halted with interrupts off: nothing can wake it */
    NOVT_NO_BOOT,      /* the firmware found nothing to boot */
    NOVT_FAILED,       /* code is an errno: the host gave out */
};

struct novt_outcome {
    enum novt_why why;
    int code;
    uint16_t cs; /* where the CPU was */
    uint32_t eip;
};

/* Runs until the machine stops. 0 with *out filled, or -errno (with *err) when it could not even start. */
int novt_vm_run(struct novt_vm *vm, struct novt_outcome *out, struct novt_error *err);

/* Any thread, signal-safe: novt_vm_run() returns soon with NOVT_STOPPED and code. Before a run: it returns at once. */
void novt_vm_stop(struct novt_vm *vm, int code);
/* Any thread, signal-safe: look at host events now. */
void novt_vm_kick(struct novt_vm *vm);
/* Any thread, signal-safe: a non-maskable interrupt, as from an NMI button. It waits while port 70h masks it or the handler of an
 * earlier one has not come to its IRET; one waits, more are lost. */
void novt_vm_nmi(struct novt_vm *vm);
/* As the reset button. */
void novt_vm_reset(struct novt_vm *vm);

/* ---- control from other threads ----
 * Runs fn(opaque) on the VM's thread at a boundary between two instructions of the guest and returns when it is done. There fn may use
 * every function of this header but new, free and run. It must be short: no instruction of the guest runs meanwhile. Works
 * while the VM runs, is halted or paused; without a run fn runs on the caller's thread, and a run that begins waits for it. Called on
 * the VM's own thread (from a callback), fn is called at once, maybe in the middle of an instruction. Not after novt_vm_free() began. */
void novt_vm_call(struct novt_vm *vm, void (*fn)(void *opaque), void *opaque);

enum novt_status {
    NOVT_RUNNING,
    NOVT_PAUSED,
    NOVT_PRELAUNCH, /* start_paused, and not yet resumed */
    NOVT_SHUT_DOWN, /* powered off with no_shutdown: only a reset leads on */
    NOVT_DEBUGGED,  /* stopped by a debugger */
    NOVT_IO_ERROR,  /* a drive waits for its image: NOVT_ON_ERROR_STOP */
};

/* Any thread. When novt_vm_pause() returns, the VM is at an instruction boundary, its clock stands still and its run (if there is one)
 * sleeps, answering calls. why: NOVT_PAUSED or NOVT_DEBUGGED; the last one counts. Resume: 0, or -EPERM in NOVT_SHUT_DOWN. */
void novt_vm_pause(struct novt_vm *vm, enum novt_status why);
int novt_vm_resume(struct novt_vm *vm);
enum novt_status novt_vm_status(const struct novt_vm *vm);

/* Any thread: reset button (ends the run where no_reboot says so; a paused machine stays paused) and ACPI power button. */
void novt_vm_system_reset(struct novt_vm *vm);
void novt_vm_powerdown(struct novt_vm *vm);

enum novt_event_kind {
    NOVT_EVENT_STOP, /* paused, for whatever reason */
    NOVT_EVENT_RESUME,
    NOVT_EVENT_RESET,
    NOVT_EVENT_POWERDOWN, /* the power button was pressed */
    NOVT_EVENT_SHUTDOWN,  /* the run ends, or pauses as NOVT_SHUT_DOWN */
    NOVT_EVENT_DRIVE_ERROR, /* the host failed a read or a write */
};

struct novt_event {
    enum novt_event_kind kind;
    bool guest; /* RESET, SHUTDOWN: the guest's own doing */
    int code;   /* SHUTDOWN by novt_vm_stop(): what it was given; DRIVE_ERROR: a positive errno */
    char drive[32];             /* DRIVE_ERROR: its id */
    bool write;                 /* DRIVE_ERROR: not a read */
    enum novt_on_error outcome; /* DRIVE_ERROR: REPORT, STOP or IGNORE */
};

/* Whoever wants to hear of events. fn runs on the VM's thread, must be short and may call what novt_vm_call()'s functions may.
 * The struct is its owner's and must live until novt_vm_unlisten() or novt_vm_free(). */
struct novt_listener {
    void (*fn)(void *opaque, const struct novt_event *event);
    void *opaque;
    struct novt_listener *next; /* NoVT's */
};
void novt_vm_listen(struct novt_vm *vm, struct novt_listener *listener);
void novt_vm_unlisten(struct novt_vm *vm, struct novt_listener *listener);

/* ---- the machine in a file ----
 * RAM, CPU and every device to path, replacing the file only when it is whole; and back into a machine made with the same config. The guest
 * goes on as if nothing had happened, its clocks included. Disks' contents are not in it: their images must be as they were then, and
 * are checked. Load refuses what is damaged or of another machine, and leaves this one as it was. 0, or -errno with *err. Any thread; on
 * the VM's own only from novt_vm_call(). A running machine is paused meanwhile and goes on. */
int novt_vm_save(struct novt_vm *vm, const char *path, struct novt_error *err);
int novt_vm_load(struct novt_vm *vm, const char *path, struct novt_error *err);

/* ---- a debugger ----
 * The remote serial protocol of gdb, over a transport of the caller's: bytes from the client go to novt_gdb_input(), on any thread but
 * one at a time; bytes for it come by write(), on the VM's thread or that of the call. write() must not wait for the client. Opening pauses
 * the machine. One a VM. Closing takes all breakpoints out and leaves the machine as it is, running or paused; exit_code, unless
 * it is negative, is told to the client before. Close before novt_vm_free(). */
struct novt_gdb;
int novt_gdb_open(struct novt_gdb **out, struct novt_vm *vm,
                  void (*write)(void *opaque, const uint8_t *buf, size_t len), void *opaque); /* 0 or -ENOMEM */
void novt_gdb_input(struct novt_gdb *gdb, const uint8_t *buf, size_t len);
/* What "monitor WORDS" does: the answer on the heap, NULL: none. On the VM's thread or that of the input. Before the first input. */
void novt_gdb_commands(struct novt_gdb *gdb, char *(*command)(void *opaque, const char *line), void *opaque);
void novt_gdb_close(struct novt_gdb *gdb, int exit_code); /* NULL is fine */

/* Any thread: bytes typed at COM1 (0) to COM4 (3). Returns how many were taken; when fewer than len,
 * the line's room() callback says when to go on. */
size_t novt_vm_serial_input(struct novt_vm *vm, unsigned n, const uint8_t *buf, size_t len);

/* ---- keyboard and mouse ----
 * Any thread. Events are queued and reach the guest in order, no faster than it takes them. Not after novt_vm_free() began.
 * Keys have the names of QEMU's sendkey: "a", "ret", "esc", "ctrl", "alt_r", "shift", "f1", "kp_enter", "meta_l", "0x1c" (set 1), ... */
const char *novt_key_name(unsigned n); /* for lists and completion; NULL past the last */
/* 0; -EINVAL: no such key; -ENOSPC: the guest has not taken the keys before it. Pressing a key that is down does nothing: the
 * PC's keyboard repeats by itself. A release is never refused. */
int novt_vm_key(struct novt_vm *vm, const char *key, bool down);
void novt_vm_keys_up(struct novt_vm *vm); /* releases what novt_vm_key() holds: the one who pressed is gone */
/* "ctrl-alt-delete": pressed from left to right, held for hold_ms of the guest's time, released from right to left. hold_ms 0: 100.
 * Returns at once; such strokes and texts come one after the other. 0; -EINVAL; -ENOSPC. */
int novt_vm_send_keys(struct novt_vm *vm, const char *keys, unsigned hold_ms);
/* Types text on a US keyboard, each character when the guest has taken the one before. What that keyboard lacks is left out. Returns
 * how many bytes were taken; less than len: there is room for the rest later. */
size_t novt_vm_send_text(struct novt_vm *vm, const char *text, size_t len);
#define NOVT_LED_SCROLL 1u
#define NOVT_LED_NUM 2u
#define NOVT_LED_CAPS 4u
unsigned novt_vm_leds(const struct novt_vm *vm); /* what the guest lit on its keyboard */
/* Relative motion: dx to the right, dy downwards, dz wheel steps towards the user; buttons: bit 0 left, 1 right, 2 middle, 3 and 4 on
 * the side, as they are from now on. */
void novt_vm_mouse(struct novt_vm *vm, int dx, int dy, int dz, unsigned buttons);

/* The CPU's registers, in the manuals' encodings. */
struct novt_segment {
    uint16_t sel;
    uint16_t attr; /* descriptor bits 40..55 */
    uint32_t base, limit;
};

enum { NOVT_EAX, NOVT_ECX, NOVT_EDX, NOVT_EBX, NOVT_ESP, NOVT_EBP, NOVT_ESI, NOVT_EDI };
enum { NOVT_ES, NOVT_CS, NOVT_SS, NOVT_DS, NOVT_FS, NOVT_GS };

struct novt_regs {
    uint32_t gpr[8], eip, eflags;
    struct novt_segment seg[6], ldtr, tr;
    uint32_t gdtr_base, idtr_base;
    uint16_t gdtr_limit, idtr_limit;
    uint32_t cr0, cr2, cr3, cr4;
    uint64_t efer;
    uint8_t cpl;
};

void novt_vm_get_regs(const struct novt_vm *vm, struct novt_regs *regs);
/* Taken as they are: consistency is the caller's. */
void novt_vm_set_regs(struct novt_vm *vm, const struct novt_regs *regs);

/* Guest-physical memory (RAM and ROM, not devices). 0, or -EFAULT if part of the range is neither. */
int novt_vm_read_memory(struct novt_vm *vm, uint64_t gpa, void *buf, size_t len);
int novt_vm_write_memory(struct novt_vm *vm, uint64_t gpa, const void *buf, size_t len);

/* A place of the text screen: a character of the card's font (code page 437 unless the guest loaded another one) and its
 * attribute: bits 0-3 foreground, 4-6 background, 7 blink or the background's intensity. */
struct novt_cell {
    uint8_t ch, attr;
};

struct novt_text {
    uint16_t columns, rows;
    uint16_t cursor_column, cursor_row; /* from 0, when it is visible */
    bool cursor;                        /* visible */
    bool blink;                         /* attribute bit 7 blinks */
};

/* The text screen at one moment, at a boundary between two instructions of the guest. Fills *text, and cell[] row by row with as
 * many as fit; both stay the caller's. 0; -ENOSPC when columns * rows are more than cells; -ENODATA, and *text all zero,
 * when there is no VGA card or it is in a graphics mode. Any thread, also a callback; while the VM runs on another one this waits
 * for it, usually some microseconds. Not after novt_vm_free() began. */
int novt_vm_text(struct novt_vm *vm, struct novt_text *text, struct novt_cell *cell, size_t cells);

/* The same as a C string, whatever bytes is (0: nothing is written): lines end with '\n', trailing blanks are cut. Returns its
 * length, 0 in a graphics mode. */
size_t novt_vm_screen(struct novt_vm *vm, char *buf, size_t bytes);
/* ---- the screen as pixels ----
 * A frame is a copy of the picture that its owner keeps from call to call: all zero at first, freed by novt_frame_free(). Any number of
 * them may look at one VM, each used by one thread at a time. */
struct novt_rect {
    uint32_t x, y, width, height;
};

#define NOVT_FRAME_RECTS 64

struct novt_frame {
    uint32_t width, height; /* in pixels; 0 before the first picture */
    uint32_t *pixel;        /* width * height, row by row from the top, 0x00RRGGBB; the frame's own */
    uint64_t generation;    /* goes up when the picture changed */
    bool text;              /* a text mode: novt_vm_text() has its cells */
    bool resized;           /* width or height are not those of the call before; then rect[0] is everything */
    uint32_t rects;         /* what the last call changed in pixel[], from the top downwards */
    struct novt_rect rect[NOVT_FRAME_RECTS];
    uint64_t seen; /* NoVT's */
};

/* Brings the frame up to date with what the guest's screen shows, in every mode. 1: it changed, rect[] says where; 0: it did not (rects is
 * 0), which costs next to nothing and does not disturb the guest; -ENODATA: there is no VGA card; -ENOMEM. Any thread, also a callback; while
 * the VM runs on another one a changed picture waits for it, usually well below a millisecond. Not after novt_vm_free() began. */
int novt_vm_frame(struct novt_vm *vm, struct novt_frame *frame);
void novt_frame_free(struct novt_frame *frame); /* its memory, and all zero again */

enum novt_picture_format { NOVT_PICTURE_PPM, NOVT_PICTURE_PNG };

/* The screen as a picture file, with what blinks shown. 0, or -errno with *err: -ENODATA without a VGA card, -ENOTSUP for a format
 * that this build lacks, or what opening or writing gave. Threads as for novt_vm_frame(). */
int novt_vm_screendump(struct novt_vm *vm, const char *path, enum novt_picture_format format, struct novt_error *err);
int novt_vm_screendump_fd(struct novt_vm *vm, int fd, enum novt_picture_format format, struct novt_error *err); /* fd stays open */

/* ---- media ----
 * On the VM's thread (novt_vm_call() gets there) or while it does not run. id: the drive's, or QEMU's name for it (ide1-cd0, floppy0). */

struct novt_drive_info {
    char id[32];
    char file[256]; /* "" without a medium */
    enum novt_drive_bus bus;
    bool cdrom, removable, inserted, read_only, snapshot, tray_open;
    enum novt_format format;
    uint64_t bytes;
    uint64_t reads, writes, flushes, read_bytes, written_bytes, errors;
    int stopped_by; /* the errno for which the machine was paused and nobody has resumed it; 0: none */
};

/* Drive n of the machine, from 0; false: there are no more. */
bool novt_vm_drive_info(struct novt_vm *vm, unsigned n, struct novt_drive_info *info);
/* Another medium into a CD-ROM or floppy drive; a medium without a file just takes the old one out. 0, or -errno with *err: then the
 * old one is still there; -EBUSY: the guest holds the tray, and was told that somebody wants the medium. */
int novt_vm_change(struct novt_vm *vm, const char *id, const struct novt_medium *medium, struct novt_error *err);
int novt_vm_eject(struct novt_vm *vm, const char *id, struct novt_error *err);
/* Everything in flight done and on the host's disk, also what no flush asked for. 0, or the first error. */
int novt_vm_flush_drives(struct novt_vm *vm);

/* ---- network ---- */

/* Network card n of the config: its cable in or out. The guest sees it where its card can tell. 0 or -ENODEV. */
int novt_vm_set_link(struct novt_vm *vm, unsigned n, bool up);
/* A host port of user networking that leads to the guest: "tcp::2222-:22" is added, "tcp::2222" taken away. 0 or -errno with *err. Any thread. */
int novt_vm_forward(struct novt_vm *vm, unsigned n, bool add, const char *rule, struct novt_error *err);

/* Register dump on a file descriptor. */
void novt_vm_dump(const struct novt_vm *vm, int fd);

/* State as text for a person: "registers", "mem", "tlb" (linear addresses), "mtree", "qtree", "pci", "pic", "irq", "stats". Returns the length
 * needed, like snprintf(); 0: there is no such thing. Any thread. */
size_t novt_vm_info(struct novt_vm *vm, const char *what, char *buf, size_t bytes);
/* Memory as a debugger sees it: linear addresses through the guest's tables without its rights, devices' registers by reading them.
 * 0, or -EFAULT where nothing answers. On the VM's thread (novt_vm_call() gets there) or while it does not run. */
int novt_vm_inspect(struct novt_vm *vm, bool linear, uint64_t addr, void *buf, size_t len);

/* Counters as text lines or one JSON object. Returns the length needed, like snprintf(). */
size_t novt_vm_stats(const struct novt_vm *vm, bool json, char *buf, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
