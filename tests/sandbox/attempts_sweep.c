/* SPDX-License-Identifier: Apache-2.0 */
/* Tries numbers one after the other: of ioctls, of system calls. */
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "priv/syscall_name.h"
#include "tests/sandbox/attempts_impl.h"

#define MAX_CALLS 600

/* What a sweep found: static, as a signal handler has no malloc(). */
static char found[16384];

static void add(const char *text)
{
	g_strlcat(found, *found ? " " : "", sizeof(found));
	g_strlcat(found, text, sizeof(found));
}

/* Tries requests [first, first + n), with this direction and size; adds those that are allowed. */
static void sweep(uint32_t first, uint32_t n, uint32_t how)
{
	char number[16];

	for (uint32_t request = first; request < first + n; request++) {
		attempts_caught = 0;
		syscall(SYS_ioctl, -1, how | request, NULL);
		if (attempts_caught)
			continue;
		g_snprintf(number, sizeof(number), "%#x", how | request);
		add(number);
	}
}

/*
 * Tries every type and number that an ioctl() could have, with the usual directions and sizes, and
 * those of KVM, Xen, GPIO chips, SPI and terminals with more.
 */
void attempts_ioctls(void)
{
	static const uint32_t usual[] = { 0, _IOC(_IOC_READ, 0, 0, 8), _IOC(_IOC_WRITE, 0, 0, 8) };
	static const uint32_t types[] = { 0xae, 0xb4, 'E', 'G', 'P', 'T', 'k' };
	static const uint32_t sizes[] = { 4, 8, 12, 16, 24, 32, 44, 64, 0x90, 0x110, 0x138 };
	struct sigaction before;

	*found = '\0';
	attempts_catch(&before);
	for (unsigned i = 0; i < G_N_ELEMENTS(usual); i++)
		sweep(0, 0x10000, usual[i]);
	for (unsigned i = 0; i < 4 * G_N_ELEMENTS(sizes); i++)
		for (unsigned t = 0; t < G_N_ELEMENTS(types); t++)
			sweep(types[t] << 8, 0x100, _IOC(i % 4, 0, 0, sizes[i / 4]));
	sigaction(SIGSYS, &before, NULL);
	attempts_say("ioctls", found);
}

/* Returns whether it is allowed, and would end the thread or its handler with any arguments. */
static bool is_final(int number)
{
#ifdef __x86_64__
	/* uretprobe() and uprobe(): no filter sees them; SIGILL but for the kernel's own code. */
	if (number == 335 || number == 336)
		return true;
#endif
	return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn ||
		number == SYS_restart_syscall;
}

void attempts_calls(void)
{
	struct sigaction before;

	*found = '\0';
	attempts_catch(&before);
	for (int number = 0; number < MAX_CALLS; number++) {
		const char *name = syscall_name(number);

		attempts_caught = 0;
		if (!is_final(number))
			syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
		if (!attempts_caught && !is_final(number))
			add(name ? name : "?");
	}
	sigaction(SIGSYS, &before, NULL);
	attempts_say("calls", found);
}
