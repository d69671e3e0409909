/*
 * devices.h - the PC as the monitor sees it: buses, one virtual clock, one INTR pin.
 *
 * pc_new() wires an i440FX/PIIX3 machine with QEMU's "pc" ports, interrupt numbers and ids, so that
 * SeaBIOS and stock kernels run unchanged: 8259A pair, 8254, MC146818, i8042 with keyboard and mouse,
 * up to four 16550A, a parallel port, 8237 pair, PCI host and ISA bridge, PIIX4 power management, fw_cfg, standard VGA and the
 * debug ports. It knows no CPU and no RAM layout: what it needs of either are callbacks in the config.
 *
 * One thread: everything here is called on the VM's thread, callbacks run on it before the call returns.
 * Every value coming from the guest is safe in every argument that carries one.
 */
#ifndef NOVT_DEVICES_H
#define NOVT_DEVICES_H

#include "base.h"
#include "devices/bus.h"
#include "devices/chr.h"
#include "devices/clk.h"
#include "devices/state.h"
#include "devices/disk.h"
#include "devices/nic.h"
#include "devices/sound.h"
#include "devices/vga_draw.h"
#include "devices/vga_host.h"
#include "devices/wake.h"

enum pc_request {
    PC_REQ_RESET,      /* system reset: call pc_reset() and reset the CPU at the next boundary */
    PC_REQ_POWEROFF,   /* ACPI S5 */
    PC_REQ_DEBUG_EXIT, /* isa-debug-exit; code is the process exit status, (value << 1) | 1, low 8 bits */
};

/* A named read-only blob. Memory stays the caller's and must outlive the machine. */
struct pc_blob {
    const char *name; /* fw_cfg file name, at most 55 characters, e.g. "genroms/linux.bin" */
    const void *data;
    size_t bytes;
};

/* What fw_cfg's legacy kernel selectors hold (08h-18h). Parsing and patching the image is the loader's. */
struct pc_linux {
    const void *setup, *kernel, *initrd;
    size_t setup_bytes, kernel_bytes, initrd_bytes;
    const char *cmdline;  /* NULL = none */
    u32 cmdline_bytes;    /* with what follows its end for the kernel; 0: nothing follows */
    u32 setup_gpa, kernel_gpa, initrd_gpa, cmdline_gpa, entry_gpa;
};

/* A place on an IDE cable or the floppy cable. */
enum pc_drive_kind { PC_DRIVE_NONE, PC_DRIVE_DISK, PC_DRIVE_CDROM, PC_DRIVE_FLOPPY };

/* PC_DRIVE_CDROM and PC_DRIVE_FLOPPY may be without a medium (0 sectors), now and later. Strings are copied, cut to what ATA takes. */
struct pc_drive {
    enum pc_drive_kind kind;
    struct disk_back back;
    const char *serial;   /* at most 20 characters; NULL: QEMU's QM00001... */
    const char *model;    /* at most 40 characters; NULL: QEMU's */
    const char *firmware; /* at most 8 characters; NULL: QEMU's */
    u64 wwn;              /* 0: none */
    u16 rotation_rate;    /* turns a minute, 1: a solid-state disk; 0: not said */
    bool write_cache_off; /* each write is flushed before the guest hears of it (cache=writethrough) */
    unsigned boot_index;  /* 1 is tried first; 0: where `boot` says */
    unsigned floppy_kib;  /* the drive's type: 360, 720, 1200, 1440 or 2880; 0: what fits the medium, 2880 without one */
};

#define PC_IDE_DRIVES 4 /* primary master, primary slave, secondary master, secondary slave: -hda ... -hdd, index=0...3 */
#define PC_FLOPPIES 2
#define PC_VIRTIO_DISKS 8

struct pc_virtio_disk {
    struct pc_drive drive;
    unsigned slot; /* 0: the next free one */
};

/* A network card. Those on PCI take the first free slot from 3 up unless one is asked for. */
enum pc_nic_model { PC_NIC_NE2K_ISA, PC_NIC_NE2K_PCI, PC_NIC_E1000, PC_NIC_RTL8139, PC_NIC_VIRTIO };
#define PC_NICS 8

struct pc_nic {
    enum pc_nic_model model;
    u8 mac[NIC_MAC_BYTES];
    struct nic_back back; /* all NULL: the cable hangs loose */
    u8 slot;              /* PCI; 0: any */
    u16 iobase;           /* ISA; 0: the next of 300h, 320h, 340h, 280h, 380h */
    u8 irq;               /* ISA; 0: the next of 9, 10, 11, 3, 4, 5 */
};

#define PC_APIC_HZ 100000000u /* the local APIC's timer before its divider */
#define PC_SERIALS 4
#define PC_RAM_BELOW_4G_MAX 0xc0000000ull

/* A text of the SMBIOS tables: -smbios type=TYPE,KEY=VALUE. */
struct pc_smbios_text {
    u8 type;
    const char *key, *value;
};

struct pc_config {
    u64 ram_below_4g_bytes; /* from gpa 0, at most PC_RAM_BELOW_4G_MAX */
    u64 ram_above_4g_bytes; /* from gpa 4 GiB */

    void *opaque; /* first argument of the callbacks below; each may be NULL */
    void (*intr_changed)(void *opaque, bool level); /* the CPU's INTR pin: the local APIC's output, without one the PIC's */
    void (*nmi)(void *opaque);                      /* the CPU's NMI pin */
    void (*request)(void *opaque, enum pc_request what, unsigned code);
    /* Where CPU reads and writes of [gpa, gpa + bytes) go: RAM, else ROM or the PCI bus (reads) and
     * nowhere (writes). Ranges are multiples of 16 KiB within A0000h-FFFFFh. Also called at reset. */
    void (*pam_changed)(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram);
    void (*a20_changed)(void *opaque, bool enabled); /* enabled after reset */
    void (*kick)(void *opaque); /* call pc_poll() soon; any thread, signal-safe */

    struct dma_mem dma;

    struct chr_back serial[PC_SERIALS];
    bool serial_present[PC_SERIALS]; /* COM1 3F8h IRQ 4, COM2 2F8h IRQ 3, COM3 3E8h IRQ 4, COM4 2E8h IRQ 3 */
    struct chr_back parallel;
    bool parallel_present; /* LPT1 378h IRQ 7 */
    u8 uuid[16];
    const struct pc_smbios_text *smbios;
    unsigned smbios_texts;
    u32 cpu_signature, cpu_features; /* EAX and EDX of CPUID 1, for the SMBIOS tables */
    struct sound_back speaker; /* the PC speaker's */

    u16 debugcon_iobase; /* 402h or E9h; 0 = none */
    struct chr_back debugcon;
    u16 debug_exit_iobase; /* usually 501h or F4h; 0 = none */
    u16 debug_exit_iosize; /* 0 = 2 */

    const struct pc_blob *blob; /* fw_cfg files: option ROMs as "genroms/x", "bootorder", ... */
    size_t blobs;
    const struct pc_linux *linux_boot; /* NULL = none; copied */

    struct pc_drive ide[PC_IDE_DRIVES];  /* DISK or CDROM; both channels are there, drives or not */
    struct pc_drive floppy[PC_FLOPPIES]; /* FLOPPY; the controller is always there */
    struct pc_virtio_disk virtio_disk[PC_VIRTIO_DISKS]; /* DISK; each one on a PCI slot of its own */

    struct pc_nic nic[PC_NICS];
    unsigned nics;

    const void *vga_rom; /* shown as the ROM BAR of the VGA function; NULL: no VGA card at all */
    size_t vga_rom_bytes;
    struct vga_host vga_host; /* where its memory is; all zero: in the card */

    bool apic; /* the CPU has a local APIC, the board an I/O APIC */
    bool hpet;
    bool no_acpi;     /* no power management function: the firmware makes no ACPI tables then */
    i64 rtc_epoch_s;  /* RTC time at virtual time 0, seconds since 1970 in what the guest takes as local */
    const char *boot; /* QEMU's -boot order letters, NULL = "cad" */
    bool boot_menu;   /* the firmware offers a choice */
    u16 boot_menu_ms; /* and waits so long for a key; 0 = its default */
    u32 boot_fail_ms; /* with nothing to boot it starts over after so long, plus 1; 0: never */
    bool boot_strict; /* drives without a boot_index are not tried */
    bool floppy_unchecked; /* a floppy need not have a boot signature */
    const struct clk_source *clk_source; /* NULL = CLOCK_MONOTONIC */
};

struct pc;

/* 0 or -errno (-ENOMEM, -EINVAL for a config that cannot be). The machine comes out reset. */
/* 0, -EINVAL (a field that is not there, or not a number) or -E2BIG (too much text): what pc_new() would say of config->smbios. */
int pc_smbios_check(const struct pc_config *config) MUST_CHECK;
int pc_new(struct pc **out, const struct pc_config *config) MUST_CHECK;
void pc_free(struct pc *pc); /* NULL is fine */
/* System reset of every device; CMOS memory and time go on. Not from within a callback: after PC_REQ_RESET at the next
 * instruction boundary. */
void pc_reset(struct pc *pc);

/* ---- saving and restoring (state.h) ----
 * The machine's clock stands still meanwhile. pc_quiesce() waits until nothing is in flight at a back end and makes all memory true:
 * 0 or -EBUSY. pc_units() lists the chips; the array is the caller's. */
#define PC_UNITS_MAX 64
int pc_quiesce(struct pc *pc) MUST_CHECK;
unsigned pc_units(struct pc *pc, struct state_unit unit[PC_UNITS_MAX]);

struct clk *pc_clk(struct pc *pc);

/* Back ends on other threads: where they register, and the call that lets them through to their devices. */
struct wake_list *pc_wakes(struct pc *pc);
void pc_poll(struct pc *pc);

/* size 1, 2 or 4. */
u32 pc_pio_read(struct pc *pc, u16 port, unsigned size);
void pc_pio_write(struct pc *pc, u16 port, unsigned size, u32 val);
/* Up to count units in one go, for REP INS and OUTS. Returns how many were moved; the rest goes unit by unit, at least the next one. */
u32 pc_pio_read_string(struct pc *pc, u16 port, unsigned size, void *to, u32 count);
u32 pc_pio_write_string(struct pc *pc, u16 port, unsigned size, const void *from, u32 count);

/* size 1..8. Reads of what nobody claims give all ones. */
u64 pc_mmio_read(struct pc *pc, u64 gpa, unsigned size);
void pc_mmio_write(struct pc *pc, u64 gpa, unsigned size, u64 val);
/* n accesses of one byte in order, in one call: false, and nothing happened, if the device there does not take that. */
bool pc_mmio_read_block(struct pc *pc, u64 gpa, u8 *to, u32 n);
bool pc_mmio_write_block(struct pc *pc, u64 gpa, const u8 *from, u32 n);
bool pc_mmio_move_block(struct pc *pc, u64 from, u64 to, u32 n); /* within one device: for each byte a read and a write */
/* Does a device claim any byte of the 4 KiB page that holds gpa? RAM and ROM are not devices. */
bool pc_mmio_claims(struct pc *pc, u64 gpa);

/* The CPU's INTR pin, and the INTA cycle: acknowledges and returns the vector (the spurious one if the
 * request went away). */
bool pc_intr(struct pc *pc);
u8 pc_intr_ack(struct pc *pc);

/* IA32_APIC_BASE: 0 without a local APIC. False, and nothing happened: a value that is #GP. */
u64 pc_apic_base(const struct pc *pc);
bool pc_set_apic_base(struct pc *pc, u64 value);
/* Somebody asks for an NMI: through LINT1 when there is a local APIC. */
void pc_nmi_button(struct pc *pc);

/* IGNNE#/FERR#: the CPU reports an unmasked x87 error while CR0.NE = 0 (IRQ 13); port F0h clears it. */
void pc_ferr(struct pc *pc);

/* Does port 70h let NMIs through? */
bool pc_nmi_enabled(const struct pc *pc);

/* Front of COM1 (0) to COM4 (3), for chr_receive(). NULL if absent. */
const struct chr_front *pc_serial(struct pc *pc, unsigned n);

/* For the back end of ide[n] or floppy[n]: the medium was changed or taken out. NULL if there is no such drive, or a fixed one. */
const struct disk_front *pc_ide_front(struct pc *pc, unsigned n);
const struct disk_front *pc_floppy_front(struct pc *pc, unsigned n);

/* Keys by QEMU's names, or "0x.." with a code of set 1: an index, -1 if there is none. What types an ASCII character on a US
 * keyboard, and what must be held with it. The name of an index, NULL past the last. */
int pc_key_find(const char *name);
int pc_key_of_char(char c, bool *shift, bool *ctrl);
const char *pc_key_name(unsigned key);
#define PC_KEYS_MAX 160
/* A key goes down or up. False, and nothing happened: the guest must take earlier ones first. The keyboard repeats by itself. */
bool pc_key(struct pc *pc, unsigned key, bool down);
bool pc_key_down(const struct pc *pc, unsigned key);
bool pc_keys_taken(struct pc *pc); /* the guest has read all of them */
unsigned pc_kbd_leds(const struct pc *pc); /* bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock */
/* Relative motion (y up, z towards the user) and buttons (bit 0 left, 1 right, 2 middle, 3 and 4 on the side). False, and nothing
 * happened: the guest must take an earlier click first. */
bool pc_mouse(struct pc *pc, int dx, int dy, int dz, unsigned buttons);
/* -boot order letters from the next reset on. */
void pc_set_boot(struct pc *pc, const char *boot);

/* Network card n of the config, for its back end. NULL if there is none. */
const struct nic_front *pc_nic_front(struct pc *pc, unsigned n);

/* ACPI power button. */
void pc_power_button(struct pc *pc);

/* What a text mode of the VGA shows. */
struct pc_text {
    u16 columns, rows;
    u16 cursor_column, cursor_row;
    bool cursor; /* visible */
    bool blink;  /* attribute bit 7 blinks; else it is the background's fourth bit */
};
/* Cells are character | attribute << 8, row by row; as many as fit into cells are written. False, with *text all zero: VGA is absent
 * or in a graphics mode. */
bool pc_vga_text(struct pc *pc, struct pc_text *text, u16 *cell, size_t cells);
/* The screen in pixels (vga_draw.h): brings the picture up to date. 1: it changed; 0: it did not; -ENODATA: VGA is absent; -ENOMEM. */
int pc_vga_draw(struct pc *pc, struct vga_picture *p);
/* Nothing of VRAM is mapped, all of it is where the card has it; mappings come again by themselves. Before its state is saved or replaced. */
void pc_vga_settle(struct pc *pc);
/* Was anything written by way of callbacks since a picture was drawn? Any thread. Writes through mappings are the monitor's to know. */
bool pc_vga_touched(const struct pc *pc);

/* State as text, without touching it: "pic", "lapic", "ioapic", "irq", "pci", "mtree". Returns the length needed, like snprintf(); 0: no such thing. */
size_t pc_info(struct pc *pc, const char *what, char *buf, size_t bytes);

#endif
