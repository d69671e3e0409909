/*
 * test_properties.c - what must hold for any bytes: bounds, the 15-byte limit, -ENODATA, sane fields,
 * and instruction lengths that a second, independent decoder (Capstone) agrees with.
 */
#include <string.h>
#include <sys/mman.h>

#include <capstone/capstone.h>
#include <criterion/criterion.h>

#include "decoder/decoder.h"

/* xorshift64*: the same bytes on every run. */
static u64 next_random(u64 *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* Random bytes that start with prefixes and the 0F maps more often than chance has it. */
static void random_bytes(u8 *bytes, size_t n, u64 *state)
{
    static const u8 starts[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e,
                                0x36, 0x3e, 0x64, 0x65, 0x0f, 0x0f, 0x0f};
    size_t fixed = next_random(state) >> 62;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (u8)(next_random(state) >> 56);
    for (size_t i = 0; i < fixed && i < n; i++)
        bytes[i] = starts[(next_random(state) >> 32) % sizeof(starts)];
}

/* Two pages, the second without access. */
static u8 *page_end(void)
{
    u8 *pages = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(pages, MAP_FAILED);
    cr_assert_eq(mprotect(pages + PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
    return pages + PAGE_BYTES;
}

static void check_fields(const struct dec_insn *i, const u8 *bytes)
{
    cr_assert(i->len >= 1 && i->len <= DEC_MAX_LEN, "length %u of %02x %02x %02x", i->len, bytes[0], bytes[1],
              bytes[2]);
    cr_assert(i->cls <= DEC_UD && i->op < OP_COUNT && i->feature < FEAT_COUNT);
    cr_assert_eq(memcmp(i->bytes, bytes, i->len), 0);
    cr_assert(i->base == DEC_NO_REG || i->base < 8);
    cr_assert(i->index == DEC_NO_REG || i->index < 8);
    cr_assert(i->seg < SEG_COUNT && i->map <= 4 && i->cond < 16 && i->fpu <= DEC_FPU_FXSR);
    cr_assert(!((i->fl_read | i->fl_write) & ~FL_ARITH));
    if (i->cls == DEC_UD)
        return;
    cr_assert(i->opsz == 1 || i->opsz == 2 || i->opsz == 4);
    cr_assert(i->adsz == 2 || i->adsz == 4);
    cr_assert(i->stksz == 2 || i->stksz == 4);
    cr_assert(i->imm_off + i->imm_size <= i->len);
    cr_assert(i->reg == DEC_NO_REG || i->reg < 8);
    cr_assert(i->reg2 == DEC_NO_REG || i->reg2 < 8);
    cr_assert(i->cls == DEC_PLAIN ? i->op == OP_NONE : i->op != OP_NONE);
    cr_assert(!!i->mem_size == (i->mem_read || i->mem_write));
    cr_assert(i->mem_size <= 512);
    if (i->op == OP_MOV_SEG_RM || i->op == OP_POP_SEG || i->op == OP_PUSH_SEG)
        cr_assert(i->reg < SEG_COUNT);
    if (i->op == OP_MOV_R_SEG || i->op == OP_LOAD_FAR)
        cr_assert(i->reg2 < SEG_COUNT);
    if (i->prefixes & DEC_PFX_LOCK)
        cr_assert(i->lock_ok && i->mem && i->mem_write);
}

/* Every opcode of every map with every ModRM, in both code sizes: a sane record or #UD, never an error. */
Test(decoder, every_opcode_and_modrm)
{
    static const u8 prefixes[] = {0, 0x66, 0x67, 0xf2, 0xf3, 0xf0};

    for (unsigned n = 0; n < 4 * 65536u * sizeof(prefixes); n++) {
        u8 bytes[DEC_MAX_LEN] = {0}, prefix = prefixes[n / 4 / 65536], map = n / 65536 % 4;
        struct dec_insn insn;
        size_t at = 0;

        if (prefix)
            bytes[at++] = prefix;
        if (map)
            bytes[at++] = 0x0f;
        if (map > 1)
            bytes[at++] = map == 2 ? 0x38 : 0x3a;
        bytes[at++] = n >> 8 & 255;
        bytes[at++] = n & 255;
        for (unsigned cs32 = 0; cs32 < 2; cs32++) {
            cr_assert_eq(dec_decode(&insn, bytes, sizeof(bytes), cs32, ~0u), 0);
            check_fields(&insn, bytes);
        }
    }
}

/* Bytes end where the page does: reading one more would fault. Cut short, a valid instruction is -ENODATA. */
Test(decoder, never_reads_past_the_end)
{
    u8 *end = page_end(), bytes[DEC_MAX_LEN];
    u64 seed = 0x1234567;

    for (unsigned n = 0; n < 100000; n++) {
        struct dec_insn whole, cut;
        int err;

        random_bytes(bytes, sizeof(bytes), &seed);
        err = dec_decode(&whole, bytes, sizeof(bytes), n & 1, ~0u);
        if (err) {
            cr_assert_eq(err, -E2BIG);
            continue;
        }
        check_fields(&whole, bytes);
        if (whole.cls == DEC_UD)
            continue;
        for (size_t avail = 0; avail <= whole.len; avail++) {
            memcpy(end - avail, bytes, avail);
            err = dec_decode(&cut, end - avail, avail, n & 1, ~0u);
            cr_assert_eq(err, avail < whole.len ? -ENODATA : 0, "%zu of %u bytes: %d", avail, whole.len, err);
        }
        cr_assert_eq(memcmp(&whole, &cut, sizeof(cut)), 0);
    }
}

Test(decoder, refused_bytes_stay_in_bounds)
{
    u8 *end = page_end(), bytes[DEC_MAX_LEN];
    u64 seed = 99;

    for (unsigned n = 0; n < 100000; n++) {
        size_t avail = next_random(&seed) % (DEC_MAX_LEN + 1);
        struct dec_insn insn;
        int err;

        random_bytes(bytes, sizeof(bytes), &seed);
        memcpy(end - avail, bytes, avail);
        err = dec_decode(&insn, end - avail, avail, n & 1, (u32)(next_random(&seed) >> 32));
        cr_assert(err == 0 || err == -ENODATA || err == -E2BIG);
        if (!err) {
            cr_assert_leq(insn.len, avail);
            check_fields(&insn, end - avail);
        }
    }
}

Test(decoder, fifteen_bytes_are_the_limit)
{
    u8 bytes[32];
    struct dec_insn insn;

    memset(bytes, 0x66, sizeof(bytes));
    cr_expect_eq(dec_decode(&insn, bytes, sizeof(bytes), true, ~0u), -E2BIG);
    cr_expect_eq(dec_decode(&insn, bytes, 15, true, ~0u), -E2BIG);
    cr_expect_eq(dec_decode(&insn, bytes, 14, true, ~0u), -ENODATA);
    bytes[14] = 0x90;
    cr_expect_eq(dec_decode(&insn, bytes, sizeof(bytes), true, ~0u), 0);
    cr_expect_eq(insn.len, 15);
    bytes[13] = 0x89; /* with its ModRM the 15th byte: fits, with a displacement it does not */
    bytes[14] = 0xc0;
    cr_expect_eq(dec_decode(&insn, bytes, sizeof(bytes), true, ~0u), 0);
    cr_expect_eq(insn.len, 15);
    bytes[14] = 0x40;
    cr_expect_eq(dec_decode(&insn, bytes, sizeof(bytes), true, ~0u), -E2BIG);
    cr_expect_eq(dec_decode(&insn, bytes, 0, true, ~0u), -ENODATA);
}

/* Known disagreements, both Capstone's: it does not know that 0F 20..23 ignore mod, and it forgets 66
 * on a near CALL that has F2 or F3 too (the host CPU sides with us, see test_host.c). */
static bool capstone_differs(const struct dec_insn *i)
{
    if (i->map == 1 && i->opcode >= 0x20 && i->opcode <= 0x23)
        return true;
    return i->op == OP_CALL && (i->prefixes & DEC_PFX_OPSIZE) &&
           (i->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE));
}

Test(decoder, lengths_agree_with_capstone)
{
    u64 seed = 0xfeed;
    unsigned compared = 0, wrong = 0;

    for (unsigned cs32 = 0; cs32 < 2; cs32++) {
        csh handle;
        cs_insn *other;

        cr_assert_eq(cs_open(CS_ARCH_X86, cs32 ? CS_MODE_32 : CS_MODE_16, &handle), CS_ERR_OK);
        other = cs_malloc(handle);
        for (unsigned n = 0; n < 300000; n++) {
            u8 bytes[DEC_MAX_LEN];
            const u8 *code = bytes;
            size_t size = sizeof(bytes);
            u64 address = 0;
            struct dec_insn insn;

            random_bytes(bytes, sizeof(bytes), &seed);
            if (dec_decode(&insn, bytes, sizeof(bytes), cs32, ~0u) || insn.cls == DEC_UD ||
                capstone_differs(&insn))
                continue;
            if (!cs_disasm_iter(handle, &code, &size, &address, other))
                continue;
            compared++;
            if (other->size == insn.len)
                continue;
            if (wrong++ < 20)
                cr_log_error("%u-bit %02x %02x %02x %02x %02x: %u bytes, Capstone: %u, %s %s", cs32 ? 32 : 16,
                             bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], insn.len, other->size,
                             other->mnemonic, other->op_str);
        }
        cs_free(other, 1);
        cs_close(&handle);
    }
    cr_assert_gt(compared, 300000, "only %u instructions compared", compared);
    cr_assert_eq(wrong, 0, "%u of %u lengths differ", wrong, compared);
}
