/*
 * cli_qmp_schema.c - what programs ask about NoVT itself: query-qmp-schema, machines, CPU models; and set_link.
 *
 * The schema is made from the table of commands that is at work, so it says neither more nor less than what there is. Type names are
 * as opaque as QEMU's: "o3" is the arguments of command 3.
 */
#include <stdio.h>
#include <string.h>

#include "monitor/cli_session.h"

static const struct {
    char letter;
    const char *name, *json;
} types[] = {{'s', "str", "string"},
             {'i', "int", "int"},
             {'b', "bool", "boolean"},
             {'a', "[any]", NULL},
             {'n', "number", "number"}};

static const char *type_name(char letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].letter == (letter | 32))
            return types[i].name;
    return "any";
}

/* " name T name T" as the members of an object; a small letter is optional. */
static json_t *members(const char *args)
{
    json_t *list = json_array();

    for (const char *at = args; *at;) {
        char word[40];
        size_t n;
        json_t *one;

        at += strspn(at, " ");
        n = strcspn(at, " ");
        snprintf(word, sizeof(word), "%.*s", (int)n, at);
        at += n + (at[n] == ' ');
        one = json_pack("{s:s,s:s}", "name", word, "type", type_name(*at));
        if (one && *at >= 'a')
            json_object_set_new(one, "default", json_null());
        json_array_append_new(list, one);
        at += *at != 0;
    }
    return list;
}

void qmp_query_schema(struct qmp_call *q)
{
    static const char *const events[] = {QMP_EVENTS};
    const struct qmp_command *cmd;
    char type[16];

    q->ret = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].json)
            json_array_append_new(q->ret, json_pack("{s:s,s:s,s:s}", "name", types[i].name, "meta-type",
                                                    "builtin", "json-type", types[i].json));
    json_array_append_new(
        q->ret, json_pack("{s:s,s:s,s:s}", "name", "any", "meta-type", "builtin", "json-type", "value"));
    json_array_append_new(
        q->ret, json_pack("{s:s,s:s,s:s}", "name", "[any]", "meta-type", "array", "element-type", "any"));
    json_array_append_new(q->ret,
                          json_pack("{s:s,s:s,s:[]}", "name", "empty", "meta-type", "object", "members"));
    for (unsigned n = 0; (cmd = qmp_nth(n)); n++) {
        snprintf(type, sizeof(type), "o%u", n);
        json_array_append_new(q->ret, json_pack("{s:s,s:s,s:s,s:s,s:b}", "name", cmd->name, "meta-type",
                                                "command", "arg-type", cmd->args[0] ? type : "empty",
                                                "ret-type", "any", "allow-oob", 0));
        if (cmd->args[0])
            json_array_append_new(q->ret, json_pack("{s:s,s:s,s:o}", "name", type, "meta-type", "object",
                                                    "members", members(cmd->args)));
    }
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        json_array_append_new(
            q->ret, json_pack("{s:s,s:s,s:s}", "name", events[i], "meta-type", "event", "arg-type", "empty"));
}

void qmp_query_events(struct qmp_call *q)
{
    static const char *const events[] = {QMP_EVENTS};

    q->ret = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        json_array_append_new(q->ret, json_pack("{s:s}", "name", events[i]));
}

void qmp_query_machines(struct qmp_call *q)
{
    q->ret = json_pack("[{s:s,s:s,s:b,s:i,s:b,s:b,s:b}]", "name", "pc", "alias", "pc-i440fx", "is-default", 1,
                       "cpu-max", 1, "hotpluggable-cpus", 0, "numa-mem-supported", 0, "deprecated", 0);
}

void qmp_query_current_machine(struct qmp_call *q)
{
    q->ret = json_pack("{s:b}", "wakeup-suspend-support", 0);
}

void qmp_query_cpu_definitions(struct qmp_call *q)
{
    const char *name;

    q->ret = json_array();
    for (unsigned n = 0; (name = cli_cpu_name(n)); n++)
        json_array_append_new(q->ret, json_pack("{s:s,s:b,s:b,s:b,s:s}", "name", name, "migration-safe", 0,
                                                "static", 0, "deprecated", 0, "typename", name));
}

void qmp_set_link(struct qmp_call *q)
{
    const char *name = json_string_value(json_object_get(q->args, "name"));
    int n = name ? net_card_by_name(q->control->opt, name) : -1;

    if (n < 0 || novt_vm_set_link(q->vm, (unsigned)n, json_is_true(json_object_get(q->args, "up")))) {
        qmp_fail(q, "Device '%.64s' not found", name ? name : "");
        q->class = "DeviceNotFound";
    }
}
