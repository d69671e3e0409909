/*
 * vm_net.c - the machine's network cards: from the public config to the PC's and to the ends of their cables.
 *
 * The ends (net/) are opened before the PC exists, so that a port that is taken or a permission that is missing stops the
 * machine before it ran; their threads start when the cards are there. Both die before the PC does.
 */
#include "monitor/machine.h"

#include <string.h>

static const struct {
    const char *name;
    enum pc_nic_model model;
} models[] = {
    {"e1000", PC_NIC_E1000},
    {"ne2k_pci", PC_NIC_NE2K_PCI},
    {"ne2k_isa", PC_NIC_NE2K_ISA},
    {"rtl8139", PC_NIC_RTL8139},
    {"virtio-net-pci", PC_NIC_VIRTIO},
};

static bool is_zero(const u8 *mac)
{
    return !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* QEMU's first address that no other card has. */
static void give_mac(const struct novt_config *c, const struct pc_config *cfg, u8 *mac)
{
    for (unsigned last = 0x56;; last++) {
        const u8 next[NIC_MAC_BYTES] = {0x52, 0x54, 0x00, 0x12, 0x34, (u8)last};
        bool taken = false;

        for (unsigned i = 0; i < c->nics; i++)
            taken |= !memcmp(c->nic[i].mac, next, sizeof(next));
        for (unsigned i = 0; i < cfg->nics; i++)
            taken |= !memcmp(cfg->nic[i].mac, next, sizeof(next));
        if (!taken) {
            memcpy(mac, next, sizeof(next));
            return;
        }
    }
}

static int find_model(const char *name, enum pc_nic_model *model, struct novt_error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        if (!strcmp(models[i].name, name)) {
            *model = models[i].model;
            return 0;
        }
    return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "use e1000, virtio-net-pci, rtl8139, ne2k_pci or ne2k_isa", "unknown network card \"%s\"", name);
}

int net_make(struct machine *m, struct pc_config *cfg, struct novt_error *err)
{
    const struct novt_config *c = &m->config;

    if (c->nics > NOVT_NICS || c->nics > PC_NICS)
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "give fewer", "%u network cards are more than %d", c->nics, NOVT_NICS);
    for (unsigned i = 0; i < c->nics; i++) {
        const struct novt_nic *from = &c->nic[i];
        struct pc_nic *to = &cfg->nic[i];
        struct net_error why;
        int rc = find_model(from->model ? from->model : "e1000", &to->model, err);

        if (rc)
            return rc;
        if (nic_is_multicast(from->mac))
            return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "give an address whose first byte is even",
                            "a network card cannot have a multicast address");
        if (is_zero(from->mac))
            give_mac(c, cfg, to->mac);
        else
            memcpy(to->mac, from->mac, sizeof(to->mac));
        to->slot = from->slot;
        to->iobase = from->iobase;
        to->irq = from->irq;
        if (from->net) {
            rc = net_new(&m->net[i], from->net, &why);
            if (rc && !(from->optional && rc == -ENOSYS))
                return mon_fail(err, why.usage ? NOVT_ERR_USAGE : NOVT_ERR_HOST, rc, why.remedy, "%s", why.cause);
        }
        if (m->net[i])
            to->back = net_back(m->net[i]);
        if (from->dump) {
            rc = net_dump_new(&m->net_dump[i], from->dump, from->dump_max_bytes, &why);
            if (rc)
                return mon_fail(err, NOVT_ERR_HOST, rc, why.remedy, "network dump: %s", rc == -ENOMEM ? "no memory" : why.cause);
            to->back = net_dump_back(m->net_dump[i], &to->back);
        }
        cfg->nics++;
    }
    return 0;
}

int net_connect(struct machine *m, struct novt_error *err)
{
    for (unsigned i = 0; i < m->config.nics; i++) {
        const struct nic_front *front = pc_nic_front(m->vm.pc, i);
        int rc = 0;

        if (m->net_dump[i])
            front = net_dump_front(m->net_dump[i], front);
        if (m->net[i])
            rc = net_start(m->net[i], front, pc_wakes(m->vm.pc));

        if (rc)
            return mon_fail(err, NOVT_ERR_HOST, rc, "raise \"ulimit -u\"", "no thread for the network: %s", strerror(-rc));
    }
    return 0;
}

void net_fini(struct machine *m)
{
    for (unsigned i = 0; i < NOVT_NICS; i++) {
        net_free(m->net[i]);
        net_dump_free(m->net_dump[i]);
    }
}

/* ---- the public calls ---- */

struct link_args {
    struct machine *m;
    unsigned n;
    bool up;
    int rc;
};

static void link_here(void *opaque)
{
    struct link_args *a = opaque;
    const struct nic_front *front = a->n < PC_NICS ? pc_nic_front(a->m->vm.pc, a->n) : NULL;

    a->rc = front && front->link ? 0 : -ENODEV;
    if (!a->rc)
        front->link(front->opaque, a->up);
}

int novt_vm_set_link(struct novt_vm *vm, unsigned n, bool up)
{
    struct link_args a = {machine_of(vm), n, up, 0};

    novt_vm_call(vm, link_here, &a);
    return a.rc;
}

int novt_vm_forward(struct novt_vm *vm, unsigned n, bool add, const char *rule, struct novt_error *err)
{
    struct machine *m = machine_of(vm);
    struct net_error why;
    int rc;

    if (n >= NOVT_NICS || !m->net[n])
        return mon_fail(err, NOVT_ERR_USAGE, -ENODEV, "use -nic user", "there is no network %u", n);
    rc = net_forward(m->net[n], add, rule, &why);
    return rc ? mon_fail(err, why.usage ? NOVT_ERR_USAGE : NOVT_ERR_HOST, rc, why.remedy, "%s", why.cause) : 0;
}
