/*
 * vm_input.c - keys, typed text and mouse motion from any thread into the PC's keyboard and mouse.
 *
 * Callers leave events in queues under a lock and wake the VM's thread, which hands them over as fast as the guest takes them; what does
 * not
 * fit waits for a timer. A person's keys go straight through. Strokes and texts are scripts: before each character the guest must have
 * read everything, and a guest whose keyboard is the BIOS's must have room in the 15 places of that buffer, so that nothing
 * typed is lost in any program.
 */
#include <errno.h>
#include <string.h>

#include "monitor/machine.h"

#define LOOK_NS 1000000ull /* until the next try, doubled up to: */
#define LOOK_MAX_NS 16000000ull
#define CHAR_MS 4
#define HOLD_MS 100
#define STROKE_KEYS 8
#define BIOS_HEAD 0x41au /* BIOS data area: where the next key is read, and at 41Ch written */
#define BIOS_ROOM 8

/* ---- callers' side ---- */

static bool held(const struct input_desk *d, unsigned key)
{
    return d->held[key / 8] >> (key % 8) & 1;
}

/* Locked. A press leaves room for the release of every key. */
static int put_key(struct input_desk *d, unsigned key, bool down)
{
    if (held(d, key) == down)
        return 0;
    if (d->keys >= (down ? INPUT_KEYS / 4 : INPUT_KEYS))
        return -ENOSPC;
    d->key[(d->key_first + d->keys++) % INPUT_KEYS] = (struct key_event){(u8)key, down};
    d->held[key / 8] ^= (u8)BIT(key % 8);
    return 0;
}

const char *novt_key_name(unsigned n)
{
    return pc_key_name(n);
}

int novt_vm_key(struct novt_vm *vm, const char *name, bool down)
{
    struct input_desk *d = &machine_of(vm)->desk;
    int key = pc_key_find(name), rc;

    if (key < 0)
        return -EINVAL;
    pthread_mutex_lock(&d->lock);
    rc = put_key(d, (unsigned)key, down);
    pthread_mutex_unlock(&d->lock);
    wake_signal(&d->wake);
    return rc;
}

void novt_vm_keys_up(struct novt_vm *vm)
{
    struct input_desk *d = &machine_of(vm)->desk;

    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < PC_KEYS_MAX; i++)
        (void)put_key(d, i, false);
    pthread_mutex_unlock(&d->lock);
    wake_signal(&d->wake);
}

unsigned novt_vm_leds(const struct novt_vm *vm)
{
    return pc_kbd_leds(vm->pc);
}

/* Locked, and there is room. */
static void put_step(struct input_desk *d, int key, bool down, unsigned wait_ms, bool settle)
{
    d->step[(d->step_first + d->steps++) % INPUT_STEPS] =
        (struct key_step){.wait_ms = (u16)wait_ms, .key = (u8)key, .down = down, .settle = settle};
}

/* "a-b-c" into indexes; how many, or -1. A minus is a key's name only as "minus". */
static int parse_stroke(const char *text, int key[STROKE_KEYS])
{
    char name[32];

    for (int n = 0; n < STROKE_KEYS;) {
        size_t len = strcspn(text, "-");

        if (!len || len >= sizeof(name))
            return -1;
        memcpy(name, text, len);
        name[len] = 0;
        key[n] = pc_key_find(name);
        if (key[n++] < 0)
            return -1;
        text += len;
        if (!*text++)
            return n;
    }
    return -1;
}

int novt_vm_send_keys(struct novt_vm *vm, const char *keys, unsigned hold_ms)
{
    struct input_desk *d = &machine_of(vm)->desk;
    int key[STROKE_KEYS], n = parse_stroke(keys, key), rc = 0;

    if (n < 0)
        return -EINVAL;
    if (!hold_ms)
        hold_ms = HOLD_MS;
    pthread_mutex_lock(&d->lock);
    if (d->steps + 2 * (u32)n > INPUT_STEPS) {
        rc = -ENOSPC;
    } else {
        for (int i = 0; i < n; i++)
            put_step(d, key[i], true, i ? 0 : CHAR_MS, i == 0);
        for (int i = n; i-- > 0;)
            put_step(d, key[i], false, i == n - 1 ? (hold_ms < UINT16_MAX ? hold_ms : UINT16_MAX) : 0, false);
    }
    pthread_mutex_unlock(&d->lock);
    wake_signal(&d->wake);
    return rc;
}

static void put_char(struct input_desk *d, char c)
{
    bool shift, ctrl;
    int key = pc_key_of_char(c, &shift, &ctrl), with = pc_key_find(ctrl ? "ctrl" : "shift");

    if (key < 0)
        return;
    if (shift && ctrl) { /* ^_ and the like */
        put_step(d, pc_key_find("shift"), true, CHAR_MS, true);
        put_step(d, with, true, 0, false);
    } else if (shift || ctrl) {
        put_step(d, with, true, CHAR_MS, true);
    }
    put_step(d, key, true, CHAR_MS, true);
    put_step(d, key, false, 0, false);
    if (shift || ctrl)
        put_step(d, with, false, 0, false);
    if (shift && ctrl)
        put_step(d, pc_key_find("shift"), false, 0, false);
}

size_t novt_vm_send_text(struct novt_vm *vm, const char *text, size_t len)
{
    struct input_desk *d = &machine_of(vm)->desk;
    size_t n;

    pthread_mutex_lock(&d->lock);
    for (n = 0; n < len && d->steps + 8 <= INPUT_STEPS; n++)
        if (text[n] != '\n' || !n || text[n - 1] != '\r') /* a line's end is one Enter */
            put_char(d, text[n]);
    pthread_mutex_unlock(&d->lock);
    wake_signal(&d->wake);
    return n;
}

static int add(int a, int b)
{
    int sum;

    return __builtin_add_overflow(a, b, &sum) ? a : sum;
}

void novt_vm_mouse(struct novt_vm *vm, int dx, int dy, int dz, unsigned buttons)
{
    struct input_desk *d = &machine_of(vm)->desk;
    struct mouse_event *last;

    pthread_mutex_lock(&d->lock);
    last = d->moves ? &d->move[(d->move_first + d->moves - 1) % INPUT_MOVES] : NULL;
    /* With the same buttons it is one motion; a guest that takes nothing loses clicks, not the way. */
    if (!last || (last->buttons != buttons && d->moves < INPUT_MOVES)) {
        last = &d->move[(d->move_first + d->moves++) % INPUT_MOVES];
        *last = (struct mouse_event){0};
    }
    last->dx = add(last->dx, dx);
    last->dy = add(last->dy, dy);
    last->dz = add(last->dz, dz);
    last->buttons = buttons;
    pthread_mutex_unlock(&d->lock);
    wake_signal(&d->wake);
}

/* ---- the VM's thread, locked ---- */

static bool give_keys(struct machine *m, struct input_desk *d)
{
    while (d->keys) {
        const struct key_event *e = &d->key[d->key_first];

        if (!pc_key(m->vm.pc, e->key, e->down))
            return false;
        d->key_first = (d->key_first + 1) % INPUT_KEYS;
        d->keys--;
    }
    return true;
}

static bool give_moves(struct machine *m, struct input_desk *d)
{
    while (d->moves) {
        const struct mouse_event *e = &d->move[d->move_first];

        if (!pc_mouse(m->vm.pc, e->dx, e->dy == INT32_MIN ? INT32_MAX : -e->dy, e->dz, e->buttons))
            return false;
        d->move_first = (d->move_first + 1) % INPUT_MOVES;
        d->moves--;
    }
    return true;
}

/* Does the guest read its keyboard through the BIOS, and is that one's buffer so full that a key might be lost? */
static bool bios_full(struct machine *m, struct input_desk *d)
{
    u8 raw[4];

    if (novt_vm_read_memory(&m->vm, BIOS_HEAD, raw, sizeof(raw)))
        return false;
    u16 head = (u16)(raw[0] | raw[1] << 8), tail = (u16)(raw[2] | raw[3] << 8);
    d->bios_reads |= tail != d->bios_tail;
    if (!d->bios_reads || head < 0x1e || head > 0x3c || tail < 0x1e || tail > 0x3c)
        return false;
    return (tail - head + 0x20) % 0x20 / 2 > BIOS_ROOM;
}

static void bios_remember(struct machine *m, struct input_desk *d)
{
    u8 raw[2];

    if (!novt_vm_read_memory(&m->vm, BIOS_HEAD + 2, raw, sizeof(raw)))
        d->bios_tail = (u16)(raw[0] | raw[1] << 8);
    d->bios_reads = false;
}

/* True when all is done; false: look again at *at. */
static bool give_steps(struct machine *m, struct input_desk *d, u64 now, u64 *at)
{
    while (d->steps) {
        const struct key_step *s = &d->step[d->step_first];

        if (!d->waiting) {
            d->step_ns = now + s->wait_ms * 1000000ull;
            d->waiting = true;
        }
        if (now < d->step_ns) {
            *at = d->step_ns;
            return false;
        }
        *at = now + d->idle_ns;
        if (s->settle && (!pc_keys_taken(m->vm.pc) || bios_full(m, d)))
            return false;
        if (s->settle)
            bios_remember(m, d);
        if (!pc_key(m->vm.pc, s->key, s->down))
            return false;
        d->waiting = false;
        d->idle_ns = LOOK_NS;
        d->step_first = (d->step_first + 1) % INPUT_STEPS;
        d->steps--;
    }
    return true;
}

static void deliver(struct machine *m)
{
    struct input_desk *d = &m->desk;
    struct clk *clk = pc_clk(m->vm.pc);
    u64 now = clk_now(clk), at = CLK_NEVER;

    pthread_mutex_lock(&d->lock);
    bool all = give_keys(m, d);
    all &= give_moves(m, d);
    if (!all)
        at = now + d->idle_ns;
    u64 step_at = CLK_NEVER;
    if (!give_steps(m, d, now, &step_at)) {
        all &= step_at != now + d->idle_ns;
        at = min_u64(at, step_at);
    }
    pthread_mutex_unlock(&d->lock);
    d->idle_ns = all ? LOOK_NS : min_u64(d->idle_ns * 2, LOOK_MAX_NS);
    if (at != CLK_NEVER)
        clk_timer_set(clk, &d->timer, at);
}

static void on_wake(void *opaque)
{
    struct machine *m = opaque;

    m->desk.idle_ns = LOOK_NS;
    deliver(m);
}

static void on_timer(void *opaque, u64 now)
{
    (void)now;
    deliver(opaque);
}

void input_init(struct machine *m)
{
    struct input_desk *d = &m->desk;

    pthread_mutex_init(&d->lock, NULL);
    d->idle_ns = LOOK_NS;
    clk_timer_init(&d->timer, on_timer, m);
    wake_add(pc_wakes(m->vm.pc), &d->wake, on_wake, m);
}

/* A state was loaded: time is another, and keys that were held when it was saved are not held by anybody now. */
void input_loaded(struct machine *m)
{
    struct input_desk *d = &m->desk;

    pthread_mutex_lock(&d->lock);
    d->waiting = false;
    d->idle_ns = LOOK_NS;
    for (unsigned i = 0; i < PC_KEYS_MAX; i++)
        if (pc_key_down(m->vm.pc, i) && !held(d, i)) {
            d->held[i / 8] |= (u8)BIT(i % 8);
            (void)put_key(d, i, false);
        }
    pthread_mutex_unlock(&d->lock);
    deliver(m);
}

void input_fini(struct machine *m)
{
    if (!m->vm.pc)
        return;
    wake_remove(&m->desk.wake);
    clk_timer_cancel(pc_clk(m->vm.pc), &m->desk.timer);
    pthread_mutex_destroy(&m->desk.lock);
}
