/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's files: never unrestricted, and calls that look as Linux has them. */
#include "tests/lib/test.h"

#include "base/util.h"
#include "xen/hypervisor/privcmd.h"

/* As the bytes are in linux/privcmd.h. */
#define DM_OP UINT32_C(0x00105005)
#define RESTRICT UINT32_C(0x00025006)
#define IRQFD UINT32_C(0x40185008)
#define IOEVENTFD UINT32_C(0x40305009)

static struct {
	char path[64]; /* opened last */
	int flags;
	int open_errno, ioctl_errno; /* 0: works */
	unsigned long request;
	uint8_t arg[64], dm_op[64], buffers[16];
	unsigned n_fds;
} world;

static uint64_t get(const uint8_t *bytes, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size); /* little-endian machines alone have Xen */
	return value;
}

static int fake_open(const char *path, int flags)
{
	g_strlcpy(world.path, path, sizeof(world.path));
	world.flags = flags;
	errno = world.open_errno;
	return errno ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	uint64_t dm_op = 0, size = 0;

	world.request = request;
	memcpy(world.arg, arg, request >> 16 & 0x3fff);
	if (request == IRQFD) {
		dm_op = get(world.arg, 8);
		size = get(world.arg + 8, 4);
	} else if (request == DM_OP) {
		memcpy(world.buffers, (void *)(uintptr_t)get(world.arg + 8, 8), 16);
		dm_op = get(world.buffers, 8);
		size = get(world.buffers + 8, 8);
	}
	if (dm_op)
		memcpy(world.dm_op, (void *)(uintptr_t)dm_op, MIN(size, sizeof(world.dm_op)));
	errno = world.ioctl_errno;
	return errno ? -1 : 0;
}

static const struct privcmd_ops ops = { fake_open, fake_ioctl };

static int setup(void **state)
{
	memset(&world, 0, sizeof(world));
	world.n_fds = count_fds();
	privcmd_set_ops(&ops);
	return 0;
}

static int teardown(void **state)
{
	privcmd_set_ops(NULL);
	assert_int_equal(count_fds(), world.n_fds);
	return 0;
}

static void test_restricted(void **state)
{
	g_autoptr(GError) error = NULL;
	autofd fd = privcmd_open_restricted(0x1234, NULL);

	assert_true(fd >= 0);
	assert_string_equal(world.path, "/dev/xen/privcmd");
	assert_int_equal(world.flags, O_RDWR | O_CLOEXEC);
	assert_int_equal(world.request, RESTRICT);
	assert_int_equal(get(world.arg, 2), 0x1234);
	/* One that cannot be restricted is not handed out. */
	world.ioctl_errno = ENOTTY;
	assert_int_equal(privcmd_open_restricted(7, &error), -1);
	assert_non_null(strstr(error->message, "domain 7"));
	g_clear_error(&error);
	world.open_errno = EACCES;
	assert_int_equal(privcmd_open_restricted(7, &error), -1);
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES));
	assert_non_null(strstr(error->message, "/dev/xen/privcmd"));
}

static void test_gntdev(void **state)
{
	g_autoptr(GError) error = NULL;
	autofd fd = privcmd_open_gntdev(NULL);

	assert_true(fd >= 0);
	assert_string_equal(world.path, "/dev/xen/gntdev");
	world.open_errno = ENOENT;
	assert_int_equal(privcmd_open_gntdev(&error), -1);
	assert_non_null(strstr(error->message, "/dev/xen/gntdev"));
}

/* Expects pulses as XEN_DMOP_set_irq_level is in xen/hvm/dm_op.h. */
static void assert_pulses(uint32_t irq)
{
	assert_int_equal(get(world.dm_op, 4), 19);
	assert_int_equal(get(world.dm_op + 8, 4), irq);
	assert_int_equal(get(world.dm_op + 12, 4), 1);
}

static void test_pulse(void **state)
{
	assert_true(privcmd_pulse_irq(9, 0x1234, 33));
	assert_int_equal(world.request, DM_OP);
	assert_int_equal(get(world.arg, 2), 0x1234);
	assert_int_equal(get(world.arg + 2, 2), 1); /* buffers */
	assert_pulses(33);
	world.ioctl_errno = EPERM;
	assert_false(privcmd_pulse_irq(9, 7, 33));
	assert_int_equal(errno, EPERM);
}

static void test_irqfd(void **state)
{
	assert_true(privcmd_irqfd(9, 0x1234, 33, 77, true));
	assert_int_equal(world.request, IRQFD);
	assert_int_equal(get(world.arg + 12, 4), 77); /* fd */
	assert_int_equal(get(world.arg + 16, 4), 0); /* flags */
	assert_int_equal(get(world.arg + 20, 2), 0x1234); /* dom */
	assert_int_equal(get(world.arg + 22, 2), 0);
	assert_pulses(33);
	assert_true(privcmd_irqfd(9, 0x1234, 33, 77, false));
	assert_int_equal(get(world.arg + 16, 4), 1);
	world.ioctl_errno = EOPNOTSUPP; /* without XEN_PRIVCMD_EVENTFD */
	assert_false(privcmd_irqfd(9, 7, 33, 77, true));
	assert_int_equal(errno, EOPNOTSUPP);
}

static void test_ioeventfd(void **state)
{
	static const uint32_t ports[2] = { 5, 6 };
	const struct privcmd_kick kick = { .domid = 0x1234,
		.ioreq = (void *)0x2000007000,
		.ports = ports,
		.vcpus = 2,
		.addr = 0x2000250,
		.queue = 3 };

	assert_true(privcmd_ioeventfd(9, &kick, 77, true));
	assert_int_equal(world.request, IOEVENTFD);
	assert_int_equal(get(world.arg, 8), 0x2000007000);
	assert_int_equal(get(world.arg + 8, 8), (uintptr_t)ports);
	assert_int_equal(get(world.arg + 16, 8), 0x2000200); /* of the device */
	assert_int_equal(get(world.arg + 24, 4), 4); /* addr_len */
	assert_int_equal(get(world.arg + 28, 4), 77); /* event_fd */
	assert_int_equal(get(world.arg + 32, 4), 2); /* vcpus */
	assert_int_equal(get(world.arg + 36, 4), 3); /* vq */
	assert_int_equal(get(world.arg + 40, 4), 0); /* flags */
	assert_int_equal(get(world.arg + 44, 2), 0x1234);
	assert_int_equal(get(world.arg + 46, 2), 0);
	assert_true(privcmd_ioeventfd(9, &kick, 77, false));
	assert_int_equal(get(world.arg + 40, 4), 1);
	world.ioctl_errno = ENOTTY; /* before Linux 6.7 */
	assert_false(privcmd_ioeventfd(9, &kick, 77, true));
	assert_int_equal(errno, ENOTTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_restricted),
		TEST(test_gntdev),
		TEST(test_pulse),
		TEST(test_irqfd),
		TEST(test_ioeventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
