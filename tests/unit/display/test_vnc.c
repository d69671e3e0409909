/*
 * test_vnc.c - a VNC client's bytes: the handshake whatever the pieces, pixel formats, and bytes of somebody who means harm.
 *
 * No socket is open: bytes go in by vnc_client_take() and come out in the client's buffer. The machine has no firmware and does not run.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "display/vnc.h"

#define WIDTH 200u
#define HEIGHT 100u

struct rig {
    struct novt_vm *vm;
    struct novt_frame frame;
    struct vnc_client c;
};

static struct rig *rig_new(void)
{
    struct novt_config config = {.ram_bytes = 1 << 20, .no_firmware = true, .engine = NOVT_ENGINE_BT};
    struct rig *r = calloc(1, sizeof(*r));
    struct novt_error err;

    cr_assert_eq(novt_vm_new(&r->vm, &config, &err), 0, "%s", err.cause);
    r->frame = (struct novt_frame){.width = WIDTH, .height = HEIGHT, .pixel = calloc(WIDTH * HEIGHT, 4)};
    for (u32 i = 0; i < WIDTH * HEIGHT; i++)
        r->frame.pixel[i] = i % WIDTH < 64    ? 0x102030
                            : i % WIDTH < 128 ? (i % 3) * 0x110000
                                              : i * 2654435761u & 0xffffff;
    vnc_client_init(&r->c, -1, r->vm, &r->frame, "name", NULL);
    return r;
}

static void rig_free(struct rig *r)
{
    vnc_client_fini(&r->c);
    novt_vm_free(r->vm);
    free(r->frame.pixel);
    free(r);
}

static void say(struct rig *r, const void *bytes, size_t n)
{
    vnc_client_take(&r->c, bytes, n);
}

static void empty(struct rig *r)
{
    r->c.out.n = r->c.out.at = 0;
}

static const char hello[] = "RFB 003.008\n\1\1";
static const u8 ask[] = {3, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

Test(vnc, handshake_in_any_pieces)
{
    static const u8 want[] =
        "RFB 003.008\n\1\1\0\0\0\0\0\xc8\0\x64\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\4name";

    for (size_t piece = 1; piece <= 14; piece++) {
        struct rig *r = rig_new();

        for (size_t at = 0; at < 14; at += piece)
            say(r, hello + at, piece < 14 - at ? piece : 14 - at);
        cr_assert_eq(r->c.state, VNC_NORMAL);
        cr_assert_eq(r->c.out.n, sizeof(want) - 1);
        cr_assert_arr_eq(r->c.out.data, want, sizeof(want) - 1);
        rig_free(r);
    }
}

Test(vnc, old_protocols_and_wrong_hellos)
{
    static const struct {
        const char *bytes;
        size_t n, out; /* of the server's, without its own hello */
        bool gone;
    } cases[] = {
        {"RFB 003.003\n\1", 13, 4 + 28, false},       {"RFB 003.007\n\1\1", 14, 2 + 28, false},
        {"RFB 003.889\n\1\1", 14, 2 + 4 + 28, false}, {"RFB 004.000\n", 12, 0, true},
        {"GET / HTTP/1.1\r\n", 16, 0, true},          {"RFB 003.008\n\2", 13, 2 + 19, true},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig *r = rig_new();

        say(r, cases[i].bytes, cases[i].n);
        cr_assert_eq(r->c.gone, cases[i].gone, "case %u", i);
        cr_assert_eq(r->c.out.n, 12 + cases[i].out, "case %u: %zu", i, r->c.out.n);
        rig_free(r);
    }
}

/* The text "password", twice, encrypted with the key that VNC programs hide their password files with is a well-known string. */
static const u8 hidden_key[] = {23, 82, 107, 6, 35, 78, 88, 7, 0};
static const u8 hidden[16] = {0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58,
                              0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58};

Test(vnc, password_as_everybody_does_it)
{
    struct vnc_auth *auth;
    struct novt_error err;
    u8 wrong[16];

    cr_assert_eq(vnc_auth_new(&auth, &err), 0, "%s", err.cause);
    cr_assert(!vnc_auth_check(auth, (const u8 *)"passwordpassword", hidden), "before it is set");
    vnc_auth_set(auth, (const char *)hidden_key);
    cr_assert(vnc_auth_check(auth, (const u8 *)"passwordpassword", hidden));
    for (unsigned i = 0; i < 16; i++) {
        memcpy(wrong, hidden, 16);
        wrong[i] ^= 1;
        cr_assert(!vnc_auth_check(auth, (const u8 *)"passwordpassword", wrong), "byte %u", i);
    }
    vnc_auth_expire(auth, 1);
    cr_assert(!vnc_auth_check(auth, (const u8 *)"passwordpassword", hidden), "too late");
    vnc_auth_expire(auth, 0);
    cr_assert(vnc_auth_check(auth, (const u8 *)"passwordpassword", hidden), "for ever");
    vnc_auth_set(auth, "");
    cr_assert(!vnc_auth_check(auth, (const u8 *)"passwordpassword", hidden), "taken away");
    vnc_auth_free(auth);
}

Test(vnc, password_in_every_protocol)
{
    static const struct {
        const char *hello;
        size_t n, before; /* the server's bytes up to the challenge, behind its own hello */
    } cases[] = {{"RFB 003.003\n", 12, 4}, {"RFB 003.007\n\2", 13, 2}, {"RFB 003.008\n\2", 13, 2}};
    struct vnc_auth *auth;
    struct novt_error err;

    cr_assert_eq(vnc_auth_new(&auth, &err), 0, "%s", err.cause);
    vnc_auth_set(auth, (const char *)hidden_key);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        unsigned k = i / 2;
        bool right = i % 2;
        struct rig *r = rig_new();

        r->c.auth = auth;
        say(r, cases[k].hello, cases[k].n);
        cr_assert_eq(r->c.out.n, 12 + cases[k].before + 16, "case %u: %zu", i, r->c.out.n);
        cr_assert_arr_eq(r->c.out.data + r->c.out.n - 16, r->c.challenge, 16);
        memcpy(r->c.challenge, "passwordpassword", 16);
        empty(r);
        say(r, right ? hidden : (const u8 *)"passwordpassword", 16);
        cr_assert_eq(r->c.out.data[3], !right, "case %u", i);
        cr_assert_eq(r->c.gone, !right);
        cr_assert_eq(r->c.out.n, right || k < 2 ? 4 : 4 + 4 + 14, "case %u: %zu", i, r->c.out.n);
        rig_free(r);
    }
    for (unsigned i = 0; i < 2; i++) { /* nobody passes by it */
        struct rig *r = rig_new();

        r->c.auth = auth;
        say(r, i ? "RFB 003.007\n\1" : "RFB 003.008\n\1", 13);
        cr_assert(r->c.gone);
        rig_free(r);
    }
    vnc_auth_free(auth);
}

Test(vnc, pixels_in_the_clients_format)
{
    /* 16 bits, big endian, 5-6-5; 8 bits, 3-3-2; 32 bits, blue first. */
    static const u8 formats[3][20] = {
        {0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0},
        {0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6},
        {0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16},
    };
    static const u8 want[3][4] = {
        {0x10 * 31 / 255 << 3 | (0x20 * 63 / 255) >> 3, (0x20 * 63 / 255 & 7) << 5 | 0x30 * 31 / 255},
        {0x10 * 7 / 255 | 0x20 * 7 / 255 << 3 | 0x30 * 3 / 255 << 6},
        {0x10, 0x20, 0x30, 0}};
    static const u8 size[3] = {2, 1, 4};

    for (unsigned i = 0; i < 3; i++) {
        struct rig *r = rig_new();

        say(r, hello, 14);
        say(r, formats[i], 20);
        say(r, ask, sizeof(ask));
        cr_assert(!r->c.gone && r->c.asked && r->c.any_dirty);
        empty(r);
        vnc_update(&r->c);
        cr_assert_eq(r->c.out.n, 4 + 2 * 12 + WIDTH * HEIGHT * size[i]);
        cr_assert_arr_eq(r->c.out.data + 16, want[i], size[i]);
        cr_assert(!r->c.asked && !r->c.any_dirty);
        rig_free(r);
    }
}

Test(vnc, impossible_formats_end_it)
{
    static const u8 wrong[][20] = {
        {0, 0, 0, 0, 24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0},
        {0, 0, 0, 0, 32, 24, 0, 0, 0, 255, 0, 255, 0, 255, 16, 8, 0},
        {0, 0, 0, 0, 32, 24, 0, 1, 0, 0, 0, 255, 0, 255, 16, 8, 0},
        {0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 200, 8, 0},
        {0, 0, 0, 0, 16, 16, 0, 1, 255, 255, 0, 63, 0, 31, 11, 5, 0},
        {0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct rig *r = rig_new();

        say(r, hello, 14);
        say(r, wrong[i], 20);
        cr_assert(r->c.gone, "format %u", i);
        rig_free(r);
    }
}

Test(vnc, only_what_changed_is_sent)
{
    struct rig *r = rig_new();

    say(r, hello, 14);
    say(r, ask, sizeof(ask));
    vnc_update(&r->c);
    empty(r);
    vnc_mark(&r->c, 70, 63, 1, 2); /* two tiles, one above the other */
    cr_assert(r->c.any_dirty);
    vnc_update(&r->c);
    cr_assert_eq(r->c.out.n, 4 + 2 * 12 + (64 * 64 + 64 * 36) * 4);
    vnc_mark(&r->c, WIDTH, 0, 5, 5);
    vnc_mark(&r->c, 0, HEIGHT, 5, 5);
    vnc_mark(&r->c, 0, 0, 0, 5);
    cr_assert_not(r->c.any_dirty);
    vnc_mark(&r->c, 199, 99, UINT32_MAX, UINT32_MAX);
    cr_assert(r->c.any_dirty);
    rig_free(r);
}

Test(vnc, lists_and_texts_of_any_length)
{
    struct rig *r = rig_new();
    static const u8 encodings[] = {2, 0, 0xff, 0xff}, zrle[] = {0, 0, 0, 16},
                    ext[] = {0xff, 0xff, 0xfe, 0xfe};
    static const u8 cut[] = {6, 0, 0, 0, 0, 0, 3, 0xe8}, key[] = {4, 1, 0, 0, 0, 0, 0, 'a'};
    u8 zeros[1000] = {0};

    say(r, hello, 14);
    empty(r);
    say(r, encodings, 4);
    say(r, zrle, 4);
    for (unsigned i = 0; i < 65534; i++)
        say(r, ext, 4);
    cr_assert(!r->c.gone && r->c.encodings_left == 0 && r->c.encoding == VNC_ZRLE);
    cr_assert_eq(r->c.out.n, 16); /* told once */
    for (unsigned i = 0; i < 3; i++) {
        say(r, cut, sizeof(cut));
        say(r, zeros, sizeof(zeros));
    }
    say(r, key, sizeof(key));
    cr_assert(!r->c.gone && r->c.keys && r->c.in_n == 0);
    say(r, "\x63", 1);
    cr_assert(r->c.gone);
    rig_free(r);
}

static u64 next(u64 *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* As many rounds as NOVT_FUZZ_ROUNDS says, from NOVT_FUZZ_SEED on (scripts/fuzz --vnc). */
static u64 setting(const char *name, u64 otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

Test(vnc, random_bytes_do_no_harm)
{
    static const u8 kinds[] = {0, 2, 3, 4, 5, 6, 255, 3, 3, 1, 150, 250};
    struct rig *r = rig_new();
    u64 s = setting("NOVT_FUZZ_SEED", 88172645463325252ull) | 1, rounds = setting("NOVT_FUZZ_ROUNDS", 3000),
        alive = 0;
    struct vnc_auth *auth;
    struct novt_error err;

    cr_assert_eq(vnc_auth_new(&auth, &err), 0, "%s", err.cause);
    vnc_auth_set(auth, "password");
    for (u64 round = 0; round < rounds; round++) {
        bool asked = next(&s) % 8 == 0;
        u8 buf[256];

        vnc_client_fini(&r->c);
        vnc_client_init(&r->c, -1, r->vm, &r->frame, "name", asked ? auth : NULL);
        if (next(&s) % 16)
            say(r, asked ? "RFB 003.008\n\2" : hello, asked ? 13 : 14);
        for (unsigned n = 0; n < 40 && !r->c.gone; n++) {
            size_t len = 1 + next(&s) % 40;

            for (size_t i = 0; i < len; i++)
                buf[i] = next(&s) & 3 ? (u8)(next(&s) % 17) : (u8)next(&s);
            buf[0] = next(&s) % 200 ? kinds[next(&s) % 9] : kinds[next(&s) % 12];
            if (buf[0] == 0 && len > 17) { /* a format that may be possible */
                static const u8 ok[] = {32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0};
                memcpy(buf + 4, ok, sizeof(ok));
                buf[4 + next(&s) % sizeof(ok)] = (u8)next(&s);
            }
            say(r, buf, len);
            if (next(&s) % 8 == 0) { /* the picture changes its size under it */
                r->frame.width = 1 + (u32)(next(&s) % WIDTH);
                r->frame.height = 1 + (u32)(next(&s) % HEIGHT);
            }
            if (!r->c.gone && r->c.state == VNC_NORMAL && r->c.asked && r->c.any_dirty)
                vnc_update(&r->c);
            cr_assert_lt(r->c.out.n, 8u << 20);
            cr_assert(!asked || r->c.state <= VNC_ANSWER, "in without the password");
            if (next(&s) % 4 == 0)
                empty(r);
        }
        alive += !r->c.gone;
    }
    cr_assert_gt(alive, rounds / 30); /* else nothing but the first byte was tried */
    rig_free(r);
    vnc_auth_free(auth);
}
