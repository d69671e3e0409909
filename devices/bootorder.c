/*
 * bootorder.c - collects boot entries and writes them in the order of their indexes.
 *
 * The list is short and made once, when the PC is wired: each new entry is put at its place.
 */
#include "devices/bootorder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int bootorder_add(struct bootorder *order, unsigned index, const char *fmt, ...)
{
    unsigned at = 0;
    va_list ap;
    int n;

    if (!index)
        return 0;
    if (order->n == BOOTORDER_ENTRIES)
        return -ENOSPC;
    while (at < order->n && order->entry[at].index < index)
        at++;
    if (at < order->n && order->entry[at].index == index)
        return -EEXIST;
    memmove(&order->entry[at + 1], &order->entry[at], (order->n - at) * sizeof(order->entry[0]));
    order->entry[at].index = index;
    va_start(ap, fmt);
    n = vsnprintf(order->entry[at].path, BOOTORDER_PATH_BYTES, fmt, ap);
    va_end(ap);
    order->n++;
    return n < 0 || n >= (int)BOOTORDER_PATH_BYTES ? -EINVAL : 0;
}

size_t bootorder_finish(struct bootorder *order, bool strict)
{
    char *to = order->text;

    for (unsigned i = 0; i < order->n; i++)
        to += sprintf(to, "%s\n", order->entry[i].path);
    if (strict)
        to += sprintf(to, "HALT");
    else if (to > order->text)
        to--;
    *to = 0;
    return to > order->text ? (size_t)(to - order->text) + 1 : 0;
}
