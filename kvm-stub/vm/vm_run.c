/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPUs run: one thread each, in KVM_RUN but for the accesses that the bus answers.
 *
 * Every end begins with vm_stop(). In every vCPU it sets immediate_exit, which ends the
 * next KVM_RUN at once; then it breaks the thread's wait on the bus and signals it, which ends the
 * KVM_RUN it is in. That order leaves no gap. What KVM still keeps of an access that was under way
 * does not matter, as a vCPU that has run never runs again: a reboot makes a new VM, so that no
 * register, timer or pending interrupt of the old one can be forgotten. Devices keep their
 * eventfds, which are wired up anew (vm_wire.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "kvm-stub/vm/vm_impl.h"

/* Returns the signal that interrupts KVM_RUN: its handler does nothing. */
static int kick_signal(void)
{
	return SIGRTMIN;
}

static void on_kick(int signum)
{
}

static bool told_to_end(const struct vcpu *c)
{
	return __atomic_load_n(&c->run->immediate_exit, __ATOMIC_ACQUIRE);
}

static void crash(struct vcpu *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void crash(struct vcpu *c, const char *format, ...)
{
	g_autofree char *who = g_strdup_printf("vCPU %u", c->index);
	g_autofree char *why = NULL;
	va_list args;

	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	log_error(who, "%s, at 0x%" PRIx64, why, vm_arch_pc(c));
	vm_stop(c->vm, VM_END_CRASH);
}

/* Accesses the bus; data is little-endian, as both architectures are. */
static void access_bus(
	struct vcpu *c, enum bus_space space, uint64_t addr, void *data, unsigned size, bool write)
{
	uint64_t value = 0;

	if (write)
		memcpy(&value, data, size);
	/* Cancelled: this vCPU runs no more, whatever it would have read. */
	if (bus_access(c->vm->config.bus, c->wait, space, addr, size, write, &value) && !write)
		memcpy(data, &value, size);
}

static void on_mmio(struct vcpu *c)
{
	__auto_type mmio = &c->run->mmio;

	access_bus(c, BUS_MMIO, mmio->phys_addr, mmio->data, MIN(mmio->len, sizeof(mmio->data)),
		mmio->is_write);
}

/* Handles an access: string instructions give several accesses at once. */
static void on_port(struct vcpu *c)
{
	__auto_type io = &c->run->io;
	uint8_t *data = (uint8_t *)c->run + io->data_offset;

	for (uint32_t i = 0; i < io->count && !told_to_end(c); i++)
		access_bus(c, BUS_PORT, io->port, data + (size_t)i * io->size, io->size,
			io->direction == KVM_EXIT_IO_OUT);
}

static void on_system_event(struct vcpu *c)
{
	switch (c->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_stop(c->vm, VM_END_POWER_OFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_stop(c->vm, VM_END_RESET);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		crash(c, "the guest says that it has crashed");
		break;
	default:
		log_warning(
			NULL, "KVM's system event %u is not known here", c->run->system_event.type);
	}
}

static void on_exit_reason(struct vcpu *c)
{
	struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		on_mmio(c);
		break;
	case KVM_EXIT_IO:
		on_port(c);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		on_system_event(c);
		break;
	case KVM_EXIT_SHUTDOWN:
		crash(c, "the guest has crashed (triple fault)");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		crash(c, "KVM cannot enter the guest: hardware reason 0x%" PRIx64,
			(uint64_t)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		crash(c, "KVM cannot go on: internal error %u", run->internal.suberror);
		break;
	default:
		crash(c, "KVM's exit reason %u is not known here", run->exit_reason);
	}
}

static void *vcpu_main(void *opaque)
{
	struct vcpu *c = opaque;

	while (!told_to_end(c)) {
		if (ioctl(c->fd, KVM_RUN, 0) == 0)
			on_exit_reason(c);
		else if (errno != EINTR && errno != EAGAIN) /* EAGAIN: woken by INIT or SIPI */
			crash(c, "KVM_RUN: %s%s", g_strerror(errno),
				errno == EFAULT ? " (no page of host memory for guest RAM)" : "");
	}
	return NULL;
}

/* Ends the run; vm->lock is held. */
static void end(struct vm *vm, enum vm_end reason)
{
	const uint64_t one = 1;

	if (vm->state != VM_RUNNING)
		return;
	vm->state = VM_ENDING;
	vm->reason = reason;
	for (unsigned i = 0; i < vm->n_threads; i++) {
		struct vcpu *c = &vm->vcpu[i];

		/* Seen by KVM, or by told_to_end(), before the signal is. */
		__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_RELEASE);
		bus_wait_cancel(c->wait);
		pthread_kill(c->thread, kick_signal());
	}
	pthread_cond_signal(&vm->ended);
	if (write(vm->end_fd, &one, sizeof(one)) < 0)
		log_error(NULL, "the end of the machine: %s", g_strerror(errno));
}

void vm_stop(struct vm *vm, enum vm_end reason)
{
	pthread_mutex_lock(&vm->lock);
	end(vm, reason);
	pthread_mutex_unlock(&vm->lock);
}

/*
 * Starts the threads. All signals are for the main loop, but for the kick, and for those of a
 * thread's own faults: a blocked one would end us before its handler has put the terminal right.
 * vm->lock is held.
 */
static bool start_threads(struct vm *vm, GError **error)
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
	const struct sigaction kick = { .sa_handler = on_kick };
	sigset_t others, before;
	int err = 0;

	sigaction(kick_signal(), &kick, NULL);
	sigfillset(&others);
	sigdelset(&others, kick_signal());
	for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++)
		sigdelset(&others, faults[i]);
	pthread_sigmask(SIG_SETMASK, &others, &before);
	vm->state = VM_RUNNING;
	vm->used = true;
	for (vm->n_threads = 0; err == 0 && vm->n_threads < vm->config.cpus;) {
		struct vcpu *c = &vm->vcpu[vm->n_threads];

		err = pthread_create(&c->thread, NULL, vcpu_main, c);
		if (err == 0)
			vm->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		return true;
	end(vm, VM_END_STOPPED);
	errno = err;
	return vm_fail("pthread_create", error);
}

bool vm_start(struct vm *vm, const struct vm_entry *entry, GError **error)
{
	bool ok;

	pthread_mutex_lock(&vm->lock);
	ok = (!vm->used || vm_renew(vm, error)) && vm_arch_enter(vm, entry, error);
	if (ok)
		ok = start_threads(vm, error);
	pthread_mutex_unlock(&vm->lock);
	if (!ok)
		vm_wait(vm);
	return ok;
}

int vm_end_fd(const struct vm *vm)
{
	return vm->end_fd;
}

enum vm_end vm_wait(struct vm *vm)
{
	uint64_t count;

	pthread_mutex_lock(&vm->lock);
	while (vm->state == VM_RUNNING)
		pthread_cond_wait(&vm->ended, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	/* end() has kicked them all, so none will be kicked after it is joined. */
	for (unsigned i = 0; i < vm->n_threads; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
	pthread_mutex_lock(&vm->lock);
	vm->n_threads = 0;
	vm->state = VM_IDLE;
	pthread_mutex_unlock(&vm->lock);
	if (read(vm->end_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error(NULL, "the end of the machine: %s", g_strerror(errno));
	return vm->reason;
}
