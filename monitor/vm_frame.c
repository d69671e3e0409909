/*
 * vm_frame.c - the screen in pixels for whoever asks, whatever the VM is doing.
 *
 * One picture is kept up to date on the VM's thread (novt_vm_call()), with the generation in which each of its lines changed last.
 * Frames copy from it under its lock, on their own threads: lines that may have changed since are compared with what the frame
 * has, so its rectangles are exact. As long as nothing touched the card, its memory or a palette, and nothing blinks, neither the VM's
 * thread nor the picture's lines are looked at.
 */
#include "monitor/machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAND_LINES 16u /* a rectangle's height at most: what lies apart is told apart */

struct screen {
    pthread_mutex_t lock; /* of all below; never held while waiting for the VM's thread */
    struct vga_picture picture;
    u64 still_until_ns; /* CLOCK_MONOTONIC */
};

static u64 host_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

int frame_init(struct machine *m)
{
    m->picture = calloc(1, sizeof(*m->picture));
    if (!m->picture)
        return -ENOMEM;
    pthread_mutex_init(&m->picture->lock, NULL);
    return 0;
}

void frame_fini(struct machine *m)
{
    if (!m->picture)
        return;
    vga_picture_free(&m->picture->picture);
    pthread_mutex_destroy(&m->picture->lock);
    free(m->picture);
    m->picture = NULL;
}

/* ---- keeping the picture up to date ---- */

struct draw_call {
    struct machine *m;
    int rc;
};

static void draw(void *opaque)
{
    struct draw_call *c = opaque;
    struct screen *s = c->m->picture;
    u64 now = host_ns();

    pthread_mutex_lock(&s->lock);
    c->rc = c->m->vm.pc ? pc_vga_draw(c->m->vm.pc, &s->picture) : -ENODATA;
    s->still_until_ns = s->picture.still_ns > UINT64_MAX - now ? UINT64_MAX : now + s->picture.still_ns;
    pthread_mutex_unlock(&s->lock);
}

static bool is_current(struct machine *m)
{
    struct screen *s = m->picture;
    bool current;

    if (!m->vm.pc || pc_vga_touched(m->vm.pc) || vga_memory_written(m))
        return false;
    pthread_mutex_lock(&s->lock);
    current = s->picture.pixel && host_ns() < s->still_until_ns;
    pthread_mutex_unlock(&s->lock);
    return current;
}

/* ---- frames ---- */

static void add_rect(struct novt_frame *f, u32 x, u32 y, u32 end, u32 below)
{
    struct novt_rect *last = &f->rect[f->rects ? f->rects - 1 : 0];

    if (f->rects &&
        (f->rects == NOVT_FRAME_RECTS || (last->y + last->height == y && below - last->y <= BAND_LINES))) {
        u32 right = last->x + last->width > end ? last->x + last->width : end;

        last->x = last->x < x ? last->x : x;
        last->width = right - last->x;
        last->height = below - last->y;
        return;
    }
    f->rect[f->rects++] = (struct novt_rect){.x = x, .y = y, .width = end - x, .height = below - y};
}

/* One line: copies what differs. */
static void take_line(struct novt_frame *f, const u32 *from, u32 y)
{
    u32 *to = f->pixel + (size_t)y * f->width, first = 0, end = f->width;

    if (memcmp(to, from, f->width * sizeof(*to)) == 0)
        return;
    while (to[first] == from[first])
        first++;
    while (to[end - 1] == from[end - 1])
        end--;
    memcpy(to + first, from + first, (end - first) * sizeof(*to));
    add_rect(f, first, y, end, y + 1);
}

static int resize(struct novt_frame *f, const struct vga_picture *p)
{
    u32 *pixel = realloc(f->pixel, (size_t)p->width * p->height * sizeof(*pixel));

    if (!pixel)
        return -ENOMEM;
    memcpy(pixel, p->pixel, (size_t)p->width * p->height * sizeof(*pixel));
    f->pixel = pixel;
    f->width = p->width;
    f->height = p->height;
    f->resized = true;
    f->rect[0] = (struct novt_rect){.width = f->width, .height = f->height};
    f->rects = 1;
    return 0;
}

static int take(struct novt_frame *f, const struct vga_picture *p)
{
    int rc = 0;

    if (!p->pixel)
        return -ENODATA;
    f->text = p->text;
    if (!f->pixel || f->width != p->width || f->height != p->height)
        rc = resize(f, p);
    else if (f->seen != p->generation)
        for (u32 y = 0; y < f->height; y++)
            if (p->row[y] > f->seen)
                take_line(f, p->pixel + (size_t)y * f->width, y);
    if (rc)
        return rc;
    f->seen = p->generation;
    f->generation += f->rects != 0;
    return f->rects != 0;
}

int novt_vm_frame(struct novt_vm *vm, struct novt_frame *f)
{
    struct machine *m = machine_of(vm);
    struct draw_call c = {.m = m};
    int rc;

    f->rects = 0;
    f->resized = false;
    if (!is_current(m))
        novt_vm_call(vm, draw, &c);
    if (c.rc < 0)
        return c.rc;
    pthread_mutex_lock(&m->picture->lock);
    rc = take(f, &m->picture->picture);
    pthread_mutex_unlock(&m->picture->lock);
    return rc;
}

void novt_frame_free(struct novt_frame *f)
{
    free(f->pixel);
    *f = (struct novt_frame){0};
}

/* ---- a picture for one use ---- */

struct dump_call {
    struct machine *m;
    struct vga_picture picture;
    int rc;
};

static void draw_once(void *opaque)
{
    struct dump_call *c = opaque;

    c->rc = c->m->vm.pc ? pc_vga_draw(c->m->vm.pc, &c->picture) : -ENODATA;
}

int frame_once(struct machine *m, struct vga_picture *p)
{
    struct dump_call c = {.m = m, .picture = {.once = true}};

    novt_vm_call(&m->vm, draw_once, &c);
    *p = c.picture;
    if (c.rc < 0)
        vga_picture_free(p);
    return c.rc < 0 ? c.rc : 0;
}
