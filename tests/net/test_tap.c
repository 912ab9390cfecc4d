/* SPDX-License-Identifier: Apache-2.0 */
/* Taps, in a network namespace of the test's own. */
#include "tests/lib/test.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/util.h"
#include "net/link.h"
#include "net/tap.h"

/* Enters a network without interfaces; false: that, or taps, are not possible here. */
static bool enter_network(void)
{
	autofd tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return tun >= 0 &&
		(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
}

static void set_up(const char *name, bool up)
{
	autofd s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = { 0 };

	g_strlcpy(r.ifr_name, name, sizeof(r.ifr_name));
	assert_int_equal(ioctl(s, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags = up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &r), 0);
}

static void test_open(void **state)
{
	struct net_tap tap = { 0 };
	GError *error = NULL;
	int fds[2];

	assert_false(net_tap_open("a/b", true, 1, fds, &error));
	assert_error_has(&error, "'a/b' cannot be the name");
	assert_true(net_tap_open("one", true, 1, fds, &error));
	assert_true(net_tap_take(fds[0], &tap, &error));
	assert_string_equal(tap.name, "one");
	assert_true(tap.header && !tap.multi_queue);
	assert_true(net_tap_probe_offloads(fds[0], NET_TAP_CSUM | NET_TAP_TSO4) & NET_TAP_TSO4);
	assert_int_equal(net_tap_set_offloads(fds[0], NET_TAP_CSUM), 0);
	close(fds[0]);
	assert_true(net_tap_open("two", false, 2, fds, &error));
	assert_true(net_tap_take(fds[1], &tap, &error));
	assert_true(!tap.header && tap.multi_queue);
	assert_int_equal(net_tap_set_queue(fds[1], false), 0);
	assert_int_equal(net_tap_set_queue(fds[1], true), 0);
	fds_close(fds, 2);
	assert_false(net_tap_open("lo", true, 1, fds, &error));
	assert_error_has(&error, "tap 'lo'");
	fds[0] = open("/dev/null", O_RDWR);
	assert_false(net_tap_take(fds[0], &tap, &error));
	assert_error_has(&error, "is no tap");
	close(fds[0]);
}

static void test_link(void **state)
{
	struct net_link link;
	GError *error = NULL;
	int fd;

	assert_false(net_link_open(&link, "none", &error));
	assert_error_has(&error, "'none'");
	assert_true(net_tap_open("tap", true, 1, &fd, &error));
	assert_true(net_link_open(&link, "tap", &error));
	assert_true(link.up);
	set_up("tap", false);
	WAIT_UNTIL(net_link_read(&link));
	assert_false(link.up);
	set_up("tap", true);
	WAIT_UNTIL(net_link_read(&link));
	assert_int_equal(net_tap_set_carrier(fd, false), 0);
	WAIT_UNTIL(net_link_read(&link));
	assert_false(link.up);
	assert_int_equal(net_tap_set_carrier(fd, true), 0);
	WAIT_UNTIL(net_link_read(&link));
	assert_true(link.up);
	close(fd);
	WAIT_UNTIL(net_link_read(&link));
	assert_false(link.up);
	net_link_close(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_open),
		TEST_WITH(plain, test_link),
	};

	if (!enter_network()) {
		fprintf(stderr, "SKIPPED: no /dev/net/tun, or no network namespaces, here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
