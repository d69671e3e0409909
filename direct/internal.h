/*
 * internal.h - what the files of direct/ share.
 *
 * box.c makes and ends processes, stop.c holds and resumes their threads, enter.c carries guest state across, map.c gives the mapper
 * its work, ldt.c mirrors descriptors, probe.c tries it all out.
 */
#ifndef NOVT_DIRECT_INTERNAL_H
#define NOVT_DIRECT_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base.h"
#include "direct/boot.h"
#include "direct/direct.h"
#include "direct/frame.h"
#include "direct/layout.h"

/* build/.../dx_image.c, made from image/ */
extern const unsigned char dx_image[];
extern const unsigned int dx_image_bytes;

struct dx {
    struct dx_config cfg;
    struct dx_caps caps;
    struct dx_stats stats;
    int image_fd;    /* sealed memfd of the image */
    bool plain_wait; /* do as on kernels before 5.19 and 6.6 (tests) */
};

/* A thread of a box that is held, or to be waited for. */
struct dx_stop {
    int fd; /* its filter's listener */
    u64 id; /* of the call it is held in */
    u64 ip; /* the only place where it may stop */
    pid_t tid;
    int cpu; /* it is pinned there; -1: not */
};

/* Bits of dx_box.kick. */
#define KICK_INSIDE 1u
#define KICK_ASKED 2u

/* The mailbox: offsets are DX_MAIL_* of layout.h. */
struct dx_mail {
    u64 uc, info;
    u64 ds, es, fs, gs, fsbase, gsbase;
    u64 flags;
    u64 guest_ip, mapper_ip;
    u64 arm;
    struct {
        u64 interval[2], value[2]; /* seconds, nanoseconds */
    } timer;
};
_Static_assert(offsetof(struct dx_mail, fsbase) == DX_MAIL_FSBASE, "layout.h");
_Static_assert(offsetof(struct dx_mail, flags) == DX_MAIL_FLAGS, "layout.h");
_Static_assert(offsetof(struct dx_mail, mapper_ip) == DX_MAIL_MAPPER_IP, "layout.h");
_Static_assert(offsetof(struct dx_mail, timer) == DX_MAIL_TIMER, "layout.h");

struct dx_box {
    struct dx *dx;
    pid_t pid;
    int pidfd;
    bool dead, killable_wait;
    u8 death;               /* enum dx_death */
    char why[DX_WHY_BYTES]; /* of death */
    u8 *shared;             /* our mapping: command pages, exit area */
    u8 *area;
    struct dx_stop guest, mapper;
    _Atomic u32 kick;
    u64 deadline_ns,
        armed_ns; /* host time at which a run is to end, and what the box's timer is set for; 0: none */
    bool timer;   /* it has one */
    /* The signal frame as the kernel made it at the first stop: where it lies, and all of it. */
    u32 uc_off, info_off, fp_off; /* in the area */
    u32 mxcsr_mask;
    u8 *frame;   /* copy of the signal stack */
    u64 *ldt;    /* DX_LDT_SLOTS descriptors that are mirrored, 0 where empty; NULL: none yet */
    u32 ldt_end; /* slots from here on are empty */
    u32 mappings;
};

/* stop.c */
enum dx_wait { DX_WAIT_STOPPED, DX_WAIT_DEAD, DX_WAIT_ELSEWHERE /* stopped, but not at its place */ };
/* Let the held thread go on. 0, or -errno: it is not held any more. */
int dx_stop_resume(struct dx_box *b, struct dx_stop *s) MUST_CHECK;
/* Wait until it is held again; args (may be NULL) are its call's first two. For the guest thread kicks are watched. */
enum dx_wait dx_stop_wait(struct dx_box *b, struct dx_stop *s, u64 args[2]) MUST_CHECK;

/* box.c: end the process, and note why, unless it is dead already. */
void dx_box_die(struct dx_box *b, enum dx_death death, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The process ended by itself, or is about to: reap it and note by what. */
void dx_box_died(struct dx_box *b);

/* enter.c: learn the frame from the first stop. 0 or -EIO. */
int dx_frame_learn(struct dx_box *b) MUST_CHECK;
/* Put the exit area back as it was at the first stop. */
void dx_frame_reset(struct dx_box *b);
/* With nothing mapped: is everything that outlives an exit as at the first stop? */
bool dx_frame_verify(struct dx_box *b) MUST_CHECK;

/* map.c: have the mapper do n operations that lie in the command pages. 0; -EIO: died; else the errno of operation *done. */
int dx_mapper_run(struct dx_box *b, u32 n, u32 *done) MUST_CHECK;
void dx_mapper_op(struct dx_box *b, u32 i, long nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);

/* ldt.c */
/* Empties slot 0, to learn whether the host allows it: dx->caps.ldt. 0 or -EIO. */
int dx_ldt_probe(struct dx_box *b) MUST_CHECK;
int dx_ldt_clear(struct dx_box *b) MUST_CHECK;
/* The mirrored descriptor of a selector, 0 when there is none. */
u64 dx_ldt_desc(const struct dx_box *b, u16 sel);

#endif
