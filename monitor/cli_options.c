/*
 * cli_options.c - the command line, in QEMU's spelling where QEMU has the option.
 *
 * One table row an option; "-name" and "--name" are the same. Whatever is not known is refused by name with
 * one line of cause and one of remedy: a misspelt option must not become a machine that is not the one asked for.
 * The functions of the rows are in cli_opt_*.c by theme.
 */
#include "monitor/cli_gdb.h"
#include "monitor/cli_opt.h"

#include <stdio.h>
#include <string.h>

static int opt_help(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    cli_help();
    opt->command = CLI_DONE;
    return 0;
}

enum arity { ARG_NONE, ARG_NEEDED, ARG_EQUALS /* only as --name=value */ };

struct option_row {
    const char *name;
    enum arity arity;
    opt_fn *fn;
    const char *help; /* NULL: an alias or a no-op, not listed */
};

static const struct option_row option_rows[] = {
    {"M", ARG_NEEDED, opt_machine, "-M pc[,hpet=on]|help    machine; with an HPET"},
    {"machine", ARG_NEEDED, opt_machine, NULL},
    {"m", ARG_NEEDED, opt_memory,
     "-m N[K|M|G]             RAM, MiB without a letter (default 128M, at most 3072M)"},
    {"cpu", ARG_NEEDED, opt_cpu,
     "-cpu MODEL[,-apic]|help 486 pentium pentium2 pentium3 pentium4 max (default max); -apic: without APICs"},
    {"kernel", ARG_NEEDED, opt_kernel, "-kernel FILE            Linux bzImage or multiboot-1 kernel"},
    {"initrd", ARG_NEEDED, opt_initrd,
     "-initrd FILE            initramfs; for multiboot: FILE ARGS,FILE ARGS,..."},
    {"append", ARG_NEEDED, opt_append, "-append TEXT            kernel command line"},
    {"bios", ARG_NEEDED, opt_bios, "-bios FILE              BIOS image (default bios-256k.bin of SeaBIOS)"},
    {"L", ARG_NEEDED, opt_firmware_dir, "-L DIR                  look for firmware here first"},
    {"hda", ARG_NEEDED, opt_hda, "-hda FILE ... -hdd FILE IDE disks; -cdrom FILE; -fda FILE, -fdb FILE floppies"},
    {"hdb", ARG_NEEDED, opt_hdb, NULL},
    {"hdc", ARG_NEEDED, opt_hdc, NULL},
    {"hdd", ARG_NEEDED, opt_hdd, NULL},
    {"cdrom", ARG_NEEDED, opt_cdrom, NULL},
    {"fda", ARG_NEEDED, opt_fda, NULL},
    {"fdb", ARG_NEEDED, opt_fdb, NULL},
    {"drive", ARG_NEEDED, opt_drive,
     "-drive KEY=VALUE,...    file=FILE|fat:[rw:]DIR if=ide|floppy|virtio|none index= bus= unit= media=disk|cdrom format=raw|qcow2|vmdk|vdi|...\n"
     "                          snapshot= readonly= cache=writeback|writethrough|none|directsync|unsafe id= serial= cyls=\n"
     "                          discard=unmap|ignore werror=report|stop|enospc|ignore rerror=report|stop|ignore"},
    {"blockdev", ARG_NEEDED, opt_blockdev,
     "-blockdev KEY=VALUE,... driver=raw|qcow2|file node-name= filename= file= file.driver= file.filename= read-only="},
    {"snapshot", ARG_NONE, opt_snapshot, "-snapshot               writes go to temporary files, images stay as they are"},
    {"boot", ARG_NEEDED, opt_boot,
     "-boot [order=]LETTERS   a b floppy, c disk, d CD-ROM; once=LETTERS menu=on|off splash-time=MS strict=on|off\n"
     "                          reboot-timeout=MS"},
    {"serial", ARG_NEEDED, opt_serial,
     "-serial DEV             COM1, then COM2-4: stdio mon:stdio file:PATH pty unix:PATH tcp:HOST:PORT pipe:PATH\n"
     "                            /dev/TTY null none chardev:ID"},
    {"nographic", ARG_NONE, opt_nographic,
     "-nographic              serial line and BIOS screen on the terminal (default)"},
    {"display", ARG_NEEDED, opt_display,
     "-display KIND           none, curses (in this terminal), sdl[,full-screen=on], vnc=HOST:N"},
    {"curses", ARG_NONE, opt_curses, NULL},
    {"vnc", ARG_NEEDED, opt_vnc, "-vnc HOST:N|unix:PATH   VNC server, port 5900 + N; besides another display; ,password=on: set_password in a monitor gives it"},
    {"object", ARG_NEEDED, opt_object,
     "-object secret,id=ID,file=PATH|data=TEXT  a password for -vnc ...,password-secret=ID\n"
     "-object filter-dump,netdev=ID,file=PATH   what goes over that cable, as pcap"},
    {"full-screen", ARG_NONE, opt_full_screen, NULL},
    {"k", ARG_NEEDED, opt_keymap, NULL},
    {"vga", ARG_NEEDED, opt_vga, "-vga std|none           VGA card"},
    {"no-reboot", ARG_NONE, opt_no_reboot, "-no-reboot              end instead of restarting the machine"},
    {"device", ARG_NEEDED, opt_device, "-device DEV,...|help    ide-hd ide-cd floppy virtio-blk-pci (drive=ID,bus=,unit=,bootindex=), isa-serial, isa-debug-exit, ..."},
    {"chardev", ARG_NEEDED, opt_chardev,
     "-chardev KIND,id=ID     stdio, file,path=F[,append=on], pty, pipe,path=P, serial,path=/dev/TTY, null\n"
     "                            socket,path=P|host=H,port=N[,server=on|off][,wait=on|off]"},
    {"debugcon", ARG_NEEDED, opt_debugcon, "-debugcon DEV           port E9h: stdio file:PATH ..."},
    {"d", ARG_NEEDED, opt_trace, "-d ITEM,...|help        trace: in_asm out_asm exec int mmu io exit link"},
    {"dfilter", ARG_NEEDED, opt_dfilter,
     "-dfilter RANGE          trace these linear addresses: A..B, A+LEN, B-LEN"},
    {"D", ARG_NEEDED, opt_trace_file, "-D FILE                 trace to a file instead of stderr"},
    {"loadvm", ARG_NEEDED, opt_loadvm, "-loadvm FILE            start from a state that the monitor's savevm made"},
    {"gdb", ARG_NEEDED, opt_gdb, "-gdb DEV                gdb connects here: tcp::PORT (loopback) tcp:HOST:PORT unix:PATH stdio"},
    {"s", ARG_NONE, opt_gdb_short, "-s                      the same as -gdb tcp::1234"},
    {"S", ARG_NONE, opt_start_paused, "-S                      do not start: wait for a debugger or the monitor"},
    {"timeout", ARG_NEEDED, opt_timeout, "--timeout SECONDS       end with code 124 after this time"},
    {"dump-screen", ARG_NEEDED, opt_dump_screen,
     "--dump-screen FILE      at the end write the screen: pixels to FILE.png or .ppm, else text, UTF-8"},
    {"stats", ARG_EQUALS, opt_stats, "--stats[=json]          counters on stderr at the end"},
    {"engine", ARG_NEEDED, opt_engine, "-engine auto|bt|direct  how guest code runs"},
    {"stress", ARG_NEEDED, opt_stress,
     "--stress ITEM,...|help  force rare paths: tiny-cache one-insn no-chain slow-mem fail-alloc verify"},
    {"perf-map", ARG_NONE, opt_perf_map, "-perf-map               names of translated code for perf"},
    {"smp", ARG_NEEDED, opt_smp, NULL},
    {"nic", ARG_NEEDED, opt_nic,
     "-nic TYPE[,model=CARD][,mac=MAC][,...]  card and network in one; TYPE: user tap socket none (default: user, e1000)\n"
     "                            user: hostfwd=tcp|udp:[ADDR]:PORT-[ADDR]:PORT net= host= dns= dhcpstart= hostname=\n"
     "                                  restrict=on tftp=DIR bootfile= ipv6=on\n"
     "                            tap: ifname= fd=    socket: listen= connect= mcast= udp=,localaddr=\n"
     "                            CARD: ne2k_isa ne2k_pci rtl8139 e1000 virtio-net-pci, or help"},
    {"netdev", ARG_NEEDED, opt_netdev, "-netdev TYPE,id=ID[,...]  the network alone, for -device CARD,netdev=ID[,mac=MAC][,addr=SLOT]"},
    {"net", ARG_NEEDED, opt_net, "-net nic[,model=CARD]|TYPE|none  the same in the old spelling"},
    {"monitor", ARG_NEEDED, opt_monitor,
     "-monitor DEV            commands (HMP): stdio unix:PATH,server,nowait tcp:HOST:PORT,... none"},
    {"qmp", ARG_NEEDED, opt_qmp, "-qmp DEV                commands for programs (QMP), on the same places"},
    {"qmp-pretty", ARG_NEEDED, opt_qmp_pretty, NULL},
    {"mon", ARG_NEEDED, opt_mon, "-mon ID[,mode=control]  a monitor on a -chardev"},
    {"no-shutdown", ARG_NONE, opt_no_shutdown, "-no-shutdown            power-off pauses instead of ending"},
    {"action", ARG_NEEDED, opt_action,
     "-action EVENT=ACTION    reboot=reset|shutdown, shutdown=poweroff|pause"},
    {"rtc", ARG_NEEDED, opt_rtc,
     "-rtc base=BASE          clock: utc, localtime or a date like 2006-06-17T16:01:21"},
    {"name", ARG_NEEDED, opt_name, "-name NAME              of the guest, for monitors and windows"},
    {"uuid", ARG_NEEDED, opt_uuid, "-uuid UUID              of the machine"},
    {"smbios", ARG_NEEDED, opt_smbios, "-smbios type=N,KEY=TEXT,... what the machine says of its maker: type=1,manufacturer=,product=,version=,serial=; 0 2 3 4 17"},
    {"pidfile", ARG_NEEDED, opt_pidfile, "-pidfile FILE           write the process id there"},
    {"daemonize", ARG_NONE, opt_daemonize,
     "-daemonize              go to the background once everything is open"},
    {"nodefaults", ARG_NONE, opt_nodefaults,
     "-nodefaults             no serial line, VGA card or monitor but those asked for"},
    {"parallel", ARG_NEEDED, opt_parallel, "-parallel DEV           LPT1: file:PATH none ..."},
    {"echr", ARG_NEEDED, opt_echr, "-echr CODE              another key than Ctrl-A (1) for commands on a serial line"},
    {"audiodev", ARG_NEEDED, opt_audiodev,
     "-audiodev KIND,id=ID    sound: wav,path=FILE sdl none; -M pcspk-audiodev=ID lets the PC speaker play there"},
    {"audio", ARG_NEEDED, opt_audio, NULL},
    {"soundhw", ARG_NEEDED, opt_soundhw, NULL},
    {"global", ARG_NEEDED, opt_global, NULL},
    {"accel", ARG_NEEDED, opt_accel, NULL},
    {"enable-kvm", ARG_NONE, opt_enable_kvm, NULL},
    {"no-fd-bootchk", ARG_NONE, opt_no_fd_bootchk, "-no-fd-bootchk          a floppy boots without a boot signature, too"},
    {"no-acpi", ARG_NONE, opt_no_acpi, "-no-acpi                no ACPI tables and no power management chip (-M acpi=off)"},
    {"localtime", ARG_NONE, opt_localtime, NULL},
    {"overcommit", ARG_NEEDED, opt_overcommit, NULL},
    {"msg", ARG_NEEDED, opt_msg, NULL},
    {"sandbox", ARG_NEEDED, opt_sandbox, NULL},
    {"no-hpet", ARG_NONE, opt_nothing, NULL},
    {"no-user-config", ARG_NONE, opt_nothing, NULL},
    {"nodefconfig", ARG_NONE, opt_nothing, NULL},
    {"help", ARG_NONE, opt_help, "--help, --version"},
    {"h", ARG_NONE, opt_help, NULL},
    {"version", ARG_NONE, opt_version, NULL},
};

void cli_help(void)
{
    puts("novt [run] OPTIONS    runs a PC\n"
         "novt doctor           says what NoVT needs of this host and lacks\n");
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
        if (option_rows[i].help)
            printf("  %s\n", option_rows[i].help);
    puts("\nOn a terminal: Ctrl-A X quits, Ctrl-A C switches to the monitor and back, Ctrl-A H helps.\n"
         "Exit codes: 0 powered off, 2 usage, 3 host resource, 4 bad image, 5 nothing bootable, 6 triple "
         "fault,\n"
         "7 guest dead, 70 bug in novt, 124 timeout; isa-debug-exit: (value << 1) | 1.");
}

static const struct option_row *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
        if (strlen(option_rows[i].name) == len && !strncmp(option_rows[i].name, name, len))
            return &option_rows[i];
    return NULL;
}

static int parse_options(struct cli_options *opt, int argc, char **argv, struct novt_error *err)
{
    for (int i = 0; i < argc && opt->command == CLI_RUN; i++) {
        const char *name = argv[i], *value = NULL;
        const struct option_row *row;
        size_t len;
        int rc;

        if (!strcmp(name, "-") || !name[0])
            return opt_usage(err, "novt --help lists the options", "unexpected argument \"%s\"", name);
        if (name[0] != '-') { /* a disk image, as QEMU takes it */
            rc = opt_hda(opt, name, err);
            if (rc)
                return rc;
            continue;
        }
        name += name[1] == '-' ? 2 : 1;
        len = strcspn(name, "=");
        row = find_option(name, len);
        if (!row && (rc = opt_absent(name, len, err)))
            return rc;
        if (!row)
            return opt_usage(err, "novt --help lists the options", "unknown option \"%.*s\"",
                             (int)strcspn(argv[i], "="), argv[i]);
        if (name[len] == '=')
            value = name + len + 1;
        if (row->arity == ARG_NONE && value)
            return opt_usage(err, "leave the value out", "%s takes no value", argv[i]);
        if (row->arity == ARG_NEEDED && !value) {
            if (i + 1 == argc)
                return opt_usage(err, "novt --help lists the options", "%s needs a value", argv[i]);
            value = argv[++i];
        }
        rc = row->fn(opt, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

int cli_parse(struct cli_options *opt, int argc, char **argv, struct novt_error *err)
{
    int first = 1, rc;

    memset(opt, 0, sizeof(*opt));
    memset(err, 0, sizeof(*err));
    if (argc > 1 && !strcmp(argv[1], "doctor")) {
        opt->command = CLI_DOCTOR;
        return argc == 2
                   ? 0
                   : opt_usage(err, "run novt doctor alone", "doctor: unexpected argument \"%s\"", argv[2]);
    }
    if (argc > 1 && !strcmp(argv[1], "run"))
        first = 2;
    rc = parse_options(opt, argc - first, argv + first, err);
    if (!rc && opt->command == CLI_RUN)
        rc = drive_finish(opt, err);
    if (rc || opt->command != CLI_RUN)
        return rc;
    rc = chardev_finish(opt, err);
    if (!rc)
        rc = cli_audio_finish(opt, err);
    if (!rc)
        rc = cli_display_defaults(opt, err);
    if (rc)
        return rc;
    /* QEMU's default: a screen and no serial line on the terminal. Here there is no screen, so -nographic is the default. Whoever says
     * -serial expects what the guest writes there, without the firmware's screen between. */
    opt->config.serial_console = !opt->config.kernel && (opt->nographic || !opt->serials) && !opt->display_none;
    if (!opt->serials && !opt->display_none && !opt->control.nodefaults)
        opt->serial[opt->serials++] = control_has_stdio(opt) || gdb_spec_is_stdio(opt->gdb) ? "null" : "mon:stdio";
    rc = cli_net_finish(opt, !opt->control.nodefaults, err);
    return rc ? rc : control_check(opt, err);
}
