/*
 * names.c - names of operations and classes, for logs, statistics and tests.
 *
 * Guarantee: any number gives a string; an unknown one gives "?".
 */
#include "decoder/decoder.h"

#define NAME(op) [OP_##op] = #op

static const char *const op_names[OP_COUNT] = {
    NAME(NONE),       NAME(PUSH_R),    NAME(PUSH_I),    NAME(PUSH_M),     NAME(PUSH_SEG),   NAME(POP_R),
    NAME(POP_M),      NAME(PUSHA),     NAME(POPA),      NAME(PUSHF),      NAME(POPF),       NAME(ENTER),
    NAME(LEAVE),      NAME(MOVS),      NAME(STOS),      NAME(LODS),       NAME(SCAS),       NAME(CMPS),
    NAME(JCC),        NAME(JMP),       NAME(CALL),      NAME(JMP_RM),     NAME(CALL_RM),    NAME(RET),
    NAME(LOOP),       NAME(LOOPE),     NAME(LOOPNE),    NAME(JCXZ),       NAME(BT),         NAME(BTS),
    NAME(BTR),        NAME(BTC),       NAME(MOV_R_SEG), NAME(XLAT),       NAME(CLI),        NAME(STI),
    NAME(CLD),        NAME(STD),       NAME(NOP),       NAME(LEA),        NAME(RDTSC),      NAME(SALC),
    NAME(FWAIT),      NAME(LAHF),      NAME(SAHF),      NAME(FENCE),      NAME(HLT),        NAME(IN),
    NAME(OUT),        NAME(INS),       NAME(OUTS),      NAME(INT),        NAME(INT3),       NAME(INT1),
    NAME(INTO),       NAME(IRET),      NAME(SYSENTER),  NAME(SYSEXIT),    NAME(CALL_FAR_I), NAME(JMP_FAR_I),
    NAME(CALL_FAR_M), NAME(JMP_FAR_M), NAME(RET_FAR),   NAME(MOV_SEG_RM), NAME(POP_SEG),    NAME(LOAD_FAR),
    NAME(MOV_R_CR),   NAME(MOV_CR_R),  NAME(MOV_R_DR),  NAME(MOV_DR_R),   NAME(CLTS),       NAME(LMSW),
    NAME(SMSW),       NAME(LGDT),      NAME(LIDT),      NAME(SGDT),       NAME(SIDT),       NAME(LLDT),
    NAME(LTR),        NAME(SLDT),      NAME(STR),       NAME(LAR),        NAME(LSL),        NAME(VERR),
    NAME(VERW),       NAME(ARPL),      NAME(INVD),      NAME(WBINVD),     NAME(INVLPG),     NAME(CPUID),
    NAME(RDMSR),      NAME(WRMSR),     NAME(RDPMC),     NAME(RSM),        NAME(AAA),        NAME(AAS),
    NAME(AAM),        NAME(AAD),       NAME(DAA),       NAME(DAS),        NAME(BOUND),      NAME(FNSTENV),
    NAME(FLDENV),     NAME(FNSAVE),    NAME(FRSTOR),    NAME(FXSAVE),     NAME(FXRSTOR),    NAME(RDTSCP),
    NAME(MONITOR),    NAME(MWAIT),     NAME(UD2),       NAME(CLFLUSH),    NAME(MASKMOV),
};

static const char *const class_names[] = {
    [DEC_PLAIN] = "PLAIN", [DEC_STACK] = "STACK", [DEC_STRING] = "STRING", [DEC_BRANCH] = "BRANCH",
    [DEC_HAND] = "HAND",   [DEC_SYS] = "SYS",     [DEC_UD] = "UD",
};

const char *dec_op_name(u8 op)
{
    return op < OP_COUNT ? op_names[op] : "?";
}

const char *dec_class_name(u8 cls)
{
    return cls < ARRAY_SIZE(class_names) ? class_names[cls] : "?";
}
