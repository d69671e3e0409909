/*
 * main.c - novt-fuzz: rounds of random programs, native against translated.
 *
 *   --seed N      first program's seed (default 1)        --count N   programs (default 20000)
 *   --time S      stop after S seconds                    --one N     only the program of seed N, verbose
 *   --vectors     the programs by hand instead
 *   --self        native against native: the fuzzer's own check, no translator
 *   --stress LIST tiny-cache,one-insn,no-chain,slow-mem,fail-alloc,verify,step (all by the fallback)
 *   --engine NAME auto, bt (default) or direct               --stats     NoVT's counters at the end
 *   --keep-going  count differences instead of stopping at the first; --coverage lists forms never run
 *
 * Exit code: 0 no difference, 1 a difference (printed, shrunk), 2 usage or host trouble.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "novt.h"
#include "tests/diff/diff.h"

struct options {
    u64 seed, count;
    unsigned seconds;
    bool self, one, keep_going, coverage, list, vectors, stats;
    u32 stress, engine;
    bool step;
};

static struct options opt = {.seed = 1, .count = 20000, .engine = NOVT_ENGINE_BT};
static struct diff_state state_native, state_guest;
static struct diff_memory start_memory;
static u64 memory_of; /* seed of what start_memory's data pages hold */
static bool memory_filled, shrinking;

static const struct {
    const char *name;
    u32 bit;
} stress_names[] = {
    {"tiny-cache", NOVT_STRESS_TINY_CACHE}, {"one-insn", NOVT_STRESS_ONE_INSN},
    {"no-chain", NOVT_STRESS_NO_CHAIN},     {"slow-mem", NOVT_STRESS_SLOW_MEM},
    {"fail-alloc", NOVT_STRESS_FAIL_ALLOC}, {"verify", NOVT_STRESS_VERIFY},
};

static void on_tick(int sig)
{
    (void)sig;
    guest_tick();
    raise(SIGURG); /* arrives where the tick came in: translated code leaves */
}

enum verdict { SAME, DIFFERENT, SKIPPED };

static u32 linear_eip(const struct diff_event *e)
{
    struct diff_descriptor cs = {0};

    diff_descriptor(e->sel[SEG_CS], &cs);
    return e->eip + cs.base;
}

/* Is there an item as assembled at linear address lin? */
static bool at_item(const struct diff_case *c, const struct diff_state *s, u32 lin)
{
    u32 off = lin - CODE_GVA;

    for (unsigned i = 0; i < c->n; i++)
        if (c->addr[i] == lin && !c->item[i].off && off + c->item[i].len <= CODE_BYTES)
            return !memcmp(&s->mem.page[0][0] + off, &start_memory.page[0][0] + off, c->item[i].len);
    return false;
}

/* A program that wrote over itself, or jumped into the middle of an instruction, may come to one that we do not compare; or to a far
 * return to
 * whatever lies on the stack: where that is an inner level AMD's CPUs read the outer stack's pointer before they look at it (#AC, #SS,
 * #PF instead of #GP). */
static bool in_the_wild(const struct diff_case *c, const struct diff_state *s, const struct diff_event *e)
{
    struct diff_descriptor cs = {0};
    struct dec_insn d;
    u32 at = linear_eip(e) - CODE_GVA;

    diff_descriptor(e->sel[SEG_CS], &cs);
    if (at + DEC_MAX_LEN > CODE_BYTES || at_item(c, s, at + CODE_GVA) ||
        dec_decode(&d, &s->mem.page[0][0] + at, DEC_MAX_LEN, cs.big, opt.self ? ~0u : guest_features()))
        return false;
    return d.cls != DEC_UD && (d.op == OP_RET_FAR || !cand_allowed(&d));
}

static bool same_place(const struct diff_event *a, const struct diff_event *b)
{
    return a->vector == b->vector && a->eip == b->eip && a->sel[SEG_CS] == b->sel[SEG_CS];
}

/* Did a repeated string instruction store over itself? Where the old one ends then and the new one begins is open: at an interrupt, or
 * where the
 * CPU notices. */
static bool overwrote_itself(const struct diff_case *c, const struct diff_state *s)
{
    for (unsigned i = 0; i < c->n; i++) {
        u32 off = c->addr[i] - CODE_GVA;
        const struct diff_candidate *k = c->item[i].cand >= 0 ? cand_get(c->item[i].cand) : NULL;

        if (k && (k->op == OP_MOVS || k->op == OP_STOS) && off + c->item[i].len <= CODE_BYTES &&
            memcmp(&s->mem.page[0][0] + off, &start_memory.page[0][0] + off, c->item[i].len) != 0)
            return true;
    }
    return false;
}

/* The first pair of events that are not of one kind in one place (flags may differ before that are not compared), or the last. */
static bool ends_where_none_is_right(const struct diff_case *c)
{
    const struct diff_state *a = &state_native, *b = &state_guest;
    unsigned i = 0;

    while (i + 1 < a->n && i + 1 < b->n && same_place(&a->event[i], &b->event[i]))
        i++;
    return in_the_wild(c, a, &a->event[i]) || in_the_wild(c, b, &b->event[i]) || overwrote_itself(c, a) ||
           overwrote_itself(c, b);
}

static bool timed_out(const struct diff_state *s)
{
    return diff_end(s)->vector == DIFF_VECTOR_TIMEOUT;
}

#define LONG_CLOCKS (CLOCKS_PER_SEC / 50) /* a tick comes each half second */

/* Both runs of one program. A timer tick in the middle of a run looks like a timeout: then once more; not that NoVT is slower than the
 * CPU where
 * that takes long itself. */
static enum verdict run_once(struct diff_case *c, bool verbose)
{
    bool took_long = false;

    diff_ldt(c->ldt_seed);
    if (!memory_filled || memory_of != c->memory_seed) {
        diff_fill_memory(c->memory_seed, &start_memory);
        memory_of = c->memory_seed;
        memory_filled = true;
    }
    if (!diff_assemble(c, &start_memory))
        return SKIPPED;
    for (int tries = 0; tries < (shrinking ? 1 : 3); tries++) {
        clock_t began = clock();

        native_run(c, &start_memory, &state_native);
        took_long = clock() - began > LONG_CLOCKS;
        if (diff_end(&state_native)->vector == DIFF_VECTOR_ESCAPE)
            return SKIPPED;
        if (timed_out(&state_native))
            continue;
        if (opt.self)
            native_run(c, &start_memory, &state_guest);
        else
            guest_run(c, &start_memory, &state_guest);
        if (!timed_out(&state_guest))
            break;
    }
    if (timed_out(&state_native) || ((opt.self || took_long) && timed_out(&state_guest)))
        return SKIPPED;
    if (!report_compare(c, &state_native, &state_guest, verbose))
        return SAME;
    /* One iteration at a time, a REP instruction that stores over itself ends there; CPUs finish it. */
    if (opt.step && memcmp(state_native.mem.page, start_memory.page, CODE_BYTES) != 0)
        return SKIPPED;
    return ends_where_none_is_right(c) ? SKIPPED : DIFFERENT;
}

/* What depends on whether the host interrupts the program, and so does not come again: AMD's CPUs keep the pointers to the last
 * x87 instruction over a task switch only while an exception is pending; a REP instruction that stores over itself ends where
 * it is interrupted. */
static bool stores_pointers(const struct diff_case *c)
{
    bool stores = false;

    for (unsigned i = 0; i < c->n; i++) {
        const struct diff_candidate *k = c->item[i].cand >= 0 ? cand_get(c->item[i].cand) : NULL;

        stores |= k && (k->op == OP_FNSTENV || k->op == OP_FNSAVE);
    }
    return stores && report_only_memory(&state_native, &state_guest);
}

static bool may_have_been_interrupted(const struct diff_case *c)
{
    return memcmp(state_native.mem.page, start_memory.page, CODE_BYTES) != 0 || stores_pointers(c);
}

/* Only a program that wrote over itself can come to what we do not compare without ending there: SIDT and its like, which the
 * host kernel carries out itself. */
static bool strays(struct diff_case *c)
{
    if (memcmp(state_native.mem.page, start_memory.page, CODE_BYTES) == 0)
        return false;
    native_trace(c, &start_memory, &state_native);
    return diff_end(&state_native)->vector == DIFF_VECTOR_ESCAPE;
}

static enum verdict run_both(struct diff_case *c, bool verbose)
{
    enum verdict v = run_once(c, verbose);

    for (int again = 0; again < 2 && v == DIFFERENT && !shrinking && may_have_been_interrupted(c); again++)
        v = run_once(c, false);
    if (v == DIFFERENT && opt.engine == NOVT_ENGINE_DIRECT && stores_pointers(c))
        return SKIPPED; /* a sandbox is another task */
    return v == DIFFERENT && strays(c) ? SKIPPED : v;
}

static bool still_differs(struct diff_case *c)
{
    return run_both(c, false) == DIFFERENT;
}

static void show(struct diff_case *c)
{
    static struct diff_case small;

    small = *c;
    printf("difference: seed %llu\n", (unsigned long long)c->seed);
    shrinking = true;
    if (!report_shrink(&small, still_differs)) {
        printf("it does not repeat; the program as generated:\n");
        report_case(c);
    } else {
        report_case(&small);
        run_both(&small, true);
        report_end(&state_native);
    }
    shrinking = false;
    fflush(stdout);
}

static u64 vectors[32]; /* events so far, by vector */

/* Items before the furthest event count as run: forward branches may have skipped a few. */
static unsigned count_hits(const struct diff_case *c)
{
    const struct diff_state *s = &state_native;
    u32 end = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < s->n; i++) {
        u32 off = linear_eip(&s->event[i]) - CODE_GVA;

        if (off < CODE_BYTES && off > end)
            end = off;
        if (s->event[i].vector < ARRAY_SIZE(vectors))
            vectors[s->event[i].vector]++;
    }
    for (unsigned i = 0; i < c->n; i++) {
        if (c->item[i].off || c->addr[i] - CODE_GVA > end)
            continue;
        cand_hit(c->item[i].cand);
        n++;
    }
    return n;
}

static void print_events(void)
{
    static const char *const names[ARRAY_SIZE(vectors)] = {
        [EXC_DE] = "DE", [EXC_DB] = "DB", [EXC_BP] = "BP", [EXC_OF] = "OF", [EXC_BR] = "BR",
        [EXC_UD] = "UD", [EXC_NM] = "NM", [EXC_NP] = "NP", [EXC_SS] = "SS", [EXC_GP] = "GP",
        [EXC_PF] = "PF", [EXC_MF] = "MF", [EXC_AC] = "AC", [EXC_XM] = "XM",
    };

    printf("events:");
    for (unsigned v = 0; v < ARRAY_SIZE(vectors); v++)
        if (vectors[v])
            printf(" #%s %llu", names[v] ? names[v] : "?", (unsigned long long)vectors[v]);
    printf("\n");
}

static int round_of_programs(void)
{
    static struct diff_case c;
    u64 done = 0, skipped = 0, insns = 0, bad = 0;
    time_t began = time(NULL);
    u32 features = opt.self ? ~0u : guest_features();

    for (u64 i = 0; i < opt.count; i++) {
        if (opt.seconds && (i & 63) == 0 && time(NULL) - began >= (time_t)opt.seconds)
            break;
        gen_case(&c, opt.seed + i, features);
        c.memory_seed = (opt.seed + i) >> 5;
        if (opt.one)
            report_case(&c);
        switch (run_both(&c, opt.one)) {
        case SKIPPED: skipped++; break;
        case DIFFERENT:
            bad++;
            if (opt.list) {
                printf("seed %llu\n", (unsigned long long)c.seed);
                run_once(&c, false); /* the trace has overwritten what happened */
                report_compare(&c, &state_native, &state_guest, true);
            }
            if (!opt.list && (!opt.keep_going || bad <= 20))
                show(&c);
            if (!opt.keep_going)
                i = opt.count - 1;
            break;
        case SAME: insns += count_hits(&c); break;
        }
        done++;
    }
    printf("programs %llu, instructions about %llu, skipped %llu, differences %llu, %llu s\n",
           (unsigned long long)done, (unsigned long long)insns, (unsigned long long)skipped,
           (unsigned long long)bad, (unsigned long long)(time(NULL) - began));
    print_events();
    cand_report(opt.coverage);
    return bad ? 1 : 0;
}

static int run_vectors(void)
{
    static struct diff_case c;
    unsigned failed = 0, n = diff_vector_count();

    for (unsigned i = 0; i < n; i++) {
        diff_vector(&c, i);
        bool ok = run_both(&c, false) == SAME;

        printf("%s %s\n", ok ? "ok" : "not ok", diff_vector_name(i));
        if (ok)
            continue;
        failed++;
        report_case(&c);
        run_both(&c, true);
        report_end(&state_native);
    }
    printf("%u passed, %u failed\n", n - failed, failed);
    return failed ? 1 : 0;
}

static bool parse_stress(char *list)
{
    for (char *save, *p = strtok_r(list, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        bool known = strcmp(p, "step") == 0;

        opt.step |= known;
        for (unsigned i = 0; i < ARRAY_SIZE(stress_names); i++) {
            if (strcmp(p, stress_names[i].name) != 0)
                continue;
            opt.stress |= stress_names[i].bit;
            known = true;
        }
        if (!known)
            return false;
    }
    return true;
}

static bool parse_engine(const char *name)
{
    static const char *const names[] = {
        [NOVT_ENGINE_AUTO] = "auto", [NOVT_ENGINE_BT] = "bt", [NOVT_ENGINE_DIRECT] = "direct"};

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i] && !strcmp(name, names[i])) {
            opt.engine = i;
            return true;
        }
    return false;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(a, "--self")) {
            opt.self = true;
        } else if (!strcmp(a, "--keep-going")) {
            opt.keep_going = true;
        } else if (!strcmp(a, "--list")) {
            opt.keep_going = opt.list = true;
        } else if (!strcmp(a, "--stats")) {
            opt.stats = true;
        } else if (!strcmp(a, "--vectors")) {
            opt.vectors = true;
        } else if (!strcmp(a, "--coverage")) {
            opt.coverage = true;
        } else if (!value) {
            return false;
        } else {
            i++;
            if (!strcmp(a, "--seed"))
                opt.seed = strtoull(value, NULL, 0);
            else if (!strcmp(a, "--count"))
                opt.count = strtoull(value, NULL, 0);
            else if (!strcmp(a, "--time"))
                opt.seconds = (unsigned)strtoul(value, NULL, 0);
            else if (!strcmp(a, "--one"))
                opt.seed = strtoull(value, NULL, 0), opt.one = true, opt.count = 1;
            else if (!strcmp(a, "--stress") ? !parse_stress(value)
                                            : strcmp(a, "--engine") || !parse_engine(value))
                return false;
        }
    }
    if (opt.seconds && opt.count == 20000)
        opt.count = UINT64_MAX;
    return true;
}

int main(int argc, char **argv)
{
    struct diff_guest_options go;
    struct itimerval tick = {{0, 500000}, {0, 500000}};
    struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART};
    int rc;

    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: novt-fuzz [--seed N] [--count N] [--time S] [--one N] [--self] [--stress LIST]\n"
                "                 [--keep-going] [--list] [--coverage] [--vectors]\n"
                "                 [--engine auto|bt|direct] [--stats]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    go.stress = opt.stress;
    go.engine = opt.engine;
    go.step = opt.step;
    rc = opt.self ? 0 : guest_init(&go);
    if (!rc)
        rc = cand_init(opt.self ? ~0u : guest_features());
    if (!rc)
        rc = native_init();
    if (rc) {
        fprintf(stderr, "novt-fuzz: set-up failed: %s\n", strerror(-rc));
        return 2;
    }
    sigfillset(&sa.sa_mask);
    sigaction(SIGPROF, &sa, NULL);
    setitimer(ITIMER_PROF, &tick, NULL);
    rc = opt.vectors ? run_vectors() : round_of_programs();
    if (!opt.self && opt.stats)
        guest_stats();
    if (!opt.self)
        guest_fini();
    cand_fini();
    return rc;
}
