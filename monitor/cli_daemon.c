/*
 * cli_daemon.c - -daemonize and -pidfile: the process as its supervisor sees it.
 *
 * The program that was started ends with 0 once everything is open and the machine is about to run, so that a script may go on and
 * connect; if something is missing it ends with the code and the message that it would have ended with anyway. The process id is
 * written under a lock that lasts as long as the machine.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli.h"

static int fail(struct novt_error *err, const char *remedy, const char *what, const char *name)
{
    err->kind = NOVT_ERR_HOST;
    snprintf(err->cause, sizeof(err->cause), "%s%s: %s", what, name, strerror(errno));
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return EXIT_HOST;
}

/* The one that was started: waits for word from the one that runs the machine. */
_Noreturn static void wait_for_child(int fd, pid_t child)
{
    int status = 0;
    ssize_t n;
    char word;

    while ((n = read(fd, &word, 1)) < 0 && errno == EINTR)
        ;
    if (n == 1)
        _exit(EXIT_OK);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BUG);
}

static int write_pid(struct cli_daemon *d, struct novt_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[24];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    d->pid_fd = open(d->pidfile, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (d->pid_fd < 0)
        return fail(err, "choose a writable place", "-pidfile: cannot write ", d->pidfile);
    if (fcntl(d->pid_fd, F_SETLK, &lock)) {
        close(d->pid_fd);
        d->pid_fd = -1;
        return fail(err, "end the machine that has it, or choose another file", "-pidfile: cannot lock ",
                    d->pidfile);
    }
    if (ftruncate(d->pid_fd, 0) || write(d->pid_fd, text, (size_t)n) != n)
        return fail(err, "choose another place", "-pidfile: cannot write ", d->pidfile);
    return 0;
}

int daemon_begin(struct cli_daemon *d, const struct cli_options *opt, struct novt_error *err)
{
    int fd[2];

    *d = (struct cli_daemon){.ready_fd = -1, .pid_fd = -1, .pidfile = opt->control.pidfile};
    if (opt->control.daemonize) {
        pid_t child;

        if (pipe2(fd, O_CLOEXEC))
            return fail(err, "raise \"ulimit -n\"", "-daemonize", "");
        fflush(NULL);
        child = fork();
        if (child < 0) {
            close(fd[0]);
            close(fd[1]);
            return fail(err, "raise \"ulimit -u\"", "-daemonize", "");
        }
        if (child) {
            close(fd[1]);
            wait_for_child(fd[0], child);
        }
        close(fd[0]);
        d->ready_fd = fd[1];
        setsid();
    }
    return d->pidfile ? write_pid(d, err) : 0;
}

void daemon_ready(struct cli_daemon *d)
{
    int null;

    if (d->ready_fd < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (write(d->ready_fd, "", 1) < 0) {
        /* Nobody waits any more. */
    }
    close(d->ready_fd);
    d->ready_fd = -1;
}

void daemon_end(struct cli_daemon *d)
{
    if (d->pid_fd >= 0) {
        unlink(d->pidfile);
        close(d->pid_fd);
    }
    if (d->ready_fd >= 0)
        close(d->ready_fd);
    d->pid_fd = d->ready_fd = -1;
}
