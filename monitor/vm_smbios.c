/*
 * vm_smbios.c - what the machine says of itself: texts of the caller's and the CPU's signature, for the SMBIOS tables.
 *
 * The tables are the devices' (devices/smbios.c). Here texts are looked at one by one, so that a message can name the one that is wrong.
 */
#include <errno.h>
#include <string.h>

#include "monitor/machine.h"

int smbios_config(struct machine *m, struct pc_config *cfg, struct pc_smbios_text text[NOVT_SMBIOS_TEXTS], struct novt_error *err)
{
    const struct novt_config *c = &m->config;
    u32 id[4];

    if (c->smbios_texts > NOVT_SMBIOS_TEXTS)
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "give fewer", "more than %d texts for SMBIOS", NOVT_SMBIOS_TEXTS);
    memcpy(cfg->uuid, c->uuid, sizeof(cfg->uuid));
    cpuid_query(&m->vm.cpu, 1, 0, id);
    cfg->cpu_signature = id[0];
    cfg->cpu_features = id[3];
    for (unsigned i = 0; i < c->smbios_texts; i++) {
        const struct novt_smbios_text *t = &c->smbios[i];
        int rc;

        text[i] = (struct pc_smbios_text){t->type, t->key, t->value};
        cfg->smbios = &text[i];
        cfg->smbios_texts = 1;
        rc = pc_smbios_check(cfg);
        if (rc)
            return mon_fail(err, NOVT_ERR_USAGE, rc,
                            rc == -E2BIG ? "shorten it"
                                         : "types 0 to 4 and 17 have the texts that QEMU's -smbios has, for example type=1,serial=TEXT",
                            "SMBIOS: cannot do type=%u,%.40s=%.100s", t->type, t->key, t->value);
    }
    cfg->smbios = text;
    cfg->smbios_texts = c->smbios_texts;
    if (pc_smbios_check(cfg))
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "shorten them", "SMBIOS: too much text");
    return 0;
}
