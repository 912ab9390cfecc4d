/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_test.h. */
#include "vm_test.h"

#define GDT_ADDR 0x500u
#define STACK_ADDR 0x9000u

static bool port_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct vm_test *w = opaque;

	if (!write) {
		*value = '!';
		return true;
	}
	pthread_sigmask(SIG_BLOCK, NULL, &w->mask);
	pthread_mutex_lock(&w->lock);
	if (w->n_out < sizeof(w->out) - 1)
		w->out[w->n_out++] = *value;
	pthread_mutex_unlock(&w->lock);
	return true;
}

static bool power_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct vm_test *w = opaque;

	vm_stop(w->vm, offset == 0 ? VM_END_POWER_OFF : VM_END_RESET);
	return true;
}

static bool toy_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct vm_test *w = opaque;

	w->toy_accesses++;
	if (w->later) {
		pthread_mutex_lock(&w->lock);
		w->token = token;
		pthread_mutex_unlock(&w->lock);
		return false;
	}
	if (write)
		memcpy(w->toy + offset, value, size);
	else
		memcpy(value, w->toy + offset, size);
	return true;
}

static int setup_cpus(void **state, unsigned cpus)
{
	struct vm_test *w = g_new0(struct vm_test, 1);
	struct vm_config config = { .cpus = cpus };
	g_autoptr(GError) error = NULL;

	test_begin(&w->test);
	pthread_mutex_init(&w->lock, NULL);
	w->ram = ram_new(1 << 20, NULL);
	w->bus = bus_new();
	bus_add(w->bus, BUS_PORT, SERIAL_PORT, 8, port_access, w);
	bus_add(w->bus, BUS_PORT, SLEEP_CONTROL_PORT, 4, power_access, w);
	bus_add(w->bus, BUS_MMIO, TOY_ADDR, sizeof(w->toy), toy_access, w);
	config.ram = w->ram;
	config.bus = w->bus;
	w->vm = vm_new(&config, &error);
	*state = w;
	if (w->vm && vm_create(w->vm, &error))
		return 0;
	print_error("%s\n", error->message);
	return -1;
}

int one_setup(void **state)
{
	return setup_cpus(state, 1);
}

int two_setup(void **state)
{
	return setup_cpus(state, 2);
}

int one_teardown(void **state)
{
	struct vm_test *w = *state;

	vm_free(w->vm);
	bus_free(w->bus);
	ram_free(w->ram);
	pthread_mutex_destroy(&w->lock);
	test_end(&w->test);
	g_free(w);
	return 0;
}

int two_teardown(void **state)
{
	return one_teardown(state);
}

void vm_test_load(struct vm_test *w, uint64_t addr, const char *code, const char *end)
{
	memcpy(ram_at(w->ram, addr, end - code), code, end - code);
}

void vm_test_start(struct vm_test *w, uint64_t arg)
{
	static const uint64_t gdt[] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	const struct vm_entry entry = {
		.mode = VM_ENTRY_X86_32,
		.pc = CODE_ADDR,
		.arg = arg,
		.stack = STACK_ADDR,
		.gdt = GDT_ADDR,
	};
	g_autoptr(GError) error = NULL;

	memcpy(ram_at(w->ram, GDT_ADDR, sizeof(gdt)), gdt, sizeof(gdt));
	if (!vm_start(w->vm, &entry, &error))
		fail_msg("%s", error->message);
}

bool vm_test_ended(struct vm_test *w)
{
	return test_readable(vm_end_fd(w->vm), 0);
}

enum vm_end vm_test_finish(struct vm_test *w)
{
	enum vm_end end;

	if (!test_readable(vm_end_fd(w->vm), TEST_WAIT_MS))
		vm_stop(w->vm, VM_END_STOPPED);
	end = vm_wait(w->vm);
	assert_false(vm_test_ended(w));
	return end;
}

void vm_test_wait_output(struct vm_test *w, unsigned n)
{
	WAIT_UNTIL_LOCKED(&w->lock, w->n_out >= n);
}

int vm_test_main(const char *name, const struct CMUnitTest *tests, size_t n)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		fprintf(stderr, "SKIPPED: no /dev/kvm here that may be used, no VM was tried\n");
		return 77;
	}
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
