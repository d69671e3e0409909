/*
 * vm_screen.c - the text screen for whoever asks, whatever the VM is doing.
 *
 * The devices belong to the VM's thread. A caller on another thread while the VM runs leaves a request and kicks; the VM's
 * thread answers it in mon_poll(), or when its run ends. One request at a time: the others wait for the lock's
 * condition. Without a run the caller reads the devices itself, and a run that begins meanwhile waits for it.
 */
#include "monitor/machine.h"

#include <stdlib.h>
#include <string.h>

#define STRING_CELLS (256u * 128u) /* of novt_vm_screen(); larger screens lose their last rows */

struct screen_request {
    struct novt_text *text;
    struct novt_cell *cell;
    size_t cells;
    bool any, done;
};

_Static_assert(sizeof(struct novt_cell) == sizeof(u16), "cells are read in place");

/* On the VM's thread, or without a run. */
static bool read_screen(struct machine *m, struct novt_text *text, struct novt_cell *cell, size_t cells)
{
    struct pc_text t;
    bool any = pc_vga_text(m->vm.pc, &t, (u16 *)(void *)cell, cells);

    *text = (struct novt_text){
        .columns = t.columns,
        .rows = t.rows,
        .cursor_column = t.cursor_column,
        .cursor_row = t.cursor_row,
        .cursor = t.cursor,
        .blink = t.blink,
    };
    return any;
}

static void answer(struct machine *m)
{
    struct screen_request *r = m->screen.request;

    if (!r)
        return;
    r->any = read_screen(m, r->text, r->cell, r->cells);
    r->done = true;
    __atomic_store_n(&m->screen.request, NULL, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&m->screen.changed);
}

void screen_poll(struct machine *m)
{
    if (!__atomic_load_n(&m->screen.request, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&m->screen.lock);
    answer(m);
    pthread_mutex_unlock(&m->screen.lock);
}

void screen_run_begin(struct machine *m)
{
    pthread_mutex_lock(&m->screen.lock);
    m->screen.running = true;
    m->screen.runner = pthread_self();
    pthread_mutex_unlock(&m->screen.lock);
}

void screen_run_end(struct machine *m)
{
    pthread_mutex_lock(&m->screen.lock);
    m->screen.running = false;
    answer(m);
    pthread_cond_broadcast(&m->screen.changed);
    pthread_mutex_unlock(&m->screen.lock);
}

int novt_vm_text(struct novt_vm *vm, struct novt_text *text, struct novt_cell *cell, size_t cells)
{
    struct machine *m = machine_of(vm);
    struct screen_request r = {.text = text, .cell = cell, .cells = cell ? cells : 0};

    pthread_mutex_lock(&m->screen.lock);
    bool own = m->screen.running && pthread_equal(m->screen.runner, pthread_self());
    while (!own && m->screen.running && m->screen.request) /* another's */
        pthread_cond_wait(&m->screen.changed, &m->screen.lock);
    if (own || !m->screen.running) {
        r.any = read_screen(m, r.text, r.cell, r.cells);
    } else {
        __atomic_store_n(&m->screen.request, &r, __ATOMIC_RELEASE);
        bt_kick(vm->bt);
        while (!r.done)
            pthread_cond_wait(&m->screen.changed, &m->screen.lock);
    }
    pthread_mutex_unlock(&m->screen.lock);
    if (!r.any)
        return -ENODATA;
    return (size_t)text->columns * text->rows > r.cells ? -ENOSPC : 0;
}

size_t novt_vm_screen(struct novt_vm *vm, char *buf, size_t bytes)
{
    struct novt_cell *cell = calloc(STRING_CELLS, sizeof(*cell)), *at = cell;
    struct novt_text text = {0};
    size_t n = 0;

    if (cell)
        (void)novt_vm_text(vm, &text, cell, STRING_CELLS);
    for (unsigned row = 0; row < text.rows && at + text.columns <= cell + STRING_CELLS; row++) {
        size_t end = n;

        for (unsigned column = 0; column < text.columns; column++, at++) {
            if (n + 2 >= bytes)
                continue;
            buf[n++] = at->ch ? (char)at->ch : ' ';
            if (buf[n - 1] != ' ')
                end = n;
        }
        n = end;
        if (n + 1 < bytes)
            buf[n++] = '\n';
    }
    free(cell);
    if (bytes)
        buf[n] = 0;
    return n;
}
