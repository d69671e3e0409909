/*
 * vm.c - makes a machine: guest RAM, ROM, code cache, translator and PC, wired to each other.
 *
 * The monitor is the only mediator, so everything one part needs of another passes through the callbacks
 * here. Guest-physical memory:
 *
 *   0 - 9FFFF RAM | A0000 VGA (devices) | C0000 - FFFFF ROM or shadow RAM, as the PAM registers say |
 *   100000 - RAM | PCI devices | 4 GiB - BIOS size: BIOS
 *
 * The memfd holds RAM, then the BIOS, then one unit of all ones for shadow areas that show no ROM.
 */
#include "monitor/machine.h"
#include "monitor/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CODE_CACHE_BYTES (32u << 20)
#define CODE_CACHE_TINY_BYTES (1u << 20)
#define SEABIOS_DEBUG_PORT 0x402
#define COM1_PORT 0x3f8

static const char remedy_memory[] =
    "free memory on the host, lift \"ulimit -v\" and \"-f\"; novt doctor says more";

/* ---- what the PC asks of memory ---- */

static u64 bios_off(const struct machine *m, u32 gpa)
{
    /* The last 128 KiB of the BIOS appear below 1 MiB. */
    return m->rom_off + m->bios.bytes - (SHADOW_END - gpa);
}

static int map_shadow_unit(struct machine *m, u32 gpa, bool read_ram, bool write_ram)
{
    struct mmu *mmu = m->vm.mmu;
    u32 bit = gpa >= SHADOW_FIRST ? BIT((gpa - SHADOW_FIRST) / SHADOW_UNIT) : 0;

    m->shadow_write &= ~bit;
    if (read_ram)
        return mmu_map_physical(mmu, gpa, SHADOW_UNIT, write_ram ? MMU_RAM : MMU_ROM, gpa);
    if (gpa < SHADOW_FIRST)
        return mmu_map_physical(mmu, gpa, SHADOW_UNIT, MMU_NONE, 0);
    if (write_ram)
        m->shadow_write |= bit;
    if (gpa >= 0xe0000 && m->bios.bytes >= SHADOW_END - gpa)
        return mmu_map_physical(mmu, gpa, SHADOW_UNIT, MMU_ROM, bios_off(m, gpa));
    return mmu_map_physical(mmu, gpa, SHADOW_UNIT, MMU_ROM, m->hole_off);
}

static void pam_changed(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram)
{
    struct machine *m = opaque;

    for (u32 at = gpa; at < gpa + bytes && at < SHADOW_END; at += SHADOW_UNIT) {
        int rc;

        if (m->wired)
            for (u32 page = at; page < at + SHADOW_UNIT; page += PAGE_BYTES)
                mon_code_written(&m->vm, page, PAGE_BYTES);
        rc = map_shadow_unit(m, at, read_ram, write_ram);
        if (rc)
            mon_stop(&m->vm, STOP_ERROR, -rc);
    }
}

void mon_rom_write(struct novt_vm *vm, u64 gpa, const void *buf, unsigned size)
{
    struct machine *m = machine_of(vm);
    const u8 *from = buf;

    for (unsigned i = 0; i < size; i++, gpa++)
        if (gpa >= SHADOW_FIRST && gpa < SHADOW_END &&
            (m->shadow_write & BIT((gpa - SHADOW_FIRST) / SHADOW_UNIT)))
            *mmu_backing_ptr(vm->mmu, gpa) = from[i];
}

static void a20_changed(void *opaque, bool enabled)
{
    struct machine *m = opaque;

    m->vm.a20_off = !enabled;
    if (m->wired)
        mon_state_changed(&m->vm.cpu);
}

static void kick(void *opaque)
{
    bt_kick(((struct machine *)opaque)->vm.bt);
}

static int dma_check(struct machine *m, u64 gpa, size_t len)
{
    enum mmu_backing kind;

    if (gpa > UINT32_MAX || len > UINT32_MAX - gpa)
        return -EFAULT;
    for (u64 page = gpa & ~(u64)PAGE_MASK; page < gpa + len; page += PAGE_BYTES)
        if (!mmu_ptr(m->vm.mmu, page, &kind) || kind != MMU_RAM)
            return -EFAULT;
    return 0;
}

static int dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct machine *m = opaque;
    u8 *to = buf;

    if (dma_check(m, gpa, len)) {
        memset(buf, 0xff, len);
        return -EFAULT;
    }
    while (len) {
        size_t n = min_u64(len, PAGE_BYTES - (gpa & PAGE_MASK));

        memcpy(to, mmu_ptr(m->vm.mmu, gpa, NULL), n);
        to += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

static int dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct machine *m = opaque;
    const u8 *from = buf;

    if (dma_check(m, gpa, len))
        return -EFAULT;
    while (len) {
        size_t n = min_u64(len, PAGE_BYTES - (gpa & PAGE_MASK));

        if (mmu_watched(m->vm.mmu, gpa))
            mon_code_written(&m->vm, gpa, (u32)n);
        memcpy(mmu_ptr(m->vm.mmu, gpa, NULL), from, n);
        from += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

/* ---- what the PC asks of the rest ---- */

static void intr_changed(void *opaque, bool level)
{
    struct machine *m = opaque;

    if (m->wired)
        mon_irq_changed(&m->vm, level);
}

static void nmi(void *opaque)
{
    mon_nmi(&((struct machine *)opaque)->vm);
}

static void request(void *opaque, enum pc_request what, unsigned code)
{
    struct machine *m = opaque;

    switch (what) {
    case PC_REQ_RESET: mon_stop(&m->vm, STOP_RESET, 0); break;
    case PC_REQ_POWEROFF: mon_stop(&m->vm, STOP_POWEROFF, 0); break;
    case PC_REQ_DEBUG_EXIT: mon_stop(&m->vm, STOP_DEBUG_EXIT, (int)code); break;
    }
}

/* SeaBIOS says on its debug port that it has nothing to boot, and would then wait for ever. */
static void debugcon_write(void *opaque, const u8 *buf, size_t len)
{
    static const char message[] = "No bootable device.";
    struct machine *m = opaque;

    if (m->config.debugcon)
        m->config.debugcon(m->config.debugcon_opaque, buf, len);
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != (u8)message[m->no_boot_at])
            m->no_boot_at = 0;
        if (buf[i] == (u8)message[m->no_boot_at] && !message[++m->no_boot_at]) {
            m->no_boot_at = 0;
            if (m->config.patient || m->config.boot_fail_ms)
                continue;
            m->no_boot = true;
            mon_stop(&m->vm, STOP_QUIT, 0);
        }
    }
}

static void serial_drained(void *opaque)
{
    struct machine *m = opaque;

    if (m->wired)
        mon_poll(&m->vm);
}

static void serial_write(struct machine *m, unsigned n, const u8 *buf, size_t len)
{
    const struct novt_serial *s = &m->config.serial[n];

    if (s->write)
        s->write(s->opaque, buf, len);
}

/* The lines' back ends differ only in which host end they call. */
static void com1_write(void *opaque, const u8 *buf, size_t len)
{
    serial_write(opaque, 0, buf, len);
}

static void com2_write(void *opaque, const u8 *buf, size_t len)
{
    serial_write(opaque, 1, buf, len);
}

static void com3_write(void *opaque, const u8 *buf, size_t len)
{
    serial_write(opaque, 2, buf, len);
}

static void com4_write(void *opaque, const u8 *buf, size_t len)
{
    serial_write(opaque, 3, buf, len);
}

/* ---- construction ---- */

static int hook_mem_read(void *opaque, unsigned seg, u32 off, void *buf, unsigned size)
{
    return mem_read(&((struct novt_vm *)opaque)->cpu, seg, off, buf, size);
}

static int hook_mem_write(void *opaque, unsigned seg, u32 off, const void *buf, unsigned size)
{
    return mem_write(&((struct novt_vm *)opaque)->cpu, seg, off, buf, size);
}

static int hook_mem_probe_write(void *opaque, unsigned seg, u32 off, unsigned size)
{
    return mem_probe_write(&((struct novt_vm *)opaque)->cpu, seg, off, size);
}

static int load_images(struct machine *m, struct novt_error *err)
{
    const struct novt_config *c = &m->config;
    const char *vga = c->vgabios ? c->vgabios : "vgabios-stdvga.bin";
    struct loader_args args = {c->kernel, c->initrd, c->append, m->ram_bytes};
    int rc;

    if (c->no_firmware)
        return 0;
    rc = firmware_read(c->firmware_dir, c->bios ? c->bios : "bios-256k.bin", BIOS_MAX_BYTES, false, &m->bios,
                       err);
    if (rc)
        return rc;
    if (m->bios.bytes % 65536)
        return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, "use SeaBIOS's bios-256k.bin",
                        "firmware: %zu bytes are not a multiple of 64 KiB", m->bios.bytes);
    if (vga[0]) {
        rc = firmware_read(c->firmware_dir, vga, VGABIOS_MAX_BYTES, c->vgabios == NULL, &m->vgabios, err);
        if (rc)
            return rc;
    }
    if (!c->kernel) {
        if (c->initrd || c->append)
            return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "add -kernel FILE", "%s needs a kernel",
                            c->initrd ? "-initrd" : "-append");
        return 0;
    }
    rc = loader_load(&m->image, &args, err);
    m->has_image = rc == 0;
    return rc;
}

static int make_memory(struct machine *m, struct novt_error *err)
{
    u64 bios_room = align_up(m->bios.bytes, PAGE_BYTES), low = 0xa0000, vga = m->vgabios.data ? VGA_MEM_BYTES : 0;
    struct mmu_config cfg = {
        .ram_bytes = m->ram_bytes,
        .rom_bytes = bios_room + SHADOW_UNIT + vga,
        .log_offset = m->ram_bytes + bios_room + SHADOW_UNIT,
        .log_bytes = vga,
        .changed = mon_window_changed,
        .free_user = mon_window_freed,
        .opaque = &m->vm,
    };
    int rc = mmu_new(&m->vm.mmu, &cfg);

    if (rc)
        goto fail;
    m->rom_off = m->ram_bytes;
    m->hole_off = m->rom_off + bios_room;
    m->vga_off = m->hole_off + SHADOW_UNIT;
    memset(mmu_backing_ptr(m->vm.mmu, m->hole_off), 0xff, SHADOW_UNIT);
    rc = mmu_map_physical(m->vm.mmu, 0, m->config.no_firmware ? SHADOW_END : low, MMU_RAM, 0);
    if (!rc && m->ram_bytes > SHADOW_END)
        rc = mmu_map_physical(m->vm.mmu, SHADOW_END, m->ram_bytes - SHADOW_END, MMU_RAM, SHADOW_END);
    if (!rc && m->bios.bytes) {
        memcpy(mmu_backing_ptr(m->vm.mmu, m->rom_off), m->bios.data, m->bios.bytes);
        rc = mmu_map_physical(m->vm.mmu, (1ull << 32) - bios_room, bios_room, MMU_ROM, m->rom_off);
    }
    for (u32 gpa = SHADOW_FIRST; !rc && gpa < SHADOW_END && !m->config.no_firmware; gpa += SHADOW_UNIT)
        rc = map_shadow_unit(m, gpa, false, false);
    if (!rc)
        return 0;
fail:
    return mon_fail(err, NOVT_ERR_HOST, rc, remedy_memory, "no guest memory of %llu MiB: %s",
                    (unsigned long long)(m->ram_bytes >> 20), strerror(-rc));
}

static int make_engine(struct machine *m, struct novt_error *err)
{
    u32 stress = m->config.stress;
    size_t bytes = m->config.code_cache_bytes ? m->config.code_cache_bytes : CODE_CACHE_BYTES;
    struct bt_hooks hooks = {
        .opaque = &m->vm,
        .fill = mon_fill,
        .mem_read = hook_mem_read,
        .mem_write = hook_mem_write,
        .mem_probe_write = hook_mem_probe_write,
        .peek_code = mon_peek_code,
        .bug = mon_bug,
        .kicked = sandbox_kick,
    };
    struct bt_options opt = {
        .max_insns = stress & NOVT_STRESS_ONE_INSN ? 1 : 0,
        .no_chain = stress & NOVT_STRESS_NO_CHAIN,
        .slow_mem = stress & NOVT_STRESS_SLOW_MEM,
#ifdef NOVT_VERIFY_ALWAYS
        .verify = true,
#else
        .verify = stress & NOVT_STRESS_VERIFY,
#endif
    };
    int rc = cc_new(&m->vm.cc, stress & NOVT_STRESS_TINY_CACHE ? CODE_CACHE_TINY_BYTES : bytes);

    if (!rc)
        mon_cache_init(&m->vm);
    if (!rc)
        rc = bt_new(&m->vm.bt, &m->vm.cpu, m->vm.cc, &hooks, &opt);
    if (!rc)
        rc = sandbox_new(&m->vm, (enum mon_engine_option)m->config.engine);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, remedy_memory, "no executable memory for the code cache: %s",
                        strerror(-rc));
    m->vm.cpu.bt = m->vm.bt;
    m->vm.no_chain = (stress & NOVT_STRESS_NO_CHAIN) != 0;
    m->vm.stress_fail_alloc = (stress & NOVT_STRESS_FAIL_ALLOC) != 0;
    return 0;
}

static int make_pc(struct machine *m, struct novt_error *err)
{
    const struct novt_config *c = &m->config;
    static const u8 sercon_port[2] = {COM1_PORT & 0xff, COM1_PORT >> 8};
    struct pc_smbios_text smbios[NOVT_SMBIOS_TEXTS];
    size_t blobs = 0;
    struct pc_config cfg = {
        .ram_below_4g_bytes = m->ram_bytes,
        .opaque = m,
        .intr_changed = intr_changed,
        .nmi = nmi,
        .apic = m->vm.apic,
        .hpet = c->hpet,
        .no_acpi = c->no_acpi,
        .request = request,
        .pam_changed = c->no_firmware ? NULL : pam_changed,
        .a20_changed = a20_changed,
        .kick = kick,
        .dma = {dma_read, dma_write, m},
        .serial = {{com1_write, NULL, serial_drained, m},
                   {com2_write, NULL, serial_drained, m},
                   {com3_write, NULL, serial_drained, m},
                   {com4_write, NULL, serial_drained, m}},
        .serial_present = {c->serial[0].present, c->serial[1].present, c->serial[2].present, c->serial[3].present},
        .parallel = {c->parallel, NULL, NULL, c->parallel_opaque},
        .parallel_present = c->parallel_present,
        .speaker = {c->speaker.rate, c->speaker.play, c->speaker.opaque},
        .debugcon_iobase = c->debugcon_iobase ? c->debugcon_iobase : SEABIOS_DEBUG_PORT,
        .debugcon = {debugcon_write, NULL, NULL, m},
        .debug_exit_iobase = c->debug_exit_iobase,
        .debug_exit_iosize = c->debug_exit_iosize,
        .blob = m->blob,
        .linux_boot = m->has_image ? &m->image.linux_boot : NULL,
        .vga_rom = m->vgabios.data,
        .vga_rom_bytes = m->vgabios.bytes,
        .rtc_epoch_s = c->rtc_epoch_s ? c->rtc_epoch_s : (i64)time(NULL),
    };
    int rc;

    if (m->has_image)
        for (size_t i = 0; i < LOADER_BLOBS; i++)
            m->blob[blobs++] = m->image.blob[i];
    if (c->serial_console && c->serial[0].present)
        m->blob[blobs++] = (struct pc_blob){"etc/sercon-port", sercon_port, sizeof(sercon_port)};
    cfg.blobs = blobs;
    rc = disks_open(m, &cfg, err);
    if (!rc)
        rc = net_make(m, &cfg, err);
    if (rc)
        return rc;
    if (m->vgabios.data)
        vga_memory_init(m, &cfg.vga_host);
    rc = smbios_config(m, &cfg, smbios, err);
    if (rc)
        return rc;
    rc = pc_new(&m->vm.pc, &cfg);
    if (rc == -EEXIST)
        return mon_fail(err, NOVT_ERR_USAGE, rc, "look at iobase=, addr= and bootindex=, and leave out what need not be there",
                        "two devices want the same ports, PCI slot or bootindex");
    if (rc)
        return mon_fail(err, rc == -ENOMEM ? NOVT_ERR_HOST : NOVT_ERR_USAGE, rc,
                        "check port numbers for overlaps", "the machine cannot be wired: %s", strerror(-rc));
    disks_attach(m);
    return net_connect(m, err);
}

static int check_config(struct machine *m, struct novt_error *err)
{
    struct novt_config *c = &m->config;
    enum novt_cpu_model model = CPU_MAX;
    u64 ram = c->ram_bytes ? c->ram_bytes : NOVT_RAM_DEFAULT_BYTES;

    if (ram < NOVT_RAM_MIN_BYTES || ram > NOVT_RAM_MAX_BYTES)
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "use -m with 1M to 3072M",
                        "RAM of %llu bytes is out of range", (unsigned long long)ram);
    if (c->cpu && cpu_model_by_name(c->cpu, &model))
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "-cpu help lists the models",
                        "unknown CPU model \"%s\"", c->cpu);
    m->ram_bytes = align_up(ram, 1 << 20);
    m->vm.model = (u8)model;
    m->vm.cpu.features = cpuid_features(model);
    m->vm.apic = cpuid_model_has_apic(model) && !c->no_apic;
    cpuid_start(&m->vm);
    if (!c->trace_lo && !c->trace_hi)
        c->trace_hi = UINT32_MAX;
    return 0;
}

int novt_vm_new(struct novt_vm **out, const struct novt_config *config, struct novt_error *err)
{
    struct machine *m = aligned_alloc(64, align_up(sizeof(*m), 64));
    int rc;

    *out = NULL;
    if (!m)
        return mon_fail(err, NOVT_ERR_HOST, -ENOMEM, remedy_memory, "no memory for the machine");
    memset(m, 0, sizeof(*m));
    m->config = *config;
    m->vm.owner = m;
    m->vm.cpu.vm = &m->vm;
    m->vm.cpu.emulate = mon_callout;
    for (unsigned i = 0; i < PC_SERIALS; i++)
        pthread_mutex_init(&m->input[i].lock, NULL);
    call_init(m);

    rc = frame_init(m);
    if (rc)
        mon_fail(err, NOVT_ERR_HOST, rc, remedy_memory, "no memory for the machine");
    else
        rc = check_config(m, err);
    if (!rc)
        rc = load_images(m, err);
    if (!rc)
        rc = make_memory(m, err);
    if (!rc)
        rc = make_engine(m, err);
    if (!rc)
        rc = make_pc(m, err);
    if (!rc)
        input_init(m);
    if (!rc)
        rc = trace_open(m, err);
    if (rc) {
        novt_vm_free(&m->vm);
        return rc;
    }
    m->wired = true;
    mon_reset_cpu(&m->vm.cpu);
    m->vm.patient = m->config.patient;
    if (m->config.start_paused)
        control_pause(m, NOVT_PRELAUNCH);
    *out = &m->vm;
    return 0;
}

void novt_vm_free(struct novt_vm *vm)
{
    struct machine *m = machine_of(vm);

    if (!vm)
        return;
    m->wired = false;
    input_fini(m);
    disks_close(m);
    net_fini(m);
    pc_free(vm->pc);
    trace_close(m);
    sandbox_free(vm);
    if (vm->bt)
        bt_free(vm->bt);
    if (vm->mmu)
        mmu_free(vm->mmu);
    if (vm->cc)
        cc_free(vm->cc);
    loader_free(&m->image);
    free(m->bios.data);
    free(m->vgabios.data);
    for (unsigned i = 0; i < PC_SERIALS; i++)
        pthread_mutex_destroy(&m->input[i].lock);
    frame_fini(m);
    call_fini(m);
    brk_free(vm);
    free(m);
}

void machine_reset(struct machine *m)
{
    m->resets++;
    m->no_boot_at = 0;
    loader_reseed(&m->image);
    pc_reset(m->vm.pc);
    disks_reset(m);
    mon_reset_cpu(&m->vm.cpu);
    m->vm.nmi = 0;
}

void novt_vm_reset(struct novt_vm *vm)
{
    machine_reset(machine_of(vm));
}
