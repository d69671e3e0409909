/*
 * cli_hmp_mem.c - the human monitor's view of memory: x, xp, print, memsave, pmemsave, and the numbers they are given.
 *
 * Memory is read in the machine's pauses between instructions, a piece at a time, as a debugger would: without rights, without a
 * trace in the guest's tables. Formats of the output are QEMU's.
 */
#include <capstone/capstone.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli_opt.h"
#include "monitor/cli_session.h"

#define X_MAX_UNITS 65536u
#define SAVE_PIECE 65536u
#define INSN_BYTES 15u
#define DEPTH_MAX 32

/* ---- reading ---- */

struct peek {
    struct novt_vm *vm;
    bool linear;
    u64 addr;
    u8 *to;
    size_t len;
    int rc;
    struct novt_regs *regs;
};

static void peek_here(void *opaque)
{
    struct peek *p = opaque;

    p->rc = novt_vm_inspect(p->vm, p->linear, p->addr, p->to, p->len);
}

static void regs_here(void *opaque)
{
    struct peek *p = opaque;

    novt_vm_get_regs(p->vm, p->regs);
}

static int peek(struct novt_vm *vm, bool linear, u64 addr, void *to, size_t len)
{
    struct peek p = {.vm = vm, .linear = linear, .addr = addr, .to = to, .len = len};

    novt_vm_call(vm, peek_here, &p);
    return p.rc;
}

static void get_regs(struct novt_vm *vm, struct novt_regs *regs)
{
    struct peek p = {.vm = vm, .regs = regs};

    novt_vm_call(vm, regs_here, &p);
}

/* ---- numbers ---- */

struct parser {
    const char *at;
    struct novt_vm *vm;
    const char *wrong; /* what could not be understood */
    unsigned depth;
};

static u64 parse_sum(struct parser *p);

/* The first one counts. */
static void wrong(struct parser *p, const char *what)
{
    if (!p->wrong)
        p->wrong = what;
}

static void skip(struct parser *p)
{
    p->at += strspn(p->at, " \t");
}

static u64 parse_register(struct parser *p)
{
    static const char gpr[][4] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    static const char seg[][3] = {"es", "cs", "ss", "ds", "fs", "gs"};
    size_t n = strspn(++p->at, "abcdefghijklmnopqrstuvwxyz0123456789");
    struct novt_regs r;
    char name[16];

    snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : 0, p->at);
    p->at += n;
    get_regs(p->vm, &r);
    for (unsigned i = 0; i < ARRAY_SIZE(gpr); i++) {
        if (!strcmp(name, gpr[i]))
            return r.gpr[i];
        if (i < ARRAY_SIZE(seg) && !strcmp(name, seg[i]))
            return r.seg[i].sel;
    }
    if (!strcmp(name, "eip"))
        return r.eip;
    if (!strcmp(name, "pc")) /* linear, as QEMU's */
        return (u32)(r.seg[NOVT_CS].base + r.eip);
    if (!strcmp(name, "eflags"))
        return r.eflags;
    if (!strcmp(name, "cr0"))
        return r.cr0;
    if (!strcmp(name, "cr2"))
        return r.cr2;
    if (!strcmp(name, "cr3"))
        return r.cr3;
    if (!strcmp(name, "cr4"))
        return r.cr4;
    wrong(p, "unknown register");
    return 0;
}

static u64 parse_factor(struct parser *p)
{
    u64 v = 0;
    char c;

    skip(p);
    c = *p->at;
    if (++p->depth > DEPTH_MAX) {
        wrong(p, "expression too deep");
    } else if (c == '-' || c == '+' || c == '~') {
        p->at++;
        v = parse_factor(p);
        v = c == '-' ? 0 - v : c == '~' ? ~v : v;
    } else if (c == '(') {
        p->at++;
        v = parse_sum(p);
        skip(p);
        if (*p->at == ')')
            p->at++;
        else
            wrong(p, "')' expected");
    } else if (c == '$') {
        v = parse_register(p);
    } else if (c >= '0' && c <= '9') {
        char *end;

        v = strtoull(p->at, &end, 0);
        p->at = end;
    } else if (c == '\'' && p->at[1] && p->at[2] == '\'') {
        v = (u8)p->at[1];
        p->at += 3;
    } else {
        wrong(p, "invalid expression");
    }
    p->depth--;
    return v;
}

static u64 parse_product(struct parser *p)
{
    u64 v = parse_factor(p), w;

    for (;;) {
        char op;

        skip(p);
        op = *p->at;
        if (p->wrong || (op != '*' && op != '/' && op != '%'))
            return v;
        p->at++;
        w = parse_factor(p);
        if (op != '*' && !w)
            wrong(p, "division by zero");
        else
            v = op == '*' ? v * w : op == '/' ? v / w : v % w;
    }
}

static u64 parse_sum(struct parser *p)
{
    u64 v = parse_product(p), w;

    for (;;) {
        char op;

        skip(p);
        op = *p->at;
        if (p->wrong || !op || !strchr("+-&|^", op))
            return v;
        p->at++;
        w = parse_product(p);
        v = op == '+' ? v + w : op == '-' ? v - w : op == '&' ? v & w : op == '|' ? v | w : v ^ w;
    }
}

bool hmp_number(struct hmp_args *a, const char *text, u64 *value)
{
    struct parser p = {.at = text, .vm = a->vm};

    *value = parse_sum(&p);
    skip(&p);
    if (!p.wrong && *p.at)
        p.wrong = "unexpected characters";
    if (p.wrong)
        text_printf(a->out, "%s: '%.64s'\n", p.wrong, text);
    return !p.wrong;
}

/* ---- formats ---- */

struct format {
    unsigned count, size;
    char form;
};

/* [COUNT][x d u o c i][b h w g] in any order, what is left out as the last time; false: a letter that is none of them. */
static bool parse_format(struct hmp_args *a, struct format *f)
{
    struct cli_control *c = a->control;
    const char *at = a->fmt;
    char *end;

    *f = (struct format){1, c->fmt_size ? c->fmt_size : 4, c->fmt_form ? c->fmt_form : 'x'};
    if (*at >= '0' && *at <= '9') {
        unsigned long n = strtoul(at, &end, 10);

        f->count = n > X_MAX_UNITS ? X_MAX_UNITS : (unsigned)n;
        at = end;
    }
    for (; *at; at++) {
        switch (*at) {
        case 'b': f->size = 1; break;
        case 'h': f->size = 2; break;
        case 'w': f->size = 4; break;
        case 'g':
        case 'L': f->size = 8; break;
        case 'x':
        case 'd':
        case 'u':
        case 'o':
        case 'c':
        case 'i': f->form = *at; break;
        default: text_printf(a->out, "invalid char in format: '%c'\n", *at); return false;
        }
    }
    c->fmt_form = f->form;
    c->fmt_size = f->size;
    if (f->form == 'c')
        f->size = 1;
    return true;
}

static void print_value(struct text *out, const struct format *f, u64 v)
{
    unsigned bits = f->size * 8;
    unsigned decimals = (bits * 10 + 32) / 33;

    switch (f->form) {
    case 'o': text_printf(out, "%#*llo", (int)((bits + 2) / 3), (unsigned long long)v); break;
    case 'u': text_printf(out, "%*llu", (int)decimals, (unsigned long long)v); break;
    case 'd': text_printf(out, "%*lld", (int)decimals, (long long)v); break; /* no sign below 64 bits, as QEMU's */
    case 'c':
        if (v == '\n' || v == '\r')
            text_puts(out, v == '\n' ? "'\\n'" : "'\\r'");
        else if (v >= 32 && v < 127)
            text_printf(out, v == '\'' || v == '\\' ? "'\\%c'" : "'%c'", (int)v);
        else
            text_printf(out, "'\\x%02x'", (unsigned)v);
        break;
    default: text_printf(out, "0x%0*llx", (int)(bits / 4), (unsigned long long)v); break;
    }
}

static void dump_line(struct hmp_args *a, const struct format *f, bool linear, u64 addr, const u8 *buf,
                      unsigned n)
{
    text_printf(a->out, linear ? "%08llx:" : "%016llx:", (unsigned long long)addr);
    for (unsigned i = 0; i < n; i += f->size) {
        u64 v = 0;

        memcpy(&v, buf + i, f->size);
        text_puts(a->out, " ");
        print_value(a->out, f, v);
    }
    text_puts(a->out, "\n");
}

/* Much at a time, as each look stops the guest; line by line where not all of it can be read. */
static void dump(struct hmp_args *a, const struct format *f, bool linear, u64 addr)
{
    unsigned line = f->size == 1 ? 8 : 16, left = f->count * f->size;
    u8 buf[4096];

    while (left) {
        unsigned n = left < sizeof(buf) ? left : (unsigned)sizeof(buf);

        if (linear && addr + n > 1ull << 32)
            n = line < left ? line : left;
        if (peek(a->vm, linear, addr, buf, n)) {
            n = n < line ? n : line;
            if (peek(a->vm, linear, addr, buf, n)) {
                text_printf(a->out,
                            linear ? "%08llx: Cannot access memory\n" : "%016llx: Cannot access memory\n",
                            (unsigned long long)addr);
                return;
            }
        }
        for (unsigned i = 0; i < n; i += line)
            dump_line(a, f, linear, addr + i, buf + i, n - i < line ? n - i : line);
        addr = linear ? (u32)(addr + n) : addr + n;
        left -= n;
    }
}

/* As many bytes as are mapped, up to INSN_BYTES. */
static size_t peek_code(struct hmp_args *a, bool linear, u64 addr, u8 *buf)
{
    for (size_t n = INSN_BYTES; n; n--)
        if (!peek(a->vm, linear, addr, buf, n))
            return n;
    return 0;
}

static void disassemble(struct hmp_args *a, const struct format *f, bool linear, u64 addr)
{
    struct novt_regs r;
    csh cs;
    cs_insn *insn;

    get_regs(a->vm, &r);
    if (cs_open(CS_ARCH_X86, r.seg[NOVT_CS].attr & 0x4000 ? CS_MODE_32 : CS_MODE_16, &cs) != CS_ERR_OK)
        return;
    cs_option(cs, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    for (unsigned i = 0; i < f->count; i++) {
        u8 buf[INSN_BYTES];
        char bytes[3 * INSN_BYTES + 1] = "";
        size_t got = peek_code(a, linear, addr, buf), n;

        if (!got) {
            text_printf(a->out, "0x%08llx:  Cannot access memory\n", (unsigned long long)addr);
            break;
        }
        n = cs_disasm(cs, buf, got, addr, 1, &insn);
        size_t len = n ? insn->size : 1;
        for (size_t k = 0; k < len; k++)
            snprintf(bytes + 3 * k, 4, "%02x ", buf[k]);
        text_printf(a->out, "0x%08llx:  %-24s %s%s%s\n", (unsigned long long)addr, bytes,
                    n ? insn->mnemonic : "(bad)", n && insn->op_str[0] ? " " : "", n ? insn->op_str : "");
        if (n)
            cs_free(insn, n);
        addr = linear ? (u32)(addr + len) : addr + len;
    }
    cs_close(&cs);
}

static void examine(struct hmp_args *a, bool linear)
{
    struct format f;
    u64 addr;

    if (!parse_format(a, &f) || !hmp_number(a, a->rest, &addr))
        return;
    if (linear)
        addr = (u32)addr;
    if (f.form == 'i')
        disassemble(a, &f, linear, addr);
    else
        dump(a, &f, linear, addr);
}

void hmp_x(struct hmp_args *a)
{
    examine(a, true);
}

void hmp_xp(struct hmp_args *a)
{
    examine(a, false);
}

void hmp_print(struct hmp_args *a)
{
    struct format f;
    u64 v;

    if (!parse_format(a, &f) || !hmp_number(a, a->rest, &v))
        return;
    if (f.form == 'x' || f.form == 'i')
        text_printf(a->out, "0x%llx", (unsigned long long)v);
    else if (f.form == 'd')
        text_printf(a->out, "%lld", (long long)v);
    else if (f.form == 'u')
        text_printf(a->out, "%llu", (unsigned long long)v);
    else if (f.form == 'o')
        text_printf(a->out, "0%llo", (unsigned long long)v);
    else
        print_value(a->out, &f, v & 0xff);
    text_puts(a->out, "\n");
}

/* ---- into files ---- */

int control_memsave(struct novt_vm *vm, bool linear, u64 addr, u64 bytes, const char *path, const char **why)
{
    u8 *buf = malloc(SAVE_PIECE);
    int fd = buf ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1, rc = 0;

    *why = "cannot write the file";
    if (fd < 0) {
        rc = buf ? -errno : -ENOMEM;
        free(buf);
        return rc;
    }
    while (bytes && !rc) {
        size_t n = bytes < SAVE_PIECE ? (size_t)bytes : SAVE_PIECE, done = 0;

        if (linear && addr + n > 1ull << 32)
            rc = -EFAULT;
        if (!rc)
            rc = peek(vm, linear, addr, buf, n);
        if (rc) {
            *why = "no memory at an address of the range";
            break;
        }
        while (done < n && !rc) {
            ssize_t wrote = write(fd, buf + done, n - done);

            if (wrote < 0 && errno == EINTR)
                continue;
            if (wrote < 0)
                rc = -errno;
            else
                done += (size_t)wrote;
        }
        addr += n;
        bytes -= n;
    }
    if (close(fd) && !rc)
        rc = -errno;
    free(buf);
    return rc;
}

static void save(struct hmp_args *a, bool linear)
{
    const char *why;
    u64 addr, bytes;
    int rc;

    if (!hmp_number(a, a->arg[0], &addr) || !hmp_number(a, a->arg[1], &bytes))
        return;
    rc = control_memsave(a->vm, linear, addr, bytes, a->arg[2], &why);
    if (rc)
        text_printf(a->out, "Error: %s: %s\n", why, strerror(-rc));
}

void hmp_memsave(struct hmp_args *a)
{
    save(a, true);
}

void hmp_pmemsave(struct hmp_args *a)
{
    save(a, false);
}
