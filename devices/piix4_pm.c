/*
 * piix4_pm.c - the PIIX4 power management function (8086:7113): ACPI, APM and SMBus ports.
 *
 * What ACPI needs: PM1 event and control blocks and the PM timer at the base in config 40h (firmware
 * puts it at 600h), GPE0 at AFE0h, ACPI enable/disable through the APM control port B2h. SLP_TYP 0 is
 * soft-off, as the DSDT of SeaBIOS and QEMU has it. There is no SMM: the APMC enable bit reads as
 * already set, which makes firmware skip its SMM setup. The SMBus answers that nobody is there.
 *
 *     PM1_STS (+0, w1c), PM1_EN (+2):  0 timer  5 global  8 power button  10 RTC  15 wake
 *     PM1_CNT (+4): 0 SCI_EN  12-10 SLP_TYP  13 SLP_EN          PM_TMR (+8): 24 bits, 3.579545 MHz
 */
#include "devices/piix.h"

#include <string.h>

enum { PM_BASE = 0x40, DEVACTB3 = 0x5b, PM_REGMISC = 0x80, SMB_BASE = 0x90, SMB_HOSTCFG = 0xd2 };
enum { STS_TMR = 0x0001, STS_GBL = 0x0020, STS_PWRBTN = 0x0100, STS_RTC = 0x0400 };
enum { STS_SCI = STS_TMR | STS_GBL | STS_PWRBTN | STS_RTC };
enum { CNT_SCI_EN = 0x0001, CNT_SLP_EN = 0x2000, CNT_SLP_TYP_SHIFT = 10 };
enum { SLP_TYP_S5 = 0, SLP_TYP_S4 = 2 };
enum { APM_ACPI_ENABLE = 0xf1, APM_ACPI_DISABLE = 0xf0 };
enum { SMB_STS = 0, SMB_CNT = 2, SMB_STS_DEV_ERR = 0x04, SMB_STS_CLEAR = 0x1e, SMB_CNT_START = 0x40 };
#define PM_TIMER_HZ 3579545u
#define PM_TIMER_HALF 0x800000u /* TMR_STS is set whenever bit 23 toggles */

static u64 tick_now(struct piix4_pm *pm)
{
    return clk_muldiv(clk_now(pm->clk), PM_TIMER_HZ, CLK_SECOND_NS);
}

static void update_sci(struct piix4_pm *pm)
{
    irq_set(pm->sci, (pm->pm1_sts & pm->pm1_en & STS_SCI) || (pm->gpe_sts & pm->gpe_en));
    if ((pm->pm1_en & STS_TMR) && !(pm->pm1_sts & STS_TMR))
        clk_timer_set(pm->clk, &pm->timer, clk_muldiv(pm->overflow_tick, CLK_SECOND_NS, PM_TIMER_HZ) + 1);
    else
        clk_timer_cancel(pm->clk, &pm->timer);
}

/* Sets TMR_STS if the timer has passed the half since it was last cleared. */
static void sync_timer(struct piix4_pm *pm)
{
    if (tick_now(pm) >= pm->overflow_tick)
        pm->pm1_sts |= STS_TMR;
}

static void on_timer(void *opaque, u64 now)
{
    struct piix4_pm *pm = opaque;
    (void)now;
    sync_timer(pm);
    update_sci(pm);
}

static void write_sts(struct piix4_pm *pm, u16 val)
{
    sync_timer(pm);
    if (val & pm->pm1_sts & STS_TMR)
        pm->overflow_tick = (tick_now(pm) / PM_TIMER_HALF + 1) * PM_TIMER_HALF;
    pm->pm1_sts &= (u16)~val;
}

static void write_cnt(struct piix4_pm *pm, u16 val)
{
    unsigned type = val >> CNT_SLP_TYP_SHIFT & 7;
    pm->pm1_cnt = val & (u16)~CNT_SLP_EN;
    if ((val & CNT_SLP_EN) && (type == SLP_TYP_S5 || type == SLP_TYP_S4) && pm->poweroff)
        pm->poweroff(pm->opaque);
}

static u32 pm_read(void *opaque, u32 offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    u32 timer;
    switch (offset & ~1u) {
    case 0:
        sync_timer(pm);
        return (size == 4 ? (u32)pm->pm1_en << 16 | pm->pm1_sts : pm->pm1_sts) >> (8 * (offset & 1));
    case 2: return pm->pm1_en >> (8 * (offset & 1));
    case 4: return pm->pm1_cnt >> (8 * (offset & 1));
    case 8:
    case 10: timer = (u32)tick_now(pm) & 0xffffff; return timer >> (8 * (offset & 3));
    default: return 0;
    }
}

/* A byte written to a 16-bit register leaves the other byte as it is (0 for write-1-to-clear). */
static u16 merge(u16 old, u32 offset, unsigned size, u32 val)
{
    if (size >= 2)
        return (u16)val;
    return offset & 1 ? (u16)((old & 0x00ff) | val << 8) : (u16)((old & 0xff00) | val);
}

static void pm_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct piix4_pm *pm = opaque;
    switch (offset & ~1u) {
    case 0:
        write_sts(pm, merge(0, offset, size, val));
        if (size == 4)
            pm->pm1_en = (u16)(val >> 16);
        break;
    case 2: pm->pm1_en = merge(pm->pm1_en, offset, size, val); break;
    case 4: write_cnt(pm, merge(pm->pm1_cnt, offset, size, val)); break;
    default: break;
    }
    update_sci(pm);
}

static u32 gpe_read(void *opaque, u32 offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    (void)size;
    return ((u32)pm->gpe_en << 16 | pm->gpe_sts) >> (8 * (offset & 3));
}

static void gpe_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct piix4_pm *pm = opaque;
    if (offset < 2) {
        pm->gpe_sts &= (u16)~merge(0, offset, size, val);
        if (size == 4)
            pm->gpe_en = (u16)(val >> 16);
    } else {
        pm->gpe_en = merge(pm->gpe_en, offset, size, val);
    }
    update_sci(pm);
}

static u32 apm_read(void *opaque, u32 offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    (void)size;
    return offset ? pm->apm_status : pm->apm_control;
}

static void apm_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct piix4_pm *pm = opaque;
    (void)size;
    if (offset) {
        pm->apm_status = (u8)val;
        return;
    }
    pm->apm_control = (u8)val;
    if (val == APM_ACPI_ENABLE)
        pm->pm1_cnt |= CNT_SCI_EN;
    else if (val == APM_ACPI_DISABLE)
        pm->pm1_cnt &= (u16)~CNT_SCI_EN;
}

static u32 smb_read(void *opaque, u32 offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    (void)size;
    return pm->smb[offset & 15];
}

static void smb_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct piix4_pm *pm = opaque;
    (void)size;
    if (offset == SMB_STS) {
        pm->smb[SMB_STS] &= (u8) ~(val & SMB_STS_CLEAR);
        return;
    }
    pm->smb[offset & 15] = (u8)val;
    if (offset == SMB_CNT && (val & SMB_CNT_START)) {
        pm->smb[SMB_CNT] &= (u8)~SMB_CNT_START;
        pm->smb[SMB_STS] |= SMB_STS_DEV_ERR; /* no slave acknowledged */
    }
}

/* PCI hot plug at AE00h and CPU hot plug at AF00h, which the DSDT reads: nothing ever changes. */
static u32 hotplug_read(void *opaque, u32 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static u32 cpus_read(void *opaque, u32 offset, unsigned size)
{
    (void)opaque;
    (void)size;
    return offset == 0; /* a bitmap: CPU 0 */
}

static const struct bus_ops pm_ops = {.read = pm_read, .write = pm_write, .max_size = 4};
static const struct bus_ops gpe_ops = {.read = gpe_read, .write = gpe_write, .max_size = 4};
static const struct bus_ops apm_ops = {.read = apm_read, .write = apm_write};
static const struct bus_ops smb_ops = {.read = smb_read, .write = smb_write};
static const struct bus_ops hotplug_ops = {.read = hotplug_read, .max_size = 4};
static const struct bus_ops cpus_ops = {.read = cpus_read};

static void place(struct piix4_pm *pm, u32 *at, u32 want, u32 bytes, const struct bus_ops *ops)
{
    if (*at == want)
        return;
    if (*at)
        io_bus_unregister(pm->io, *at);
    *at = 0;
    if (want && !io_bus_register(pm->io, want, bytes, ops, pm))
        *at = want;
}

static void written(void *opaque, unsigned offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    (void)offset;
    (void)size;
    bool pm_on = pm->pci.config[PM_REGMISC] & 1, smb_on = pm->pci.config[SMB_HOSTCFG] & 1;
    place(pm, &pm->pm_base, pm_on ? pci_get16(&pm->pci, PM_BASE) & 0xffc0 : 0, 64, &pm_ops);
    place(pm, &pm->smb_base, smb_on ? pci_get16(&pm->pci, SMB_BASE) & 0xffc0 : 0, 16, &smb_ops);
}

int piix4_pm_init(struct piix4_pm *pm, struct pci_bus *pci, struct clk *clk, struct irq_line sci,
                  void (*poweroff)(void *opaque), void *opaque)
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x7113, .class = 0x0680, .revision = 3};
    memset(pm, 0, sizeof(*pm));
    pm->io = pci->io;
    pm->clk = clk;
    pm->sci = sci;
    pm->poweroff = poweroff;
    pm->opaque = opaque;
    clk_timer_init(&pm->timer, on_timer, pm);
    pci_dev_init(&pm->pci, &id);
    pci_set16(&pm->pci, PCI_STATUS, 0x0280);
    pm->pci.config[PCI_INT_PIN] = 1;
    pm->pci.config[PM_BASE] = 1;
    pm->pci.config[SMB_BASE] = 1;
    pm->pci.config[DEVACTB3] = 0x02; /* APMC_EN */
    pm->pci.config[0x5f] = 0x10;
    pm->pci.config[0x63] = 0x60;
    pm->pci.config[0x67] = 0x98; /* COM1 and COM2 are there */
    pm->pci.wmask[PM_BASE] = pm->pci.wmask[SMB_BASE] = 0xc0;
    pm->pci.wmask[PM_BASE + 2] = pm->pci.wmask[PM_BASE + 3] = 0;
    pm->pci.wmask[SMB_BASE + 2] = pm->pci.wmask[SMB_BASE + 3] = 0;
    pm->pci.written = written;
    pm->pci.opaque = pm;
    piix4_pm_reset(pm);
    const struct {
        u32 base, bytes;
        const struct bus_ops *ops;
    } fixed[] = {
        {0xb2, 2, &apm_ops}, {0xafe0, 4, &gpe_ops}, {0xae00, 20, &hotplug_ops}, {0xaf00, 32, &cpus_ops}};
    int err = pci_dev_plug(pci, &pm->pci, 1, 3);
    for (unsigned i = 0; !err && i < ARRAY_SIZE(fixed); i++)
        err = io_bus_register(pm->io, fixed[i].base, fixed[i].bytes, fixed[i].ops, pm);
    return err;
}

void piix4_pm_reset(struct piix4_pm *pm)
{
    pm->pm1_sts = pm->pm1_en = pm->pm1_cnt = 0;
    pm->gpe_sts = pm->gpe_en = 0;
    pm->apm_control = pm->apm_status = 0;
    memset(pm->smb, 0, sizeof(pm->smb));
    pm->overflow_tick = (tick_now(pm) / PM_TIMER_HALF + 1) * PM_TIMER_HALF;
    update_sci(pm);
}

void piix4_pm_power_button(struct piix4_pm *pm)
{
    pm->pm1_sts |= STS_PWRBTN;
    update_sci(pm);
}
