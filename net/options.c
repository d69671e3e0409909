/*
 * options.c - the text of a back end's options: "key=value,key=value", addresses, numbers, and what to say of bad ones.
 */
#include "net/port.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void explain(struct net_error *err, bool usage, const char *remedy, const char *fmt, va_list ap)
{
    err->usage = usage;
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
}

int net_bad(struct net_error *err, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    explain(err, true, remedy, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

int net_refused(struct net_error *err, int rc, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    explain(err, false, remedy, fmt, ap);
    va_end(ap);
    return rc < 0 ? rc : -EIO;
}

bool net_next_option(char **list, char **key, char **value)
{
    char *from = *list, *to = *list;
    bool more;

    if (!*from)
        return false;
    *key = to;
    while (*from && (*from != ',' || from[1] == ',')) {
        from += *from == ',';
        *to++ = *from++;
    }
    more = *from == ',';
    *to = 0;
    *list = more ? from + 1 : from;
    *value = strchr(*key, '=');
    if (*value)
        *(*value)++ = 0;
    else
        *value = to;
    return true;
}

bool net_is_key(const char *key, const char *name)
{
    return !strcmp(key, name);
}

int net_flag(const char *kind, const char *key, const char *value, bool *out, struct net_error *err)
{
    *out = !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "y") || !strcmp(value, "true");
    if (*out || !strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "n") ||
        !strcmp(value, "false"))
        return 0;
    return net_bad(err, "give on or off", "-netdev %s: bad %s=%s", kind, key, value);
}

bool net_number(const char *text, u32 max, u32 *out)
{
    char *end;
    unsigned long n;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    n = strtoul(text, &end, 10);
    *out = (u32)n;
    return !errno && !*end && n <= max;
}

int net_address(const char *kind, const char *key, const char *text, struct sockaddr_in *out,
                struct net_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_INET};
    const char *colon = strrchr(text, ':');
    struct addrinfo *found = NULL;
    char host[256];
    u32 port;

    *out = (struct sockaddr_in){.sin_family = AF_INET};
    if (!colon || !net_number(colon + 1, 65535, &port))
        return net_bad(err, "give HOST:PORT", "-netdev %s: bad %s=%s", kind, key, text);
    out->sin_port = htons((u16)port);
    if (colon == text)
        return 0;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    if (getaddrinfo(host, NULL, &hints, &found) || !found)
        return net_refused(err, -ENOENT, "give an address or a name that the host knows",
                           "-netdev %s: unknown host \"%s\"", kind, host);
    out->sin_addr = ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr;
    freeaddrinfo(found);
    return 0;
}
