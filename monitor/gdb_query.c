/*
 * gdb_query.c - the gdb stub's answers to q and Q packets.
 *
 * What the stub can do, the target description, the one thread, and QEMU's own packets: qemu.sstep (whether interrupts
 * wait during single steps) and qemu.PhyMemMode (whether addresses are physical).
 */
#include "monitor/gdb.h"

#include <stdlib.h>
#include <string.h>

#define XML_BYTES_MAX 16384u

/* qXfer:features:read:ANNEX:OFFSET,LENGTH */
static void features(struct novt_gdb *g, struct gdb_in *in)
{
    u64 off, len;
    size_t bytes;
    char *xml;

    if (!gdb_take(in, "target.xml:")) {
        gdb_put(&g->out, "E00");
        return;
    }
    if (!gdb_take_num(in, &off) || !gdb_take(in, ",") || !gdb_take_num(in, &len)) {
        gdb_put_error(&g->out, EINVAL);
        return;
    }
    xml = malloc(XML_BYTES_MAX);
    if (!xml) {
        gdb_put_error(&g->out, ENOMEM);
        return;
    }
    bytes = gdb_target_xml(xml, XML_BYTES_MAX);
    if (off > bytes || bytes > XML_BYTES_MAX) {
        gdb_put_error(&g->out, EINVAL);
    } else {
        len = min_u64(min_u64(len, bytes - off), GDB_PACKET_BYTES / 2 - 2);
        gdb_put(&g->out, off + len < bytes ? "m" : "l");
        (void)gdb_put_binary(&g->out, xml + off, len); /* at most twice as long */
    }
    free(xml);
}

/* The monitor's words (qRcmd, in hex): what it says goes out piece by piece, then OK. */
static void monitor_command(struct novt_gdb *g, struct gdb_in *in)
{
    char line[512], *answer;
    size_t n = (size_t)(in->end - in->at) / 2, at = 0, len;

    if (!g->command)
        return;
    if (n >= sizeof(line) || !gdb_take_hex(in, (u8 *)line, n) || in->at != in->end) {
        gdb_put_error(&g->out, EINVAL);
        return;
    }
    line[n] = 0;
    answer = g->command(g->command_opaque, line);
    g->out.len = 0; /* a stop may have been told */
    len = answer ? strlen(answer) : 0;
    while (at < len) {
        size_t piece = min_u64(len - at, GDB_PACKET_BYTES / 2 - 1);

        gdb_put(&g->out, "O");
        gdb_put_hex(&g->out, (const u8 *)answer + at, piece);
        gdb_send_frame(g);
        at += piece;
    }
    free(answer);
    gdb_put(&g->out, "OK");
}

static void qemu_query(struct novt_gdb *g, struct gdb_in *in)
{
    if (gdb_take(in, "sstepbits"))
        gdb_put(&g->out, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    else if (gdb_take(in, "sstep"))
        gdb_putf(&g->out, "0x%x", g->sstep);
    else if (gdb_take(in, "PhyMemMode"))
        gdb_put(&g->out, g->phys ? "1" : "0");
    else if (gdb_take(in, "Supported"))
        gdb_put(&g->out, "sstepbits;sstep;PhyMemMode");
}

static void qemu_set(struct novt_gdb *g, struct gdb_in *in)
{
    bool step = gdb_take(in, "sstep=");
    u64 v;

    if (!step && !gdb_take(in, "PhyMemMode:"))
        return;
    if (!gdb_take_num(in, &v) || v > 7) {
        gdb_put_error(&g->out, EINVAL);
        return;
    }
    if (step)
        g->sstep = (u8)v;
    else
        g->phys = v != 0;
    gdb_put(&g->out, "OK");
}

static void set_packet(struct novt_gdb *g, struct gdb_in *in)
{
    if (gdb_take(in, "StartNoAckMode")) {
        g->no_ack = true;
        gdb_put(&g->out, "OK");
    } else if (gdb_take(in, "qemu.")) {
        qemu_set(g, in);
    }
}

void gdb_query(struct novt_gdb *g, struct gdb_in *in, bool set)
{
    struct gdb_out *out = &g->out;

    if (set)
        set_packet(g, in);
    else if (gdb_take(in, "Supported"))
        gdb_putf(out, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+",
                 GDB_PACKET_BYTES);
    else if (gdb_take(in, "Xfer:features:read:"))
        features(g, in);
    else if (gdb_take(in, "Attached"))
        gdb_put(out, "1");
    else if (gdb_take(in, "fThreadInfo"))
        gdb_put(out, "m01");
    else if (gdb_take(in, "sThreadInfo"))
        gdb_put(out, "l");
    else if (gdb_take(in, "ThreadExtraInfo,"))
        gdb_put_hex(out, (const u8 *)"CPU#0", 5);
    else if (gdb_take(in, "Rcmd,"))
        monitor_command(g, in);
    else if (gdb_take(in, "qemu."))
        qemu_query(g, in);
    else if (in->at < in->end && *in->at == 'C' && in->end - in->at == 1)
        gdb_put(out, "QC01");
}
