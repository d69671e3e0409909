/*
 * pick.c - the decision algorithm (pick.h).
 */
#include "monitor/pick.h"

#include "bt/bt.h"

const char *pick_name(unsigned pick)
{
    static const char *const names[PICK_COUNT] = {
        [PICK_DIRECT] = "direct",
        [PICK_OPTION] = "option",
        [PICK_NO_SANDBOX] = "no sandbox",
        [PICK_REAL_MODE] = "real mode",
        [PICK_V86] = "v86",
        [PICK_RING] = "ring",
        [PICK_NO_PAGING] = "no paging",
        [PICK_IOPL] = "iopl",
        [PICK_IF] = "interrupts off",
        [PICK_STEPPING] = "stepping",
        [PICK_ALIGN_CHECK] = "alignment check",
        [PICK_FPU] = "fpu",
        [PICK_SEGMENT] = "segment",
        [PICK_PAGE] = "page",
        [PICK_COST] = "cost",
    };
    return pick < PICK_COUNT ? names[pick] : "?";
}

enum pick mon_pick_engine(const struct pick_state *s)
{
    if (s->option == ENGINE_BT)
        return PICK_OPTION;
    if (!(s->cr0 & CR0_PE))
        return PICK_REAL_MODE;
    if (s->eflags & EFL_VM)
        return PICK_V86;
    if (!(s->mode & MODE_CPL3))
        return PICK_RING;
    if (!s->sandbox)
        return PICK_NO_SANDBOX;
    if (!(s->cr0 & CR0_PG))
        return PICK_NO_PAGING;
    if (s->eflags & EFL_IOPL)
        return PICK_IOPL;
    if (!(s->eflags & EFL_IF) || s->eflags & (EFL_VIF | EFL_VIP))
        return PICK_IF;
    if ((s->mode & (MODE_TF | MODE_DB)) || (s->eflags & EFL_RF) || s->inhibit)
        return PICK_STEPPING;
    if (s->eflags & EFL_AC)
        return PICK_ALIGN_CHECK;
    if ((s->cr0 & (CR0_EM | CR0_TS)) || !(s->cr4 & CR4_OSFXSR))
        return PICK_FPU;
    if (s->odd_segs || !(s->mode & MODE_CS32))
        return PICK_SEGMENT;
    if (s->page_bad)
        return PICK_PAGE;
    if (s->option == ENGINE_DIRECT)
        return PICK_DIRECT;
    return s->pays && s->now >= s->not_before ? PICK_DIRECT : PICK_COST;
}

#define BACKOFF_MAX 9u

void pick_learn(struct pick_history *h, u64 cycles, bool direct, u64 worthwhile, u64 now)
{
    u64 fee = PICK_FEE * worthwhile, most = fee / 2 + worthwhile;

    h->account += cycles < most ? cycles : most;
    h->account -= h->account < worthwhile ? h->account : worthwhile;
    if (h->account >= fee) {
        h->account = fee;
        h->pays = true;
    } else if (!h->account) {
        if (direct && h->pays) {
            h->backoff += h->backoff < BACKOFF_MAX;
            h->not_before = now + (worthwhile << (2 + h->backoff));
        }
        h->pays = false;
    }
    if (direct && cycles > 16 * worthwhile)
        h->backoff = 0;
}
