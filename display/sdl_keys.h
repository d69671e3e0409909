/*
 * sdl_keys.h - SDL's scan codes as keys of the PC.
 *
 * They are the usages of USB's keyboard page, whatever the host's layout.
 */
#ifndef NOVT_DISPLAY_SDL_KEYS_H
#define NOVT_DISPLAY_SDL_KEYS_H

/* NULL: a PC has no such key. */
const char *sdl_key(unsigned scancode);

#endif
