/*
 * cli_net.c - the network's options: -nic, -netdev with -device, -net.
 *
 * What is between a back end's commas is passed on as it is: net/ knows its options. Here cards and back ends are only
 * put together, after the last option, because a -device may come before its -netdev.
 */
#include "monitor/cli_drive_opt.h"
#include "monitor/cli_opt.h"
#include "monitor/cli_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names of a card, the library's first. */
static const struct {
    const char *name, *model;
} cards[] = {
    {"e1000", "e1000"},       {"e1000-82540em", "e1000"}, {"ne2k_pci", "ne2k_pci"},
    {"ne2k_isa", "ne2k_isa"}, {"rtl8139", "rtl8139"}, {"virtio-net-pci", "virtio-net-pci"}, {"virtio", "virtio-net-pci"},
    {"virtio-net", "virtio-net-pci"}, {"virtio-net-pci-transitional", "virtio-net-pci"},
};

static const char cards_remedy[] = "use e1000, virtio-net-pci, rtl8139, ne2k_pci or ne2k_isa";

static const char *find_card(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(cards); i++)
        if (!strcmp(cards[i].name, name))
            return cards[i].model;
    return NULL;
}

bool cli_net_is_device(const char *name)
{
    return find_card(name) != NULL;
}

void cli_net_help_devices(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cards); i++)
        if (!strcmp(cards[i].name, cards[i].model))
            printf("%s,netdev=ID,mac=MAC%s\n", cards[i].name, strstr(cards[i].name, "isa") ? ",iobase=PORT,irq=N" : ",addr=SLOT");
}

static int parse_mac(const char *option, const char *text, u8 *mac, struct novt_error *err)
{
    unsigned b[6];
    char rest;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 6 &&
        sscanf(text, "%2x-%2x-%2x-%2x-%2x-%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 6)
        return opt_usage(err, "for example mac=52:54:00:12:34:56", "%s: bad address \"%s\"", option, text);
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (u8)b[i];
    return 0;
}

/* "SLOT" or "SLOT.0", hexadecimal as in QEMU. */
static int parse_slot(const char *option, const char *text, u8 *slot, struct novt_error *err)
{
    char *end;
    unsigned long n = strtoul(text, &end, 16);

    if (end == text || (*end && strcmp(end, ".0")) || n < 1 || n > 31)
        return opt_usage(err, "give a slot from 3 to 1f", "%s: bad addr \"%s\"", option, text);
    *slot = (u8)n;
    return 0;
}

static int set_model(struct cli_options *opt, struct cli_nic *nic, const char *option, const char *name, struct novt_error *err)
{
    const char *model = find_card(name);

    if (!strcmp(name, "help")) {
        for (size_t i = 0; i < ARRAY_SIZE(cards); i++)
            puts(cards[i].name);
        opt->command = CLI_DONE;
        return 0;
    }
    if (!model)
        return opt_usage(err, cards_remedy, "%s: there is no network card \"%s\"", option, name);
    snprintf(nic->model, sizeof(nic->model), "%s", model);
    return 0;
}

static struct cli_nic *new_nic(struct cli_options *opt, const char *option, struct novt_error *err)
{
    struct cli_net *net = &opt->net;

    net->given = true;
    if (net->nics == NOVT_NICS) {
        opt_usage(err, "give fewer", "%s: more than %d network cards", option, NOVT_NICS);
        return NULL;
    }
    opt->config.nic[net->nics] = (struct novt_nic){0};
    net->nic[net->nics] = (struct cli_nic){.model = "e1000"};
    return &net->nic[net->nics++];
}

/* What -nic, -net nic and -device have in common; each is cut out of the list. */
static int take_card_keys(struct cli_options *opt, struct cli_nic *nic, const char *option, char *list, struct novt_error *err)
{
    struct novt_nic *config = &opt->config.nic[nic - opt->net.nic];
    char value[128];
    int rc = 0;

    if (opt_take_key(list, "mac", value, sizeof(value)) || opt_take_key(list, "macaddr", value, sizeof(value)))
        rc = parse_mac(option, value, config->mac, err);
    if (!rc && opt_take_key(list, "addr", value, sizeof(value)))
        rc = parse_slot(option, value, &config->slot, err);
    if (!rc && opt_take_key(list, "model", value, sizeof(value)))
        rc = set_model(opt, nic, option, value, err);
    opt_take_key(list, "netdev", nic->netdev, sizeof(nic->netdev));
    return rc;
}

static int too_long(const char *option, struct novt_error *err)
{
    return opt_usage(err, "give fewer options", "%s: longer than %d characters", option, CLI_NET_SPEC_BYTES - 1);
}

int opt_nic(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_nic *nic;
    int rc;

    opt->net.given = true;
    if (!strcmp(arg, "none"))
        return 0;
    nic = new_nic(opt, "-nic", err);
    if (!nic)
        return EXIT_USAGE;
    if (strlen(arg) >= sizeof(nic->spec))
        return too_long("-nic", err);
    snprintf(nic->spec, sizeof(nic->spec), "%s", arg);
    rc = take_card_keys(opt, nic, "-nic", nic->spec, err);
    opt_take_key(nic->spec, "id", nic->id, sizeof(nic->id));
    return rc;
}

int opt_netdev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_net *net = &opt->net;
    struct cli_netdev *dev = &net->netdev[net->netdevs];

    net->given = true;
    arg = cli_json_value(opt, "-netdev", "type", arg, err);
    if (!arg)
        return EXIT_USAGE;
    if (!strcmp(arg, "help")) {
        puts("user\ntap\nsocket");
        opt->command = CLI_DONE;
        return 0;
    }
    if (net->netdevs == NOVT_NICS)
        return opt_usage(err, "give fewer", "-netdev: more than %d", NOVT_NICS);
    if (strlen(arg) >= sizeof(dev->spec))
        return too_long("-netdev", err);
    snprintf(dev->spec, sizeof(dev->spec), "%s", arg);
    if (!opt_take_key(dev->spec, "id", dev->id, sizeof(dev->id)) || !dev->id[0])
        return opt_usage(err, "for example -netdev user,id=n0 -device e1000,netdev=n0", "-netdev %s: no id=", arg);
    for (unsigned i = 0; i < net->netdevs; i++)
        if (!strcmp(net->netdev[i].id, dev->id))
            return opt_usage(err, "give each its own", "-netdev: id=%s twice", dev->id);
    net->netdevs++;
    return 0;
}

int opt_net(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_net *net = &opt->net;
    char list[256];
    struct cli_nic *nic;
    int rc;

    net->given = true;
    if (!strcmp(arg, "none"))
        return 0;
    if (strncmp(arg, "nic", 3) || (arg[3] && arg[3] != ',')) {
        if (net->hub_spec[0])
            return opt_usage(err, "use -nic, or -netdev with -device", "-net: two networks cannot be joined");
        if (strlen(arg) >= sizeof(net->hub_spec))
            return too_long("-net", err);
        snprintf(net->hub_spec, sizeof(net->hub_spec), "%s", arg);
        return 0;
    }
    nic = new_nic(opt, "-net nic", err);
    if (!nic)
        return EXIT_USAGE;
    snprintf(list, sizeof(list), "%s", arg[3] ? arg + 4 : "");
    rc = take_card_keys(opt, nic, "-net nic", list, err);
    opt_take_key(list, "name", nic->id, sizeof(nic->id));
    opt_take_key(list, "id", nic->id, sizeof(nic->id));
    if (!rc && list[0])
        return opt_usage(err, "model macaddr netdev addr name can be given", "-net nic: unknown option \"%s\"", list);
    nic->hub = !nic->netdev[0];
    return rc;
}

/* Those of a card's boot ROM: there is none, so to be booted from is all that cannot be had. */
static int take_boot_keys(const char *option, char *list, struct novt_error *err)
{
    char value[64];
    u64 n;

    if (opt_take_key(list, "bootindex", value, sizeof(value))) {
        if (!opt_number(value, INT32_MAX, NULL, &n) && strcmp(value, "-1"))
            return opt_usage(err, "give a number", "%s: bad bootindex \"%s\"", option, value);
        base_warn("note: %s,bootindex=%s: network cards have no boot ROM (PXE): the firmware passes over it", option, value);
    }
    if (opt_take_key(list, "rombar", value, sizeof(value)) && strcmp(value, "0") && strcmp(value, "1"))
        return opt_usage(err, "leave it out", "%s: bad rombar \"%s\"", option, value);
    return 0;
}

int cli_net_device(struct cli_options *opt, const char *name, char *list, struct novt_error *err)
{
    bool given = opt->net.given; /* as in QEMU, -device alone does not take the default card away */
    struct cli_nic *nic = new_nic(opt, "-device", err);
    char option[80], value[64];
    struct novt_nic *config;
    int rc;

    opt->net.given = given;
    if (!nic)
        return EXIT_USAGE;
    config = &opt->config.nic[nic - opt->net.nic];
    snprintf(option, sizeof(option), "-device %s", name);
    snprintf(nic->model, sizeof(nic->model), "%s", find_card(name));
    rc = take_card_keys(opt, nic, option, list, err);
    if (!rc)
        rc = take_boot_keys(option, list, err);
    opt_take_key(list, "id", nic->id, sizeof(nic->id));
    if (!rc && opt_take_key(list, "bus", value, sizeof(value)) && strcmp(value, "pci.0") && strcmp(value, "isa.0"))
        rc = opt_usage(err, "leave it out", "%s: there is no bus \"%s\"", option, value);
    if (!rc && !strcmp(nic->model, "virtio-net-pci") && opt_take_key(list, "disable-modern", value, sizeof(value)) && strcmp(value, "off"))
        base_warn("note: %s,disable-modern=%s: the card has both interfaces, as without it", option, value);
    if (!rc && opt_take_key(list, "romfile", value, sizeof(value)) && value[0])
        rc = opt_usage(err, "leave it out", "%s: a card has no option ROM", option);
    if (!rc && !strcmp(nic->model, "ne2k_isa"))
        rc = opt_port(name, list, "iobase", &config->iobase, err);
    if (!rc && !strcmp(nic->model, "ne2k_isa") && opt_take_key(list, "irq", value, sizeof(value))) {
        u64 n;

        if (!opt_number(value, 15, NULL, &n) || n < 3)
            return opt_usage(err, "give 3 to 15", "%s: bad irq \"%s\"", option, value);
        config->irq = (u8)n;
    }
    return rc;
}

static int connect_nic(struct cli_options *opt, unsigned n, bool *hub_used, struct novt_error *err)
{
    struct cli_net *net = &opt->net;
    struct cli_nic *nic = &net->nic[n];
    struct novt_nic *config = &opt->config.nic[n];

    config->model = nic->model;
    if (nic->spec[0])
        config->net = nic->spec;
    if (nic->hub && net->hub_spec[0]) {
        if (*hub_used)
            return opt_usage(err, "use -nic, or -netdev with -device", "-net: two cards cannot share a network");
        *hub_used = true;
        config->net = net->hub_spec;
    }
    if (!nic->netdev[0])
        return 0;
    for (unsigned i = 0; i < net->netdevs; i++) {
        struct cli_netdev *dev = &net->netdev[i];

        if (strcmp(dev->id, nic->netdev))
            continue;
        if (dev->used)
            return opt_usage(err, "give each card its own -netdev", "netdev=%s is taken by another card", dev->id);
        dev->used = true;
        config->net = dev->spec;
        return 0;
    }
    return opt_usage(err, "add -netdev user,id=ID or the like", "there is no netdev \"%s\"", nic->netdev);
}

/* netdev=ID,file=PATH[,maxlen=BYTES] of -object filter-dump. */
int cli_net_dump(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char remedy[] = "for example -object filter-dump,id=f,netdev=n0,file=net.pcap";
    struct cli_net *net = &opt->net;
    struct cli_net_dump *d = &net->dump[net->dumps];
    char list[1024], text[32];
    u64 n;

    if (net->dumps == NOVT_NICS)
        return opt_usage(err, "give fewer", "-object filter-dump: more than %d", NOVT_NICS);
    if (snprintf(list, sizeof(list), "%s", arg) >= (int)sizeof(list))
        return too_long("-object filter-dump", err);
    opt_take_key(list, "id", d->id, sizeof(d->id));
    if (!opt_take_key(list, "netdev", d->netdev, sizeof(d->netdev)) || !opt_take_key(list, "file", d->file, sizeof(d->file)))
        return opt_usage(err, remedy, "-object filter-dump needs netdev= and file=");
    if (opt_take_key(list, "maxlen", text, sizeof(text))) {
        if (!opt_number(text, 65536, NULL, &n) || !n)
            return opt_usage(err, "give 1 to 65536", "-object filter-dump: bad maxlen \"%s\"", text);
        d->max_bytes = (u32)n;
    }
    if (list[0])
        return opt_usage(err, remedy, "-object filter-dump: cannot do \"%s\"", list);
    net->dumps++;
    return 0;
}

static int place_dumps(struct cli_options *opt, struct novt_error *err)
{
    for (unsigned i = 0; i < opt->net.dumps; i++) {
        struct cli_net_dump *d = &opt->net.dump[i];
        int n = net_card_by_name(opt, d->netdev);

        if (n < 0)
            return opt_usage(err, "name a -netdev that a card has", "-object filter-dump: there is no netdev \"%s\"", d->netdev);
        if (opt->config.nic[n].dump)
            return opt_usage(err, "give one for each", "-object filter-dump: netdev %s has one", d->netdev);
        opt->config.nic[n].dump = d->file;
        opt->config.nic[n].dump_max_bytes = d->max_bytes;
    }
    return 0;
}

int cli_net_finish(struct cli_options *opt, bool defaults, struct novt_error *err)
{
    struct cli_net *net = &opt->net;
    bool hub_used = false;
    int rc = 0;

    if (defaults && !net->given && net->nics < NOVT_NICS) {
        struct cli_nic *nic = new_nic(opt, "-nic", err);

        snprintf(nic->spec, sizeof(nic->spec), "user");
        opt->config.nic[net->nics - 1].optional = true;
    }
    opt->config.nics = net->nics;
    for (unsigned i = 0; !rc && i < net->nics; i++)
        rc = connect_nic(opt, i, &hub_used, err);
    for (unsigned i = 0; !rc && i < net->netdevs; i++)
        if (!net->netdev[i].used)
            base_warn("netdev %s has no card: add -device e1000,netdev=%s", net->netdev[i].id, net->netdev[i].id);
    if (!rc && net->hub_spec[0] && !hub_used)
        base_warn("-net %s has no card: add -net nic", net->hub_spec);
    return rc ? rc : place_dumps(opt, err);
}
