/*
 * vm_screen.c - the text screen for whoever asks, whatever the VM is doing.
 *
 * The devices belong to the VM's thread, so the reading is a call (vm_call.c). novt_vm_text() gives the cells with
 * their attributes, novt_vm_screen() the same as lines of characters for logs and tests.
 */
#include "monitor/machine.h"

#include <stdlib.h>
#include <string.h>

#define STRING_CELLS (256u * 128u) /* of novt_vm_screen(); larger screens lose their last rows */

struct screen_request {
    struct machine *m;
    struct novt_text *text;
    struct novt_cell *cell;
    size_t cells;
    bool any;
};

_Static_assert(sizeof(struct novt_cell) == sizeof(u16), "cells are read in place");

static void read_screen(void *opaque)
{
    struct screen_request *r = opaque;
    struct pc_text t;

    r->any = pc_vga_text(r->m->vm.pc, &t, (u16 *)(void *)r->cell, r->cells);
    *r->text = (struct novt_text){
        .columns = t.columns,
        .rows = t.rows,
        .cursor_column = t.cursor_column,
        .cursor_row = t.cursor_row,
        .cursor = t.cursor,
        .blink = t.blink,
    };
}

int novt_vm_text(struct novt_vm *vm, struct novt_text *text, struct novt_cell *cell, size_t cells)
{
    struct screen_request r = {.m = machine_of(vm), .text = text, .cell = cell, .cells = cell ? cells : 0};

    novt_vm_call(vm, read_screen, &r);
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
