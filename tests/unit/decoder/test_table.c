/*
 * test_table.c - bytes and the record that they must give, for every operation and each trap we know.
 *
 * The lines are those of render.h. A wrong row in the decoder's tables, a lost prefix, a wrong default
 * segment, an immediate sign-extended the wrong way or a flag that is missed shows here.
 */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "render.h"

struct row {
    int bits;
    const char *bytes;
    const char *line;
};

static const struct row rows[] = {
    /* moves and addressing */
    {32, "89 44 24 0c", "PLAIN len=4 o4 ss:[r4+12] w4 reg=0 gpr:reg in=11"},
    {32, "8b 1d 00 00 00 10", "PLAIN len=6 o4 ds:[268435456] r4 reg=3 gpr:reg out=08"},
    {32, "8b 04 8d 10 00 00 00", "PLAIN len=7 o4 ds:[r1*4+16] r4 reg=0 gpr:reg in=02 out=01"},
    {32, "8b 44 9d 80", "PLAIN len=4 o4 ss:[r5+r3*4+-128] r4 reg=0 gpr:reg in=28 out=01"},
    {32, "65 8b 04 25 00 00 00 00", "PLAIN len=8 pfx=20 o4 gs:[0] r4 reg=0 gpr:reg out=01"},
    {32, "67 8b 46 fe", "PLAIN len=4 pfx=02 o4 a2 ss:[r5+-2] r4 reg=0 gpr:reg in=20 out=01"},
    {32, "67 8b 16 34 f2", "PLAIN len=5 pfx=02 o4 a2 ds:[-3532] r4 reg=2 gpr:reg out=04"},
    {32, "3e 8b 45 00", "PLAIN len=4 pfx=20 o4 ds:[r5+0] r4 reg=0 gpr:reg in=20 out=01"},
    {32, "8a 64 24 01", "PLAIN len=4 o1 ss:[r4+1] r1 reg=4 gpr:reg byte:reg in=11 out=01"},
    {32, "88 e1", "PLAIN len=2 o1 reg=4 reg2=1 gpr:reg,rm byte:reg,rm in=03 out=02"},
    {32, "c6 40 05 ff", "PLAIN len=4 o1 ds:[r0+5] w1 imm1@3=ffffffff in=01"},
    {32, "66 c7 00 34 12", "PLAIN len=5 pfx=01 o2! ds:[r0+0] w2 imm2@3=1234 in=01"},
    {32, "b4 80", "PLAIN len=2 o1 imm1@1=ffffff80 reg=4 opcode_reg in=01 out=01"},
    {32, "b8 78 56 34 12", "PLAIN len=5 o4 imm4@1=12345678 reg=0 opcode_reg out=01"},
    {16, "b8 34 12", "PLAIN len=3 o2! a2 imm2@1=1234 reg=0 opcode_reg in=01 out=01"},
    {16, "66 b8 78 56 34 12", "PLAIN len=6 pfx=01 o4 a2 imm4@2=12345678 reg=0 opcode_reg out=01"},
    {16, "8b 46 fe", "PLAIN len=3 o2! a2 ss:[r5+-2] r2 reg=0 gpr:reg in=21 out=01"},
    {16, "8b 07", "PLAIN len=2 o2! a2 ds:[r3+0] r2 reg=0 gpr:reg in=09 out=01"},
    {16, "8b 1a", "PLAIN len=2 o2! a2 ss:[r5+r6*1+0] r2 reg=3 gpr:reg in=68 out=08"},
    {16, "67 8b 04 24", "PLAIN len=4 pfx=02 o2! ss:[r4+0] r2 reg=0 gpr:reg in=11 out=01"},
    {16, "67 66 8b 44 d8 10", "PLAIN len=6 pfx=03 o4 ds:[r0+r3*8+16] r4 reg=0 gpr:reg in=09 out=01"},
    {32, "a0 f0 ff 00 00", "PLAIN len=5 o1 moffs ds:[65520] r1 in=01 out=01"},
    {32, "a3 12 34 56 78", "PLAIN len=5 o4 moffs ds:[2018915346] w4 in=01"},
    {32, "64 a1 00 00 00 00", "PLAIN len=6 pfx=20 o4 moffs fs:[0] r4 out=01"},
    {16, "a1 f0 ff", "PLAIN len=3 o2! a2 moffs ds:[65520] r2 in=01 out=01"},
    {16, "67 a3 f0 ff ff ff", "PLAIN len=6 pfx=02 o2! moffs ds:[-16] w2 in=01"},
    {32, "0f b6 04 1e", "PLAIN len=4 o4 ds:[r6+r3*1+0] r1 reg=0 gpr:reg in=48 out=01"},
    {32, "66 0f be c4", "PLAIN len=4 pfx=01 o2! reg=0 reg2=4 gpr:reg,rm byte:rm in=01 out=01"},
    {32, "0f bf d8", "PLAIN len=3 o4 reg=3 reg2=0 gpr:reg,rm in=01 out=08"},
    {32, "87 cb", "PLAIN len=2 o4 reg=1 reg2=3 gpr:reg,rm in=0a out=0a"},
    {32, "86 23", "PLAIN len=2 o1 ds:[r3+0] rw1 reg=4 gpr:reg byte:reg in=09 out=01 lockable"},
    {32, "91", "PLAIN len=1 o4 reg=1 opcode_reg in=03 out=03"},
    {32, "0f c8", "PLAIN len=2 o4 reg=0 opcode_reg in=01 out=01"},
    {32, "66 0f c8", "PLAIN len=3 pfx=01 o2! reg=0 opcode_reg in=01 out=01"},
    /* arithmetic */
    {32, "01 0b", "PLAIN len=2 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0a sets:oszapc lockable"},
    {32, "f0 01 0b", "PLAIN len=3 pfx=10 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0a sets:oszapc lockable"},
    {32, "03 0b", "PLAIN len=2 o4 ds:[r3+0] r4 reg=1 gpr:reg in=0a out=02 sets:oszapc"},
    {32, "00 c4", "PLAIN len=2 o1 reg=0 reg2=4 gpr:reg,rm byte:reg,rm in=01 out=01 sets:oszapc"},
    {32, "04 7f", "PLAIN len=2 o1 imm1@1=7f in=01 out=01 sets:oszapc"},
    {32, "05 00 00 00 80", "PLAIN len=5 o4 imm4@1=80000000 in=01 out=01 sets:oszapc"},
    {32, "83 c0 ff", "PLAIN len=3 o4 imm1@2=ffffffff reg2=0 gpr:rm in=01 out=01 sets:oszapc"},
    {32, "83 10 01", "PLAIN len=3 o4 ds:[r0+0] rw4 imm1@2=1 in=01 uses:c sets:oszapc lockable"},
    {32, "82 c1 01", "PLAIN len=3 o1 imm1@2=1 reg2=1 gpr:rm byte:rm in=02 out=02 sets:oszapc"},
    {32, "66 81 3b 00 80", "PLAIN len=5 pfx=01 o2! ds:[r3+0] r2 imm2@3=ffff8000 in=08 sets:oszapc"},
    {32, "85 c0", "PLAIN len=2 o4 reg=0 reg2=0 gpr:reg,rm in=01 sets:oszapc"},
    {32, "a9 01 00 00 00", "PLAIN len=5 o4 imm4@1=1 in=01 sets:oszapc"},
    {32, "31 c0", "PLAIN len=2 o4 reg=0 reg2=0 gpr:reg,rm in=01 out=01 sets:oszapc"},
    {32, "40", "PLAIN len=1 o4 reg=0 opcode_reg in=01 out=01 sets:oszap"},
    {32, "4f", "PLAIN len=1 o4 reg=7 opcode_reg in=80 out=80 sets:oszap"},
    {16, "40", "PLAIN len=1 o2! a2 reg=0 opcode_reg in=01 out=01 sets:oszap"},
    {32, "fe 00", "PLAIN len=2 o1 ds:[r0+0] rw1 in=01 sets:oszap lockable"},
    {32, "ff 08", "PLAIN len=2 o4 ds:[r0+0] rw4 in=01 sets:oszap lockable"},
    {32, "f7 d8", "PLAIN len=2 o4 reg2=0 gpr:rm in=01 out=01 sets:oszapc"},
    {32, "f6 10", "PLAIN len=2 o1 ds:[r0+0] rw1 in=01 lockable"},
    {32, "f7 e1", "PLAIN len=2 o4 reg2=1 gpr:rm in=03 out=05 uses:szap sets:oszapc"},
    {32, "f6 ff", "PLAIN len=2 o1 reg2=7 gpr:rm byte:rm in=09 out=01 uses:oszapc sets:oszapc"},
    {32, "f7 33", "PLAIN len=2 o4 ds:[r3+0] r4 in=0d out=05 uses:oszapc sets:oszapc"},
    {32, "69 c1 e8 03 00 00",
     "PLAIN len=6 o4 imm4@2=3e8 reg=0 reg2=1 gpr:reg,rm in=02 out=01 uses:szap sets:oszapc"},
    {32, "6b 01 fe",
     "PLAIN len=3 o4 ds:[r1+0] r4 imm1@2=fffffffe reg=0 gpr:reg in=02 out=01 uses:szap sets:oszapc"},
    {32, "0f af c2", "PLAIN len=3 o4 reg=0 reg2=2 gpr:reg,rm in=05 out=01 uses:szap sets:oszapc"},
    {32, "98", "PLAIN len=1 o4 in=01 out=01"},
    {32, "66 98", "PLAIN len=2 pfx=01 o2! in=01 out=01"},
    {32, "99", "PLAIN len=1 o4 in=01 out=04"},
    {32, "f8", "PLAIN len=1 o4 sets:c"},
    {32, "f9", "PLAIN len=1 o4 sets:c"},
    {32, "f5", "PLAIN len=1 o4 uses:c sets:c"},
    {32, "0f 94 c4", "PLAIN len=3 o1 reg2=4 gpr:rm byte:rm in=01 out=01 cc=4 uses:z"},
    {32, "0f 9f 00", "PLAIN len=3 o1 ds:[r0+0] w1 in=01 cc=15 uses:osz"},
    {32, "0f 44 c1", "PLAIN len=3 o4 reg=0 reg2=1 gpr:reg,rm in=03 out=01 cc=4 uses:z +cmov"},
    {32, "0f 4f 03", "PLAIN len=3 o4 ds:[r3+0] r4 reg=0 gpr:reg in=09 out=01 cc=15 uses:osz +cmov"},
    {32, "f6 c8 01", "PLAIN len=3 o1 imm1@2=1 reg2=0 gpr:rm byte:rm in=01 sets:oszapc"},
    {32, "f7 c9 01 00 00 00", "PLAIN len=6 o4 imm4@2=1 reg2=1 gpr:rm in=02 sets:oszapc"},
    /* shifts: a count of 0 leaves the flags alone */
    {32, "d1 e0", "PLAIN len=2 o4 reg2=0 gpr:rm in=01 out=01 uses:oa sets:oszapc"},
    {32, "d3 e0", "PLAIN len=2 o4 reg2=0 gpr:rm in=03 out=01 uses:oszapc sets:oszapc"},
    {32, "c1 e0 03", "PLAIN len=3 o4 imm1@2=3 reg2=0 gpr:rm in=01 out=01 uses:oa sets:oszapc"},
    {32, "c1 e0 20", "PLAIN len=3 o4 imm1@2=20 reg2=0 gpr:rm in=01 out=01 uses:oszapc sets:oszapc"},
    {32, "c0 38 07", "PLAIN len=3 o1 ds:[r0+0] rw1 imm1@2=7 in=01 uses:oa sets:oszapc"},
    {32, "d0 f0", "PLAIN len=2 o1 reg2=0 gpr:rm byte:rm in=01 out=01 uses:oa sets:oszapc"},
    {32, "d3 1b", "PLAIN len=2 o4 ds:[r3+0] rw4 in=0a uses:oc sets:oc"},
    {32, "c1 c8 05", "PLAIN len=3 o4 imm1@2=5 reg2=0 gpr:rm in=01 out=01 uses:o sets:oc"},
    {32, "0f a4 c2 08", "PLAIN len=4 o4 imm1@3=8 reg=0 reg2=2 gpr:reg,rm in=05 out=04 uses:oa sets:oszapc"},
    {32, "0f ad 13", "PLAIN len=3 o4 ds:[r3+0] rw4 reg=2 gpr:reg in=0e uses:oszapc sets:oszapc"},
    /* bits */
    {32, "0f a3 0b", "HAND BT len=3 o4 ds:[r3+0] r4 reg=1 gpr:reg in=0a uses:osap sets:osapc"},
    {32, "0f ab 0b", "HAND BTS len=3 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0a uses:osap sets:osapc lockable"},
    {32, "66 0f b3 0b",
     "HAND BTR len=4 pfx=01 o2! ds:[r3+0] rw2 reg=1 gpr:reg in=0a uses:osap sets:osapc lockable"},
    {32, "f0 0f bb 0b",
     "HAND BTC len=4 pfx=10 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0a uses:osap sets:osapc lockable"},
    {32, "0f a3 c8", "PLAIN len=3 o4 reg=1 reg2=0 gpr:reg,rm in=03 uses:osap sets:osapc"},
    {32, "0f ba 2b 05", "PLAIN len=4 o4 ds:[r3+0] rw4 imm1@3=5 in=08 uses:osap sets:osapc lockable"},
    {32, "0f ba e0 1f", "PLAIN len=4 o4 imm1@3=1f reg2=0 gpr:rm in=01 uses:osap sets:osapc"},
    {32, "0f bc c1", "PLAIN len=3 o4 reg=0 reg2=1 gpr:reg,rm in=03 out=01 uses:osapc sets:oszapc"},
    {32, "0f bd 00", "PLAIN len=3 o4 ds:[r0+0] r4 reg=0 gpr:reg in=01 out=01 uses:osapc sets:oszapc"},
    {32, "f3 0f bc c1",
     "PLAIN len=4 mand=f3 o4 reg=0 reg2=1 gpr:reg,rm in=02 out=01 uses:osap sets:oszapc +bmi1"},
    {32, "f3 0f bd c1",
     "PLAIN len=4 mand=f3 o4 reg=0 reg2=1 gpr:reg,rm in=02 out=01 uses:osap sets:oszapc +lzcnt"},
    {32, "f3 0f b8 c1", "PLAIN len=4 mand=f3 o4 reg=0 reg2=1 gpr:reg,rm in=02 out=01 sets:oszapc +popcnt"},
    /* exchanges */
    {32, "0f b0 0b", "PLAIN len=3 o1 ds:[r3+0] rw1 reg=1 gpr:reg byte:reg in=0b out=01 sets:oszapc lockable"},
    {32, "f0 0f b1 0b",
     "PLAIN len=4 pfx=10 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0b out=01 sets:oszapc lockable"},
    {32, "0f c1 0b", "PLAIN len=3 o4 ds:[r3+0] rw4 reg=1 gpr:reg in=0a out=02 sets:oszapc lockable"},
    {32, "0f c0 e1", "PLAIN len=3 o1 reg=4 reg2=1 gpr:reg,rm byte:reg,rm in=03 out=03 sets:oszapc"},
    {32, "0f c7 0b", "PLAIN len=3 o4 ds:[r3+0] rw8 in=0f out=05 sets:z lockable +cx8"},
    {32, "f0 0f c7 0b", "PLAIN len=4 pfx=10 o4 ds:[r3+0] rw8 in=0f out=05 sets:z lockable +cx8"},
    {16, "0f c7 0f", "PLAIN len=3 o2 a2 ds:[r3+0] rw8 in=0f out=05 sets:z lockable +cx8"},
    /* stack */
    {32, "50", "STACK PUSH_R len=1 o4 reg=0 opcode_reg in=11 out=10"},
    {16, "57", "STACK PUSH_R len=1 o2! a2 reg=7 opcode_reg in=90 out=10"},
    {32, "ff f3", "STACK PUSH_R len=2 o4 reg=3 gpr:rm in=18 out=10"},
    {32, "ff 74 24 08", "STACK PUSH_M len=4 o4 ss:[r4+8] r4 in=10 out=10"},
    {32, "68 00 00 00 80", "STACK PUSH_I len=5 o4 imm4@1=80000000 in=10 out=10"},
    {32, "6a ff", "STACK PUSH_I len=2 o4 imm1@1=ffffffff in=10 out=10"},
    {32, "66 6a ff", "STACK PUSH_I len=3 pfx=01 o2! imm1@2=ffffffff in=10 out=10"},
    {16, "68 34 12", "STACK PUSH_I len=3 o2! a2 imm2@1=1234 in=10 out=10"},
    {32, "06", "STACK PUSH_SEG len=1 o4 reg=0 in=10 out=10"},
    {32, "0e", "STACK PUSH_SEG len=1 o4 reg=1 in=10 out=10"},
    {32, "16", "STACK PUSH_SEG len=1 o4 reg=2 in=10 out=10"},
    {32, "1e", "STACK PUSH_SEG len=1 o4 reg=3 in=10 out=10"},
    {32, "0f a0", "STACK PUSH_SEG len=2 o4 reg=4 in=10 out=10"},
    {32, "0f a8", "STACK PUSH_SEG len=2 o4 reg=5 in=10 out=10"},
    {32, "5c", "STACK POP_R len=1 o4 reg=4 opcode_reg in=10 out=10"},
    {32, "8f c0", "STACK POP_R len=2 o4 reg=0 gpr:rm in=10 out=11"},
    {32, "8f 44 24 04", "STACK POP_M len=4 o4 ss:[r4+4] w4 in=10 out=10"},
    {32, "60", "STACK PUSHA len=1 o4 in=ff out=10"},
    {32, "66 61", "STACK POPA len=2 pfx=01 o2! in=ff out=ff"},
    {32, "9c", "STACK PUSHF len=1 o4 in=10 out=10 uses:oszapc"},
    {32, "66 9d", "STACK POPF len=2 pfx=01 o2! in=10 out=10 sets:oszapc"},
    {32, "c8 34 12 05", "STACK ENTER len=4 o4 imm3@1=1234,5 in=30 out=30"},
    {32, "c9", "STACK LEAVE len=1 o4 in=30 out=30"},
    /* strings */
    {32, "a4", "STRING MOVS len=1 o1 ds:implicit rw1 in=c0 out=c0"},
    {32, "f3 a5", "STRING MOVS len=2 pfx=04 o4 ds:implicit rw4 in=c2 out=c2"},
    {32, "f3 64 66 a5", "STRING MOVS len=4 pfx=25 o2! fs:implicit rw2 in=c2 out=c2"},
    {32, "67 aa", "STRING STOS len=2 pfx=02 o1 a2 es:implicit w1 in=81 out=80"},
    {32, "f3 ab", "STRING STOS len=2 pfx=04 o4 es:implicit w4 in=83 out=82"},
    {32, "2e ac", "STRING LODS len=2 pfx=20 o1 cs:implicit r1 in=41 out=41"},
    {32, "ad", "STRING LODS len=1 o4 ds:implicit r4 in=40 out=41"},
    {32, "f2 ae", "STRING SCAS len=2 pfx=08 o1 es:implicit r1 in=83 out=82 uses:oszapc sets:oszapc"},
    {32, "af", "STRING SCAS len=1 o4 es:implicit r4 in=81 out=80 sets:oszapc"},
    {32, "a6", "STRING CMPS len=1 o1 ds:implicit r1 in=c0 out=c0 sets:oszapc"},
    {32, "f3 a7", "STRING CMPS len=2 pfx=04 o4 ds:implicit r4 in=c2 out=c2 uses:oszapc sets:oszapc"},
    {16, "a5", "STRING MOVS len=1 o2! a2 ds:implicit rw2 in=c0 out=c0"},
    /* branches */
    {32, "74 fe", "BRANCH JCC len=2 o4 imm1@1=fffffffe cc=4 uses:z"},
    {32, "0f 8f 10 00 00 00", "BRANCH JCC len=6 o4 imm4@2=10 cc=15 uses:osz"},
    {16, "0f 82 fe ff", "BRANCH JCC len=4 o2! a2 imm2@2=fffffffe cc=2 uses:c"},
    {32, "eb 80", "BRANCH JMP len=2 o4 imm1@1=ffffff80"},
    {32, "e9 fc ff ff ff", "BRANCH JMP len=5 o4 imm4@1=fffffffc"},
    {32, "66 e9 00 10", "BRANCH JMP len=4 pfx=01 o2! imm2@2=1000"},
    {32, "e8 00 00 00 80", "BRANCH CALL len=5 o4 imm4@1=80000000 in=10 out=10"},
    {16, "e8 00 80", "BRANCH CALL len=3 o2! a2 imm2@1=ffff8000 in=10 out=10"},
    {32, "ff e0", "BRANCH JMP_RM len=2 o4 reg=0 gpr:rm in=01"},
    {32, "ff 24 85 00 10 00 00", "BRANCH JMP_RM len=7 o4 ds:[r0*4+4096] r4 in=01"},
    {32, "ff d2", "BRANCH CALL_RM len=2 o4 reg=2 gpr:rm in=14 out=10"},
    {32, "ff 50 08", "BRANCH CALL_RM len=3 o4 ds:[r0+8] r4 in=11 out=10"},
    {32, "c3", "BRANCH RET len=1 o4 in=10 out=10"},
    {32, "c2 08 00", "BRANCH RET len=3 o4 imm2@1=8 in=10 out=10"},
    {32, "66 c3", "BRANCH RET len=2 pfx=01 o2! in=10 out=10"},
    {32, "e2 fe", "BRANCH LOOP len=2 o4 imm1@1=fffffffe in=02 out=02"},
    {32, "e1 00", "BRANCH LOOPE len=2 o4 imm1@1=0 in=02 out=02 uses:z"},
    {32, "67 e0 00", "BRANCH LOOPNE len=3 pfx=02 o4 a2 imm1@2=0 in=02 out=02 uses:z"},
    {32, "e3 00", "BRANCH JCXZ len=2 o4 imm1@1=0 in=02"},
    {32, "67 e3 00", "BRANCH JCXZ len=3 pfx=02 o4 a2 imm1@2=0 in=02"},
    /* by hand */
    {32, "8c d8", "HAND MOV_R_SEG len=2 o4 reg=0 reg2=3 gpr:rm out=01"},
    {32, "66 8c c0", "HAND MOV_R_SEG len=3 pfx=01 o2! reg=0 reg2=0 gpr:rm in=01 out=01"},
    {32, "8c 08", "HAND MOV_R_SEG len=2 o4 ds:[r0+0] w2 reg2=1 in=01"},
    {32, "d7", "HAND XLAT len=1 o4 ds:implicit r1 in=09 out=01"},
    {32, "65 d7", "HAND XLAT len=2 pfx=20 o4 gs:implicit r1 in=09 out=01"},
    {32, "fa", "HAND CLI len=1 o4"},
    {32, "fb", "HAND STI len=1 o4"},
    {32, "fc", "HAND CLD len=1 o4"},
    {32, "fd", "HAND STD len=1 o4"},
    {32, "90", "HAND NOP len=1 o4"},
    {32, "66 90", "HAND NOP len=2 pfx=01 o2!"},
    {32, "f3 90", "HAND NOP len=2 pfx=04 o4"},
    {32, "0f 1f 44 00 00", "HAND NOP len=5 o4 ds:[r0+r0*1+0] +lnop"},
    {32, "f3 0f 1e fb", "HAND NOP len=4 mand=f3 o4 +lnop"},
    {32, "0f 18 08", "HAND NOP len=3 o4 ds:[r0+0] +lnop"},
    {32, "0f 18 c0", "HAND NOP len=3 o4 +lnop"},
    {32, "0f 0d 08", "HAND NOP len=3 o4 ds:[r0+0] +lnop"},
    {32, "8d 44 98 04", "HAND LEA len=4 o4 ds:[r0+r3*4+4] reg=0 gpr:reg in=09 out=01"},
    {32, "66 8d 00", "HAND LEA len=3 pfx=01 o2! ds:[r0+0] reg=0 gpr:reg in=01 out=01"},
    {32, "0f 31", "HAND RDTSC len=2 o4 out=05 +tsc"},
    {32, "d6", "HAND SALC len=1 o4 in=01 out=01 uses:c"},
    {32, "9b", "HAND FWAIT len=1 o4 +fpu"},
    {32, "9f", "HAND LAHF len=1 o4 in=01 out=01 uses:szapc"},
    {32, "9e", "HAND SAHF len=1 o4 in=01 sets:szapc"},
    {32, "0f ae f8", "HAND FENCE len=3 o4 +sse"},
    {32, "0f ae e8", "HAND FENCE len=3 o4 +sse2"},
    {32, "0f ae f0", "HAND FENCE len=3 o4 +sse2"},
    /* system */
    {32, "f4", "SYS HLT len=1 o4"},
    {32, "e4 60", "SYS IN len=2 o1 imm1@1=60 in=01 out=01"},
    {32, "66 ed", "SYS IN len=2 pfx=01 o2! reg2=2 in=05 out=01"},
    {32, "ed", "SYS IN len=1 o4 reg2=2 in=04 out=01"},
    {32, "e6 80", "SYS OUT len=2 o1 imm1@1=80 in=01"},
    {32, "ee", "SYS OUT len=1 o1 reg2=2 in=05"},
    {32, "6c", "SYS INS len=1 o1 es:implicit w1 in=84 out=80"},
    {32, "f3 66 6d", "SYS INS len=3 pfx=05 o2! es:implicit w2 in=86 out=82"},
    {32, "2e 6e", "SYS OUTS len=2 pfx=20 o1 cs:implicit r1 in=44 out=40"},
    {32, "f3 6f", "SYS OUTS len=2 pfx=04 o4 ds:implicit r4 in=46 out=42"},
    {32, "cd 80", "SYS INT len=2 o4 imm1@1=80"},
    {32, "cc", "SYS INT3 len=1 o4"},
    {32, "f1", "SYS INT1 len=1 o4"},
    {32, "ce", "SYS INTO len=1 o4 uses:o"},
    {32, "cf", "SYS IRET len=1 o4 in=10 out=10 sets:oszapc"},
    {16, "cf", "SYS IRET len=1 o2! a2 in=10 out=10 sets:oszapc"},
    {32, "0f 34", "SYS SYSENTER len=2 o4 out=10 +sep"},
    {32, "0f 35", "SYS SYSEXIT len=2 o4 in=06 out=10 +sep"},
    {32, "9a 11 22 33 44 08 00", "SYS CALL_FAR_I len=7 o4 imm6@1=44332211,8 in=10 out=10"},
    {16, "ea 00 f0 00 e0", "SYS JMP_FAR_I len=5 o2! a2 imm4@1=f000,e000"},
    {32, "ff 18", "SYS CALL_FAR_M len=2 o4 ds:[r0+0] r6 in=11 out=10"},
    {32, "66 ff 28", "SYS JMP_FAR_M len=3 pfx=01 o2! ds:[r0+0] r4 in=01"},
    {32, "cb", "SYS RET_FAR len=1 o4 in=10 out=10"},
    {32, "ca 04 00", "SYS RET_FAR len=3 o4 imm2@1=4 in=10 out=10"},
    {32, "8e d8", "SYS MOV_SEG_RM len=2 o2! reg=3 reg2=0 gpr:rm in=01"},
    {32, "8e 10", "SYS MOV_SEG_RM len=2 o2! ds:[r0+0] r2 reg=2 in=01"},
    {32, "07", "SYS POP_SEG len=1 o4 reg=0 in=10 out=10"},
    {32, "17", "SYS POP_SEG len=1 o4 reg=2 in=10 out=10"},
    {32, "1f", "SYS POP_SEG len=1 o4 reg=3 in=10 out=10"},
    {32, "0f a1", "SYS POP_SEG len=2 o4 reg=4 in=10 out=10"},
    {32, "0f a9", "SYS POP_SEG len=2 o4 reg=5 in=10 out=10"},
    {32, "c5 1b", "SYS LOAD_FAR len=2 o4 ds:[r3+0] r6 reg=3 reg2=3 gpr:reg in=08 out=08"},
    {32, "c4 1b", "SYS LOAD_FAR len=2 o4 ds:[r3+0] r6 reg=3 reg2=0 gpr:reg in=08 out=08"},
    {32, "0f b2 23", "SYS LOAD_FAR len=3 o4 ds:[r3+0] r6 reg=4 reg2=2 gpr:reg in=08 out=10"},
    {32, "66 0f b4 03", "SYS LOAD_FAR len=4 pfx=01 o2! ds:[r3+0] r4 reg=0 reg2=4 gpr:reg in=09 out=01"},
    {32, "0f b5 03", "SYS LOAD_FAR len=3 o4 ds:[r3+0] r6 reg=0 reg2=5 gpr:reg in=08 out=01"},
    {32, "0f 20 c0", "SYS MOV_R_CR len=3 o4 reg=0 reg2=0 gpr:rm out=01"},
    {32, "0f 20 e1", "SYS MOV_R_CR len=3 o4 reg=1 reg2=4 gpr:rm out=02 +cpuid"},
    {32, "0f 20 03", "SYS MOV_R_CR len=3 o4 reg=3 reg2=0 gpr:rm out=08"},
    {32, "0f 22 da", "SYS MOV_CR_R len=3 o4 reg=2 reg2=3 gpr:rm in=04"},
    {32, "66 0f 22 c0", "SYS MOV_CR_R len=4 pfx=01 o4 reg=0 reg2=0 gpr:rm in=01"},
    {32, "0f 21 f8", "SYS MOV_R_DR len=3 o4 reg=0 reg2=7 gpr:rm out=01"},
    {32, "0f 23 c7", "SYS MOV_DR_R len=3 o4 reg=7 reg2=0 gpr:rm in=80"},
    {32, "0f 06", "SYS CLTS len=2 o4"},
    {32, "0f 01 f0", "SYS LMSW len=3 o4 reg=0 gpr:rm in=01"},
    {32, "0f 01 e0", "SYS SMSW len=3 o4 reg=0 gpr:rm out=01"},
    {32, "0f 01 20", "SYS SMSW len=3 o4 ds:[r0+0] w2 in=01"},
    {32, "0f 01 10", "SYS LGDT len=3 o4 ds:[r0+0] r6 in=01"},
    {32, "66 0f 01 18", "SYS LIDT len=4 pfx=01 o2! ds:[r0+0] r6 in=01"},
    {32, "0f 01 00", "SYS SGDT len=3 o4 ds:[r0+0] w6 in=01"},
    {32, "0f 01 08", "SYS SIDT len=3 o4 ds:[r0+0] w6 in=01"},
    {32, "0f 00 d0", "SYS LLDT len=3 o4 reg=0 gpr:rm in=01"},
    {32, "0f 00 18", "SYS LTR len=3 o4 ds:[r0+0] r2 in=01"},
    {32, "0f 00 c1", "SYS SLDT len=3 o4 reg=1 gpr:rm out=02"},
    {32, "0f 00 00", "SYS SLDT len=3 o4 ds:[r0+0] w2 in=01"},
    {32, "0f 00 c8", "SYS STR len=3 o4 reg=0 gpr:rm out=01"},
    {32, "0f 02 c1", "SYS LAR len=3 o4 reg=0 reg2=1 gpr:reg,rm in=03 out=01 sets:z"},
    {32, "0f 03 01", "SYS LSL len=3 o4 ds:[r1+0] r2 reg=0 gpr:reg in=03 out=01 sets:z"},
    {32, "0f 00 e0", "SYS VERR len=3 o4 reg=0 gpr:rm in=01 sets:z"},
    {32, "0f 00 28", "SYS VERW len=3 o4 ds:[r0+0] r2 in=01 sets:z"},
    {32, "63 c8", "SYS ARPL len=2 o2! reg=1 reg2=0 gpr:reg,rm in=03 out=01 sets:z"},
    {32, "63 08", "SYS ARPL len=2 o2! ds:[r0+0] rw2 reg=1 gpr:reg in=03 sets:z"},
    {32, "0f 08", "SYS INVD len=2 o4"},
    {32, "0f 09", "SYS WBINVD len=2 o4"},
    {32, "f3 0f 09", "SYS WBINVD len=3 pfx=04 o4"},
    {32, "0f 01 38", "SYS INVLPG len=3 o4 ds:[r0+0] in=01"},
    {32, "0f a2", "SYS CPUID len=2 o4 in=03 out=0f +cpuid"},
    {32, "0f 32", "SYS RDMSR len=2 o4 in=02 out=05 +msr"},
    {32, "0f 30", "SYS WRMSR len=2 o4 in=07 +msr"},
    {32, "0f 33", "SYS RDPMC len=2 o4 in=02 out=05 +rdpmc"},
    {32, "0f aa", "SYS RSM len=2 o4 sets:oszapc"},
    {32, "37", "SYS AAA len=1 o4 in=01 out=01 uses:oszap sets:oszapc"},
    {32, "3f", "SYS AAS len=1 o4 in=01 out=01 uses:oszap sets:oszapc"},
    {32, "d4 0a", "SYS AAM len=2 o4 imm1@1=a in=01 out=01 uses:oac sets:oszapc"},
    {32, "d5 10", "SYS AAD len=2 o4 imm1@1=10 in=01 out=01 uses:oac sets:oszapc"},
    {32, "27", "SYS DAA len=1 o4 in=01 out=01 uses:oac sets:oszapc"},
    {32, "2f", "SYS DAS len=1 o4 in=01 out=01 uses:oac sets:oszapc"},
    {32, "62 08", "SYS BOUND len=2 o4 ds:[r0+0] r8 reg=1 gpr:reg in=03"},
    {32, "66 62 08", "SYS BOUND len=3 pfx=01 o2! ds:[r0+0] r4 reg=1 gpr:reg in=03"},
    {32, "0f 01 f9", "SYS RDTSCP len=3 o4 out=07 +rdtscp"},
    {32, "0f 01 c8", "SYS MONITOR len=3 o4 in=07 +monitor"},
    {32, "0f 01 c9", "SYS MWAIT len=3 o4 in=03 +monitor"},
    {32, "0f ae 38", "SYS CLFLUSH len=3 o4 ds:[r0+0] r1 in=01 +clflush"},
    {32, "0f f7 c1", "SYS MASKMOV len=3 o4 ds:implicit w8 in=80 mmx +sse"},
    {32, "65 66 0f f7 c1", "SYS MASKMOV len=5 pfx=20 mand=66 o4 gs:implicit w16 in=80 sse +sse2"},
    /* x87 */
    {32, "d8 c1", "PLAIN len=2 o4 x87 +fpu"},
    {32, "d9 00", "PLAIN len=2 o4 ds:[r0+0] r4 in=01 x87 +fpu"},
    {32, "dd 00", "PLAIN len=2 o4 ds:[r0+0] r8 in=01 x87 +fpu"},
    {32, "db 28", "PLAIN len=2 o4 ds:[r0+0] r10 in=01 x87 +fpu"},
    {32, "db 38", "PLAIN len=2 o4 ds:[r0+0] w10 in=01 x87 +fpu"},
    {32, "df 38", "PLAIN len=2 o4 ds:[r0+0] w8 in=01 x87 +fpu"},
    {32, "da 00", "PLAIN len=2 o4 ds:[r0+0] r4 in=01 x87 +fpu"},
    {32, "de 00", "PLAIN len=2 o4 ds:[r0+0] r2 in=01 x87 +fpu"},
    {32, "d9 ee", "PLAIN len=2 o4 x87 +fpu"},
    {32, "d9 28", "PLAIN len=2 o4 ds:[r0+0] r2 in=01 x87 +fpu"},
    {32, "9b d9 38", "HAND FWAIT len=1 o4 +fpu"},
    {32, "d9 38", "PLAIN len=2 o4 ds:[r0+0] w2 in=01 x87 +fpu"},
    {32, "dd 38", "PLAIN len=2 o4 ds:[r0+0] w2 in=01 x87 +fpu"},
    {32, "df e0", "PLAIN len=2 o4 in=01 out=01 x87 +fpu"},
    {32, "db e3", "PLAIN len=2 o4 x87 +fpu"},
    {32, "db e2", "PLAIN len=2 o4 x87 +fpu"},
    {32, "db f0", "PLAIN len=2 o4 sets:oszapc x87 +cmov"},
    {32, "da c0", "PLAIN len=2 o4 uses:c x87 +cmov"},
    {32, "dd 08", "PLAIN len=2 o4 ds:[r0+0] w8 in=01 x87 +sse3"},
    {32, "d9 20", "SYS FLDENV len=2 o4 ds:[r0+0] r28 in=01 x87 +fpu"},
    {32, "66 d9 20", "SYS FLDENV len=3 pfx=01 o2 ds:[r0+0] r14 in=01 x87 +fpu"},
    {32, "d9 30", "SYS FNSTENV len=2 o4 ds:[r0+0] w28 in=01 x87 +fpu"},
    {32, "dd 20", "SYS FRSTOR len=2 o4 ds:[r0+0] r108 in=01 x87 +fpu"},
    {32, "dd 30", "SYS FNSAVE len=2 o4 ds:[r0+0] w108 in=01 x87 +fpu"},
    {32, "66 dd 30", "SYS FNSAVE len=3 pfx=01 o2 ds:[r0+0] w94 in=01 x87 +fpu"},
    {32, "db e0", "PLAIN len=2 o4 x87 +fpu"},
    {32, "dc d0", "PLAIN len=2 o4 x87 +fpu"},
    {32, "df c0", "PLAIN len=2 o4 x87 +fpu"},
    /* MMX and SSE */
    {32, "0f 6f 00", "PLAIN len=3 o4 ds:[r0+0] r8 in=01 mmx +mmx"},
    {32, "0f 7e c0", "PLAIN len=3 o4 reg2=0 gpr:rm out=01 mmx +mmx"},
    {32, "0f fc c1", "PLAIN len=3 o4 mmx +mmx"},
    {32, "0f e0 c1", "PLAIN len=3 o4 mmx +sse"},
    {32, "0f 70 c1 1b", "PLAIN len=4 o4 imm1@3=1b mmx +sse"},
    {32, "0f c5 c1 02", "PLAIN len=4 o4 imm1@3=2 reg=0 gpr:reg out=01 mmx +sse"},
    {32, "0f e7 00", "PLAIN len=3 o4 ds:[r0+0] w8 in=01 mmx +sse"},
    {32, "0f 77", "PLAIN len=2 o4 mmx +mmx"},
    {32, "0f 28 00", "PLAIN len=3 o4 ds:[r0+0] r16 in=01 sse +sse"},
    {16, "0f 28 c1", "PLAIN len=3 o2 a2 sse +sse"},
    {16, "66 0f 6e c0", "PLAIN len=4 mand=66 o2 a2 reg2=0 gpr:rm in=01 sse +sse2"},
    {32, "66 0f 28 c1", "PLAIN len=4 mand=66 o4 sse +sse2"},
    {32, "f3 0f 10 00", "PLAIN len=4 mand=f3 o4 ds:[r0+0] r4 in=01 sse +sse"},
    {32, "f2 0f 10 00", "PLAIN len=4 mand=f2 o4 ds:[r0+0] r8 in=01 sse +sse2"},
    {32, "66 f2 0f 10 00", "PLAIN len=5 pfx=01 mand=f2 o2 ds:[r0+0] r8 in=01 sse +sse2"},
    {32, "f2 0f c2 c1 00", "PLAIN len=5 mand=f2 o4 imm1@4=0 sse +sse2"},
    {32, "0f 2a c1", "PLAIN len=3 o4 sse +sse"},
    {32, "f3 0f 2c c1", "PLAIN len=4 mand=f3 o4 reg=0 gpr:reg out=01 sse +sse"},
    {32, "f3 0f 2a 00", "PLAIN len=4 mand=f3 o4 ds:[r0+0] r4 in=01 sse +sse"},
    {32, "0f d7 c1", "PLAIN len=3 o4 reg=0 gpr:reg out=01 mmx +sse"},
    {32, "66 0f d7 c1", "PLAIN len=4 mand=66 o4 reg=0 gpr:reg out=01 sse +sse2"},
    {32, "0f ae 10", "PLAIN len=3 o4 ds:[r0+0] r4 in=01 sse +sse"},
    {32, "0f ae 18", "PLAIN len=3 o4 ds:[r0+0] w4 in=01 sse +sse"},
    {32, "0f ae 00", "SYS FXSAVE len=3 o4 ds:[r0+0] w512 in=01 fxsr +fxsr"},
    {32, "0f ae 08", "SYS FXRSTOR len=3 o4 ds:[r0+0] r512 in=01 fxsr +fxsr"},
    {32, "0f c3 08", "PLAIN len=3 o4 ds:[r0+0] w4 reg=1 gpr:reg in=03 +sse2"},
    {16, "0f c3 0f", "PLAIN len=3 o2 a2 ds:[r3+0] w4 reg=1 gpr:reg in=0a +sse2"},
    {32, "66 0f e7 00", "PLAIN len=4 mand=66 o4 ds:[r0+0] w16 in=01 sse +sse2"},
    {32, "0f d4 c1", "PLAIN len=3 o4 mmx +sse2"},
    {32, "66 0f d4 00", "PLAIN len=4 mand=66 o4 ds:[r0+0] r16 in=01 sse +sse2"},
    {32, "f2 0f d6 c1", "PLAIN len=4 mand=f2 o4 sse +sse2"},
    {32, "f3 0f d6 c1", "PLAIN len=4 mand=f3 o4 sse +sse2"},
    {32, "0f 2f c1", "PLAIN len=3 o4 sets:oszapc sse +sse"},
    {32, "66 0f 2e 00", "PLAIN len=4 mand=66 o4 ds:[r0+0] r8 in=01 sets:oszapc sse +sse2"},
    {32, "f2 0f f0 00", "PLAIN len=4 mand=f2 o4 ds:[r0+0] r16 in=01 sse +sse3"},
    {32, "66 0f 7c c1", "PLAIN len=4 mand=66 o4 sse +sse3"},
    {32, "dd 08", "PLAIN len=2 o4 ds:[r0+0] w8 in=01 x87 +sse3"},
    {32, "0f 38 00 c1", "PLAIN len=4 o4 mmx +ssse3"},
    {32, "66 0f 38 00 00", "PLAIN len=5 mand=66 o4 ds:[r0+0] r16 in=01 sse +ssse3"},
    {32, "66 0f 3a 0f c1 04", "PLAIN len=6 mand=66 o4 imm1@5=4 sse +ssse3"},
    {32, "66 0f 3a 17 00 01", "PLAIN len=6 mand=66 o4 ds:[r0+0] w4 imm1@5=1 in=01 sse +sse41"},
    {32, "66 0f 38 17 c1", "PLAIN len=5 mand=66 o4 sets:oszapc sse +sse41"},
    {32, "66 0f 38 37 c1", "PLAIN len=5 mand=66 o4 sse +sse42"},
    {32, "66 0f 3a 63 c1 00", "PLAIN len=6 mand=66 o4 imm1@5=0 out=02 sets:oszapc sse +sse42"},
    {32, "f2 0f 38 f1 c1", "PLAIN len=5 mand=f2 o4 reg=0 reg2=1 gpr:reg,rm in=03 out=01 +sse42"},
    {32, "66 f2 0f 38 f1 c1", "PLAIN len=6 pfx=01 mand=f2 o2! reg=0 reg2=1 gpr:reg,rm in=03 out=01 +sse42"},
    {32, "f2 0f 38 f0 c4", "PLAIN len=5 mand=f2 o4 reg=0 reg2=4 gpr:reg,rm byte:rm in=01 out=01 +sse42"},
    {32, "0f 38 f0 03", "PLAIN len=4 o4 ds:[r3+0] r4 reg=0 gpr:reg in=08 out=01 +movbe"},
    {32, "66 0f 38 f1 03", "PLAIN len=5 pfx=01 o2! ds:[r3+0] w2 reg=0 gpr:reg in=09 +movbe"},
    {32, "66 0f 38 dc c1", "PLAIN len=5 mand=66 o4 sse +aes"},
    {32, "66 0f 3a 44 c1 11", "PLAIN len=6 mand=66 o4 imm1@5=11 sse +pclmul"},
    /* refused */
    {32, "0f 0b", "UD UD2 len=2"},
    {32, "0f b9 c0", "UD UD2 len=3"},
    {32, "0f ff c0", "UD UD2 len=3"},
    {32, "8e c8", "UD len=2"},
    {32, "8e f0", "UD len=2"},
    {32, "8c f0", "UD len=2"},
    {32, "0f 20 c8", "UD len=3"},
    {32, "0f 22 e8", "UD len=3"},
    {32, "0f 22 f8", "UD len=3"},
    {32, "f0 90", "UD len=2"},
    {32, "f0 01 c0", "UD len=3"},
    {32, "f0 03 0b", "UD len=3"},
    {32, "f0 83 38 01", "UD len=4"},
    {32, "f0 0f a3 0b", "UD len=4"},
    {32, "f0 0f 20 c0", "UD len=4"},
    {32, "f0 89 03", "UD len=3"},
    {32, "8d c0", "UD len=2"},
    {32, "c4 c0 00 00 00 00 00 00 00 00 00 00 00 00", "UD len=2"},
    {32, "c5 f8 77", "UD len=2"},
    {16, "c5 c0 00 00 00 00 00 00 00 00 00 00 00 00 00", "UD len=2"},
    {32, "62 c0 00 00", "UD len=2"},
    {32, "0f c7 c8", "UD len=3"},
    {32, "0f c7 f0", "UD len=3"},
    {32, "8f c8 00 00 00 00 00 00 00 00 00 00 00 00 00", "UD len=2"},
    {32, "fe d0", "UD len=2"},
    {32, "ff f8", "UD len=2"},
    {32, "ff d8", "UD len=2"},
    {32, "c6 c8 00", "UD len=3"},
    {32, "0f 05", "UD len=2"},
    {32, "0f 07", "UD len=2"},
    {32, "0f 0f c0 9e", "UD len=4"},
    {32, "0f 0e", "UD len=2"},
    {32, "0f 01 c1", "UD len=3"},
    {32, "0f 01 d8", "UD len=3"},
    {32, "0f 01 d0", "UD len=3"},
    {32, "0f 78 c0", "UD len=3"},
    {32, "0f 24 c0", "UD len=2"},
    {32, "0f a7", "UD len=2"},
    {32, "0f 71 c7 00", "UD len=4"}, /* all of a group is fetched, with its immediate */
    {32, "0f 71 44 24 01 00", "UD len=6"},
    {16, "c7 4e 01 00 00", "UD len=5"},
    {32, "67 fe 56 00", "UD len=4"},
    {32, "0f a6 c0", "UD len=2"},
    {32, "0f ae 20", "UD len=3"},
    {32, "66 0f ae 38", "UD len=4"},
    {32, "f3 0f ae c0", "UD len=4"},
    {32, "0f c7 38", "UD len=3"},
    {32, "f3 0f c7 f8", "UD len=4"},
    {32, "0f 37", "UD len=2"},
    {32, "66 0f 38 82 00", "UD len=5"},
    {32, "0f 38 c8 c1", "UD len=4"},
    {32, "66 0f 38 f6 c1", "UD len=5"},
    {32, "f3 0f 54 c1", "UD len=4"},
    {32, "66 0f c3 00", "UD len=4"},
    {32, "0f c3 c0", "UD len=3"},
    {32, "0f b2 c0", "UD len=3"},
    {32, "da e8", "UD len=2"},
    {32, "d9 d1", "UD len=2"},
    {32, "db e5", "UD len=2"},
};

static size_t parse(const char *text, u8 *bytes, size_t room)
{
    size_t n = 0;
    char *end;

    for (unsigned long v = strtoul(text, &end, 16); end != text && n < room; v = strtoul(text, &end, 16)) {
        bytes[n++] = (u8)v;
        text = end;
    }
    return n;
}

static int decode_row(struct dec_insn *out, int bits, const char *text, u32 features)
{
    u8 bytes[32];
    size_t n = parse(text, bytes, sizeof(bytes));

    return dec_decode(out, bytes, n, bits == 32, features);
}

Test(decoder, records)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dec_insn insn;
        int err = decode_row(&insn, rows[i].bits, rows[i].bytes, ~0u);
        struct line l = render(&insn);

        cr_expect_eq(err, 0, "%s: error %d", rows[i].bytes, err);
        cr_expect_str_eq(l.text, rows[i].line, "%d-bit %s", rows[i].bits, rows[i].bytes);
    }
}

Test(decoder, every_operation_has_a_row)
{
    bool seen[OP_COUNT] = {false};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dec_insn insn;

        cr_assert_eq(decode_row(&insn, rows[i].bits, rows[i].bytes, ~0u), 0);
        seen[insn.op] = true;
    }
    for (unsigned op = 0; op < OP_COUNT; op++)
        cr_expect(seen[op], "no row gives OP_%s", dec_op_name((u8)op));
}

Test(decoder, names)
{
    cr_expect_str_eq(dec_op_name(OP_MASKMOV), "MASKMOV");
    cr_expect_str_eq(dec_op_name(OP_COUNT), "?");
    cr_expect_str_eq(dec_op_name(255), "?");
    cr_expect_str_eq(dec_class_name(DEC_UD), "UD");
    cr_expect_str_eq(dec_class_name(200), "?");
    for (unsigned op = 0; op < OP_COUNT; op++)
        cr_expect_not_null(dec_op_name((u8)op), "operation %u has no name", op);
}

/* A CPU model without a feature refuses its instructions, or reads the bytes as older CPUs did. */
Test(decoder, features)
{
    static const struct {
        const char *bytes;
        u8 feature;
    } gated[] = {
        {"0f a2", FEAT_CPUID},
        {"d9 ee", FEAT_FPU},
        {"0f 31", FEAT_TSC},
        {"0f 32", FEAT_MSR},
        {"0f c7 08", FEAT_CX8},
        {"0f 34", FEAT_SEP},
        {"0f 44 c1", FEAT_CMOV},
        {"0f 77", FEAT_MMX},
        {"0f ae 00", FEAT_FXSR},
        {"0f 58 c1", FEAT_SSE},
        {"66 0f 58 c1", FEAT_SSE2},
        {"66 0f 7c c1", FEAT_SSE3},
        {"0f 38 00 c1", FEAT_SSSE3},
        {"66 0f 38 17 c1", FEAT_SSE41},
        {"66 0f 38 37 c1", FEAT_SSE42},
        {"f3 0f b8 c1", FEAT_POPCNT},
        {"0f ae 38", FEAT_CLFLUSH},
        {"0f 01 c8", FEAT_MONITOR},
        {"0f 01 f9", FEAT_RDTSCP},
        {"0f 38 f0 00", FEAT_MOVBE},
        {"66 0f 38 dc c1", FEAT_AES},
        {"66 0f 3a 44 c1 00", FEAT_PCLMUL},
        {"0f 33", FEAT_RDPMC},
        {"0f 1f 00", FEAT_LNOP},
        {"0f 22 e0", FEAT_CPUID},
        {"0f e0 c1", FEAT_SSE},
        {"0f d4 c1", FEAT_SSE2},
        {"db f0", FEAT_CMOV},
    };
    struct dec_insn insn;

    for (size_t i = 0; i < ARRAY_SIZE(gated); i++) {
        cr_assert_eq(decode_row(&insn, 32, gated[i].bytes, ~BIT(gated[i].feature)), 0);
        cr_expect_eq(insn.cls, DEC_UD, "%s without feature %u", gated[i].bytes, gated[i].feature);
        cr_assert_eq(decode_row(&insn, 32, gated[i].bytes, BIT(gated[i].feature)), 0);
        cr_expect_neq(insn.cls, DEC_UD, "%s with feature %u alone", gated[i].bytes, gated[i].feature);
    }
    cr_assert_eq(decode_row(&insn, 32, "f3 0f bd c1", 0), 0);
    cr_expect_str_eq(render(&insn).text, "PLAIN len=4 pfx=04 o4 reg=0 reg2=1 gpr:reg,rm in=03 out=01 "
                                         "uses:osapc sets:oszapc");
    cr_assert_eq(decode_row(&insn, 32, "f3 0f bc c1", BIT(FEAT_LZCNT)), 0);
    cr_expect_eq(insn.mandatory, 0);
    cr_assert_eq(decode_row(&insn, 32, "f3 90", 0), 0);
    cr_expect_eq(insn.op, OP_NOP);
}
