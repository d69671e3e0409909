/*
 * sysmachine.h - a machine for tests of privileged semantics: GDT, IDT, TSS and stacks in a megabyte of RAM.
 *
 * sys_protected() gives flat 32-bit protected mode at a CPL, sys_real() real mode, sys_v86() virtual-8086 mode. Instructions
 * run through mon_step(): fetched from memory, decoded and carried out in C.
 */
#ifndef NOVT_TEST_SYSMACHINE_H
#define NOVT_TEST_SYSMACHINE_H

#include <criterion/criterion.h>
#include <string.h>

#include "monitor/sys.h"
#include "novt.h"

#define CODE_AT 0x1000u
#define GDT_AT 0x2000u
#define IDT_AT 0x3000u
#define TSS_AT 0x4000u
#define TSS2_AT 0x4800u
#define LDT_AT 0x4c00u
#define HANDLER_AT 0x5000u
#define STACK0 0xa000u /* of ring 0 in the TSS */
#define STACK1 0xa800u
#define STACK 0x9000u /* in use */
#define DATA_AT 0x8000u

enum { /* selectors */
       S_CODE0 = 0x08,
       S_DATA0 = 0x10,
       S_CODE3 = 0x18 | 3,
       S_DATA3 = 0x20 | 3,
       S_TSS = 0x28,
       S_RODATA = 0x30,
       S_XCODE = 0x38,  /* execute-only */
       S_CONF = 0x40,   /* conforming, readable */
       S_ABSENT = 0x48, /* data, not present */
       S_DOWN = 0x50,   /* expand-down above 0FFFh */
       S_LDT = 0x58,
       S_GATE = 0x60, /* 32-bit call gate, DPL 3, two parameters */
       S_TASKGATE = 0x68,
       S_TSS2 = 0x70,
       S_TSS16 = 0x78,
       S_CODE16 = 0x80,
       S_GATE16 = 0x88,
       S_DATA1 = 0x90 | 1,
       S_CODE1 = 0x98 | 1,
       S_SMALL = 0xa0,   /* data, limit 0FFFh */
       S_ABSCODE = 0xa8, /* code, not present */
       S_GDT_END = 0xb0,
};

extern struct novt_vm *vm;
extern struct cpu *cpu;

void sys_protected(unsigned cpl);
void sys_real(void);
void sys_v86(unsigned iopl);
void sys_free(void);

u64 sys_desc(u32 base, u32 limit, u32 attr);          /* limit in the units that attr's G says */
u64 sys_gate(u16 sel, u32 off, u32 attr, u32 params); /* attr: P, DPL, type */
void sys_set_desc(u16 sel, u64 desc);
u64 sys_get_desc(u16 sel);
void sys_set_gate(u8 vector, u16 sel, u32 off, u32 attr);
u32 sys_peek(u32 lin); /* dword; paging off */
u16 sys_peek16(u32 lin);
void sys_poke(u32 lin, u32 v);
void sys_poke16(u32 lin, u16 v);

/* One instruction at CS:EIP made of the bytes given; mon_step()'s answer. */
int sys_run(const u8 *bytes, size_t len);
#define RUN(...) sys_run((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

#define EXPECT_FAULT(vector, error)                                             \
    do {                                                                        \
        cr_expect_eq(cpu->exit_kind, BT_EXIT_EXCEPTION);                        \
        cr_expect_eq(cpu->exc_vector, (vector), "vector %u", cpu->exc_vector);  \
        cr_expect_eq(cpu->exc_error, (u32)(error), "error %x", cpu->exc_error); \
    } while (0)

#endif
