/*
 * cli_doctor.c - "novt doctor": what NoVT needs of this host, tried out one by one.
 *
 * A line for each need: "ok", or what is missing and the remedy. Needs are tried, not looked up, wherever trying
 * is harmless; what can crash runs in a child process. Exit code 0 when a guest can run, 3 when not; things
 * that are merely worth knowing are marked "note" and do not count.
 */
#include "block/block.h"
#include "direct/direct.h"
#include "monitor/cli.h"
#include "monitor/loader.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE 2ul /* bit 1 of AT_HWCAP2 on x86 */
#define WINDOW_BYTES (1ull << 32)
#define WINDOWS_TRIED 16
#define ADDRESS_SPACE_BYTES (WINDOWS_TRIED * WINDOW_BYTES)
#define MAPPINGS_WANTED 65530

enum verdict { GOOD, NOTE, BAD };

struct finding {
    enum verdict verdict;
    char detail[256];
    const char *remedy;
};

static struct finding good(const char *detail)
{
    struct finding f = {GOOD, "", NULL};

    snprintf(f.detail, sizeof(f.detail), "%s", detail);
    return f;
}

static struct finding missing(enum verdict v, const char *remedy, const char *what, int e)
{
    struct finding f = {v, "", remedy};

    snprintf(f.detail, sizeof(f.detail), "%s%s%s", what, e ? ": " : "", e ? strerror(e) : "");
    return f;
}

static long read_proc(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return n > 0 ? strtol(text, NULL, 10) : -1;
}

static struct finding check_cpu(void)
{
    static const char remedy[] =
        "run on a CPU (or a VM with CPU model \"host\") of 2013 or later: Haswell, Zen";
    u32 a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(d & bit_SSE2) || !(d & bit_FXSAVE))
        return missing(BAD, remedy, "no SSE2 or FXSR", 0);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_BMI2))
        return missing(BAD, remedy, "no BMI2 (shlx, shrx)", 0);
    if (!(b & bit_FSGSBASE))
        return missing(BAD, remedy, "no FSGSBASE", 0);
    return good("BMI2, FSGSBASE, SSE2");
}

static struct finding check_fsgsbase(void)
{
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        return missing(BAD, "use Linux 5.9 or later, without \"nofsgsbase\"",
                       "the kernel does not allow wrgsbase", 0);
    return good("the kernel allows wrgsbase");
}

static struct finding check_memfd(void)
{
    int fd = memfd_create("novt-doctor", MFD_CLOEXEC);
    int rc = fd < 0 || ftruncate(fd, 64 << 20) ? errno : 0;

    if (fd >= 0)
        close(fd);
    return rc ? missing(BAD, "use Linux 3.17 or later; allow memfd_create in the container's seccomp profile",
                        "memfd_create", rc)
              : good("guest RAM as a memory file");
}

/* Runs fn in a child; its exit status, or -signal. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(fn());
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 255;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int try_exec(void)
{
    static const u8 code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    int fd = memfd_create("novt-doctor", MFD_CLOEXEC);
    u8 *rw, *rx;

    if (fd < 0 || ftruncate(fd, PAGE_BYTES))
        return 1;
    rw = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rx = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (rw == MAP_FAILED || rx == MAP_FAILED)
        return 2;
    memcpy(rw, code, sizeof(code));
    return ((int (*)(void))(uintptr_t)rx)() == 42 ? 0 : 3;
}

static struct finding check_exec(void)
{
    return in_child(try_exec)
               ? missing(
                     BAD,
                     "set sysctl vm.memfd_noexec=0; in SELinux allow execmem and execmod for memory files",
                     "code in a memory file does not run", 0)
               : good("code cache with two views");
}

static int try_fixed(void)
{
    u8 *base = mmap(NULL, WINDOW_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = memfd_create("novt-doctor", MFD_CLOEXEC);

    if (base == MAP_FAILED || fd < 0 || ftruncate(fd, PAGE_BYTES))
        return 1;
    if (mmap(base + (3u << 30), PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
        MAP_FAILED)
        return 2;
    base[3u << 30] = 1;
    return 0;
}

static struct finding check_fixed(void)
{
    return in_child(try_fixed) ? missing(BAD, "lift \"ulimit -v\"; allow mmap in the container",
                                         "no 4 GiB window with pages in it", 0)
                               : good("4 GiB windows");
}

static struct finding check_address_space(void)
{
    struct rlimit lim;
    void *p;

    if (getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY &&
        lim.rlim_cur < ADDRESS_SPACE_BYTES)
        return missing(BAD, "run \"ulimit -v unlimited\" first", "the address space is limited below 64 GiB",
                       0);
    p = mmap(NULL, ADDRESS_SPACE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return missing(BAD, "lift address space limits of this user or container", "64 GiB of addresses",
                       errno);
    munmap(p, ADDRESS_SPACE_BYTES);
    return good("room for many windows");
}

static struct finding check_overcommit(void)
{
    if (read_proc("/proc/sys/vm/overcommit_memory") == 2)
        return missing(NOTE, "sysctl vm.overcommit_memory=0 if memory runs out",
                       "strict overcommit: all of -m counts at once", 0);
    return good("memory is given when touched");
}

static struct finding check_map_count(void)
{
    long n = read_proc("/proc/sys/vm/max_map_count");
    struct finding f = good("");

    if (n < 0)
        return missing(NOTE, "mount /proc", "vm.max_map_count cannot be read", 0);
    if (n < MAPPINGS_WANTED)
        f = missing(NOTE, "sysctl vm.max_map_count=65530 or more for speed", "", 0);
    snprintf(f.detail, sizeof(f.detail), "vm.max_map_count is %ld", n);
    return f;
}

static void on_segv(int sig)
{
    (void)sig;
    _exit(0);
}

static int try_signals(void)
{
    stack_t ss = {.ss_size = 65536};
    struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
    volatile u8 *p = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ss.ss_sp = malloc(ss.ss_size);
    if (!ss.ss_sp || sigaltstack(&ss, NULL) || sigaction(SIGSEGV, &sa, NULL))
        return 1;
    *p = 1;
    return 2;
}

static struct finding check_signals(void)
{
    return in_child(try_signals) ? missing(BAD, "run without a debugger or tracer that takes SIGSEGV",
                                           "SIGSEGV does not arrive on the alternate stack", 0)
                                 : good("SIGSEGV on an alternate stack");
}

/* Into 32-bit code by far return and back by far jump; 0 if eax came through. The stack pointer and the way back are in
 * memory: the upper halves of registers do not survive 32-bit mode on every CPU. */
static int try_compat(void)
{
    static const u8 code32[] = {
        0xb8, 42, 0, 0, 0,             /* mov eax, 42 */
        0xea, 0,  0, 0, 0, 0x33, 0x00, /* jmp 33h:back */
    };
    static const u8 back[] = {
        0x48, 0x8b, 0x25, 25, 0, 0, 0, /* 64: mov rsp, [rip + 25] = [96] */
        0xff, 0x25, 27,   0,  0, 0,    /* 71: jmp [rip + 27] = [104] */
    };
    u8 *p = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    u64 result = 0;

    if (p == MAP_FAILED)
        return 1;
    memcpy(p, code32, sizeof(code32));
    memcpy(p + 64, back, sizeof(back));
    put_u32(p + 6, (u32)(uintptr_t)(p + 64));
    __asm__ volatile("sub $128, %%rsp\n\t" /* the red zone */
                     "push %%rbx\n\t"
                     "push %%rbp\n\t"
                     "lea 1f(%%rip), %%rcx\n\t"
                     "mov %%rsp, 96(%1)\n\t"
                     "mov %%rcx, 104(%1)\n\t"
                     "push $0x23\n\t"
                     "push %1\n\t"
                     "lretq\n"
                     "1: pop %%rbp\n\t"
                     "pop %%rbx\n\t"
                     "add $128, %%rsp"
                     : "=a"(result)
                     : "d"(p)
                     : "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
                       "cc");
    return (u32)result == 42 ? 0 : 2;
}

static struct finding check_compat(void)
{
    return in_child(try_compat)
               ? missing(
                     NOTE, "use a kernel with CONFIG_IA32_EMULATION, without ia32_emulation=off",
                     "no 32-bit code segment: no direct execution, and tests against the host CPU do not run",
                     0)
               : good("far jump to 32-bit code and back");
}

static struct finding check_sandbox(void)
{
    char why[DX_WHY_BYTES];

    if (dx_probe(why))
        return missing(
            NOTE, "guest programs run translated only, slower; see docs/security.md for what a sandbox takes",
            why, 0);
    return good("ring-3 code runs in a process of its own");
}

static struct finding find_firmware(const char *name, enum verdict v)
{
    char path[200];

    if (firmware_find(NULL, name, path, sizeof(path)))
        return missing(v, "apt-get install seabios", name, ENOENT);
    if (access(path, R_OK))
        return missing(v, "make it readable", path, errno);
    return good(path);
}

static struct finding check_bios(void)
{
    return find_firmware("bios-256k.bin", BAD);
}

static struct finding check_vgabios(void)
{
    return find_firmware("vgabios-stdvga.bin", NOTE);
}

static struct finding check_formats(void)
{
    return blk_formats_lack()
               ? missing(NOTE, "apt-get install qemu-utils libnbd0", "disk images must be raw", 0)
               : good("qcow2, vmdk, vdi, vpc, vhdx, qed, parallels");
}

struct need {
    const char *name;
    struct finding (*check)(void);
};

static const struct need needs[] = {
    {"cpu", check_cpu},
    {"fsgsbase", check_fsgsbase},
    {"memfd", check_memfd},
    {"memfd-exec", check_exec},
    {"fixed-mappings", check_fixed},
    {"address-space", check_address_space},
    {"overcommit", check_overcommit},
    {"max_map_count", check_map_count},
    {"signals", check_signals},
    {"32-bit-entry", check_compat},
    {"sandbox", check_sandbox},
    {"firmware", check_bios},
    {"vga-firmware", check_vgabios},
    {"image-formats", check_formats},
};

int cli_doctor(void)
{
    static const char *const words[] = {"ok", "note", "MISSING"};
    bool bad = false;

    for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
        struct finding f = needs[i].check();

        printf("%-8s %-15s %s", words[f.verdict], needs[i].name, f.detail);
        if (f.remedy)
            printf("; remedy: %s", f.remedy);
        putchar('\n');
        bad |= f.verdict == BAD;
    }
    puts(bad ? "NoVT cannot run here." : "NoVT can run here.");
    return bad ? EXIT_HOST : EXIT_OK;
}
