/*
 * table.c - the instruction tables: Zydis instruction set -> CPU feature, mnemonic -> treatment.
 *
 * To add an instruction: make its instruction set known here if it is not, and give the mnemonic a
 * row unless the host can run it with nothing but its memory operand rewritten. Sources: SDM vol. 2
 * for the instructions, vol. 3 table 2-2 and chapter 23 for the CPUs that have them.
 */
#include <Zydis/Zydis.h>

#include "decoder/table.h"

#define ISA(name, feat) [ZYDIS_ISA_SET_##name] = {1, FEAT_##feat}

static const struct dec_isa_row isa_rows[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    ISA(I86, NONE),         ISA(I186, NONE),
    ISA(I286REAL, NONE),    ISA(I286PROTECTED, NONE),
    ISA(I386, NONE),        ISA(I486, NONE),
    ISA(I486REAL, NONE),                      /* CPUID has its own row */
    ISA(LAHF, NONE),        ISA(PAUSE, NONE), /* REP NOP to older CPUs */
    ISA(X87, FPU),          ISA(FCMOV, CMOV),
    ISA(CMOV, CMOV),        ISA(PPRO, CMOV), /* FCOMI; the others have rows of their own */
    ISA(FAT_NOP, LNOP),     ISA(PREFETCH_NOP, LNOP),
    ISA(PREFETCHWT1, LNOP), ISA(SSE_PREFETCH, LNOP), /* hint NOPs from the P6 on */
    ISA(PENTIUMREAL, MSR),                           /* RDTSC and CMPXCHG8B have rows of their own */
    ISA(RDPMC, RDPMC),      ISA(RDTSCP, RDTSCP),
    ISA(PENTIUMMMX, MMX),   ISA(FXSAVE, FXSR),
    ISA(SSE, SSE),          ISA(SSEMXCSR, SSE),
    ISA(SSE2, SSE2),        ISA(SSE2MMX, SSE2),
    ISA(SSE3, SSE3),        ISA(SSE3X87, SSE3),
    ISA(SSSE3, SSSE3),      ISA(SSSE3MMX, SSSE3),
    ISA(SSE4, SSE41),       ISA(SSE42, SSE42),
    ISA(POPCNT, POPCNT),    ISA(LZCNT, LZCNT),
    ISA(BMI1, BMI1), /* TZCNT: the rest is VEX-encoded and refused earlier */
    ISA(MOVBE, MOVBE),      ISA(AES, AES),
    ISA(PCLMULQDQ, PCLMUL), ISA(CLFSH, CLFLUSH),
    ISA(MONITOR, MONITOR),
};

#define ROW4(m, c, o, f, t) [ZYDIS_MNEMONIC_##m] = {DEC_##c, OP_##o, FEAT_##f, t}
#define ROW(m, c, o) ROW4(m, c, o, NONE, 0)
#define TRAIT(m, t) ROW4(m, PLAIN, NONE, NONE, t)

static const struct dec_mnemonic_row mnemonic_rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    /* DEC_STACK */
    ROW(PUSH, STACK, PUSH_R),
    ROW(POP, STACK, POP_R),
    ROW(PUSHA, STACK, PUSHA),
    ROW(PUSHAD, STACK, PUSHA),
    ROW(POPA, STACK, POPA),
    ROW(POPAD, STACK, POPA),
    ROW(PUSHF, STACK, PUSHF),
    ROW(PUSHFD, STACK, PUSHF),
    ROW(POPF, STACK, POPF),
    ROW(POPFD, STACK, POPF),
    ROW(ENTER, STACK, ENTER),
    ROW(LEAVE, STACK, LEAVE),

    /* DEC_STRING; MOVSD and CMPSD are SSE2 instructions too */
    ROW(MOVSB, STRING, MOVS),
    ROW(MOVSW, STRING, MOVS),
    ROW(MOVSD, STRING, MOVS),
    ROW(STOSB, STRING, STOS),
    ROW(STOSW, STRING, STOS),
    ROW(STOSD, STRING, STOS),
    ROW(LODSB, STRING, LODS),
    ROW(LODSW, STRING, LODS),
    ROW(LODSD, STRING, LODS),
    ROW(SCASB, STRING, SCAS),
    ROW(SCASW, STRING, SCAS),
    ROW(SCASD, STRING, SCAS),
    ROW(CMPSB, STRING, CMPS),
    ROW(CMPSW, STRING, CMPS),
    ROW(CMPSD, STRING, CMPS),

    /* DEC_BRANCH */
    ROW(JO, BRANCH, JCC),
    ROW(JNO, BRANCH, JCC),
    ROW(JB, BRANCH, JCC),
    ROW(JNB, BRANCH, JCC),
    ROW(JZ, BRANCH, JCC),
    ROW(JNZ, BRANCH, JCC),
    ROW(JBE, BRANCH, JCC),
    ROW(JNBE, BRANCH, JCC),
    ROW(JS, BRANCH, JCC),
    ROW(JNS, BRANCH, JCC),
    ROW(JP, BRANCH, JCC),
    ROW(JNP, BRANCH, JCC),
    ROW(JL, BRANCH, JCC),
    ROW(JNL, BRANCH, JCC),
    ROW(JLE, BRANCH, JCC),
    ROW(JNLE, BRANCH, JCC),
    ROW(JMP, BRANCH, JMP),
    ROW(CALL, BRANCH, CALL),
    ROW(RET, BRANCH, RET),
    ROW(LOOP, BRANCH, LOOP),
    ROW(LOOPE, BRANCH, LOOPE),
    ROW(LOOPNE, BRANCH, LOOPNE),
    ROW(JCXZ, BRANCH, JCXZ),
    ROW(JECXZ, BRANCH, JCXZ),

    /* DEC_HAND; BT and its like become DEC_PLAIN in all but one form */
    ROW(BT, HAND, BT),
    ROW(BTS, HAND, BTS),
    ROW(BTR, HAND, BTR),
    ROW(BTC, HAND, BTC),
    ROW(XLAT, HAND, XLAT),
    ROW(CLI, HAND, CLI),
    ROW(STI, HAND, STI),
    ROW(CLD, HAND, CLD),
    ROW(STD, HAND, STD),
    ROW(NOP, HAND, NOP),
    ROW(PAUSE, HAND, NOP),
    ROW(PREFETCH, HAND, NOP),
    ROW(PREFETCHW, HAND, NOP),
    ROW(PREFETCHWT1, HAND, NOP),
    ROW(PREFETCHNTA, HAND, NOP),
    ROW(PREFETCHT0, HAND, NOP),
    ROW(PREFETCHT1, HAND, NOP),
    ROW(PREFETCHT2, HAND, NOP),
    ROW(LEA, HAND, LEA),
    ROW4(RDTSC, HAND, RDTSC, TSC, 0),
    ROW(SALC, HAND, SALC),
    ROW(FWAIT, HAND, FWAIT),
    ROW(LAHF, HAND, LAHF),
    ROW(SAHF, HAND, SAHF),
    ROW(SFENCE, HAND, FENCE),
    ROW(LFENCE, HAND, FENCE),
    ROW(MFENCE, HAND, FENCE),

    /* DEC_SYS */
    ROW(HLT, SYS, HLT),
    ROW(IN, SYS, IN),
    ROW(OUT, SYS, OUT),
    ROW(INSB, SYS, INS),
    ROW(INSW, SYS, INS),
    ROW(INSD, SYS, INS),
    ROW(OUTSB, SYS, OUTS),
    ROW(OUTSW, SYS, OUTS),
    ROW(OUTSD, SYS, OUTS),
    ROW(INT, SYS, INT),
    ROW(INT3, SYS, INT3),
    ROW(INT1, SYS, INT1),
    ROW(INTO, SYS, INTO),
    ROW(IRET, SYS, IRET),
    ROW(IRETD, SYS, IRET),
    ROW4(SYSENTER, SYS, SYSENTER, SEP, 0),
    ROW4(SYSEXIT, SYS, SYSEXIT, SEP, 0),
    ROW(LDS, SYS, LOAD_FAR),
    ROW(LES, SYS, LOAD_FAR),
    ROW(LSS, SYS, LOAD_FAR),
    ROW(LFS, SYS, LOAD_FAR),
    ROW(LGS, SYS, LOAD_FAR),
    ROW(CLTS, SYS, CLTS),
    ROW(LMSW, SYS, LMSW),
    ROW(SMSW, SYS, SMSW),
    ROW(LGDT, SYS, LGDT),
    ROW(LIDT, SYS, LIDT),
    ROW(SGDT, SYS, SGDT),
    ROW(SIDT, SYS, SIDT),
    ROW(LLDT, SYS, LLDT),
    ROW(LTR, SYS, LTR),
    ROW(SLDT, SYS, SLDT),
    ROW(STR, SYS, STR),
    ROW(LAR, SYS, LAR),
    ROW(LSL, SYS, LSL),
    ROW(VERR, SYS, VERR),
    ROW(VERW, SYS, VERW),
    ROW(ARPL, SYS, ARPL),
    ROW(INVD, SYS, INVD),
    ROW(WBINVD, SYS, WBINVD),
    ROW(INVLPG, SYS, INVLPG),
    ROW4(CPUID, SYS, CPUID, CPUID, 0),
    ROW(RDMSR, SYS, RDMSR),
    ROW(WRMSR, SYS, WRMSR),
    ROW(RDPMC, SYS, RDPMC),
    ROW(RSM, SYS, RSM),
    ROW(AAA, SYS, AAA),
    ROW(AAS, SYS, AAS),
    ROW(AAM, SYS, AAM),
    ROW(AAD, SYS, AAD),
    ROW(DAA, SYS, DAA),
    ROW(DAS, SYS, DAS),
    ROW(BOUND, SYS, BOUND),
    ROW(FNSTENV, SYS, FNSTENV),
    ROW(FLDENV, SYS, FLDENV),
    ROW(FNSAVE, SYS, FNSAVE),
    ROW(FRSTOR, SYS, FRSTOR),
    ROW(FXSAVE, SYS, FXSAVE),
    ROW(FXRSTOR, SYS, FXRSTOR),
    ROW(RDTSCP, SYS, RDTSCP),
    ROW(MONITOR, SYS, MONITOR),
    ROW(MWAIT, SYS, MWAIT),
    ROW(CLFLUSH, SYS, CLFLUSH),
    ROW(MASKMOVQ, SYS, MASKMOV),
    ROW(MASKMOVDQU, SYS, MASKMOV),
    ROW(UD0, UD, UD2),
    ROW(UD1, UD, UD2),
    ROW(UD2, UD, UD2),

    /* DEC_PLAIN with something to say */
    ROW4(CMPXCHG8B, PLAIN, NONE, CX8, DEC_TRAIT_NO66),
    TRAIT(MOVNTI, DEC_TRAIT_NO66),
    TRAIT(BSF, DEC_TRAIT_KEEPS), /* a source of 0 */
    TRAIT(BSR, DEC_TRAIT_KEEPS),
    TRAIT(ROL, DEC_TRAIT_SHIFT),
    TRAIT(ROR, DEC_TRAIT_SHIFT),
    TRAIT(RCL, DEC_TRAIT_SHIFT),
    TRAIT(RCR, DEC_TRAIT_SHIFT),
    TRAIT(SHL, DEC_TRAIT_SHIFT),
    TRAIT(SHR, DEC_TRAIT_SHIFT),
    TRAIT(SAR, DEC_TRAIT_SHIFT),
    TRAIT(SHLD, DEC_TRAIT_SHIFT),
    TRAIT(SHRD, DEC_TRAIT_SHIFT),
    TRAIT(AND, DEC_TRAIT_AF_ZERO),
    TRAIT(OR, DEC_TRAIT_AF_ZERO),
    TRAIT(XOR, DEC_TRAIT_AF_ZERO),
    TRAIT(TEST, DEC_TRAIT_AF_ZERO),
};

const struct dec_isa_row *dec_isa_row(unsigned isa_set)
{
    return &isa_rows[isa_set <= ZYDIS_ISA_SET_MAX_VALUE ? isa_set : 0];
}

const struct dec_mnemonic_row *dec_mnemonic_row(unsigned mnemonic)
{
    return &mnemonic_rows[mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE ? mnemonic : 0];
}
