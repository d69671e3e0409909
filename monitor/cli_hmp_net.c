/*
 * cli_hmp_net.c - the monitors' words for network cards and their cables: set_link, hostfwd_add, hostfwd_remove, info network.
 *
 * A card is named as its options name it: by its netdev's id, its own id, or MODEL.N and netN as "info network" shows them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli_session.h"

int net_card_by_name(const struct cli_options *opt, const char *name)
{
    const struct novt_config *c = &opt->config;
    char text[64];

    for (unsigned i = 0; i < c->nics; i++) {
        const struct cli_nic *nic = &opt->net.nic[i];

        if ((nic->id[0] && !strcmp(name, nic->id)) || (nic->netdev[0] && !strcmp(name, nic->netdev)))
            return (int)i;
        snprintf(text, sizeof(text), "%s.%u", c->nic[i].model ? c->nic[i].model : "e1000", i);
        if (!strcmp(name, text))
            return (int)i;
        snprintf(text, sizeof(text), "net%u", i);
        if (!strcmp(name, text))
            return (int)i;
    }
    return -1;
}

/* As the command line made them. */
void hmp_info_network(struct hmp_args *a)
{
    const struct cli_options *opt = a->control->opt;

    for (unsigned i = 0; i < opt->config.nics; i++) {
        const struct novt_nic *n = &opt->config.nic[i];
        const struct cli_nic *nic = &opt->net.nic[i];
        const char *model = n->model ? n->model : "e1000";

        if (nic->id[0])
            text_printf(a->out, "%s: index=0,type=nic,model=%s", nic->id, model);
        else
            text_printf(a->out, "%s.%u: index=0,type=nic,model=%s", model, i, model);
        if (n->mac[0] | n->mac[1] | n->mac[2] | n->mac[3] | n->mac[4] | n->mac[5])
            text_printf(a->out, ",macaddr=%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2],
                        n->mac[3], n->mac[4], n->mac[5]);
        if (nic->netdev[0])
            text_printf(a->out, "\n \\ %s: %s\n", nic->netdev, n->net ? n->net : "not connected");
        else
            text_printf(a->out, "\n \\ net%u: %s\n", i, n->net ? n->net : "not connected");
    }
}

/* set_link NAME on|off */
void hmp_set_link(struct hmp_args *a)
{
    int n = net_card_by_name(a->control->opt, a->arg[0]);
    bool up = !strcmp(a->arg[1], "on");

    if (!up && strcmp(a->arg[1], "off"))
        text_puts(a->out, "Error: Parameter 'up' expects 'on' or 'off'\n");
    else if (n < 0 || novt_vm_set_link(a->vm, (unsigned)n, up))
        text_printf(a->out, "Error: Device '%.64s' not found\n", a->arg[0]);
}

/* hostfwd_add [NAME] RULE: without a name the first card. */
static void forward(struct hmp_args *a, bool add)
{
    const char *rule = a->arg[a->args > 1 ? 1 : 0];
    int n = a->args > 1 ? net_card_by_name(a->control->opt, a->arg[0]) : 0;
    struct novt_error err = {0};

    if (n < 0)
        text_printf(a->out, "unrecognized netdev id '%.64s'\n", a->arg[0]);
    else if (novt_vm_forward(a->vm, (unsigned)n, add, rule, &err))
        text_printf(a->out, "%s\n", err.cause);
    else if (!add)
        text_printf(a->out, "host forwarding rule for %.100s removed\n", rule);
}

void hmp_hostfwd_add(struct hmp_args *a)
{
    forward(a, true);
}

void hmp_hostfwd_remove(struct hmp_args *a)
{
    forward(a, false);
}
