/* SPDX-License-Identifier: Apache-2.0 */
/* Every item of daemon/device.h and ring/vq.h, over the whole matrix of the kit. */
#include "ask.h"

/* Sends n buffers of `size` bytes to queue 1. */
static void give_buffers(struct kit *k, struct kit_request **buffer, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++)
		buffer[i] = kit_send(k, 1, NULL, 0, size);
}

/*
 * Checks that a frame of n buffers was made. A device that died after the frame and before its
 * answer finds no buffers when it runs the request again.
 */
static void check_frame(struct kit *k, unsigned n)
{
	struct contract_answer a = answer(k, ask(k, CONTRACT_FRAME, n));

	if (!kit_has_kills(k) || !a.retry || a.result)
		assert_int_equal(a.result, n);
}

static void test_frame(struct kit *k)
{
	struct kit_request *buffer[3];
	struct contract_frame frame;

	kit_start(k, NULL);
	give_buffers(k, buffer, 3, 64);
	check_frame(k, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(kit_wait(k, buffer[i]), 64);
		assert_int_equal(buffer[i]->order, buffer[0]->order + i);
	}
	memcpy(&frame, buffer[0]->in, sizeof(frame));
	assert_int_equal(frame.buffers, 3);
}

/* Frames of more buffers than are published at once otherwise, and several of them. */
static void test_many_frames(struct kit *k)
{
	enum { N = 24 };
	struct kit_request *buffer[N];

	kit_start(k, NULL);
	for (unsigned i = 0; i < 3; i++) {
		give_buffers(k, buffer, N, 16);
		check_frame(k, N);
		for (unsigned j = 0; j < N; j++)
			assert_int_equal(kit_wait(k, buffer[j]), 16);
	}
}

static void test_unpop(struct kit *k)
{
	struct kit_request *buffer[2];

	kit_start(k, NULL);
	give_buffers(k, buffer, 2, 16);
	assert_int_equal(result(k, ask(k, CONTRACT_UNPOP, 2)), 2);
	assert_int_equal(result(k, ask(k, CONTRACT_FRAME, 3)), 2);
	assert_false(kit_is_done(k, buffer[0]));
	check_frame(k, 2);
	assert_int_equal(kit_wait(k, buffer[0]), 16);
	assert_int_equal(kit_wait(k, buffer[1]), 16);
	assert_true(buffer[0]->order < buffer[1]->order);
}

/*
 * What is held is kept over a stop and a death, comes again in its order, and is known as a retry.
 */
static void test_hold(struct kit *k)
{
	struct kit_request *held[5];
	unsigned last = 0;

	kit_start(k, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(held); i++)
		held[i] = ask(k, CONTRACT_HOLD, 0);
	assert_false(kit_is_done(k, held[0]));
	assert_int_equal(result(k, ask(k, CONTRACT_RELEASE, 0)), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(held); i++) {
		struct contract_answer a = answer(k, held[i]);

		assert_true(a.order > last);
		last = a.order;
		if (kit_core(k)) /* elsewhere, a stop may come before the request was taken */
			assert_int_equal(a.retry, kit_has_pauses(k));
	}
}

static void test_timer(struct kit *k)
{
	int64_t start = g_get_monotonic_time();

	kit_start(k, NULL);
	assert_int_equal(result(k, ask(k, CONTRACT_TIMER, 3000)), 0);
	assert_true(g_get_monotonic_time() - start >= 3000);
}

static void test_watch(struct kit *k)
{
	static const enum contract_verb verbs[] = { CONTRACT_WATCH, CONTRACT_LEVEL };

	for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
		if (i == 0)
			kit_start(k, NULL);
		else
			kit_reset(k);
		assert_int_equal(result(k, ask(k, verbs[i], 1)), 1);
		assert_true(result(k, ask(k, verbs[i], 1)) >= 1);
		/* More than a socket takes byte by byte. */
		assert_true(result(k, ask(k, verbs[i], 2000)) >= 2000);
	}
}

static void test_close(struct kit *k)
{
	kit_start(k, NULL);
	assert_int_equal(result(k, ask(k, CONTRACT_CLOSE, 0)), 0);
	assert_int_equal(result(k, ask(k, CONTRACT_CLOSE, 0)), 0);
	assert_int_equal(result(k, ask(k, CONTRACT_WATCH, 10)), 10);
}

static void test_wakeup(struct kit *k)
{
	int wakes;

	kit_start(k, NULL);
	wakes = result(k, ask(k, CONTRACT_WAKE, 1000));
	assert_in_range(wakes, 1, 1000);
}

/* A process that was started in the place of a killed one has its first configuration again. */
static void test_config(struct kit *k)
{
	struct contract_config config;

	kit_start(k, NULL);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(result(k, ask(k, CONTRACT_CONFIG, i)), 0);
		if (!kit_has_kills(k))
			kit_wait_config(k, 1);
		kit_config_read(k, 0, &config, sizeof(config));
		assert_int_equal(config.word[1], config.word[0]);
		if (!kit_has_kills(k) || config.word[0] != 0)
			assert_int_equal(config.word[0], i);
	}
}

static void test_pages(struct kit *k)
{
	struct kit_request *data, *r;

	kit_start(k, NULL);
	data = kit_add(k, 1, NULL, 0, 4096);
	memset(data->in, 'a', 4096);
	r = ask_at(k, CONTRACT_PAGES, 100, data->in_address, ROOM + 100);
	assert_int_equal(result(k, r), 100);
	assert_memory_equal(r->in + ROOM, data->in, 100);
	r = ask_at(k, CONTRACT_PAGES, 100, UINT64_C(1) << 60, ROOM);
	assert_int_equal(result(k, r), -EFAULT);
}

/* A hold is no copy, and outlasts the request and a pause, but not the process. */
static void test_held_pages(struct kit *k)
{
	struct kit_request *data, *r;
	int n;

	kit_start(k, NULL);
	data = kit_add(k, 1, NULL, 0, 4096);
	assert_int_equal(
		result(k, ask_at(k, CONTRACT_HOLD_PAGES, 8, data->in_address, ROOM + 8)), 8);
	memcpy(data->in, "abcdefgh", 8);
	kit_pause(k);
	r = ask_at(k, CONTRACT_HELD_PAGES, 0, 0, ROOM + 8);
	n = result(k, r);
	if (kit_has_kills(k) && n == -ENOENT)
		return;
	assert_int_equal(n, 8);
	assert_memory_equal(r->in + ROOM, "abcdefgh", 8);
}

/* Whole pages of the range read as zeroes afterwards; what is around them stays. */
static void test_discard(struct kit *k)
{
	struct kit_request *data;
	uint64_t page;
	uint8_t *at;

	kit_start(k, NULL);
	data = kit_add(k, 1, NULL, 0, 3 * 4096);
	memset(data->in, 'a', 3 * 4096);
	page = (data->in_address + 4095) & ~UINT64_C(4095);
	at = data->in + (page - data->in_address);
	assert_int_equal(result(k, ask_at(k, CONTRACT_DISCARD, 4096, page, ROOM)), 0);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[4095], 0);
	assert_int_equal(at[-1], 'a');
	assert_int_equal(at[4096], 'a');
}

/* The same for a request's own buffers: only the answer, written afterwards, is in them. */
static void test_discard_in(struct kit *k)
{
	const struct contract_request request = { CONTRACT_DISCARD_IN, 0, 0 };
	struct kit_request *r;

	kit_start(k, NULL);
	r = kit_send(k, 0, &request, sizeof(request), 4 * 4096);
	assert_int_equal(result(k, r), 0);
	assert_int_equal(r->in[2 * 4096], 0);
}

static void test_resumed(struct kit *k)
{
	kit_start(k, NULL);
	if (kit_core(k))
		assert_int_equal(result(k, ask(k, CONTRACT_RESUMED, 0)), 0);
	assert_int_equal(result(k, ask(k, CONTRACT_ECHO, 0)), 0);
	kit_pause(k);
	assert_int_equal(result(k, ask(k, CONTRACT_RESUMED, 0)), 1);
	kit_reset(k);
	if (!kit_has_pauses(k) && !kit_has_kills(k))
		assert_int_equal(result(k, ask(k, CONTRACT_RESUMED, 0)), 0);
}

static void test_queues(struct kit *k)
{
	const struct contract_request echo = { CONTRACT_ECHO, 0, 0 };
	struct kit_request *r;

	kit_start(k, NULL);
	r = kit_send(k, 2, &echo, sizeof(echo), ROOM);
	assert_int_equal(result(k, r), 0);
	assert_int_equal(result(k, ask(k, CONTRACT_ECHO, 0)), 0);
}

/* More than a thread has without virtio_device_ops.stack. */
static void test_stack(struct kit *k)
{
	kit_start(k, NULL);
	assert_int_equal(
		result(k, ask(k, CONTRACT_STACK, CONTRACT_STACK_MAX)), CONTRACT_STACK_MAX / 1024);
}

static const struct kit_test tests[] = {
	{ "frame", test_frame },
	{ "many frames", test_many_frames },
	{ "unpop", test_unpop },
	{ "hold", test_hold },
	{ "timer", test_timer },
	{ "watch", test_watch },
	{ "close", test_close },
	{ "wake-up", test_wakeup },
	{ "config", test_config },
	{ "pages", test_pages },
	{ "held pages", test_held_pages },
	{ "discard", test_discard },
	{ "discard buffers", test_discard_in },
	{ "resumed", test_resumed },
	{ "queues", test_queues },
	{ "stack", test_stack },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
