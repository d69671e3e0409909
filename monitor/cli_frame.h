/*
 * cli_frame.h - cuts a stream of bytes into JSON values.
 *
 * QMP's clients need not end a value with a newline, may send several in one piece, and may quote strings with '. A frame
 * collects bytes until the outermost bracket closes; whether it is JSON is the parser's business. Bounded in length and
 * depth: what goes beyond is skipped to the next line.
 */
#ifndef NOVT_CLI_FRAME_H
#define NOVT_CLI_FRAME_H

#include "base.h"
#include "monitor/cli_text.h"

#define FRAME_MAX_BYTES (1u << 20)
#define FRAME_MAX_DEPTH 256u

struct frame_in {
    struct text text; /* with strings in double quotes */
    u32 depth;
    char quote; /* of the string we are in, 0: none */
    bool escaped;
    bool skipping; /* to the end of the line */
};

enum frame_result { FRAME_MORE, FRAME_WHOLE /* text is a value: use it, then frame_reset() */, FRAME_BAD };

enum frame_result frame_feed(struct frame_in *f, u8 c);
void frame_reset(struct frame_in *f);
void frame_free(struct frame_in *f);

#endif
