/*
 * cli_opt.h - what the files of the options share: the pieces values are made of, and the functions that table rows name.
 *
 * An option is a function in the file of its theme (cli_opt_*.c, or the file of what it sets up) and a row in cli_options.c.
 * It returns 0, or an exit code with *err filled. Strings of the command line live as long as the program.
 */
#ifndef NOVT_CLI_OPT_H
#define NOVT_CLI_OPT_H

#include "monitor/cli.h"

struct opt_name {
    const char *name;
    u32 value;
};

/* Fills *err and returns EXIT_USAGE. */
int opt_usage(struct novt_error *err, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "a,b,c" by table into a mask; "help" lists. */
int opt_list(const char *option, const char *arg, const struct opt_name *table, size_t n, u32 *mask,
             struct cli_options *opt, struct novt_error *err) MUST_CHECK;
/* A number to the end of `text`, or with `end` as far as it goes; false otherwise. */
bool opt_number(const char *text, u64 max, char **end, u64 *out);
/* "key=value" of a comma list: copies the value and cuts the pair out of the list. */
bool opt_take_key(char *list, const char *key, char *value, size_t bytes);
/* A port number behind `key`, if it is there. */
int opt_port(const char *device, char *list, const char *key, u16 *port, struct novt_error *err) MUST_CHECK;
/* Options of QEMU that ask for what is so anyway: one value is right, any other is refused. */
int opt_only(const char *option, const char *right, const char *arg, struct novt_error *err) MUST_CHECK;

/* What a table row calls. arg is NULL for an option without a value. */
typedef int opt_fn(struct cli_options *opt, const char *arg, struct novt_error *err);

/* cli_opt_machine.c */
opt_fn opt_machine, opt_memory, opt_kernel, opt_initrd, opt_append, opt_bios, opt_firmware_dir, opt_cpu,
    opt_smp, opt_no_reboot, opt_engine, opt_vga, opt_global,
    opt_no_fd_bootchk;
/* cli_net.c */
opt_fn opt_nic, opt_netdev, opt_net;
/* cli_opt_device.c */
opt_fn opt_device, opt_nographic;
/* cli_opt_chardev.c */
opt_fn opt_serial, opt_parallel, opt_chardev, opt_debugcon;
/* -device NAME with its list, from which they take their keys. */
int chardev_debugcon(struct cli_options *opt, char *list, struct novt_error *err) MUST_CHECK;
int chardev_isa_serial(struct cli_options *opt, char *list, struct novt_error *err) MUST_CHECK;
int chardev_isa_parallel(struct cli_options *opt, char *list, struct novt_error *err) MUST_CHECK;
int chardev_finish(struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* all options were read */
/* cli_drive.c, cli_blockdev.c */
opt_fn opt_drive, opt_hda, opt_hdb, opt_hdc, opt_hdd, opt_cdrom, opt_fda, opt_fdb, opt_snapshot, opt_boot,
    opt_blockdev;
/* cli_display.c */
opt_fn opt_display, opt_curses, opt_vnc, opt_full_screen, opt_keymap;
/* cli_vnc.c */
opt_fn opt_object;
int cli_vnc_secret(struct cli_options *opt, struct novt_error *err) MUST_CHECK; /* all options were read */
/* cli_opt_debug.c */
opt_fn opt_trace, opt_dfilter, opt_trace_file, opt_dump_screen, opt_timeout, opt_stats, opt_stress,
    opt_perf_map, opt_version;
/* cli_opt_control.c */
opt_fn opt_monitor, opt_qmp, opt_qmp_pretty, opt_mon, opt_no_shutdown, opt_action, opt_pidfile, opt_daemonize,
    opt_rtc, opt_name, opt_uuid, opt_smbios, opt_accel, opt_enable_kvm, opt_nodefaults, opt_echr;
/* cli_audio.c */
opt_fn opt_audiodev, opt_audio, opt_soundhw;
/* cli_opt_absent.c: EXIT_USAGE with the nearest in *err if QEMU has the option and NoVT does not; else 0. */
int opt_absent(const char *name, size_t len, struct novt_error *err) MUST_CHECK;
/* Does a monitor sit on the terminal itself? */
bool control_has_stdio(const struct cli_options *opt);
/* What options mean together, and what cannot be together. 0, or EXIT_USAGE with *err. */
int control_check(struct cli_options *opt, struct novt_error *err) MUST_CHECK;
/* An option that asks for what is so anyway. */
opt_fn opt_nothing;

/* cli_snap.c */
opt_fn opt_loadvm;
/* cli_gdb.c */
opt_fn opt_gdb, opt_gdb_short, opt_start_paused;

/* cli_opt_compat.c */
opt_fn opt_no_acpi, opt_localtime, opt_overcommit, opt_msg, opt_sandbox;

#endif
