/*
 * pcspk.h - the PC speaker: what counter 2 of the 8254 and port 61h do to its cone, as sound samples.
 *
 * The speaker's level is OUT2 while bit 1 of port 61h is set. It is a function of virtual time, so samples are made afterwards, when
 * something changes or every few milliseconds while it sounds; each is the mean level over its own span of time, which is why
 * programs that play samples by pulse width are heard too. A speaker that cannot be heard costs nothing: no timer, no sample.
 */
#ifndef NOVT_DEVICES_PCSPK_H
#define NOVT_DEVICES_PCSPK_H

#include "devices/clk.h"
#include "devices/pit.h"
#include "devices/sound.h"

/* Nothing here is the guest's state: that is all in the 8254. */
struct pcspk {
    struct clk *clk;
    struct sound_back back;
    struct clk_timer timer;  /* the next samples; after the last ones, the word that the host may rest */
    struct pit_counter wave; /* counter 2 as it was when `done_ns` was reached */
    bool on;                 /* bit 1 of port 61h then */
    bool sounding;           /* the timer waits for samples */
    u64 done_ns;             /* all before this time is in samples */
    u64 area; /* of the sample that is not complete yet: high time, in 1/65536 ticks of the 8254 */
};

/* Listens to pit from now on; with a rate of 0 it does not. -EINVAL: an impossible rate. */
int pcspk_init(struct pcspk *s, struct pit *pit, struct clk *clk, const struct sound_back *back) MUST_CHECK;

#endif
