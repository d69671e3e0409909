/*
 * test_map.c - the guest address space of a sandbox, its life and its death.
 *
 * Breaks if the guest sees another page of RAM than the one mapped, if an unmapped page can still be used, if a wiped box
 * remembers anything, if an operation outside of 4 GiB or of RAM gets through, or if a box outlives its VM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "direct/internal.h"
#include "rig.h"

#define MANY 1300u
#define MANY_AT 0x10000000u

SNIPPET(sum, "xor %eax, %eax; 1: add (%esi), %eax; add $0x1000, %esi; dec %ecx; jnz 1b; hlt");
SNIPPET(load, "mov (%esi), %eax; hlt");
SNIPPET(store, "mov %eax, (%esi); hlt");

Test(direct_map, many_pages_in_any_order)
{
    struct rig r = rig_new();
    static struct dx_op ops[MANY];
    u32 want = 0;
    size_t done;

    for (u32 i = 0; i < MANY; i++) {
        ops[i] = (struct dx_op){
            .kind = DX_MAP, .prot = DX_READ, .populate = i & 1, .gva = MANY_AT + i * 4096, .pages = 1};
        ops[i].offset = 0x100000 + (MANY - 1 - i) * 4096;
        *(u32 *)(r.ram + ops[i].offset) = i * i;
        want += i * i;
    }
    cr_assert_eq(dx_map(r.b, ops, MANY, &done), 0);
    cr_assert_eq(done, MANY);
    r.st.gpr[DX_ESI] = MANY_AT;
    r.st.gpr[DX_ECX] = MANY;
    RUN(&r, sum, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.gpr[DX_EAX], want);
    rig_free(&r);
}

Test(direct_map, unmap_and_protect_act_at_once)
{
    struct rig r = rig_new();
    struct dx_op op = {.kind = DX_PROTECT, .prot = DX_READ, .gva = DATA, .pages = 2};

    r.st.gpr[DX_ESI] = DATA + 4096;
    RUN(&r, store, DX_EXIT_PRIVILEGED);
    cr_assert_eq(dx_map(r.b, &op, 1, NULL), 0);
    r.st.eip = CODE;
    RUN(&r, store, DX_EXIT_PAGE_FAULT);
    cr_assert_eq(r.x.cr2, DATA + 4096);
    cr_assert_eq(r.x.error & 2, 2);
    RUN(&r, load, DX_EXIT_PRIVILEGED);
    op.kind = DX_UNMAP;
    cr_assert_eq(dx_map(r.b, &op, 1, NULL), 0);
    r.st.eip = CODE;
    RUN(&r, load, DX_EXIT_PAGE_FAULT);
    cr_assert_eq(r.x.error & 2, 0);
    r.st.gpr[DX_ESI] = DATA + 2 * 4096;
    RUN(&r, load, DX_EXIT_PRIVILEGED);
    op = (struct dx_op){.kind = DX_PROTECT, .prot = DX_READ, .gva = 0x700000, .pages = 1};
    cr_assert_eq(dx_map(r.b, &op, 1, NULL), -ENOENT);
    rig_free(&r);
}

Test(direct_map, top_of_the_address_space)
{
    struct rig r = rig_new();
    struct dx_op op = {
        .kind = DX_MAP, .prot = DX_READ | DX_WRITE, .gva = 0xfffff000, .pages = 1, .offset = 0x20000};

    cr_assert_eq(dx_map(r.b, &op, 1, NULL), 0);
    r.st.gpr[DX_ESI] = 0xfffffffc;
    r.st.gpr[DX_EAX] = 77;
    RUN(&r, store, DX_EXIT_PRIVILEGED);
    cr_assert_eq(*(u32 *)(r.ram + 0x20ffc), 77);
    r.st = rig_state(CODE);
    r.st.gpr[DX_ESI] = 0xfffffffe; /* half beyond: wraps, or faults; must not be the host's memory */
    rig_load(&r, load, load_end);
    rig_enter(&r);
    cr_assert_neq(r.x.kind, DX_EXIT_DIED);
    rig_free(&r);
}

Test(direct_map, malformed_operations_do_nothing)
{
    struct rig r = rig_new();
    static const struct dx_op bad[] = {
        {3, 1, 0, DATA, 1, 0},
        {DX_MAP, 8, 0, DATA, 1, 0},
        {DX_MAP, 1, 0, DATA + 1, 1, 0},
        {DX_MAP, 1, 0, DATA, 0, 0},
        {DX_MAP, 1, 0, 0xfffff000, 2, 0},
        {DX_MAP, 1, 0, DATA, 1, 1},
        {DX_MAP, 1, 0, DATA, 1, RAM_BYTES},
        {DX_MAP, 1, 0, DATA, 2, RAM_BYTES - 4096},
        {DX_MAP, 1, 0, DATA, 1, ~0ull << 12},
        {DX_UNMAP, 1, 0, 0, 0x100000, 0},
        {DX_UNMAP, 1, 0, DATA, 0xffffffff, 0},
        {DX_PROTECT, 0x80, 0, DATA, 1, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct dx_op ops[2] = {{DX_UNMAP, 0, 0, CODE, 1, 0}, bad[i]};
        size_t done = 9;
        cr_assert_eq(dx_map(r.b, ops, 2, &done), -EINVAL, "case %u", i);
        cr_assert_eq(done, 0);
    }
    struct dx_op low[2] = {{DX_MAP, 1, 0, DATA, 1, 0}, {DX_MAP, 1, 0, 0, 1, 0}};
    size_t done;
    cr_assert_eq(dx_map(r.b, low, 2, &done), -EPERM);
    cr_assert_eq(done, 1);
    r.st.gpr[DX_ESI] = CODE;
    RUN(&r, load, DX_EXIT_PRIVILEGED);
    rig_free(&r);
}

Test(direct_map, mappings_are_limited)
{
    struct rig r = rig_new();
    struct dx_config cfg = {.ram_fd = r.fd, .ram_bytes = RAM_BYTES, .max_boxes = 1, .max_mappings = 10};
    struct dx_op ops[20];
    struct dx *dx;
    struct dx_box *b, *none;
    char why[DX_WHY_BYTES];
    size_t done;

    for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
        ops[i] = (struct dx_op){.kind = DX_MAP, .prot = DX_READ, .gva = DATA + i * 8192, .pages = 1};
    cr_assert_eq(dx_new(&dx, &cfg), 0);
    cr_assert_eq(dx_box_new(dx, &b, why), 0);
    cr_assert_eq(dx_box_new(dx, &none, why), -EAGAIN);
    cr_assert_str_eq(why, "1 sandboxes already");
    cr_assert_eq(dx_map(b, ops, ARRAY_SIZE(ops), &done), -ENOMEM);
    cr_assert_eq(done, 10);
    cr_assert_eq(dx_wipe(b), 0);
    cr_assert_eq(dx_mappings(b), 0);
    cr_assert_eq(dx_map(b, ops, 10, &done), 0);
    dx_box_free(b);
    dx_free(dx);
    rig_free(&r);
}

SNIPPET(use_ldt, "mov $0x2f, %eax; mov %eax, %ds; hlt");

Test(direct_map, a_wiped_box_is_as_new)
{
    struct rig r = rig_new();
    const u64 d = 0x00cff3000000ffff;
    const struct dx_op code = {DX_MAP, DX_READ | DX_EXEC, 0, CODE, 1, CODE_AT};

    cr_assert_eq(dx_ldt_set(r.b, 5, &d, 1), 0);
    RUN(&r, use_ldt, DX_EXIT_PRIVILEGED);
    memset(r.b->area + 0x800, 0xaa, 64);
    cr_assert_eq(dx_wipe(r.b), 0);
    cr_assert_eq(r.b->area[0x800], 0);
    r.st = rig_state(CODE);
    cr_assert_eq(rig_enter(&r), DX_EXIT_PAGE_FAULT);
    cr_assert_eq(r.x.cr2, CODE);
    cr_assert_eq(dx_map(r.b, &code, 1, NULL), 0);
    RUN(&r, use_ldt, DX_EXIT_FAULT);
    cr_assert_eq(r.x.error, 0x2c);
    rig_free(&r);
}

/* The mapper's own filter: an operation that the library would never write ends the box instead of being done. */
Test(direct_map, mapper_refuses_everything_else)
{
    struct rig r = rig_new();
    const u64 fixed = MAP_SHARED | MAP_FIXED;
    const struct {
        long nr;
        u64 a[6];
    } bad[] = {
        {SYS_getuid, {0}},
        {SYS_openat, {0}},
        {SYS_write, {0}},
        {SYS_exit_group, {0}},
        {SYS_kill, {0}},
        {SYS_mremap, {DATA, 4096, 4096, 3, 0x700000}},
        {SYS_mmap, {1ull << 32, 4096, 1, fixed, 0, 0}},
        {SYS_mmap, {DX_AREA_BASE, 4096, 1, fixed, 0, 0}},
        {SYS_mmap, {DATA, 1ull << 32, 1, fixed, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1, MAP_SHARED, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1, MAP_PRIVATE | MAP_FIXED, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1, fixed | MAP_ANONYMOUS, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1, fixed | MAP_LOCKED, 0, 0}},
        {SYS_mmap, {DATA, 4096, 8, fixed, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1ull << 32, fixed, 0, 0}},
        {SYS_mmap, {DATA, 4096, 1, fixed, 1, 0}},
        {SYS_mmap, {DATA, 4096, 1, fixed, (u64)-1, 0}},
        {SYS_munmap, {DX_IMAGE_BASE, 4096}},
        {SYS_munmap, {0, 1ull << 45}},
        {SYS_mprotect, {DX_CMD_BASE, 4096, 3}},
        {SYS_mprotect, {DATA, 4096, 0x1000000}},
        {SYS_modify_ldt, {0, DX_CMD_BASE, 16}},
        {SYS_modify_ldt, {1, DX_CMD_BASE, 16}},
        {SYS_modify_ldt, {0x11, DX_AREA_BASE, 16}},
        {SYS_modify_ldt, {0x11, DX_CMD_BASE, 32}},
        {DX_STOP_NR | 0x40000000, {0}},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        u32 done;
        const u64 *a = bad[i].a;
        rig_revive(&r);
        dx_mapper_op(r.b, 0, bad[i].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        cr_assert_eq(dx_mapper_run(r.b, 1, &done), -EIO, "case %u", i);
        cr_assert_eq(dx_wipe(r.b), -EIO);
        rig_enter(&r);
        cr_assert_eq(r.x.kind, DX_EXIT_DIED);
    }
    rig_free(&r);
}

SNIPPET(spin, "jmp .");

/* 1: gone, or a zombie that nobody collects. */
static bool is_gone(int pid)
{
    char path[64], state = 'X';
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return true;
    if (fscanf(f, "%*d %*s %c", &state) != 1)
        state = 'X';
    fclose(f);
    return state == 'Z' || state == 'X';
}

static bool goes_away(int pid)
{
    for (unsigned i = 0; i < 500 && !is_gone(pid); i++)
        usleep(10000);
    return is_gone(pid);
}

/* A VM that is killed while its guest runs takes its boxes along. */
Test(direct_map, boxes_die_with_their_vm)
{
    int p[2], box;
    pid_t vm;

    cr_assert_eq(pipe(p), 0);
    vm = fork();
    if (vm == 0) {
        struct rig r = rig_new();
        int pid = dx_box_pid(r.b);
        if (write(p[1], &pid, sizeof(pid)) == sizeof(pid)) {
            rig_load(&r, spin, spin_end);
            rig_enter(&r);
        }
        _exit(0);
    }
    cr_assert_eq(read(p[0], &box, sizeof(box)), sizeof(box));
    usleep(20000);
    cr_assert_not(is_gone(box));
    cr_assert_not(is_gone(vm));
    kill(vm, SIGKILL);
    cr_assert_eq(waitpid(vm, NULL, 0), vm);
    cr_assert(goes_away(box));
}

Test(direct_map, a_box_killed_from_outside_is_an_exit)
{
    struct rig r = rig_new();
    int pid = dx_box_pid(r.b);

    kill(pid, SIGKILL);
    rig_enter(&r);
    cr_assert_eq(r.x.kind, DX_EXIT_DIED);
    cr_assert_str_eq(r.x.why, "the sandbox was killed by signal 9 (Killed)");
    cr_assert(dx_box_dead(r.b));
    rig_enter(&r);
    cr_assert_eq(r.x.kind, DX_EXIT_DIED);
    cr_assert_eq(dx_wipe(r.b), -EIO);
    dx_kick(r.b);
    dx_box_free(r.b);
    cr_assert(goes_away(pid));
    rig_box(&r);
    rig_load(&r, load, load_end);
    r.st.gpr[DX_ESI] = DATA;
    cr_assert_eq(rig_enter(&r), DX_EXIT_PRIVILEGED);
    cr_assert_eq(dx_stats(r.dx)->boxes_died, 1);
    cr_assert_eq(dx_stats(r.dx)->boxes_made, 2);
    cr_assert_eq(dx_stats(r.dx)->boxes, 1);
    rig_free(&r);
}

Test(direct_map, low_descriptors_may_be_free)
{
    close(0);
    struct rig r = rig_new();

    r.st.gpr[DX_ESI] = DATA;
    RUN(&r, load, DX_EXIT_PRIVILEGED);
    rig_free(&r);
}

Test(direct_map, probe_and_measure)
{
    struct rig r = rig_new();
    struct dx_cost c = {0, 0, 0};
    char why[DX_WHY_BYTES];

    cr_assert_eq(dx_probe(why), 0, "%s", why);
    cr_assert_eq(dx_measure(r.dx, &c), 0);
    cr_assert(c.round_trip_ns > 100 && c.map_one_ns > 100 && c.map_batch_ns > 50);
    cr_assert_eq(dx_stats(r.dx)->boxes, 1);
    rig_free(&r);
}
