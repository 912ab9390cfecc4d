/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share. A target is a function that turns bytes into a sequence of actions
 * and their arguments:
 *
 *	static void run(struct fuzz_input *in)
 *	{
 *		while (fuzz_more(in))
 *			actions[fuzz_below(in, G_N_ELEMENTS(actions))](in);
 *	}
 *	FUZZ_TARGET(name, .run = run);
 *
 * It leaves nothing behind, sleeps for nothing and asks no clock, so that an input does the same
 * each time. A fixture's failed assertion ends the process, as a sanitizer's finding does; so does
 * an fd that is left open. Log lines are dropped.
 *
 * VIRTIOD_FUZZ_TARGET selects one of an executable's targets. With -Dfuzz=true libFuzzer makes the
 * inputs; otherwise the arguments are files, or folders of such, to be run once (main.c).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of an input. Beyond its end all bytes are 0. */
struct fuzz_input {
	const uint8_t *at, *end;
};

bool fuzz_more(const struct fuzz_input *in);
uint8_t fuzz_u8(struct fuzz_input *in);
/* Little-endian. */
uint16_t fuzz_u16(struct fuzz_input *in);
uint32_t fuzz_u32(struct fuzz_input *in);
uint64_t fuzz_u64(struct fuzz_input *in);
/* Returns a number below n (at most 65536) of one byte, or two if one is too few. */
unsigned fuzz_below(struct fuzz_input *in, unsigned n);
/* Copies len bytes. */
void fuzz_copy(struct fuzz_input *in, void *to, size_t len);
/* Takes the next len bytes, or as many as there are, as an input of their own. */
struct fuzz_input fuzz_part(struct fuzz_input *in, size_t len);
/* Returns a string that a byte gives the length of; to be freed. */
char *fuzz_string(struct fuzz_input *in);

struct fuzz_target {
	const char *name;
	void (*setup)(void); /* once; NULL: nothing to set up */
	void (*run)(struct fuzz_input *in);
	const struct fuzz_target *next; /* main.c's */
};
void fuzz_register(struct fuzz_target *t);
#define FUZZ_TARGET(id, ...)                                                  \
	static struct fuzz_target id##_target = { .name = #id, __VA_ARGS__ }; \
	static void __attribute__((constructor)) id##_register(void)          \
	{                                                                     \
		fuzz_register(&id##_target);                                  \
	}                                                                     \
	_Static_assert(true, "for the semicolon")

/*
 * Returns the path of this name in a folder of the process, which is removed at its end; for
 * setup(): the string is the target's.
 */
char *fuzz_path(const char *name);
