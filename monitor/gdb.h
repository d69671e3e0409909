/*
 * gdb.h - what the files of the gdb stub share (internal to monitor/).
 *
 * gdb.c has the packets' frames and the run control, gdb_query.c the questions, gdb_regs.c the registers and their description,
 * gdb_mem.c memory. Everything but novt_gdb_input()'s wrapper runs on the VM's thread. Source: gdb's manual, appendix E (Remote
 * Serial Protocol) and G (Target Descriptions); QEMU's documentation for its own packets.
 */
#ifndef NOVT_MONITOR_GDB_H
#define NOVT_MONITOR_GDB_H

#include "monitor/machine.h"

#define GDB_PACKET_BYTES 0x4000u /* what is between '$' and '#', in either direction */

/* An answer under construction. Too much is cut: no caller writes more than GDB_PACKET_BYTES, but for what a client asks for. */
struct gdb_out {
    u32 len;
    char text[GDB_PACKET_BYTES + 1];
};

void gdb_put(struct gdb_out *out, const char *text);
void gdb_putf(struct gdb_out *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
void gdb_put_hex(struct gdb_out *out, const u8 *data, size_t len);
/* With the escapes of binary data. false: it does not fit; nothing was written. */
bool gdb_put_binary(struct gdb_out *out, const char *data, size_t len);
void gdb_put_error(struct gdb_out *out, int err); /* 0: OK; else Enn */
struct novt_gdb;
void gdb_send_frame(struct novt_gdb *g); /* g->out, which is empty then */

/* A packet being taken apart; every function leaves the cursor behind what it took. */
struct gdb_in {
    const char *at, *end;
};

bool gdb_take(struct gdb_in *in, const char *text); /* true: it stood there */
bool gdb_take_num(struct gdb_in *in, u64 *v);       /* hex digits, at least one, at most 16 */
bool gdb_take_hex(struct gdb_in *in, u8 *to, size_t len);

enum gdb_frame { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM1, GDB_SUM2 };

struct novt_gdb {
    struct novt_vm *vm;
    void (*write)(void *opaque, const u8 *buf, size_t len);
    void *opaque;
    char *(*command)(void *opaque, const char *line);
    void *command_opaque;
    struct novt_listener listener;
    enum gdb_frame frame;
    u8 sum, given; /* of the packet being received: computed, and its first digit */
    bool too_long;
    bool no_ack;
    bool owed; /* c or s was answered with nothing yet: a stop reply is due */
    bool phys; /* memory packets are of physical addresses */
    u8 sstep;  /* qqemu.sstep */
    bool ended;
    bool was_patient; /* the machine's, before a debugger was there: with one it waits when it is dead */
    u32 len;
    char packet[GDB_PACKET_BYTES + 1];
    struct gdb_out out;
    u32 last_len; /* the last frame, for a '-' */
    u8 last[2 * GDB_PACKET_BYTES + 8];
};

#define GDB_SSTEP_NOIRQ 2u

/* gdb_regs.c: 0, -EINVAL (no such register), -EPERM (not to be written so). */
#define GDB_REG_BYTES_MAX 16u
unsigned gdb_reg_count(void);
unsigned gdb_reg_bytes(unsigned n);
void gdb_reg_read(struct novt_vm *vm, unsigned n, u8 *to);
int gdb_reg_write(struct novt_vm *vm, unsigned n, const u8 *from) MUST_CHECK;
/* The target description, from offset on. Returns its whole length. */
size_t gdb_target_xml(char *buf, size_t bytes);

/* gdb_mem.c: linear, whatever the privilege, without A and D bits; or physical. 0 or -EFAULT; a write is whole or not at all. */
int gdb_mem_read(struct novt_vm *vm, bool phys, u64 addr, u8 *to, size_t len) MUST_CHECK;
int gdb_mem_write(struct novt_vm *vm, bool phys, u64 addr, const u8 *from, size_t len) MUST_CHECK;

/* gdb_query.c: q and Q packets, the first letter taken. */
void gdb_query(struct novt_gdb *g, struct gdb_in *in, bool set);

#endif
