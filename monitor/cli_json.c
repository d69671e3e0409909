/*
 * cli_json.c - option values in JSON, as programs write them: {"driver": "qcow2", "file": {"driver": "file", "filename": "a,b"}}.
 *
 * Turned into the comma list that a person would have written, driver=qcow2,file.driver=file,file.filename=a,,b, and read as that.
 */
#include "monitor/cli_drive_opt.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define LIST_BYTES 8192u
#define DEPTH_MAX 4u

struct list {
    char text[LIST_BYTES];
    size_t used;
    bool full;
};

static void add(struct list *list, const char *text, bool is_value)
{
    for (; *text; text++) {
        unsigned n = is_value && *text == ',' ? 2 : 1; /* a comma of the value's is doubled */

        if (list->used + n >= sizeof(list->text)) {
            list->full = true;
            return;
        }
        while (n--)
            list->text[list->used++] = *text;
    }
}

/* But for the key `first` of the outermost object. False: a value that no option has. */
static bool add_object(struct list *list, json_t *object, const char *prefix, unsigned depth, const char *first)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char name[64], number[32];

        if (first && !depth && !strcmp(key, first))
            continue;
        if (snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] ? "." : "", key) >= (int)sizeof(name) ||
            strpbrk(name, "=,"))
            return false;
        if (json_is_object(value)) {
            if (depth == DEPTH_MAX || !add_object(list, value, name, depth + 1, first))
                return false;
            continue;
        }
        if (list->used)
            add(list, ",", false);
        add(list, name, false);
        add(list, "=", false);
        if (json_is_string(value)) {
            add(list, json_string_value(value), true);
        } else if (json_is_boolean(value)) {
            add(list, json_is_true(value) ? "on" : "off", false);
        } else if (json_is_integer(value)) {
            snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            add(list, number, false);
        } else {
            return false;
        }
    }
    return true;
}

/* As drive_json(); the value of the key `first` begins the list, without its name. */
static const char *flat(struct cli_options *opt, const char *option, const char *first, const char *json, struct novt_error *err)
{
    struct list list = {.used = 0};
    json_error_t why;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    const char *head = first && root ? json_string_value(json_object_get(root, first)) : NULL;
    bool ok;

    if (!root) {
        opt_usage(err,
                  "for example '{\"driver\": \"raw\", \"node-name\": \"d\", \"file\": {\"driver\": \"file\", "
                  "\"filename\": \"FILE\"}}'",
                  "%s: JSON: %.200s", option, why.text);
        return NULL;
    }
    if (head)
        add(&list, head, true);
    ok = json_is_object(root) && !first == !head && add_object(&list, root, "", 0, first);
    if (!ok || list.full) {
        opt_usage(err, "use strings, numbers, true and false", "%s: the JSON %s%s", option,
                  !first == !head ? "holds what no option has" : "says no ", !first == !head ? "" : first);
        json_decref(root);
        return NULL;
    }
    json_decref(root);
    list.text[list.used] = 0;
    return drive_text(opt, list.text, err);
}

const char *drive_json(struct cli_options *opt, const char *option, const char *json, struct novt_error *err)
{
    return flat(opt, option, NULL, json, err);
}

const char *cli_json_value(struct cli_options *opt, const char *option, const char *first, const char *value, struct novt_error *err)
{
    size_t n = strlen(first);

    if (value[0] == '{')
        return flat(opt, option, first, value, err);
    return !strncmp(value, first, n) && value[n] == '=' ? value + n + 1 : value;
}
