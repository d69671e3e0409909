/*
 * boot.h - what the library and the image of a sandbox share beside the layout: the C half of layout.h.
 *
 * Only types and names; no code of the library may be reached from the image.
 */
#ifndef NOVT_DIRECT_BOOT_H
#define NOVT_DIRECT_BOOT_H

#include "base.h"

/* Where the start of a sandbox failed; reported with an errno. */
enum dx_boot_step {
    DX_STEP_PRCTL,
    DX_STEP_PERSONALITY,
    DX_STEP_SHARED,
    DX_STEP_PARENT,
    DX_STEP_UNMAP,
    DX_STEP_SIGNALS,
    DX_STEP_THREAD,
    DX_STEP_LISTENER,
    DX_STEP_DESCRIPTORS,
    DX_STEP_FILTER,
    DX_STEP_COUNT
};

/* The kernel's struct user_desc, of modify_ldt(2).
 *   flags: 0 seg_32bit, 1-2 contents (0 data, 1 expand down, 2 code), 3 read_exec_only, 4 limit_in_pages, 5 seg_not_present,
 *   6 useable (AVL), 7 lm */
struct dx_user_desc {
    u32 entry, base, limit, flags;
};

#define DX_DESC_32BIT BIT(0)
#define DX_DESC_CONTENTS_SHIFT 1
#define DX_DESC_READ_EXEC_ONLY BIT(3)
#define DX_DESC_PAGES BIT(4)
#define DX_DESC_NOT_PRESENT BIT(5)
#define DX_DESC_AVL BIT(6)

#endif
