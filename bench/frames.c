/*
 * frames.c - what an idle guest costs while its screen is looked at 60 times a second: one JSON line.
 *
 *   bench_frames [SECONDS]
 *
 * The guest is the firmware with nothing to boot, in text mode with a blinking cursor. CPU time is that of the whole process: the VM's
 * thread, drawing, and the copy of what changed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "include/novt.h"

static void *run(void *opaque)
{
    struct novt_outcome out;

    (void)novt_vm_run(opaque, &out, NULL);
    return NULL;
}

static double seconds(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct novt_config c = {.ram_bytes = 32 << 20, .patient = true};
    struct novt_frame frame = {0};
    struct novt_error err;
    struct novt_vm *vm;
    double length = argc > 1 ? atof(argv[1]) : 5;
    unsigned frames = 0, changed = 0;
    pthread_t thread;

    if (novt_vm_new(&vm, &c, &err)) {
        fprintf(stderr, "%s\n", err.cause);
        return 1;
    }
    pthread_create(&thread, NULL, run, vm);
    sleep(3); /* the firmware comes to its end */
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    while (seconds(CLOCK_MONOTONIC) - wall < length) {
        changed += novt_vm_frame(vm, &frame) == 1;
        frames++;
        usleep(16667);
    }
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("{\"metric\": \"vga_idle\", \"value\": %.2f, \"unit\": \"percent of a core\", \"frames\": %u, "
           "\"changed\": %u}\n",
           100 * cpu / wall, frames, changed);
    novt_vm_stop(vm, 0);
    pthread_join(thread, NULL);
    novt_frame_free(&frame);
    novt_vm_free(vm);
    return 0;
}
