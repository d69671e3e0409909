/*
 * trace.c - what -d shows: listings of guest and host code, and one-line events; the map file for perf.
 *
 * Whoever has something to say asks mon_tracing() first, which is one test when tracing is off. Lines go
 * through a buffer and are complete in the file when the machine stops, resets or reports a bug.
 */
#include "monitor/machine.h"

#include <capstone/capstone.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trace_out {
    FILE *file;
    FILE *perf;
    bool own; /* file is ours to close */
    csh dis16, dis32, dis64;
};

static int open_files(struct machine *m, struct trace_out *t)
{
    char path[64];

    if (m->config.trace_items) {
        int fd = dup(m->config.trace_fd ? m->config.trace_fd : STDERR_FILENO);

        t->file = fd < 0 ? NULL : fdopen(fd, "w");
        if (!t->file)
            return -errno;
    }
    if (m->config.perf_map) {
        snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
        t->perf = fopen(path, "we");
        if (!t->perf)
            return -errno;
    }
    return 0;
}

int trace_open(struct machine *m, struct novt_error *err)
{
    struct trace_out *t;
    int rc;

    if (!m->config.trace_items && !m->config.perf_map)
        return 0;
    t = calloc(1, sizeof(*t));
    if (!t)
        return mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host", "no memory for tracing");
    m->trace.out = t;
    m->vm.trace = &m->trace;
    m->trace.items = m->config.trace_items | (m->config.perf_map ? TRACE_PERF_MAP : 0);
    m->trace.lo = m->config.trace_lo;
    m->trace.hi = m->config.trace_hi;
    rc = open_files(m, t);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "choose a writable place", "cannot open the trace: %s",
                        strerror(-rc));
    if (cs_open(CS_ARCH_X86, CS_MODE_16, &t->dis16) || cs_open(CS_ARCH_X86, CS_MODE_32, &t->dis32) ||
        cs_open(CS_ARCH_X86, CS_MODE_64, &t->dis64))
        return mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host",
                        "the disassembler does not start");
    return 0;
}

void trace_flush(struct machine *m)
{
    struct trace_out *t = m->trace.out;

    if (t && t->file)
        fflush(t->file);
    if (t && t->perf)
        fflush(t->perf);
}

void trace_close(struct machine *m)
{
    struct trace_out *t = m->trace.out;

    m->vm.trace = NULL;
    m->trace.out = NULL;
    if (!t)
        return;
    if (t->file)
        fclose(t->file);
    if (t->perf)
        fclose(t->perf);
    if (t->dis16)
        cs_close(&t->dis16);
    if (t->dis32)
        cs_close(&t->dis32);
    if (t->dis64)
        cs_close(&t->dis64);
    free(t);
}

void mon_trace(struct novt_vm *vm, const char *fmt, ...)
{
    struct trace_out *t = vm->trace->out;
    va_list ap;

    if (!t->file)
        return;
    va_start(ap, fmt);
    vfprintf(t->file, fmt, ap);
    va_end(ap);
    fputc('\n', t->file);
}

static void list_code(FILE *file, csh dis, const u8 *bytes, size_t len, u64 address, u64 mask)
{
    cs_insn *insn = cs_malloc(dis);
    const u8 *at = bytes;
    size_t left = len;

    while (insn && left) {
        if (!cs_disasm_iter(dis, &at, &left, &address, insn)) {
            /* What Capstone does not know is shown as a byte. */
            fprintf(file, "  %8llx  .byte 0x%02x\n", (unsigned long long)(address & mask), *at);
            at++;
            left--;
            address++;
            continue;
        }
        fprintf(file, "  %8llx  %s %s\n", (unsigned long long)(insn->address & mask), insn->mnemonic,
                insn->op_str);
    }
    if (insn)
        cs_free(insn, 1);
}

/* One part of a block's host code. */
static void list_part(struct novt_vm *vm, u32 off, u32 len)
{
    const u8 *at = cc_rx(vm->cc) + off;

    list_code(vm->trace->out->file, vm->trace->out->dis64, at, len, (u64)(uintptr_t)at, UINT64_MAX);
}

static void map_part(struct novt_vm *vm, u32 off, u32 len, u32 lin, const char *suffix)
{
    if (len)
        fprintf(vm->trace->out->perf, "%llx %x guest_%08x%s\n",
                (unsigned long long)(uintptr_t)(cc_rx(vm->cc) + off), len, lin, suffix);
}

void mon_trace_block(struct novt_vm *vm, const struct cc_block *b, const u8 *guest)
{
    struct trace_out *t = vm->trace->out;
    u32 lin = b->key.cs_base + b->key.eip;
    bool code32 = b->key.mode & MODE_CS32;

    if (mon_tracing(vm, TRACE_IN_ASM, lin) && t->file) {
        fprintf(t->file, "in  %08x (eip %08x gpa %08x mode %08x) %u bytes, %u instructions\n", lin,
                b->key.eip, b->key.gpa, b->key.mode, b->guest_len, b->n_insns);
        list_code(t->file, code32 ? t->dis32 : t->dis16, guest, b->guest_len, b->key.eip, UINT32_MAX);
    }
    if (mon_tracing(vm, TRACE_OUT_ASM, lin) && t->file) {
        fprintf(t->file, "out %08x: %u bytes, then %u of stubs\n", lin, b->code_len, b->cold_len);
        list_part(vm, b->code_off, b->code_len);
        fprintf(t->file, "stubs %08x\n", lin);
        list_part(vm, b->cold_off, b->cold_len);
    }
    if (t->perf) {
        map_part(vm, b->code_off, b->code_len, lin, "");
        map_part(vm, b->cold_off, b->cold_len, lin, "_stubs");
    }
}
