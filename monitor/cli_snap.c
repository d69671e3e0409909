/*
 * cli_snap.c - the machine in a file: -loadvm, and the monitor's savevm and loadvm.
 *
 * NAME is a file's name. QEMU keeps such states inside qcow2 images; here the disks stay as they are, and a state loads with
 * the disks as they were when it was saved.
 */
#include "monitor/cli_opt.h"
#include "monitor/cli_session.h"

int opt_loadvm(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!arg[0])
        return opt_usage(err, "give the file that savevm made", "-loadvm needs a file's name");
    opt->loadvm = arg;
    return 0;
}

static void answer(struct hmp_args *a, int rc, const struct novt_error *err)
{
    if (!rc)
        return;
    text_printf(a->out, "Error: %s\n", err->cause);
    if (err->remedy[0])
        text_printf(a->out, "%s\n", err->remedy);
}

void hmp_savevm(struct hmp_args *a)
{
    struct novt_error err = {0};

    answer(a, novt_vm_save(a->vm, a->arg[0], &err), &err);
}

void hmp_loadvm(struct hmp_args *a)
{
    struct novt_error err = {0};

    answer(a, novt_vm_load(a->vm, a->arg[0], &err), &err);
}
