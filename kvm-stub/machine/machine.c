/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the machine, runs it in the main loop, and frees it. */
#include "kvm-stub/machine/machine.h"

#include <signal.h>
#include <sys/epoll.h>

#include "base/loop.h"
#include "base/sock.h"
#include "base/util.h"
#include "kvm-stub/boot/boot.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/control.h"
#include "kvm-stub/machine/power.h"
#include "kvm-stub/machine/rtc.h"
#include "kvm-stub/machine/serial.h"
#include "kvm-stub/machine/slots.h"
#include "kvm-stub/machine/terminal.h"
#include "kvm-stub/sandbox.h"

/* How long each back-end may take to appear and to answer its probe. */
#define BACK_END_MS 5000

struct machine {
	const struct kvm_options *options;
	struct boot_config boot;
	struct ram *ram;
	struct bus *bus;
	struct vm *vm;
	struct power power;
	struct serial *serial;
	struct terminal *terminal;
	struct slots *slots;
	int control_fd; /* the control socket, until it is served; -1: none */
	struct machine_control control;
	GMainLoop *loop;
	bool leave; /* the user ends the machine: a reset is an end, too */
	enum exit_status status;
	GError *error; /* of a failed reboot */
	struct log_limit restarts;
};

static void on_serial_output(void *opaque, const void *bytes, size_t len)
{
	struct machine *m = opaque;

	terminal_output(m->terminal, bytes, len);
}

static void on_serial_interrupt(void *opaque, bool level)
{
	struct machine *m = opaque;

	vm_set_irq(m->vm, SERIAL_IRQ, level);
}

static void on_serial_ready(void *opaque)
{
	struct machine *m = opaque;

	terminal_resume(m->terminal);
}

static size_t on_typed(void *opaque, const void *bytes, size_t len)
{
	struct machine *m = opaque;

	return serial_receive(m->serial, bytes, len);
}

static void on_leave(void *opaque)
{
	struct machine *m = opaque;

	m->leave = true;
	terminal_end(m->terminal);
	vm_stop(m->vm, VM_END_STOPPED);
}

/* Runs the main loop while slots_new() waits: output of back-ends, signals. */
static bool go_on(void *opaque)
{
	const struct machine *m = opaque;

	g_main_context_iteration(NULL, FALSE);
	return !m->leave;
}

static const struct serial_ops serial_ops = {
	.output = on_serial_output,
	.interrupt = on_serial_interrupt,
	.receive_ready = on_serial_ready,
};

static const struct terminal_ops terminal_ops = {
	.typed = on_typed,
	.leave = on_leave,
};

static bool boot(struct machine *m, GError **error)
{
	struct vm_entry entry = { 0 };

	m->boot.gic_version = vm_gic_version(m->vm);
	return boot_load(m->ram, &m->boot, &entry, error) && vm_start(m->vm, &entry, error);
}

/* Resets the devices first: back-ends must not write to RAM while it is cleared and loaded. */
static bool reboot(struct machine *m, GError **error)
{
	slots_reset(m->slots);
	serial_reset(m->serial);
	return ram_clear(m->ram, error) && boot(m, error);
}

static void on_end(void *opaque, uint32_t revents)
{
	struct machine *m = opaque;

	switch (vm_wait(m->vm)) {
	case VM_END_RESET:
		if (m->leave)
			break;
		if (m->options->no_reboot) {
			log_info(NULL, "the guest restarts: the end, by --no-reboot");
			break;
		}
		log_limited(&m->restarts, LOG_LEVEL_INFO, NULL, "the guest restarts");
		if (reboot(m, &m->error))
			return;
		m->status = EXIT_STATUS_FAILED;
		break;
	case VM_END_CRASH:
		m->status = EXIT_STATUS_CRASHED;
		break;
	case VM_END_POWER_OFF:
		m->status = m->power.failed ? EXIT_STATUS_GUEST_FAILED : EXIT_STATUS_OK;
		break;
	case VM_END_STOPPED:
		break;
	}
	g_main_loop_quit(m->loop);
}

static void add_serial(struct machine *m)
{
	m->serial = serial_new(&serial_ops, m);
#ifdef SERIAL_PORT
	bus_add(m->bus, BUS_PORT, SERIAL_PORT, 8, serial_access, m->serial);
#else
	bus_add(m->bus, BUS_MMIO, SERIAL_BASE, SERIAL_SIZE, serial_access, m->serial);
#endif
}

static void add_clock(struct machine *m)
{
#ifdef RTC_ADDR
	bus_add(m->bus, BUS_MMIO, RTC_ADDR, RTC_SIZE, rtc_access, NULL);
#endif
}

/* Opens what the guest is started from, and what it writes to. */
static bool open_files(struct machine *m, GError **error)
{
	const struct kvm_options *o = m->options;

	m->boot = (struct boot_config){
		.kernel.path = o->kernel,
		.initrd.path = o->initrd,
		.append = o->append,
		.selftest = o->selftest,
		.cpus = o->cpus,
		.n_slots = o->devices->len + o->n_spare,
	};
	if (!boot_keep(&m->boot, error))
		return false;
	if (o->control)
		m->control_fd = sock_listen(o->control, 0600, (gid_t)-1, error);
	if (o->control && m->control_fd < 0)
		return false;
	m->terminal = terminal_new(o->terminal_file, &terminal_ops, m, error);
	return m->terminal != NULL;
}

/* Opens and builds everything that needs no back-end, but for KVM's VM. */
static enum exit_status build(struct machine *m, GError **error)
{
	const struct kvm_options *o = m->options;
	struct vm_config config = { .cpus = o->cpus };

	m->ram = ram_new(o->memory, error);
	if (!m->ram)
		return EXIT_STATUS_FAILED;
	m->bus = bus_new();
	config.ram = m->ram;
	config.bus = m->bus;
	m->vm = vm_new(&config, error);
	if (!m->vm)
		return error && g_error_matches(*error, VM_ERROR, VM_ERROR_NO_KVM)
			? EXIT_STATUS_NO_KVM
			: EXIT_STATUS_FAILED;
	power_init(&m->power, m->bus, m->vm);
	add_serial(m);
	add_clock(m);
	return open_files(m, error) ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

/* Enters the sandbox: before KVM's VM is made, with which KVM may start threads. */
static bool confine(void *opaque, const struct syscall_rule *rules, GError **error)
{
	struct machine *m = opaque;

	if (kvm_sandbox_enter(m->options, rules, error) && vm_create(m->vm, error))
		return true;
	m->status = EXIT_STATUS_FAILED;
	return false;
}

/* Makes the devices. On error m->status is why. */
static bool add_slots(struct machine *m, GError **error)
{
	const struct slots_config config = {
		.specs = (struct device_spec *const *)m->options->devices->pdata,
		.n_specs = m->options->devices->len,
		.n_spare = m->options->n_spare,
		.plug_dir = m->options->plug_dir,
		.folders = (const char *const *)m->options->folders,
		.wait_ms = BACK_END_MS,
		.go_on = go_on,
		.confine = confine,
		.opaque = m,
		.vm = m->vm,
		.bus = m->bus,
		.ram = m->ram,
	};

	m->status = EXIT_STATUS_NO_BACK_END;
	m->slots = slots_new(&config, error);
	if (!m->slots)
		return false;
	m->status = EXIT_STATUS_OK;
	return true;
}

/* Takes the terminal and runs the guest until it ends. */
static enum exit_status run(struct machine *m, GError **error)
{
	struct loop_watch *end;

	terminal_start(m->terminal);
	if (!boot(m, error))
		return EXIT_STATUS_FAILED;
	m->loop = g_main_loop_new(NULL, FALSE);
	end = loop_watch_fd(vm_end_fd(m->vm), EPOLLIN, on_end, m);
	if (m->control_fd >= 0)
		machine_control_start(&m->control, fd_steal(&m->control_fd), m->slots, on_leave, m);
	g_main_loop_run(m->loop);
	machine_control_stop(&m->control);
	loop_watch_free(end);
	g_main_loop_unref(m->loop);
	if (m->error)
		g_propagate_error(error, m->error);
	return m->status;
}

/* Frees all parts once the vCPUs have stopped: the terminal first, devices before what they use. */
static void take_apart(struct machine *m)
{
	g_clear_pointer(&m->terminal, terminal_free);
	fd_close(&m->control_fd);
	boot_drop(&m->boot);
	g_clear_pointer(&m->slots, slots_free);
	g_clear_pointer(&m->vm, vm_free);
	g_clear_pointer(&m->serial, serial_free);
	g_clear_pointer(&m->bus, bus_free);
	g_clear_pointer(&m->ram, ram_free);
}

enum exit_status machine_run(const struct kvm_options *o, GError **error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct loop_watch *watch[G_N_ELEMENTS(signals)];
	struct machine m = { .options = o, .control_fd = -1 };
	enum exit_status status = build(&m, error);

	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
		watch[i] = loop_watch_signal(signals[i], on_leave, &m);
	if (status == EXIT_STATUS_OK)
		status = add_slots(&m, error) ? run(&m, error) : m.status;
	if (m.leave && status == EXIT_STATUS_NO_BACK_END) {
		g_clear_error(error);
		status = EXIT_STATUS_OK;
	}
	take_apart(&m);
	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
		loop_watch_free(watch[i]);
	return status;
}
