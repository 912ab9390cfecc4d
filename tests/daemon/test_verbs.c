/* SPDX-License-Identifier: Apache-2.0 */
/* The device as a whole: in which thread its verbs run, and what it waits for. */
#include "tests/daemon/agent.h"

#include <sys/socket.h>

static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

static struct virtio_watch watch;
static struct virtio_timer timer;
static struct virtio_wakeup wakeup;
static _Atomic unsigned watched, expired, woken;

static void on_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	agent_check_alone();
	assert_null(q);
	eventfd_take(w->fd);
	watched++;
}

static void on_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	agent_check_alone();
	expired++;
	if (expired % 3)
		virtio_timer(d, NULL, t, g_get_monotonic_time() + 1000);
}

static void on_wakeup(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	agent_check_alone();
	woken++;
}

static void open_all(struct virtio_device *d)
{
	watch = (struct virtio_watch){ .fd = watch.fd, .ready = on_ready };
	timer = (struct virtio_timer){ .expired = on_expired };
	wakeup = (struct virtio_wakeup){ .run = on_wakeup };
	watched = expired = woken = 0;
	virtio_watch(d, NULL, &watch, EPOLLIN);
	virtio_timer(d, NULL, &timer, 0);
	virtio_wakeup_init(d, NULL, &wakeup);
	virtio_wakeup_signal(&wakeup);
}

static void signal_both(unsigned calls)
{
	eventfd_write(watch.fd, 1);
	virtio_wakeup_signal(&wakeup);
	WAIT_IN_LOOP(watched == calls && woken == calls + 1);
}

/* Runs before a front-end comes, while it is there, idle or not, and after it has left. */
static void whole_device(struct peer *p, const struct agent_mode *mode)
{
	peer_disconnect(p);
	agent.on_open = open_all;
	agent_make(p, mode);
	WAIT_IN_LOOP(expired == 3 && woken == 1);
	signal_both(1);
	agent_start(p);
	signal_both(2);
	for (unsigned i = 3; i < 20; i++) {
		for (unsigned q = 0; q < AGENT_QUEUES; q++) {
			driver_submit(p, q);
			driver_kick(p, q);
		}
		signal_both(i);
		peer_run();
	}
	if (mode->threads == VIRTIO_DEVICE_ONE)
		assert_int_equal(agent.verb_thread, agent.thread[0]);
	else
		assert_int_equal(agent.verb_thread, gettid());
	peer_disconnect(p);
	signal_both(20);
	peer_connect(p);
}

static void test_whole_device(void **state)
{
	watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
		whole_device(*state, &modes[i]);
	agent.on_open = NULL;
	peer_disconnect(*state);
	virtio_watch(agent.device, NULL, &watch, 0);
	close(watch.fd);
	peer_connect(*state);
}

static void write_config(struct peer *p, uint8_t value)
{
	struct {
		struct vu_config c;
		uint8_t bytes[AGENT_CONFIG];
	} __attribute__((packed)) msg = { { 0, AGENT_CONFIG, 0 }, { 0 } };

	memset(msg.bytes, value, sizeof(msg.bytes));
	assert_int_equal(peer_ack(p, VU_SET_CONFIG, &msg, sizeof(msg), NULL, 0), 0);
}

/* Checks that with one thread all verbs but open() and close() run on it. */
static void verbs(struct peer *p, const struct agent_mode *mode)
{
	bool one = mode->threads == VIRTIO_DEVICE_ONE;

	agent.resets = agent.reloads = agent.writes = 0;
	agent_make(p, mode);
	agent_start(p);
	agent.verb_thread = 0;
	write_config(p, 1);
	assert_int_equal(agent.writes, 1);
	assert_int_equal(agent.verb_thread, one ? agent.thread[0] : gettid());
	agent.verb_thread = 0;
	backend_reload(p->backend);
	WAIT_IN_LOOP(agent.reloads == 1);
	assert_int_equal(agent.verb_thread, one ? agent.thread[0] : gettid());
	agent.verb_thread = 0;
	assert_int_equal(peer_ack(p, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(agent.resets, 1);
	assert_int_equal(agent.verb_thread, one ? agent.thread[0] : gettid());
}

static void test_verbs(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
		verbs(*state, &modes[i]);
}

/*
 * Checks that the reset comes before the first queue of a driver that starts afresh without a
 * word.
 */
static void check_reset_first(struct virtio_device *d, struct vq *q)
{
	g_assert_true(agent.resets == 1);
}

static void test_reset_first(void **state)
{
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		agent.resets = 0;
		agent_make(p, &modes[i]);
		agent_start(p);
		driver_submit(p, 0);
		driver_kick(p, 0);
		peer_run();
		peer_disconnect(p);
		peer_connect(p);
		agent.on_start = check_reset_first;
		agent_start(p);
		peer_run();
		agent.on_start = NULL;
		assert_int_equal(agent.resets, 1);
	}
}

/* The front-end leaves while the device's part of its message is still to come. */
static agent_fn *_Atomic gate;

static void hang(struct virtio_device *d, struct vq *q)
{
	gate = NULL;
	while (!gate)
		g_thread_yield();
}

static void test_left_in_verb(void **state)
{
	const struct {
		struct vu_config c;
		uint8_t byte;
	} __attribute__((packed)) msg = { { 0, 1, 0 }, 7 };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		unsigned closed;

		agent.writes = 0;
		agent_make(p, &modes[i]);
		agent_start(p);
		closed = p->closed;
		gate = hang;
		agent.todo = hang;
		driver_submit(p, 0);
		driver_kick(p, 0);
		WAIT_IN_LOOP(!gate);
		peer_send(p, VU_SET_CONFIG, VU_FLAG_NEED_REPLY, &msg, sizeof(msg), NULL, 0);
		peer_run_loop();
		fd_close(&p->sock);
		peer_run_loop();
		/* While a request is open the connection is not read. */
		assert_int_equal(p->closed, closed);
		gate = hang;
		WAIT_IN_LOOP(p->closed == closed + 1);
		assert_int_equal(agent.writes, 1);
		peer_connect(p);
	}
}

/* Queue 0 and those that share its thread. */
static void test_common_queues(void **state)
{
	static const struct {
		struct agent_mode mode;
		bool same[AGENT_QUEUES]; /* thread as queue 0 */
	} cases[] = {
		{ { "", VIRTIO_DEVICE_PER_QUEUE, 4, 2 }, { true, true, false, false } },
		{ { "", VIRTIO_DEVICE_PER_QUEUE, 4, 1 }, { true, false, false, false } },
		{ { "", VIRTIO_DEVICE_PER_PAIR, 4, 2 }, { true, true, false, false } },
		{ { "", VIRTIO_DEVICE_PER_PAIR, 4, 3 }, { true, true, true, false } },
		{ { "", VIRTIO_DEVICE_PER_QUEUE, 4, 4 }, { true, true, true, true } },
	};
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		agent_make(p, &cases[i].mode);
		agent_start(p);
		peer_run();
		for (unsigned q = 0; q < AGENT_QUEUES; q++)
			assert_int_equal(agent.thread[q] == agent.thread[0], cases[i].same[q]);
		if (cases[i].mode.threads == VIRTIO_DEVICE_PER_PAIR && cases[i].mode.common == 2)
			assert_int_equal(agent.thread[2], agent.thread[3]);
	}
}

/* The configuration space, changed all the time: no reader sees half of a change. */

static _Atomic bool changing;
static struct virtio_timer changer;

static void on_change(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	uint8_t bytes[AGENT_CONFIG];

	memset(bytes, d->config[0] + 1, sizeof(bytes));
	virtio_config_set(d, 0, bytes, sizeof(bytes));
	if (changing)
		virtio_timer(d, q, t, 0);
}

static void begin_changes(struct virtio_device *d, struct vq *q)
{
	changer = (struct virtio_timer){ .expired = on_change };
	virtio_timer(d, q, &changer, 0);
}

static void config_set(struct peer *p)
{
	struct {
		struct vu_config c;
		uint8_t bytes[AGENT_CONFIG];
	} __attribute__((packed)) ask = { { 0, AGENT_CONFIG, 0 }, { 0 } };
	const uint8_t *got = p->msg.payload.bytes + sizeof(ask.c);
	unsigned distinct = 0;
	int pair[2], last = -1;
	char dropped[4096];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	p->channel = pair[0];
	changing = true;
	agent_do(p, 0, begin_changes);
	/* Until some changes were seen: the daemon's thread may have to wait for a CPU. */
	for (unsigned i = 0; i < 2000 || (distinct <= 10 && i < 1000000); i++) {
		peer_send(p, VU_GET_CONFIG, 0, &ask, sizeof(ask), NULL, 0);
		WAIT_IN_LOOP(vu_msg_read(&p->reader, p->sock, &p->msg, NULL) == VU_READ_DONE);
		for (unsigned n = 1; n < AGENT_CONFIG; n++)
			assert_int_equal(got[n], got[0]);
		distinct += got[0] != last;
		last = got[0];
	}
	assert_true(distinct > 10);
	changing = false;
	peer_run();
	/* The driver was told of the last change. */
	assert_true(recv(p->channel, dropped, sizeof(dropped), MSG_DONTWAIT) > 0);
	fd_close(&p->channel);
	peer_run();
}

static void test_config_set(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		agent_make(*state, &modes[i]);
		agent_start(*state);
		config_set(*state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_whole_device),
		TEST_WITH(peer, test_verbs),
		TEST_WITH(peer, test_reset_first),
		TEST_WITH(peer, test_left_in_verb),
		TEST_WITH(peer, test_common_queues),
		TEST_WITH(peer, test_config_set),
	};

	return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
