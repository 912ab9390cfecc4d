/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-can at an interface of the host, in whose place is a pair of sockets. */
#include "daemon/devices/can/test_can.h"

#include <errno.h>
#include <linux/can/error.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "daemon/devices/can/can_host.h"
#include "tests/lib/kit_core.h"

#define OK CAN_RESULT_OK
#define NOT_OK CAN_RESULT_NOT_OK
#define LATE (1ull << CAN_F_LATE_TX_ACK)

static struct {
	int bus; /* the other end of the socket */
	int send_error; /* of the next one; 0: none */
	int recv_error;
} fake = { .bus = -1 };

int can_host_open(const char *interface, int *mtu)
{
	int fds[2];

	if (strcmp(interface, "can9") == 0) {
		errno = ENODEV;
		return -1;
	}
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	fake.bus = fds[1];
	fake.send_error = fake.recv_error = 0;
	*mtu = strcmp(interface, "can0") == 0 ? CAN_MTU : CANFD_MTU;
	return fds[0];
}

/* Receives a message; one with one more byte is a frame that comes back. */
ssize_t can_host_recv(int fd, void *buf, size_t len, bool *own)
{
	uint8_t bytes[CANFD_MTU + 1];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK);

	*own = n == CAN_MTU + 1 || n == CANFD_MTU + 1;
	if (n < 0)
		return n;
	recv(fd, bytes, sizeof(bytes), 0);
	if (fake.recv_error) {
		errno = fake.recv_error;
		fake.recv_error = 0;
		return -1;
	}
	n -= *own;
	memcpy(buf, bytes, MIN(len, (size_t)n));
	return n;
}

ssize_t can_host_send(int fd, const void *buf, size_t len)
{
	errno = fake.send_error;
	fake.send_error = 0;
	return errno ? -1 : send(fd, buf, len, MSG_NOSIGNAL);
}

/* Sends what an interface does: a frame, or (own) one that comes back. */
static void put(uint32_t id, size_t size, bool own)
{
	uint8_t bytes[CANFD_MTU + 1] = { 0 };
	struct canfd_frame f = { .can_id = id, .len = 1, .data = "x" };

	memcpy(bytes, &f, sizeof(f));
	assert_int_equal(send(fake.bus, bytes, size + own, 0), size + own);
}

static void check_sent(uint32_t id, size_t size)
{
	struct canfd_frame f;

	assert_int_equal(recv(fake.bus, &f, sizeof(f), 0), size);
	assert_int_equal(f.can_id, id);
}

static void start(struct kit *k, const char *option)
{
	kit_start(k, option, NULL);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
}

static void test_frames(struct kit *k)
{
	struct kit_request *r;

	start(k, "--interface=canfd0");
	r = can_listen(k);
	put(0x12, CAN_MTU, false);
	can_expect(k, r, 0x12, 0, "x", 1);
	r = can_listen(k);
	put(0x12345 | CAN_EFF_FLAG, CANFD_MTU, false);
	can_expect(k, r, 0x12345, CAN_MSG_EXTENDED | CAN_MSG_FD, "x", 1);
	can_send(k, 0x123, CAN_MSG_FD, 1, 20);
	can_send(k, 0x124, 0, 1, 8);
	check_sent(0x123, CANFD_MTU);
	check_sent(0x124, CAN_MTU);
	fd_close(&fake.bus);
}

/* With LATE_TX_ACK a frame is acknowledged when it comes back, and those before it. */
static void test_late(struct kit *k)
{
	struct kit_request *r[4], *stop;

	start(k, "--interface=canfd0");
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = can_send(k, i, 0, 1, 8);
	assert_false(kit_is_done(k, r[0]));
	put(1, CAN_MTU, true);
	assert_int_equal(can_result(k, r[1]), OK);
	assert_int_equal(can_result(k, r[0]), OK);
	put(7, CAN_MTU, true);
	assert_false(kit_is_done(k, r[2]));
	/* What is pending fails before STOP is answered. */
	stop = can_control_send(k, CAN_MSG_STOP);
	assert_int_equal(can_result(k, stop), OK);
	assert_int_equal(can_result(k, r[2]), NOT_OK);
	assert_int_equal(can_result(k, r[3]), NOT_OK);
	assert_true(r[2]->order < r[3]->order && r[3]->order < stop->order);
	fd_close(&fake.bus);
}

/* A frame is acknowledged although the guest takes none of those before. */
static void test_full(struct kit *k)
{
	struct kit_request *r;

	start(k, "--interface=canfd0");
	for (unsigned i = 0; i < CAN_FIFO + 2; i++) {
		put(1, CAN_MTU, false);
		kit_core_step(kit_core(k), 0);
	}
	r = can_send(k, 7, 0, 1, 8);
	check_sent(7, CAN_MTU);
	put(7, CAN_MTU, true);
	assert_int_equal(can_result(k, r), OK);
	fd_close(&fake.bus);
}

/* The queue's stop does not wait for ever. */
static void test_late_pause(struct kit *k)
{
	struct kit_request *r;

	start(k, "--interface=canfd0");
	r = can_send(k, 1, 0, 1, 8);
	kit_pause(k);
	assert_int_equal(can_result(k, r), NOT_OK);
	fd_close(&fake.bus);
}

/* Sends more than the device keeps: the rest waits in the ring. */
static void test_many_pending(struct kit *k)
{
	struct kit_request *r[40];

	start(k, "--interface=canfd0");
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = can_send(k, i, 0, 1, 8);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
		kit_is_done(k, r[i]);
		check_sent(i, CAN_MTU);
		put(i, CAN_MTU, true);
		assert_int_equal(can_result(k, r[i]), OK);
	}
	fd_close(&fake.bus);
}

static void test_early(struct kit *k)
{
	start(k, "--interface=canfd0");
	assert_int_equal(can_result(k, can_send(k, 1, 0, 1, 8)), OK);
	put(1, CAN_MTU, true);
	/* A full queue is tried again, another failure is the guest's. */
	fake.send_error = ENOBUFS;
	assert_int_equal(can_result(k, can_send(k, 2, 0, 1, 8)), OK);
	fake.send_error = EAGAIN;
	assert_int_equal(can_result(k, can_send(k, 3, 0, 1, 8)), OK);
	fake.send_error = ENETDOWN;
	assert_int_equal(can_result(k, can_send(k, 4, 0, 1, 8)), NOT_OK);
	for (unsigned i = 1; i < 4; i++)
		check_sent(i, CAN_MTU);
	fd_close(&fake.bus);
}

static void test_bus_off(struct kit *k)
{
	struct kit_request *r;

	start(k, "--interface=canfd0");
	r = can_send(k, 1, 0, 1, 8);
	put(CAN_ERR_FLAG | CAN_ERR_BUSOFF, CAN_MTU, false);
	kit_wait_config(k, 1);
	assert_int_equal(can_status(k), CAN_STATUS_BUSOFF);
	assert_int_equal(can_result(k, r), NOT_OK);
	assert_int_equal(can_control(k, CAN_MSG_START), NOT_OK);
	put(CAN_ERR_FLAG | CAN_ERR_RESTARTED, CAN_MTU, false);
	kit_is_done(k, r);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	assert_int_equal(can_status(k), 0);
	/* The interface goes down, and may be there again. */
	fake.recv_error = ENETDOWN;
	put(1, CAN_MTU, false);
	kit_wait_log(k, "the interface fails: Network is down");
	assert_int_equal(can_status(k), CAN_STATUS_BUSOFF);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	r = can_listen(k);
	put(2, CAN_MTU, false);
	can_expect(k, r, 2, 0, "x", 1);
	fd_close(&fake.bus);
}

static void test_features(struct kit *k)
{
	kit_start_fails(k, "--interface=can9: cannot use the interface: No such device",
		"--interface=can9", NULL);
	kit_start(k, "--interface=can0", NULL);
	assert_int_equal(kit_core(k)->device.features & 0xf,
		1u << CAN_F_CLASSIC | 1u << CAN_F_RTR | 1u << CAN_F_LATE_TX_ACK);
	fd_close(&fake.bus);
}

static const struct kit_test tests[] = {
	{ "frames", test_frames, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "late", test_late, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "full", test_full, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "late, paused", test_late_pause, .skip = KIT_NO_PROCESS },
	{ "many pending", test_many_pending,
		.skip = KIT_NO_PROCESS | KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "early", test_early, .features = 7, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "bus-off", test_bus_off, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE },
	{ "features", test_features, .skip = KIT_NO_PROCESS },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
