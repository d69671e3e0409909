/*
 * cli_opt_device.c - -device: which file reads it, and devices of QEMU's that are not there, with what comes nearest.
 *
 * A device that does not exist is refused by name. To leave it out would give the guest another machine than the one asked for; to say
 * "unknown" would leave its user guessing.
 */
#include "monitor/cli_drive_opt.h"
#include "monitor/cli_opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes nearest to devices that are not there; a * ends a beginning of names. Sound cards are cli_audio.c's, disks cli_blockdev.c's.
 * */
static const char *const absent[][2] = {
    {"usb-*", "there is no USB; mouse and keyboard are PS/2, disks are ide-hd or virtio-blk-pci"},
    {"piix3-usb-uhci", "there is no USB; mouse and keyboard are PS/2"},
    {"piix4-usb-uhci", "there is no USB; mouse and keyboard are PS/2"},
    {"ich9-usb-*", "there is no USB; mouse and keyboard are PS/2"},
    {"nec-usb-xhci", "there is no USB; mouse and keyboard are PS/2"},
    {"qemu-xhci", "there is no USB; mouse and keyboard are PS/2"},
    {"pci-ohci", "there is no USB; mouse and keyboard are PS/2"},
    {"ich9-ehci", "there is no USB; mouse and keyboard are PS/2"},
    {"virtio-keyboard*", "leave it out: the keyboard is PS/2"},
    {"virtio-mouse*", "leave it out: the mouse is PS/2"},
    {"virtio-tablet*", "leave it out: the mouse is PS/2"},
    {"virtio-input*", "leave it out: mouse and keyboard are PS/2"},
    {"cirrus-vga", "use -vga std"},
    {"isa-cirrus-vga", "use -vga std"},
    {"isa-vga", "use -vga std"},
    {"secondary-vga", "there is one screen: use -vga std"},
    {"bochs-display", "use -vga std, which has the same registers"},
    {"ramfb", "use -vga std"},
    {"virtio-vga*", "use -vga std"},
    {"virtio-gpu*", "use -vga std"},
    {"vmware-svga", "use -vga std"},
    {"qxl*", "use -vga std"},
    {"ati-vga", "use -vga std"},
    {"virtio-serial*", "use -serial or -device isa-serial"},
    {"virtconsole", "use -serial or -device isa-serial"},
    {"virtserialport", "use -serial or -device isa-serial"},
    {"pci-serial*", "use -serial or -device isa-serial"},
    {"virtio-rng*", "leave it out: guests gather entropy themselves"},
    {"virtio-balloon*", "leave it out, and choose RAM with -m"},
    {"virtio-9p*", "share files over the network"},
    {"vhost-user-fs*", "share files over the network"},
    {"vhost-*", "use -nic or -device virtio-net-pci"},
    {"virtio-scsi*", "use virtio-blk-pci, ide-hd or ide-cd"},
    {"virtio-mem*", "choose RAM with -m"},
    {"virtio-pmem*", "use virtio-blk-pci"},
    {"virtio-crypto*", "leave it out"},
    {"virtio-iommu*", "leave it out: there is no IOMMU"},
    {"intel-iommu", "leave it out: there is no IOMMU"},
    {"amd-iommu", "leave it out: there is no IOMMU"},
    {"pcnet", "use e1000, rtl8139, ne2k_pci or virtio-net-pci"},
    {"i825*", "use e1000, rtl8139, ne2k_pci or virtio-net-pci"},
    {"e1000e", "use e1000"},
    {"igb", "use e1000"},
    {"tulip", "use rtl8139 or e1000"},
    {"vmxnet3", "use virtio-net-pci or e1000"},
    {"i6300esb", "leave it out; --timeout ends a run"},
    {"ib700", "leave it out; --timeout ends a run"},
    {"pvpanic*", "leave it out"},
    {"vmgenid", "leave it out"},
    {"vmcoreinfo", "leave it out"},
    {"tpm-*", "leave it out: there is no TPM"},
    {"ipmi-*", "leave it out: there is no IPMI"},
    {"isa-ipmi-*", "leave it out: there is no IPMI"},
    {"pci-bridge*", "leave it out: all devices are on the one PCI bus"},
    {"i82801b11-bridge", "leave it out: all devices are on the one PCI bus"},
    {"pcie-*", "leave it out: the bus is PCI"},
    {"ioh3420", "leave it out: the bus is PCI"},
    {"pxb*", "leave it out: all devices are on the one PCI bus"},
    {"vfio-pci*", "host devices cannot be given to the guest"},
    {"ivshmem*", "use a network card"},
    {"sga", "leave it out: without a display the BIOS's screen is on COM1"},
    {"loader", "use -kernel or -bios"},
    {"guest-loader", "use -kernel"},
    {"pc-testdev", "use isa-debug-exit and isa-debugcon"},
    {"pci-testdev", "leave it out"},
    {"edu", "leave it out"},
    {"pc-dimm", "choose RAM with -m"},
    {"nvdimm", "use virtio-blk-pci"},
    {"smbus-eeprom", "leave it out"},
    {"kvm-*", "leave it out: there is no KVM"},
    {"hyperv-*", "leave it out"},
    {"cfi.pflash01", "use -bios FILE"},
};

static const char *nearest_to(const char *name)
{
    const char *nearest;

    if (cli_audio_is_card(name, &nearest))
        return nearest;
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        size_t len = strlen(absent[i][0]);

        if (absent[i][0][len - 1] == '*' ? !strncmp(name, absent[i][0], len - 1)
                                         : !strcmp(name, absent[i][0]))
            return absent[i][1];
    }
    return NULL;
}

static int debug_exit(struct cli_options *opt, char *list, struct novt_error *err)
{
    struct novt_config *c = &opt->config;
    int rc;

    c->debug_exit_iobase = 0x501;
    rc = opt_port("isa-debug-exit", list, "iobase", &c->debug_exit_iobase, err);
    return rc ? rc : opt_port("isa-debug-exit", list, "iosize", &c->debug_exit_iosize, err);
}

/* The card that -vga std is, where it is; what it has more than 16 MiB of, or elsewhere, there is not. */
static int vga(struct cli_options *opt, char *list, struct novt_error *err)
{
    char value[32];

    if (opt_take_key(list, "vgamem_mb", value, sizeof(value)) && strcmp(value, "16"))
        return opt_usage(err, "leave it out: the card has 16 MiB", "-device VGA: cannot do vgamem_mb=%s",
                         value);
    if (opt_take_key(list, "addr", value, sizeof(value)) && strtoul(value, NULL, 16) != 2)
        return opt_usage(err, "leave it out: the card is in slot 2", "-device VGA: cannot do addr=%s", value);
    if (opt_take_key(list, "bus", value, sizeof(value)) && strcmp(value, "pci.0"))
        return opt_usage(err, "use bus=pci.0", "-device VGA: there is no bus \"%s\"", value);
    return opt_vga(opt, "std", err);
}

static void list_devices(void)
{
    puts("isa-debug-exit,iobase=PORT,iosize=BYTES\nisa-debugcon,iobase=PORT,chardev=ID\n"
         "isa-serial,chardev=ID,index=0...3\nisa-parallel,chardev=ID\nVGA\n"
         "ide-hd,drive=ID,bus=ide.0|ide.1,unit=0|1,bootindex=N,serial=TEXT,model=TEXT,write-cache=on|off\n"
         "ide-cd,drive=ID,bus=,unit=,bootindex=N\n"
         "floppy,drive=ID,unit=0|1,drive-type=120|144|288|auto,bootindex=N\n"
         "isa-fdc,driveA=ID,driveB=ID,fdtypeA=TYPE,fdtypeB=TYPE,bootindexA=N,bootindexB=N\n"
         "virtio-blk-pci,drive=ID,addr=SLOT,bootindex=N,serial=TEXT,write-cache=on|off");
    cli_net_help_devices();
}

int opt_device(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char name[64], list[512], id[64];
    const char *comma, *nearest;
    int rc;

    arg = cli_json_value(opt, "-device", "driver", arg, err);
    if (!arg)
        return EXIT_USAGE;
    comma = strchr(arg, ',');
    if (drive_is_device(arg))
        return drive_device(opt, arg, err);
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, ","), arg);
    if (snprintf(list, sizeof(list), "%s", comma ? comma + 1 : "") >= (int)sizeof(list))
        return opt_usage(err, "choose shorter names", "-device %s: the value is too long", name);
    if (!strcmp(name, "help")) {
        list_devices();
        opt->command = CLI_DONE;
        return 0;
    }
    nearest = nearest_to(name);
    if (nearest)
        return opt_usage(err, nearest, "-device: NoVT does not have \"%s\"", name);
    if (cli_net_is_device(name)) {
        rc = cli_net_device(opt, name, list, err);
    } else {
        opt_take_key(list, "id", id, sizeof(id)); /* nothing asks for these by name */
        if (!strcmp(name, "isa-debug-exit"))
            rc = debug_exit(opt, list, err);
        else if (!strcmp(name, "isa-debugcon"))
            rc = chardev_debugcon(opt, list, err);
        else if (!strcmp(name, "isa-serial"))
            rc = chardev_isa_serial(opt, list, err);
        else if (!strcmp(name, "isa-parallel"))
            rc = chardev_isa_parallel(opt, list, err);
        else if (!strcmp(name, "VGA"))
            rc = vga(opt, list, err);
        else
            return opt_usage(err, "-device help lists what there is", "-device: unknown device \"%s\"", name);
    }
    if (!rc && list[0])
        return opt_usage(err, "-device help lists the properties", "-device %s: unknown property \"%s\"",
                         name, list);
    return rc;
}

int opt_nographic(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->nographic = true;
    return 0;
}
