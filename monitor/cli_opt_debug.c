/*
 * cli_opt_debug.c - options for those who look inside: traces, counters, forced rare paths, limits.
 *
 * Lists of items go by a table of names, and "help" prints it. None of these options changes what the guest
 * computes, only how it is watched.
 */
#include "monitor/cli_opt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef NOVT_VERSION
#define NOVT_VERSION "unknown"
#endif

static const struct opt_name trace_names[] = {
    {"in_asm", NOVT_TRACE_IN_ASM}, {"out_asm", NOVT_TRACE_OUT_ASM}, {"exec", NOVT_TRACE_EXEC},
    {"int", NOVT_TRACE_INT},       {"mmu", NOVT_TRACE_MMU},         {"io", NOVT_TRACE_IO},
    {"exit", NOVT_TRACE_EXIT},     {"link", NOVT_TRACE_LINK},
};

static const struct opt_name stress_names[] = {
    {"tiny-cache", NOVT_STRESS_TINY_CACHE}, {"one-insn", NOVT_STRESS_ONE_INSN},
    {"no-chain", NOVT_STRESS_NO_CHAIN},     {"slow-mem", NOVT_STRESS_SLOW_MEM},
    {"fail-alloc", NOVT_STRESS_FAIL_ALLOC}, {"verify", NOVT_STRESS_VERIFY},
};

int opt_trace(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    /* What QEMU can log and NoVT cannot, in the lists that people copy: said, and the rest is done. */
    static const char *const others[] = {"cpu_reset", "guest_errors", "unimp",  "pcall",
                                         "nochain",   "page",         "strace", "tid"};
    char list[256] = "";
    size_t at = 0, kept = 0;

    if (strlen(arg) >= sizeof(list))
        return opt_usage(err, "-d help lists what there is", "-d: the value is too long");
    for (const char *item = arg;; item++) {
        size_t len = strcspn(item, ","), i;

        for (i = 0; i < ARRAY_SIZE(others) && (strlen(others[i]) != len || strncmp(item, others[i], len));
             i++)
            ;
        if (i < ARRAY_SIZE(others))
            base_warn("note: -d %s: NoVT has no such trace; -d help lists what there is", others[i]);
        else
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%.*s", kept++ ? "," : "", (int)len, item);
        item += len;
        if (!*item)
            break;
    }
    if (!kept)
        return 0;
    return opt_list("-d", list, trace_names, ARRAY_SIZE(trace_names), &opt->config.trace_items, opt, err);
}

/* QEMU's ranges: FIRST..LAST, START+LENGTH, END-LENGTH. */
int opt_dfilter(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    u64 a, b = 0;
    char *end = NULL;
    bool ok = opt_number(arg, UINT32_MAX, &end, &a);

    if (ok && !strncmp(end, "..", 2)) {
        ok = opt_number(end + 2, UINT32_MAX, NULL, &b) && b >= a;
    } else if (ok && *end == '+') {
        ok = opt_number(end + 1, UINT32_MAX, NULL, &b) && b > 0 && a + b - 1 <= UINT32_MAX;
        b = a + b - 1;
    } else if (ok && *end == '-') {
        ok = opt_number(end + 1, a + 1, NULL, &b) && b > 0;
        b = ok ? b : 1;
        a = a - b + 1;
        b = a + b - 1;
    } else {
        ok = false;
    }
    if (!ok)
        return opt_usage(err, "for example -dfilter 0xc0100000..0xc01fffff or 0x7c00+512",
                         "-dfilter: \"%s\" is not a range", arg);
    opt->config.trace_lo = (u32)a;
    opt->config.trace_hi = (u32)b;
    return 0;
}

int opt_trace_file(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->trace_path = arg;
    return 0;
}

int opt_dump_screen(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->screen_path = arg;
    return 0;
}

int opt_timeout(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char *end;

    opt->timeout_s = strtod(arg, &end);
    if (end == arg || *end || !isfinite(opt->timeout_s) || opt->timeout_s <= 0 || opt->timeout_s > 1e9)
        return opt_usage(err, "for example --timeout 10 or --timeout 0.5",
                         "--timeout: \"%s\" is not a number of seconds", arg);
    return 0;
}

int opt_stats(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (arg && strcmp(arg, "json") && strcmp(arg, "text"))
        return opt_usage(err, "use --stats or --stats=json", "--stats: unknown form \"%s\"", arg);
    opt->stats = arg && !strcmp(arg, "json") ? CLI_STATS_JSON : CLI_STATS_TEXT;
    return 0;
}

int opt_stress(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return opt_list("--stress", arg, stress_names, ARRAY_SIZE(stress_names), &opt->config.stress, opt, err);
}

int opt_perf_map(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.perf_map = true;
    return 0;
}

int opt_version(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    puts("novt " NOVT_VERSION);
    opt->command = CLI_DONE;
    return 0;
}
