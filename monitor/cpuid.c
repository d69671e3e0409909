/*
 * cpuid.c - the CPU models: what CPUID answers and which features decoder and translator may use.
 *
 * A model is a signature, a list of features and a few bits without instructions behind them; the feature mask drives
 * both CPUID's flags and the decoder, so that they cannot disagree. The historical models answer as those CPUs did.
 * "max" has all that decoder and host can do under the signature of an in-order Atom (Intel 6/28): kernels know
 * that it does not speculate and leave page-table isolation, retpolines and their like out (Linux: NO_SPECULATION
 * in cpu_vuln_whitelist). It names the speeds of TSC and APIC timer (leaves 15h, 16h), so that a kernel need not measure them against
 * timers of a host that may be busy; Linux then leaves the 8254 alone. Source: SDM vol. 2, CPUID.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "monitor/sys.h"

#define F(name) (1u << FEAT_##name)

#define FEATURES_486 (F(CPUID) | F(FPU))
#define FEATURES_PENTIUM (FEATURES_486 | F(TSC) | F(MSR) | F(CX8) | F(PSE) | F(MMX) | F(RDPMC))
#define FEATURES_PENTIUM2 (FEATURES_PENTIUM | F(PAE) | F(SEP) | F(PGE) | F(CMOV) | F(FXSR) | F(LNOP))
#define FEATURES_PENTIUM3 (FEATURES_PENTIUM2 | F(SSE))
#define FEATURES_PENTIUM4 (FEATURES_PENTIUM3 | F(SSE2) | F(CLFLUSH))
#define FEATURES_MAX                                                                                \
    (FEATURES_PENTIUM4 | F(SSE3) | F(SSSE3) | F(SSE41) | F(SSE42) | F(POPCNT) | F(MOVBE) | F(AES) | \
     F(PCLMUL) | F(LZCNT))

/* Flags without instructions: EDX of leaf 1. */
#define EDX_VME BIT(1)
#define EDX_DE BIT(2)
#define EDX_MCE BIT(7)
#define EDX_APIC BIT(9) /* only while it is enabled */
#define EDX_MTRR BIT(12)
#define EDX_MCA BIT(14)
#define EDX_PAT BIT(16)
#define EDX_PSE36 BIT(17)
#define EDX_P5 (EDX_VME | EDX_DE | EDX_MCE | EDX_APIC)
#define EDX_P6 (EDX_P5 | EDX_MTRR | EDX_MCA | EDX_PAT | EDX_PSE36)
#define ECX_HYPERVISOR BIT(31)
#define EDX1_NX BIT(20) /* leaf 80000001h */
#define CPU_ARAT BIT(2) /* leaf 6: the APIC timer runs in every state */
#define LEAF7_TSC_ADJUST BIT(1)
#define APIC_BASE_EN BIT(11)

#define LEAF_EXT 0x80000000u
#define LEAF_HYPERVISOR 0x40000000u
#define PHYS_BITS 36u

struct model {
    const char *name;
    const char *brand; /* leaves 80000002h..4h; NULL: no extended leaves */
    u32 signature;     /* EAX of leaf 1 */
    u32 features, edx, ecx;
    u32 max_leaf, max_ext;
    bool nx;
};

static const struct model models[] = {
    [CPU_486] = {"486", NULL, 0x480, FEATURES_486, EDX_VME, 0, 1, 0, false},
    [CPU_PENTIUM] = {"pentium", NULL, 0x543, FEATURES_PENTIUM, EDX_P5, 0, 1, 0, false},
    [CPU_PENTIUM2] = {"pentium2", NULL, 0x652, FEATURES_PENTIUM2, EDX_P6, 0, 2, 0, false},
    [CPU_PENTIUM3] = {"pentium3", NULL, 0x683, FEATURES_PENTIUM3, EDX_P6, 0, 2, 0, false},
    [CPU_PENTIUM4] = {"pentium4", "Intel(R) Pentium(R) 4 CPU", 0xf29, FEATURES_PENTIUM4, EDX_P6, 0, 2,
                      LEAF_EXT + 4, false},
    [CPU_MAX] = {"max", "NoVT virtual CPU", 0x106ca, FEATURES_MAX, EDX_P6, ECX_HYPERVISOR, 0x16, LEAF_EXT + 8,
                 true},
};

/* Where CPUID shows a feature, for the guest and on the host. */
enum reg { EDX_1, ECX_1, ECX_EXT1 };
static const struct flag {
    u8 feature, reg, bit;
} flags[] = {
    {FEAT_FPU, EDX_1, 0},     {FEAT_PSE, EDX_1, 3},      {FEAT_TSC, EDX_1, 4},      {FEAT_MSR, EDX_1, 5},
    {FEAT_PAE, EDX_1, 6},     {FEAT_CX8, EDX_1, 8},      {FEAT_SEP, EDX_1, 11},     {FEAT_PGE, EDX_1, 13},
    {FEAT_CMOV, EDX_1, 15},   {FEAT_CLFLUSH, EDX_1, 19}, {FEAT_MMX, EDX_1, 23},     {FEAT_FXSR, EDX_1, 24},
    {FEAT_SSE, EDX_1, 25},    {FEAT_SSE2, EDX_1, 26},    {FEAT_SSE3, ECX_1, 0},     {FEAT_PCLMUL, ECX_1, 1},
    {FEAT_SSSE3, ECX_1, 9},   {FEAT_SSE41, ECX_1, 19},   {FEAT_SSE42, ECX_1, 20},   {FEAT_MOVBE, ECX_1, 22},
    {FEAT_POPCNT, ECX_1, 23}, {FEAT_AES, ECX_1, 25},     {FEAT_LZCNT, ECX_EXT1, 5},
};

static const struct model *model_of(const struct cpu *cpu)
{
    const struct novt_vm *vm = cpu->vm;

    return &models[vm->model < ARRAY_SIZE(models) ? vm->model : CPU_MAX];
}

bool cpuid_has_nx(const struct cpu *cpu)
{
    return model_of(cpu)->nx;
}

bool cpuid_has_tsc_adjust(const struct cpu *cpu)
{
    return model_of(cpu)->max_leaf >= 7;
}

bool cpuid_has_pse36(const struct cpu *cpu)
{
    return model_of(cpu)->edx & EDX_PSE36;
}

static u32 guest_flags(const struct cpu *cpu, enum reg reg)
{
    u32 v = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (flags[i].reg == reg && (cpu->features >> flags[i].feature & 1))
            v |= BIT(flags[i].bit);
    }
    return v;
}

u32 cpuid_features(enum novt_cpu_model model)
{
    u32 want = models[(unsigned)model < ARRAY_SIZE(models) ? model : CPU_MAX].features;
    u32 host[3] = {0, 0, 0}, a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        host[EDX_1] = d;
        host[ECX_1] = c;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        host[ECX_EXT1] = c;
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        /* What the monitor carries out itself needs nothing of the host. */
        bool own = flags[i].reg == EDX_1 && flags[i].feature != FEAT_CLFLUSH;
        if (!own && !(host[flags[i].reg] >> flags[i].bit & 1))
            want &= ~(1u << flags[i].feature);
    }
    return want;
}

int cpu_model_by_name(const char *name, enum novt_cpu_model *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        if (!strcmp(models[i].name, name)) {
            *out = (enum novt_cpu_model)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool cpuid_model_has_apic(enum novt_cpu_model model)
{
    return models[(unsigned)model < ARRAY_SIZE(models) ? model : CPU_MAX].edx & EDX_APIC;
}

static u32 model_edx(const struct cpu *cpu, const struct model *m)
{
    const struct novt_vm *vm = cpu->vm;
    bool on = vm->apic && vm->pc && (pc_apic_base(vm->pc) & APIC_BASE_EN);

    return on ? m->edx : m->edx & ~EDX_APIC;
}

/* ---- the speed of the TSC ---- */

/* TSC and nanoseconds of one moment: of some pairs the one that was read fastest. */
static void moment(u64 *tsc, u64 *ns)
{
    u64 best = UINT64_MAX;

    for (unsigned i = 0; i < 5; i++) {
        struct timespec ts;
        u64 before = __rdtsc(), after;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        after = __rdtsc();
        if (after - before < best) {
            best = after - before;
            *tsc = before + best / 2;
            *ns = (u64)ts.tv_sec * CLK_SECOND_NS + (u64)ts.tv_nsec;
        }
    }
}

void cpuid_start(struct novt_vm *vm)
{
    moment(&vm->born_tsc, &vm->born_ns);
    vm->tsc_khz = 0;
}

/* Firmware takes longer than this before a kernel asks: one part in a million then. */
#define MEASURE_NS 20000000u

static u32 tsc_khz(struct novt_vm *vm)
{
    u64 tsc, ns;

    if (vm->tsc_khz)
        return vm->tsc_khz;
    do
        moment(&tsc, &ns);
    while (ns - vm->born_ns < MEASURE_NS);
    vm->tsc_khz = (u32)clk_muldiv(tsc - vm->born_tsc, 1000000, ns - vm->born_ns);
    return vm->tsc_khz;
}

/* The TSC's speed as a multiple n / d of the crystal's. Kernels multiply n by the crystal's kHz in 32 bits. */
static void speeds_leaf(struct novt_vm *vm, u32 out[4])
{
    u32 crystal = PC_APIC_HZ / 1000, khz = tsc_khz(vm), n_max = UINT32_MAX / crystal, best = UINT32_MAX;

    for (u32 d = 1; best; d++) {
        u64 n = ((u64)khz * d + crystal / 2) / crystal;
        u64 is = n * crystal / d;
        u32 off = (u32)(is > khz ? is - khz : khz - is);

        if (n > n_max)
            break;
        if (off < best) {
            best = off;
            out[0] = d;
            out[1] = (u32)n;
        }
    }
    out[2] = PC_APIC_HZ;
}

static void put_text(u32 out[4], const char *text)
{
    memcpy(out, text, 16);
}

static void basic_leaf(const struct cpu *cpu, const struct model *m, u32 leaf, u32 sub, u32 out[4])
{
    switch (leaf) {
    case 0:
        out[0] = m->max_leaf;
        out[1] = 0x756e6547; /* "Genu" */
        out[2] = 0x6c65746e; /* "ntel" */
        out[3] = 0x49656e69; /* "ineI" */
        break;
    case 1:
        out[0] = m->signature;
        out[1] = cpu->features & F(CLFLUSH) ? 8 << 8 : 0; /* 64-byte lines */
        out[2] = guest_flags(cpu, ECX_1) | m->ecx;
        out[3] = guest_flags(cpu, EDX_1) | model_edx(cpu, m);
        break;
    case 2: /* L1 32 KiB each, L2 2 MiB (descriptors 2C 30 7D) */
        out[0] = 1;
        out[3] = 0x002c307d;
        break;
    case 4: /* type, level | ways, line | sets */
        if (sub > 2)
            break;
        out[0] = sub == 2 ? 3 | 2 << 5 : (sub + 1) | 1 << 5;
        out[0] |= BIT(8); /* needs no initialisation */
        out[1] = 7u << 22 | 63;
        out[2] = sub == 2 ? 4095 : 63;
        break;
    case 6: out[0] = CPU_ARAT; break;
    case 7: out[1] = sub == 0 ? LEAF7_TSC_ADJUST : 0; break;
    case 0x15: speeds_leaf(cpu->vm, out); break;
    case 0x16: /* MHz: base, highest, bus */
        out[0] = out[1] = tsc_khz(cpu->vm) / 1000;
        out[2] = PC_APIC_HZ / 1000000;
        break;
    default: break;
    }
}

static void extended_leaf(const struct cpu *cpu, const struct model *m, u32 leaf, u32 out[4])
{
    char brand[48];

    switch (leaf - LEAF_EXT) {
    case 0: out[0] = m->max_ext; break;
    case 1:
        out[2] = guest_flags(cpu, ECX_EXT1);
        out[3] = m->nx ? EDX1_NX : 0;
        break;
    case 2:
    case 3:
    case 4:
        memset(brand, 0, sizeof(brand));
        memcpy(brand, m->brand, strlen(m->brand));
        put_text(out, brand + 16 * (leaf - LEAF_EXT - 2));
        break;
    case 6: out[2] = 2048u << 16 | 6 << 12 | 64; break; /* L2: 2 MiB, 8-way, 64-byte lines */
    case 7: out[3] = BIT(8); break;                     /* the TSC runs at one speed in every state */
    case 8: out[0] = 32 << 8 | PHYS_BITS; break;
    default: break;
    }
}

void cpuid_query(const struct cpu *cpu, u32 leaf, u32 sub, u32 out[4])
{
    const struct model *m = model_of(cpu);

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf == LEAF_HYPERVISOR && (m->ecx & ECX_HYPERVISOR)) {
        put_text(out, "\0\0\0\x40NoVTNoVTNoVT");
        return;
    }
    if (leaf >= LEAF_EXT && leaf <= m->max_ext) {
        extended_leaf(cpu, m, leaf, out);
        return;
    }
    /* Beyond the last leaf Intel CPUs repeat the last basic one. */
    basic_leaf(cpu, m, leaf > m->max_leaf ? m->max_leaf : leaf, sub, out);
}
