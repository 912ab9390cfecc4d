/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM under the real KVM: a few instructions of 16- and 32-bit code for each thing that a
 * guest does. Where there is no /dev/kvm this is skipped.
 */
#include "tests/lib/test.h"

#include <signal.h>
#include <time.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/vm/vm.h"

#if defined(__x86_64__)

#define CODE_ADDR 0x10000u
#define SMP_CODE_ADDR 0x8000u
#define GDT_ADDR 0x500u
#define STACK_ADDR 0x9000u
#define IDT_ADDR 0x2000u
#define VECTOR 0x40u
#define TOY_ADDR VIRTIO_BASE
#define TOY_IRQ VIRTIO_FIRST_IRQ

/* Guest code, position-independent, from guest_NAME to guest_NAME_end. */
#define GUEST(name, code)                                                             \
	asm(".pushsection .rodata\nguest_" #name ":\n.code32\n" code "\nguest_" #name \
	    "_end:\n.code64\n.popsection\n");                                         \
	extern const char guest_##name[], guest_##name##_end[]
#define STR2(x) #x
#define STR(x) STR2(x)
#define OFF "mov $0x600, %dx; mov $0x34, %al; out %al, %dx; 1: hlt; jmp 1b\n"

GUEST(off, OFF);
GUEST(reset, "mov $0x602, %dx; mov $1, %al; out %al, %dx; 1: hlt; jmp 1b");
GUEST(fault, "ud2");
GUEST(busy, "mov $0x3f8, %dx; mov $'b', %al; out %al, %dx; 1: jmp 1b");
GUEST(halt, "mov $0x3f8, %dx; mov $'h', %al; out %al, %dx; 1: cli; hlt; jmp 1b");
/* A string instruction, and a read. */
GUEST(string,
	"push $0x0a676e69; push $0x72747320; mov %esp, %esi; mov $8, %ecx; mov $0x3f8, %dx\n"
	"cld; rep outsb; mov $0x3fd, %dx; in %dx, %al; mov $0x3f8, %dx; out %al, %dx\n" OFF);
/* ebx is the argument of PVH; what the toy reads is written back plus one, in three sizes. */
GUEST(mmio,
	"mov $0xd0000000, %edi; mov %ebx, 8(%edi)\n"
	"mov (%edi), %eax; inc %eax; mov %eax, 4(%edi)\n"
	"movw 2(%edi), %ax; movw %ax, 6(%edi)\n"
	"movb 1(%edi), %al; movb %al, 5(%edi)\n" OFF);
/* To 0x50: first what the eventfd is for, then something else. */
GUEST(notify,
	"mov $0xd0000000, %edi; movl $3, 0x50(%edi); movl $4, 0x50(%edi); movl $3, "
	"0x50(%edi)\n" OFF);
/*
 * The toy's interrupt, as vector 0x40, gives 'i' at the serial port; 'r' says that it is ready.
 * After the second the power goes off.
 */
GUEST(irq,
	"call 1f; 1: pop %eax; add $(handler - 1b), %eax\n" /* the gate */
	"movw %ax, 0x2200; shr $16, %eax; movw %ax, 0x2206\n"
	"movw $0x10, 0x2202; movw $0x8e00, 0x2204\n"
	"movw $0x7ff, 0x2300; movl $0x2000, 0x2302; lidtl 0x2300\n"
	"movl $0x1ff, 0xfee000f0\n" /* the local APIC on */
	"movl $(0x10 + 2 * 5), 0xfec00000; movl $0x40, 0xfec00010\n"
	"movl $(0x11 + 2 * 5), 0xfec00000; movl $0, 0xfec00010\n"
	"xor %ebp, %ebp; mov $0x3f8, %dx; mov $'r', %al; out %al, %dx\n"
	"2: cmp $2, %ebp; jae 3f; sti; 4: hlt; jmp 4b\n"
	"3: " OFF "handler: add $12, %esp; inc %ebp\n" /* no iret: not every KVM can emulate it */
	"mov $0x3f8, %dx; mov $'i', %al; movl $0, 0xfee000b0; out %al, %dx; jmp 2b");
/* INIT and SIPI for the vCPU 1, whose 16-bit code, put at 0x8000, says '1' and goes off. */
GUEST(smp,
	"movl $0x1ff, 0xfee000f0; movl $0x01000000, 0xfee00310; movl $0x4500, 0xfee00300\n"
	"mov $0x3f8, %dx; mov $'0', %al; out %al, %dx; mov $1000, %ecx; 1: loop 1b\n"
	"movl $0x01000000, 0xfee00310; movl $0x4608, 0xfee00300; 1: hlt; jmp 1b");
GUEST(second, ".code16\nmov $0x3f8, %dx; mov $'1', %al; out %al, %dx\n" OFF);
/* Who am I: APIC id, number of logical CPUs; x2APIC id and shift of the core level. */
GUEST(cpuid,
	"mov $1, %eax; cpuid; mov $0xd0000000, %edi; mov %ebx, (%edi)\n"
	"mov $0xb, %eax; mov $1, %ecx; cpuid; mov %eax, 4(%edi); mov %ebx, 8(%edi)\n" OFF);

struct world {
	unsigned fds;
	struct ram *ram;
	struct bus *bus;
	struct vm *vm;
	char out[64]; /* what came at the serial port */
	sigset_t mask; /* of the vCPU thread that wrote it */
	unsigned n_out;
	uint8_t toy[0x100]; /* a device that is plain memory */
	unsigned toy_accesses; /* read once the machine has ended */
	bool later;
	void *token;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static bool port_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct world *w = opaque;

	if (!write) {
		*value = '!';
		return true;
	}
	pthread_sigmask(SIG_BLOCK, NULL, &w->mask);
	pthread_mutex_lock(&w->lock);
	if (w->n_out < sizeof(w->out) - 1)
		w->out[w->n_out++] = *value;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return true;
}

static bool power_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct world *w = opaque;

	vm_stop(w->vm, offset == 0 ? VM_END_POWER_OFF : VM_END_RESET);
	return true;
}

static bool toy_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct world *w = opaque;

	w->toy_accesses++;
	if (w->later) {
		pthread_mutex_lock(&w->lock);
		w->token = token;
		pthread_cond_signal(&w->changed);
		pthread_mutex_unlock(&w->lock);
		return false;
	}
	if (write)
		memcpy(w->toy + offset, value, size);
	else
		memcpy(value, w->toy + offset, size);
	return true;
}

static int setup_world(void **state, unsigned cpus)
{
	struct world *w = g_new0(struct world, 1);
	struct vm_config config = { .cpus = cpus };
	g_autoptr(GError) error = NULL;

	w->fds = count_fds();
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->ram = ram_new(1 << 20, NULL);
	w->bus = bus_new();
	bus_add(w->bus, BUS_PORT, SERIAL_PORT, 8, port_access, w);
	bus_add(w->bus, BUS_PORT, SLEEP_CONTROL_PORT, 4, power_access, w);
	bus_add(w->bus, BUS_MMIO, TOY_ADDR, sizeof(w->toy), toy_access, w);
	config.ram = w->ram;
	config.bus = w->bus;
	w->vm = vm_new(&config, &error);
	if (!w->vm)
		print_error("%s\n", error->message);
	*state = w;
	return w->vm ? 0 : -1;
}

static int setup(void **state)
{
	return setup_world(state, 1);
}

static int setup_two(void **state)
{
	return setup_world(state, 2);
}

static int teardown(void **state)
{
	struct world *w = *state;
	unsigned fds = w->fds;

	vm_free(w->vm);
	bus_free(w->bus);
	ram_free(w->ram);
	g_free(w);
	return count_fds() == fds ? 0 : -1;
}

static void load(struct world *w, uint64_t addr, const char *code, const char *end)
{
	memcpy(ram_at(w->ram, addr, end - code), code, end - code);
}

static void start_at(struct world *w, uint64_t arg)
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

#define START(w, name)                                                \
	do {                                                          \
		load(w, CODE_ADDR, guest_##name, guest_##name##_end); \
		start_at(w, 0x5a5a5a5a);                              \
	} while (0)

static bool end_is_signalled(struct world *w, int timeout_ms)
{
	struct pollfd p = { .fd = vm_end_fd(w->vm), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* Ends within a minute, or the test would hang. */
static enum vm_end finish(struct world *w)
{
	enum vm_end end;

	if (!end_is_signalled(w, 60000))
		vm_stop(w->vm, VM_END_STOPPED);
	end = vm_wait(w->vm);
	assert_false(end_is_signalled(w, 0));
	return end;
}

static void wait_for_output(struct world *w, unsigned n)
{
	const struct timespec until = { .tv_sec = time(NULL) + 60 };
	bool came;

	pthread_mutex_lock(&w->lock);
	while (w->n_out < n && pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0)
		;
	came = w->n_out >= n;
	pthread_mutex_unlock(&w->lock);
	assert_true(came);
}

static void test_power_off(void **state)
{
	struct world *w = *state;

	assert_false(end_is_signalled(w, 0));
	START(w, off);
	assert_true(end_is_signalled(w, 60000));
	assert_int_equal(finish(w), VM_END_POWER_OFF);
}

static void test_ports(void **state)
{
	struct world *w = *state;

	START(w, string);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, " string\n!");
	assert_int_equal(w->toy_accesses, 0);
}

static void test_mmio(void **state)
{
	static const uint8_t after[] = { 0xff, 0x42, 0x43, 0x44, 0x00, 0x42, 0x43, 0x44 };
	struct world *w = *state;

	memcpy(w->toy, after, 4);
	START(w, mmio);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_memory_equal(w->toy, after, sizeof(after));
	assert_int_equal(shm_load32(w->toy + 8), 0x5a5a5a5a);
	assert_int_equal(w->toy_accesses, 7);
}

/* What was out when the machine ended is answered after it; the next boot does not notice. */
static void test_later(void **state)
{
	struct world *w = *state;

	w->later = true;
	START(w, mmio);
	for (unsigned i = 0; i < 2; i++) {
		pthread_mutex_lock(&w->lock);
		while (!w->token)
			pthread_cond_wait(&w->changed, &w->lock);
		pthread_mutex_unlock(&w->lock);
		if (i == 0)
			bus_access_complete(g_steal_pointer(&w->token), 0);
	}
	vm_stop(w->vm, VM_END_STOPPED);
	assert_int_equal(finish(w), VM_END_STOPPED);
	assert_int_equal(w->toy_accesses, 2);
	w->later = false;
	START(w, mmio);
	bus_access_complete(w->token, 77);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_int_equal(shm_load32(w->toy + 4), 1);
}

static void test_stop(void **state)
{
	struct world *w = *state;

	START(w, busy);
	wait_for_output(w, 1);
	vm_stop(w->vm, VM_END_STOPPED);
	vm_stop(w->vm, VM_END_CRASH);
	assert_int_equal(finish(w), VM_END_STOPPED);
	START(w, halt);
	wait_for_output(w, 2);
	vm_stop(w->vm, VM_END_RESET);
	assert_int_equal(finish(w), VM_END_RESET);
	/* At once, wherever the thread is. */
	for (unsigned i = 0; i < 20; i++) {
		START(w, busy);
		vm_stop(w->vm, VM_END_STOPPED);
		assert_int_equal(finish(w), VM_END_STOPPED);
	}
	assert_memory_equal(w->out, "bh", 2);
}

static char *last_line;

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	g_free(last_line);
	last_line = g_strdup(line);
}

static void test_crash(void **state)
{
	struct world *w = *state;

	log_set_sink(keep_line, NULL);
	START(w, fault);
	assert_int_equal(finish(w), VM_END_CRASH);
	log_set_sink(NULL, NULL);
	assert_non_null(strstr(last_line, "vCPU 0: the guest has crashed"));
	g_clear_pointer(&last_line, g_free);
}

static uint64_t count(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* A kick of the registered value never comes to the bus; and it stays so after a reboot. */
static void test_ioeventfd(void **state)
{
	struct world *w = *state;
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, true))
		skip();
	assert_false(vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, true));
	for (unsigned i = 1; i <= 2; i++) {
		START(w, notify);
		assert_int_equal(finish(w), VM_END_POWER_OFF);
		assert_int_equal(count(fd), 2);
		assert_int_equal(w->toy_accesses, i);
		assert_int_equal(w->toy[0x50], 4);
	}
	assert_true(vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, false));
	START(w, notify);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_int_equal(count(fd), 0);
	assert_int_equal(w->toy_accesses, 5);
}

static void test_pulse(void **state)
{
	struct world *w = *state;

	START(w, irq);
	wait_for_output(w, 1);
	vm_pulse_irq(w->vm, TOY_IRQ);
	wait_for_output(w, 2);
	vm_set_irq(w->vm, TOY_IRQ, true);
	vm_set_irq(w->vm, TOY_IRQ, false);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, "rii");
}

static void test_irqfd(void **state)
{
	static const uint64_t one = 1;
	struct world *w = *state;
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!vm_irqfd(w->vm, TOY_IRQ, fd, true))
		skip();
	for (unsigned i = 0; i < 2; i++) {
		w->n_out = 0;
		START(w, irq);
		for (unsigned n = 1; n <= 2; n++) {
			wait_for_output(w, n);
			assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		}
		assert_int_equal(finish(w), VM_END_POWER_OFF);
		assert_string_equal(w->out, "rii");
	}
	assert_true(vm_irqfd(w->vm, TOY_IRQ, fd, false));
}

static void test_second_vcpu(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		w->n_out = 0;
		load(w, SMP_CODE_ADDR, guest_second, guest_second_end);
		START(w, smp);
		assert_int_equal(finish(w), VM_END_POWER_OFF);
		assert_string_equal(w->out, "01");
	}
}

static void test_topology(void **state)
{
	struct world *w = *state;

	START(w, cpuid);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_int_equal(w->toy[3], 0);
	assert_int_equal(w->toy[2], 2);
	assert_int_equal(shm_load32(w->toy + 4), 1);
	assert_int_equal(shm_load32(w->toy + 8), 2);
}

/* The main loop's signals are not delivered to a vCPU; what it does wrong itself is. */
static void test_signals(void **state)
{
	struct world *w = *state;

	START(w, string);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_int_equal(sigismember(&w->mask, SIGTERM), 1);
	assert_int_equal(sigismember(&w->mask, SIGCHLD), 1);
	assert_int_equal(sigismember(&w->mask, SIGSEGV), 0);
	assert_int_equal(sigismember(&w->mask, SIGBUS), 0);
}

static void test_reset(void **state)
{
	struct world *w = *state;

	START(w, reset);
	assert_int_equal(finish(w), VM_END_RESET);
	assert_true(ram_clear(w->ram, NULL));
	START(w, string);
	assert_int_equal(finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, " string\n!");
}

static void test_too_many(void **state)
{
	struct world *w = *state;
	const struct vm_config config = { .cpus = 100000, .ram = w->ram, .bus = w->bus };
	g_autoptr(GError) error = NULL;

	assert_null(vm_new(&config, &error));
	assert_true(g_error_matches(error, VM_ERROR, VM_ERROR_FAILED));
	assert_non_null(strstr(error->message, "100000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_power_off),
		TEST(test_ports),
		TEST(test_mmio),
		TEST(test_later),
		TEST(test_stop),
		TEST(test_crash),
		TEST(test_ioeventfd),
		TEST(test_pulse),
		TEST(test_irqfd),
		cmocka_unit_test_setup_teardown(test_second_vcpu, setup_two, teardown),
		cmocka_unit_test_setup_teardown(test_topology, setup_two, teardown),
		TEST(test_signals),
		TEST(test_reset),
		TEST(test_too_many),
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		fprintf(stderr, "SKIPPED: no /dev/kvm here that may be used, no VM was tried\n");
		return 77;
	}
	return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}

#else

int main(void)
{
	fprintf(stderr, "SKIPPED: the guest of this test is x86 code\n");
	return 77;
}

#endif
