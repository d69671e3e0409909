/*
 * media.h - damaged disk, CD and floppy images, for the targets that open them and those that boot them.
 */
#ifndef NOVT_TESTS_INPUTFUZZ_MEDIA_H
#define NOVT_TESTS_INPUTFUZZ_MEDIA_H

#include "inputfuzz.h"

enum media { MEDIA_DISK, MEDIA_CD, MEDIA_FLOPPY, MEDIA_CONTAINER, MEDIA_KINDS };

/* Makes the file. A container is a qcow2 image, or has the head of another format that qemu-nbd reads. */
void make_medium(struct fuzz *f, enum media kind, const char *name);

#endif
