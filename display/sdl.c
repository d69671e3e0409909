/*
 * sdl.c - the guest's screen in a window, by SDL2.
 *
 * The library is loaded when -display sdl asks for it, so that a server needs neither it nor what it draws in. Everything of SDL
 * happens on one thread, which makes the window before the machine exists: no screen to draw on is told at once. A click
 * in the window gives the mouse to the guest, Ctrl-Alt-G takes it back, Ctrl-Alt-F fills the screen, Ctrl-Alt-U goes back to the
 * picture's own size.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/parts.h"

#ifdef NOVT_SDL
#include <SDL.h>
#include <dlfcn.h>
#include <pthread.h>

#include "display/sdl_keys.h"

/* clang-format off */
#define FUNCTIONS(X)                                                                                        \
    X(SDL_Init) X(SDL_Quit) X(SDL_GetError) X(SDL_SetHint) X(SDL_CreateWindow) X(SDL_DestroyWindow)         \
    X(SDL_CreateRenderer) X(SDL_DestroyRenderer) X(SDL_CreateTexture) X(SDL_DestroyTexture)                 \
    X(SDL_UpdateTexture) X(SDL_RenderClear) X(SDL_RenderCopy) X(SDL_RenderPresent)                          \
    X(SDL_RenderSetLogicalSize) X(SDL_WaitEventTimeout) X(SDL_PollEvent) X(SDL_PushEvent)                   \
    X(SDL_SetWindowTitle) X(SDL_SetWindowSize) X(SDL_SetWindowFullscreen) X(SDL_SetRelativeMouseMode)       \
    X(SDL_SetWindowGrab) X(SDL_EnableScreenSaver) X(SDL_GetModState) X(SDL_GetCurrentVideoDriver) \
    X(SDL_GL_GetProcAddress)
/* clang-format on */

struct api {
#define POINTER(name) __typeof__(name) *name;
    FUNCTIONS(POINTER)
#undef POINTER
};

struct window {
    struct display_host host;
    const char *title;
    bool full_screen, keep_open;
    struct api sdl;
    void *library;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum { OPENING, READY, REFUSED } state;
    struct novt_vm *vm;
    volatile int stopping;
    char why[160];
    /* The thread's: */
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    struct novt_frame frame;
    int width, height; /* of the texture */
    unsigned buttons;
    bool grabbed, own_size, dirty;
};

/* ---- the picture ---- */

static void set_title(struct window *w)
{
    char title[200];

    snprintf(title, sizeof(title), "NoVT%s%s%s%s", w->title ? " (" : "", w->title ? w->title : "",
             w->title ? ")" : "", w->grabbed ? " - Press Ctrl-Alt-G to release the mouse" : "");
    w->sdl.SDL_SetWindowTitle(w->window, title);
}

static bool new_texture(struct window *w, int width, int height)
{
    if (w->texture)
        w->sdl.SDL_DestroyTexture(w->texture);
    w->texture = w->sdl.SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                          width, height);
    w->width = width;
    w->height = height;
    w->sdl.SDL_RenderSetLogicalSize(w->renderer, width, height);
    if (!w->own_size && !w->full_screen)
        w->sdl.SDL_SetWindowSize(w->window, width, height);
    return w->texture != NULL;
}

/* True if the picture changed. */
static bool look(struct window *w)
{
    struct novt_frame *f = &w->frame;

    if (novt_vm_frame(w->vm, f) <= 0 || !f->pixel || !f->width)
        return false;
    if ((u32)w->width != f->width || (u32)w->height != f->height || !w->texture) {
        if (f->width > INT16_MAX || f->height > INT16_MAX || !new_texture(w, (int)f->width, (int)f->height))
            return false;
        w->sdl.SDL_UpdateTexture(w->texture, NULL, f->pixel, (int)f->width * 4);
    } else {
        for (u32 i = 0; i < f->rects; i++) {
            const struct novt_rect *r = &f->rect[i];
            SDL_Rect rect = {(int)r->x, (int)r->y, (int)r->width, (int)r->height};

            w->sdl.SDL_UpdateTexture(w->texture, &rect, f->pixel + (size_t)r->y * f->width + r->x,
                                     (int)f->width * 4);
        }
    }
    w->dirty = true;
    return true;
}

static void present(struct window *w)
{
    w->sdl.SDL_RenderClear(w->renderer);
    if (w->texture)
        w->sdl.SDL_RenderCopy(w->renderer, w->texture, NULL, NULL);
    w->sdl.SDL_RenderPresent(w->renderer);
    w->dirty = false;
}

/* ---- events ---- */

static void grab(struct window *w, bool on)
{
    if (w->grabbed == on)
        return;
    w->grabbed = on;
    w->sdl.SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
    w->sdl.SDL_SetWindowGrab(w->window, on ? SDL_TRUE : SDL_FALSE);
    set_title(w);
}

/* Ctrl-Alt and a letter are ours. */
static bool hot_key(struct window *w, SDL_Scancode code)
{
    SDL_Keymod mod = w->sdl.SDL_GetModState();

    if (!(mod & KMOD_CTRL) || !(mod & KMOD_ALT))
        return false;
    switch (code) {
    case SDL_SCANCODE_G: grab(w, !w->grabbed); break;
    case SDL_SCANCODE_F:
        w->full_screen = !w->full_screen;
        w->sdl.SDL_SetWindowFullscreen(w->window, w->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
        w->dirty = true;
        break;
    case SDL_SCANCODE_U:
        w->own_size = false;
        if (!w->full_screen && w->width)
            w->sdl.SDL_SetWindowSize(w->window, w->width, w->height);
        break;
    default: return false;
    }
    novt_vm_keys_up(w->vm); /* the guest saw Ctrl and Alt go down */
    return true;
}

static void on_key(struct window *w, const SDL_KeyboardEvent *e)
{
    bool down = e->type == SDL_KEYDOWN;
    const char *key = sdl_key((unsigned)e->keysym.scancode);

    if (e->repeat || (down && hot_key(w, e->keysym.scancode)))
        return;
    if (key)
        (void)novt_vm_key(w->vm, key, down);
}

static void on_button(struct window *w, const SDL_MouseButtonEvent *e)
{
    static const u8 bits[] = {[SDL_BUTTON_LEFT] = 1,
                              [SDL_BUTTON_RIGHT] = 2,
                              [SDL_BUTTON_MIDDLE] = 4,
                              [SDL_BUTTON_X1] = 8,
                              [SDL_BUTTON_X2] = 16};

    if (e->button >= ARRAY_SIZE(bits))
        return;
    if (!w->grabbed) { /* the click that takes the mouse is not the guest's */
        if (e->type == SDL_MOUSEBUTTONDOWN && e->button == SDL_BUTTON_LEFT)
            grab(w, true);
        return;
    }
    if (e->type == SDL_MOUSEBUTTONDOWN)
        w->buttons |= bits[e->button];
    else
        w->buttons &= ~(unsigned)bits[e->button];
    novt_vm_mouse(w->vm, 0, 0, 0, w->buttons);
}

static void on_window(struct window *w, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_FOCUS_LOST:
        grab(w, false);
        novt_vm_keys_up(w->vm);
        if (w->buttons)
            novt_vm_mouse(w->vm, 0, 0, 0, 0);
        w->buttons = 0;
        break;
    case SDL_WINDOWEVENT_RESIZED: w->own_size |= e->data1 != w->width || e->data2 != w->height; break;
    default: break;
    }
    w->dirty = true;
}

static void on_event(struct window *w, const SDL_Event *e)
{
    switch (e->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP: on_key(w, &e->key); break;
    case SDL_MOUSEMOTION:
        if (w->grabbed)
            novt_vm_mouse(w->vm, e->motion.xrel, e->motion.yrel, 0, w->buttons);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: on_button(w, &e->button); break;
    case SDL_MOUSEWHEEL:
        if (w->grabbed)
            novt_vm_mouse(w->vm, 0, 0, -e->wheel.y, w->buttons);
        break;
    case SDL_WINDOWEVENT: on_window(w, &e->window); break;
    case SDL_QUIT:
        if (!w->keep_open)
            w->host.quit(w->host.opaque);
        break;
    default: break;
    }
}

/* ---- the thread ---- */

/* Where there is no screen SDL falls back on drivers that draw nowhere. Only who asks for one of them means that. */
static bool is_seen(struct window *w)
{
    const char *driver = w->sdl.SDL_GetCurrentVideoDriver(), *asked = getenv("SDL_VIDEODRIVER");

    if ((asked && asked[0]) || !driver || (strcmp(driver, "offscreen") && strcmp(driver, "dummy") && strcmp(driver, "evdev")))
        return true;
    snprintf(w->why, sizeof(w->why), "there is no screen to draw on");
    return false;
}

/* OpenGL without a graphics card draws the whole window by CPU, on threads of its own, where SDL's own drawing copies what is to be seen. */
static bool is_slow_gl(struct window *w)
{
    const unsigned gl_renderer = 0x1f01;
    const unsigned char *(*get_string)(unsigned) = w->sdl.SDL_GL_GetProcAddress("glGetString");
    const char *name = get_string ? (const char *)get_string(gl_renderer) : NULL;

    return name && (strstr(name, "llvmpipe") || strstr(name, "softpipe") || strstr(name, "Software Rasterizer"));
}

static void make_renderer(struct window *w)
{
    const char *asked = getenv("SDL_RENDER_DRIVER");

    w->renderer = w->sdl.SDL_CreateRenderer(w->window, -1, 0);
    if (!w->renderer || (asked && asked[0]) || !is_slow_gl(w))
        return;
    w->sdl.SDL_DestroyRenderer(w->renderer);
    w->sdl.SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"); /* or the drawing would end in the same OpenGL */
    w->renderer = w->sdl.SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
}

static bool make_window(struct window *w)
{
    Uint32 flags = SDL_WINDOW_RESIZABLE | (w->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);

    w->sdl.SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    w->sdl.SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    w->sdl.SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
    w->sdl.SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    if (w->sdl.SDL_Init(SDL_INIT_VIDEO) == 0) {
        if (!is_seen(w))
            return false;
        w->sdl.SDL_EnableScreenSaver();
        w->window = w->sdl.SDL_CreateWindow("NoVT", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720,
                                            400, flags);
        if (w->window)
            make_renderer(w);
        if (w->renderer) {
            set_title(w);
            return true;
        }
    }
    snprintf(w->why, sizeof(w->why), "%s", w->sdl.SDL_GetError());
    return false;
}

static void take_down(struct window *w)
{
    if (w->texture)
        w->sdl.SDL_DestroyTexture(w->texture);
    if (w->renderer)
        w->sdl.SDL_DestroyRenderer(w->renderer);
    if (w->window)
        w->sdl.SDL_DestroyWindow(w->window);
    w->sdl.SDL_Quit();
}

/* Says how opening went, then waits for the machine. */
static bool meet_vm(struct window *w, bool made)
{
    pthread_mutex_lock(&w->lock);
    w->state = made ? READY : REFUSED;
    pthread_cond_broadcast(&w->changed);
    while (made && !w->vm && !w->stopping)
        pthread_cond_wait(&w->changed, &w->lock);
    made &= !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return made;
}

static void *window_thread(void *opaque)
{
    struct window *w = opaque;
    int wait_ms = DISPLAY_BUSY_MS;

    if (meet_vm(w, make_window(w)))
        present(w);
    while (w->vm && !w->stopping) {
        SDL_Event e;
        bool busy = w->sdl.SDL_WaitEventTimeout(&e, wait_ms) != 0;

        if (busy)
            do
                on_event(w, &e);
            while (!w->stopping && w->sdl.SDL_PollEvent(&e));
        if (w->stopping)
            break;
        busy |= look(w);
        if (w->dirty)
            present(w);
        wait_ms = display_next_ms(wait_ms, busy);
    }
    take_down(w);
    return NULL;
}

/* ---- life ---- */

static bool load(struct window *w)
{
    w->library = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!w->library)
        return false;
#define FIND(name)                                                          \
    if (!(w->sdl.name = (__typeof__(w->sdl.name))dlsym(w->library, #name))) \
        return false;
    FUNCTIONS(FIND)
#undef FIND
    return true;
}

static void sdl_stop(void *self)
{
    struct window *w = self;
    SDL_Event e = {.type = SDL_USEREVENT};

    if (!w->running)
        return;
    w->running = false;
    pthread_mutex_lock(&w->lock);
    w->stopping = 1;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->state == READY)
        w->sdl.SDL_PushEvent(&e);
    pthread_join(w->thread, NULL);
}

static void sdl_close(void *self)
{
    struct window *w = self;

    sdl_stop(w);
    novt_frame_free(&w->frame);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    /* The library stays: what it starts in the background (a display server's) may outlive its windows. */
    free(w);
}

static int sdl_open(void **self, const struct display_spec *spec, const struct display_host *host,
                    struct novt_error *err)
{
    struct window *w = calloc(1, sizeof(*w));
    int rc = 0;

    if (!w)
        return display_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-display sdl: no memory");
    w->host = *host;
    w->title = spec->title;
    w->full_screen = spec->full_screen;
    w->keep_open = spec->window_close_off;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (!load(w)) {
        rc = display_fail(err, NOVT_ERR_HOST, -ENOENT,
                          "install libsdl2-2.0-0, or use -display curses or -vnc :1",
                          "-display sdl: the SDL2 library cannot be loaded");
    } else if (pthread_create(&w->thread, NULL, window_thread, w)) {
        rc = display_fail(err, NOVT_ERR_HOST, -EAGAIN, "raise \"ulimit -u\"", "-display sdl: no thread");
    } else {
        w->running = true;
        pthread_mutex_lock(&w->lock);
        while (w->state == OPENING)
            pthread_cond_wait(&w->changed, &w->lock);
        pthread_mutex_unlock(&w->lock);
        if (w->state == REFUSED)
            rc = display_fail(err, NOVT_ERR_HOST, -ENODEV,
                              "run it in a graphical session, or use -display curses or -vnc :1",
                              "-display sdl: no window: %s", w->why);
    }
    if (rc)
        sdl_close(w);
    else
        *self = w;
    return rc;
}

static int sdl_start(void *self, struct novt_vm *vm, struct novt_error *err)
{
    struct window *w = self;

    (void)err;
    pthread_mutex_lock(&w->lock);
    w->vm = vm;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

const struct display_part display_sdl = {sdl_open, sdl_start, sdl_stop, sdl_close, NULL, NULL, NULL};

#else /* built without SDL's headers */

static int sdl_open(void **self, const struct display_spec *spec, const struct display_host *host,
                    struct novt_error *err)
{
    (void)self;
    (void)spec;
    (void)host;
    return display_fail(err, NOVT_ERR_HOST, -ENOTSUP,
                        "install libsdl2-dev and build again, or use -display curses or -vnc :1",
                        "-display sdl: this novt was built without SDL2");
}

static int sdl_start(void *self, struct novt_vm *vm, struct novt_error *err)
{
    (void)self;
    (void)vm;
    (void)err;
    return 0;
}

static void sdl_stop(void *self)
{
    (void)self;
}

const struct display_part display_sdl = {sdl_open, sdl_start, sdl_stop, sdl_stop, NULL, NULL, NULL};
#endif
