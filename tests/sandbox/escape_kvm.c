/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-kvm that has been taken over, without KVM: options, back-ends, terminal and sandbox are
 * the program's. It takes its options; $VICTIM is the pid of another process, $OTHER a socket that
 * no option names, $RAISE the number of a signal that ends it (none: it stops before its attempts,
 * then ends by itself).
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/start.h"
#include "kvm-stub/boot/boot.h"
#include "kvm-stub/machine/device_spec.h"
#include "kvm-stub/machine/terminal.h"
#include "kvm-stub/ram.h"
#include "kvm-stub/sandbox.h"
#include "launch/child.h"
#include "tests/sandbox/attempts.h"

static size_t on_typed(void *opaque, const void *bytes, size_t len)
{
	return len;
}

static void on_leave(void *opaque)
{
}

static const struct terminal_ops terminal_ops = { on_typed, on_leave };

static int number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

static void log_result(const char *name, bool works)
{
	log_info("attempt", "%s: %s", name, works ? "works" : "fails");
}

static void connect_to(const char *name, const char *path)
{
	g_autoptr(GError) error = NULL;

	if (sock_connect(path, &error) < 0)
		log_info("attempt", "%s: %s", name, error->message);
	else
		log_result(name, true);
}

/* Tries what the program needs later. */
static void work(const struct kvm_options *o, struct child *back_end)
{
	const struct device_spec *spec = o->devices->pdata[0];
	int pair[2];

	connect_to("listed_socket", spec->socket);
	connect_to("other_socket", getenv("OTHER"));
	log_result("pair", sock_pair(pair));
	child_kill(back_end);
	log_result("own_child", child_failed(back_end, 10000, NULL));
}

static bool run(const struct kvm_options *o, GError **error)
{
	static const char *const options[] = { "-c", "exec sleep 1000", NULL };
	g_autoptr(terminal) t = terminal_new(o->terminal_file, &terminal_ops, NULL, error);
	struct boot_config boot = { .kernel.path = o->kernel, .initrd.path = o->initrd };
	g_autoptr(ram) memory = ram_new(1 << 20, error);
	int fd;
	g_autoptr(child) back_end = child_start("/bin/sh", options, &fd, error);
	const struct syscall_rule rules[] = { child_rule(back_end), SYSCALL_END };

	if (!t || !memory || !boot_keep(&boot, error) || !kvm_sandbox_enter(o, rules, error))
		return false;
	terminal_start(t);
	log_info(NULL, "entered");
	work(o, back_end);
	log_result("guest_memory",
		lseek(memory->fd, 0, SEEK_SET) == 0 && write(memory->fd, "!", 1) == 1 &&
			*memory->host == '!');
	raise(number_of("RAISE") ? number_of("RAISE") : SIGSTOP);
	attempts_run(number_of("VICTIM"));
	attempts_ioctls();
	attempts_calls();
	return true;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(kvm_options) o = { 0 };

	start_program("virtiod-kvm", NULL);
	if (!kvm_options_parse(&o, argc, argv, &error))
		return EXIT_FAILURE;
	start_close_fds(argv, NULL);
	if (run(&o, &error))
		return EXIT_SUCCESS;
	log_error(NULL, "%s", error->message);
	return EXIT_FAILURE;
}
