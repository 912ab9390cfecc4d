/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles tables into a filter, without a library: the rules are a few numbers, and libseccomp
 * would take a millisecond of each start, and 200 KiB.
 *
 * The calls come in the order of the tables: the kernel runs the filter itself only for calls whose
 * arguments matter (Linux 5.11 and newer).
 */
#include "priv/syscall_filter.h"

#include <errno.h>
#include <glib.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "priv/syscall_name.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture"
#endif

#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define LOW_HALF 0
#else
#define LOW_HALF 4
#endif

#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
/* Goes on with the next instruction if it is equal, or skips so many. */
#define EQUAL_OR_SKIP(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define NUMBER offsetof(struct seccomp_data, nr)

static void add(GArray *program, const struct sock_filter *code, unsigned n)
{
	g_array_append_vals(program, code, n);
}

static void add_rule(GArray *program, const struct syscall_rule *rule)
{
	const struct sock_filter always[] = {
		EQUAL_OR_SKIP(rule->number, 1),
		RETURN(SECCOMP_RET_ALLOW),
	};
	const struct sock_filter conditional[] = {
		EQUAL_OR_SKIP(rule->number, 5),
		LOAD(offsetof(struct seccomp_data, args[rule->argument]) + LOW_HALF),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, rule->mask),
		EQUAL_OR_SKIP(rule->value, 1),
		RETURN(SECCOMP_RET_ALLOW),
		LOAD(NUMBER),
	};

	if (rule->has_condition)
		add(program, conditional, G_N_ELEMENTS(conditional));
	else
		add(program, always, G_N_ELEMENTS(always));
}

static void add_rules(GArray *program, const struct syscall_rule *const *tables, bool conditional)
{
	for (; *tables; tables++) {
		for (const struct syscall_rule *rule = *tables; rule->number >= 0; rule++) {
			if (rule->has_condition == conditional)
				add_rule(program, rule);
		}
	}
}

static GArray *compile(const struct syscall_rule *const *tables)
{
	const struct sock_filter begin[] = {
		LOAD(offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(NUMBER),
	};
	const struct sock_filter end[] = {
		EQUAL_OR_SKIP(SYS_clone3, 1),
		RETURN(SECCOMP_RET_ERRNO | ENOSYS),
		RETURN(SECCOMP_RET_TRAP),
	};
	const struct syscall_rule own[] = { SYSCALL_IF(tgkill, 0, UINT32_MAX, getpid()),
		SYSCALL_END };
	GArray *program = g_array_sized_new(FALSE, FALSE, sizeof(struct sock_filter), 512);

	add(program, begin, G_N_ELEMENTS(begin));
	add_rules(program, tables, false);
	add_rules(program, tables, true);
	add_rules(program, (const struct syscall_rule *const[]){ own, NULL }, true);
	add(program, end, G_N_ELEMENTS(end));
	return program;
}

/* Adds a number to a text, as g_snprintf() would, which is not for signal handlers. */
static void add_number(char *text, size_t size, unsigned number)
{
	char digits[16] = "";
	char *digit = &digits[sizeof(digits) - 1];

	do {
		*--digit = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	g_strlcat(text, digit, size);
}

/*
 * Logs the call: it may be one of the log itself, or of malloc(), amid their locks. The signal is
 * blocked until this returns, and then ends the process.
 */
static void on_violation(int signum, siginfo_t *info, void *context)
{
	const char *name = syscall_name(info->si_syscall);
	char text[256] = "the sandbox forbids the system call ";

	g_strlcat(text, name ? name : "?", sizeof(text));
	g_strlcat(text, " (", sizeof(text));
	add_number(text, sizeof(text), (unsigned)info->si_syscall);
	g_strlcat(text,
		"), the program ends: it has a fault, or has been taken over (--sandbox=none does "
		"without)",
		sizeof(text));
	log_error_in_handler(text);
	signal(SIGSYS, SIG_DFL);
	raise(SIGSYS);
}

static void catch_violations(void)
{
	struct sigaction action = { .sa_sigaction = on_violation, .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigemptyset(&action.sa_mask);
	sigaction(SIGSYS, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int syscall_filter_load(const struct syscall_rule *const *tables)
{
	g_autoptr(GArray) code = compile(tables);
	const struct sock_fprog program = {
		.len = code->len,
		.filter = (struct sock_filter *)(void *)code->data,
	};
	/*
	 * SPEC_ALLOW: kernels before 5.16 slow down whatever has a filter, for the sake of those
	 * that run a guest's code in their own address space.
	 */
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);

	if (result != 0)
		return result < 0 ? -errno : -EBUSY;
	catch_violations();
	return 0;
}
