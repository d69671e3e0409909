/*
 * cli_term.c - the terminal's mode.
 *
 * While a guest runs on a terminal each key must reach it at once and none may be a signal to us. The mode is
 * put back on every way out: return from run, exit by signal (the I/O thread takes signals by descriptor), stop
 * and continue, and the report of a bug. Only a terminal whose foreground job we are is touched.
 */
#include "monitor/cli.h"

#include <string.h>
#include <unistd.h>

void term_init(struct cli_term *t)
{
    memset(t, 0, sizeof(*t));
    t->fd = -1;
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp())
        return;
    if (tcgetattr(STDIN_FILENO, &t->saved) == 0)
        t->fd = STDIN_FILENO;
}

void term_raw(struct cli_term *t)
{
    struct termios raw;

    t->wanted = true;
    if (t->fd < 0 || t->raw)
        return;
    raw = t->saved;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    /* Output processing stays: our own lines on stderr end in a bare newline. */
    raw.c_oflag |= OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    t->raw = tcsetattr(t->fd, TCSANOW, &raw) == 0;
}

void term_restore(struct cli_term *t)
{
    if (t->fd < 0 || !t->raw)
        return;
    t->raw = false;
    tcsetattr(t->fd, TCSANOW, &t->saved);
}

void term_again(struct cli_term *t)
{
    if (t->fd < 0 || !t->wanted || tcgetpgrp(t->fd) != getpgrp())
        return;
    t->raw = false; /* whatever the shell made of it */
    term_raw(t);
}
