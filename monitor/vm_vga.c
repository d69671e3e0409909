/*
 * vm_vga.c - the VGA's memory as part of the guest's: where it lies, what of it is mapped, what was written.
 */
#include "monitor/machine.h"

bool vga_memory_written(const struct machine *m)
{
    (void)m;
    return false;
}
