/*
 * cli_opt_absent.c - options of QEMU that NoVT does not have: refused by name, with the nearest that it has.
 *
 * Ignoring one would give a machine that is not the one asked for; "unknown option" would leave its user guessing. Whoever builds
 * one of these takes its row out here.
 */
#include "monitor/cli_opt.h"

#include <string.h>

struct absent {
    const char *name, *nearest;
};

static const struct absent absents[] = {
    {"bootp", "use -nic user,bootfile=FILE"},
    {"hdachs", "use -drive file=FILE,cyls=C,heads=H,secs=S"},
    {"kernel-kqemu", "there is no kqemu; leave it out"},
    {"no-kqemu", "there is no kqemu; leave it out"},
    {"enable-kqemu", "there is no kqemu; leave it out"},
    {"redir", "use -nic user,hostfwd=tcp::PORT-:PORT"},
    {"tftp", "use -nic user,tftp=DIR"},
    {"std-vga", "use -vga std"},
    {"cirrusvga", "use -vga std"},
    {"vmwarevga", "use -vga std"},
    {"vnc-tls", "listen on 127.0.0.1 or unix:PATH and use ssh"},
    {"acpitable", "the firmware's own ACPI tables cannot be added to; leave it out"},
    {"add-fd", "give fd:N where a socket is expected"},
    {"alt-grab", "the display has one key for it; leave it out"},
    {"balloon", "there is no balloon; choose RAM with -m"},
    {"bt", "there is no Bluetooth; leave it out"},
    {"chroot", "start novt in a sandbox of the host's, for example with bwrap"},
    {"clock", "there is one clock; leave it out"},
    {"compat", "leave it out"},
    {"cpu-throttle", "limit it from the host, for example with cpulimit"},
    {"ctrl-grab", "the display has one key for it; leave it out"},
    {"dtb", "a PC has no device tree; leave it out"},
    {"dump-vmstate", "there is no such format; leave it out"},
    {"enable-sync-profile", "perf and -perf-map show where time goes"},
    {"fsdev", "share files over the network, or with -drive file=fat:DIR where it exists"},
    {"fw_cfg", "the firmware's files cannot be added to; a Linux kernel takes -append"},
    {"g", "the guest chooses its graphics mode itself"},
    {"icount", "time is always virtual; leave it out"},
    {"incoming", "there is no migration; start the guest anew"},
    {"ipmi", "there is no IPMI; leave it out"},
    {"iscsi", "attach it on the host with iscsiadm and give its device file"},
    {"jitdump", "use -perf-map"},
    {"mem-path", "RAM is always a memory file; leave it out"},
    {"mem-prealloc", "RAM is filled when it is used; leave it out"},
    {"mtdblock", "use -hda FILE"},
    {"no-frame", "windows have frames; leave it out"},
    {"no-kvm", "there is no KVM; leave it out"},
    {"no-kvm-irqchip", "there is no KVM; leave it out"},
    {"no-kvm-pit", "there is no KVM; leave it out"},
    {"no-kvm-pit-reinjection", "there is no KVM; leave it out"},
    {"no-quit", "closing the window ends the machine; leave it out"},
    {"numa", "there is one node; leave it out"},
    {"old-param", "that is for ARM; leave it out"},
    {"only-migratable", "there is no migration; leave it out"},
    {"option-rom", "give the ROM to the card, or use -bios"},
    {"perfmap", "use -perf-map"},
    {"pflash", "use -bios FILE"},
    {"plugin", "traces are -d's: novt -d help"},
    {"preconfig", "use -S and the monitor"},
    {"prom-env", "that is for other machines; leave it out"},
    {"qtest", "there is no test protocol; use -qmp"},
    {"readconfig", "give the options on the command line"},
    {"run-with", "use the options -daemonize and -pidfile"},
    {"runas", "start novt as that user: it needs no root"},
    {"rotate", "the picture is as the guest draws it; leave it out"},
    {"sd", "there is no SD card reader; use -hda FILE"},
    {"sdl", "use -display sdl"},
    {"seed", "leave it out"},
    {"semihosting", "that is for other machines; use -device isa-debug-exit"},
    {"set", "give the property where the device is made"},
    {"show-cursor", "the display decides; leave it out"},
    {"singlestep", "use --stress one-insn"},
    {"one-insn-per-tb", "use --stress one-insn"},
    {"smb", "share files over the network, for example with a server behind -nic user"},
    {"spice", "use -vnc or -display"},
    {"startdate", "use -rtc base=DATE"},
    {"tb-size", "the code cache has one size"},
    {"tdf", "ticks are never lost; leave it out"},
    {"tpmdev", "there is no TPM; leave it out"},
    {"trace", "use -d: novt -d help lists what can be traced"},
    {"usb", "there is no USB; mouse and keyboard are PS/2"},
    {"usbdevice", "there is no USB; mouse and keyboard are PS/2"},
    {"virtfs", "share files over the network"},
    {"virtfs_synth", "leave it out"},
    {"virtioconsole", "use -serial"},
    {"watchdog", "there is no watchdog; --timeout ends a run"},
    {"watchdog-action", "there is no watchdog; --timeout ends a run"},
    {"win2k-hack", "leave it out: Windows 2000 needs no help here"},
    {"writeconfig", "keep the command line"},
    {"xen-attach", "there is no Xen; leave it out"},
    {"xen-domid", "there is no Xen; leave it out"},
};

int opt_absent(const char *name, size_t len, struct novt_error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(absents); i++)
        if (strlen(absents[i].name) == len && !strncmp(absents[i].name, name, len))
            return opt_usage(err, absents[i].nearest, "NoVT does not have -%s", absents[i].name);
    return 0;
}
