/*
 * input.h - what waits on its way from the host's keyboard and mouse to the guest's (vm_input.c).
 *
 * Three queues: keys as somebody presses them, strokes and texts to be typed with time between them, and the mouse.
 */
#ifndef NOVT_INPUT_H
#define NOVT_INPUT_H

#include <pthread.h>

#include "devices/devices.h"

#define INPUT_KEYS 256u
#define INPUT_STEPS 4096u
#define INPUT_MOVES 64u

struct key_event {
    u8 key;
    bool down;
};

/* A step of a script: wait, then press or release. */
struct key_step {
    u16 wait_ms;
    u8 key;
    bool down;
    bool settle; /* before it the guest must have taken everything */
};

struct mouse_event {
    int dx, dy, dz;
    unsigned buttons;
};

struct input_desk {
    pthread_mutex_t lock;
    struct wake wake;
    struct clk_timer timer;
    u8 held[PC_KEYS_MAX / 8]; /* by novt_vm_key(), as its callers see it */
    struct key_event key[INPUT_KEYS];
    u32 key_first, keys;
    struct key_step step[INPUT_STEPS];
    u32 step_first, steps;
    struct mouse_event move[INPUT_MOVES];
    u32 move_first, moves;
    /* The VM's thread's. */
    bool waiting;    /* the first step's time is set: */
    u64 step_ns;     /* not before */
    u64 idle_ns;     /* how long until the next look at a guest that takes nothing */
    u16 bios_tail;   /* of the BIOS's key buffer when the last character went out */
    bool bios_reads; /* ... and it moved: the guest's keyboard is the BIOS's */
};

#endif
