/* SPDX-License-Identifier: Apache-2.0 */
/* See contract.h: the verbs that are done at once, and the table of all. */
#include "contract_impl.h"

#include <errno.h>

#define BUFFERS_MAX 64

void contract_answer(struct contract *t, struct vq_chain *c, int result)
{
	struct contract_answer answer = { result, vq_is_retry(c), ++t->answers, {} };

	iov_push(&c->in, &answer, sizeof(answer));
}

int contract_hold(struct contract *t, struct vq_chain *c, enum contract_verb why)
{
	for (unsigned i = 0; i < CONTRACT_HELD; i++) {
		if (!t->held[i].c) {
			t->held[i].c = c;
			t->held[i].why = why;
			return CONTRACT_LATER;
		}
	}
	return -ENOSPC;
}

void contract_release(struct contract *t, enum contract_verb why, int result)
{
	for (unsigned i = 0; i < CONTRACT_HELD; i++) {
		struct vq_chain *c = t->held[i].c;

		if (!c || t->held[i].why != why)
			continue;
		t->held[i].c = NULL;
		contract_answer(t, c, result);
		vq_push(c);
	}
}

static int do_echo(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	struct contract_answer place = { 0 };
	uint8_t data[256];
	size_t n;

	iov_push(&c->in, &place, sizeof(place));
	n = iov_pull(&c->out, data, sizeof(data));
	return iov_push(&c->in, data, n);
}

/* Does a frame, whose header is known last, and is in front. */
static int do_frame(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	struct vq *q = virtio_device_queue(t->d, CONTRACT_BUFFERS);
	struct vq_chain *buffer[BUFFERS_MAX];
	struct contract_frame frame = { 0 };
	struct iov_cursor head = {};
	unsigned n = 0;

	if (!q)
		return CONTRACT_NOT_YET;
	while (n < MIN(r->n, BUFFERS_MAX) && (buffer[n] = vq_pop(q))) {
		struct iov_cursor *in = &buffer[n]->in;

		if (n == 0) {
			head = *in;
			iov_skip(in, sizeof(frame));
		}
		while (iov_left(in) && iov_push(in, &t->frames, 1))
			;
		n++;
	}
	if (r->verb == CONTRACT_UNPOP || n < r->n) {
		for (unsigned i = n; i-- > 0;)
			vq_unpop(buffer[i]);
		return n;
	}
	frame.buffers = n;
	iov_push(&head, &frame, sizeof(frame));
	vq_push_all(buffer, n);
	vq_publish(q); /* before the answer that says so */
	t->frames++;
	return n;
}

static int do_hold(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	return contract_hold(t, c, CONTRACT_HOLD);
}

static int do_release(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	contract_release(t, CONTRACT_HOLD, 0);
	return 0;
}

static int do_config(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	const uint32_t words[2] = { r->n, r->n };

	virtio_config_set(t->d, 0, words, sizeof(words));
	return 0;
}

static int answer_pages(struct vq_chain *c, struct virtio_pages *pages)
{
	struct contract_answer place = { 0 };
	const struct iovec *iov;
	size_t done = 0;
	unsigned n;

	iov = virtio_pages_iov(pages, &n);
	iov_push(&c->in, &place, sizeof(place));
	for (unsigned i = 0; i < n; i++) {
		/* The answer's own memory may be named. */
		g_autofree void *copy = g_memdup2(iov[i].iov_base, iov[i].iov_len);

		done += iov_push(&c->in, copy, iov[i].iov_len);
	}
	return done;
}

static int do_pages(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	const struct virtio_pages_range range = { r->address, r->n };
	struct virtio_pages *pages;
	int result = virtio_pages_hold(c->q, &range, 1, &pages);

	if (result < 0)
		return result;
	result = answer_pages(c, pages);
	if (r->verb == CONTRACT_HOLD_PAGES) {
		virtio_pages_release(t->pages);
		t->pages = pages;
	} else {
		virtio_pages_release(pages);
	}
	return result;
}

static int do_held_pages(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	return t->pages ? answer_pages(c, t->pages) : -ENOENT;
}

static int do_discard(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	const struct virtio_pages_range range = { r->address, r->n };

	virtio_pages_discard(c->q, &range, 1);
	return 0;
}

static int do_discard_in(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	vq_discard(c);
	return 0;
}

static int do_resumed(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	return vq_is_resumed(c->q);
}

/* Does what needs more than a thread has without virtio_device_ops.stack. */
static int do_stack(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	volatile uint8_t deep[CONTRACT_STACK_MAX];
	unsigned n = MIN(r->n, sizeof(deep));
	int sum = 0;

	for (unsigned i = 0; i < n; i += 1024)
		deep[i] = 1;
	for (unsigned i = 0; i < n; i += 1024)
		sum += deep[i];
	return sum;
}

/*
 * Return CONTRACT_LATER if they hold the request, or the result; room for it may be made already.
 */
static int (*const verbs[CONTRACT_VERBS])(
	struct contract *t, struct vq_chain *c, const struct contract_request *r) = {
	[CONTRACT_ECHO] = do_echo,
	[CONTRACT_FRAME] = do_frame,
	[CONTRACT_UNPOP] = do_frame,
	[CONTRACT_HOLD] = do_hold,
	[CONTRACT_RELEASE] = do_release,
	[CONTRACT_TIMER] = contract_do_timer,
	[CONTRACT_WATCH] = contract_do_watch,
	[CONTRACT_LEVEL] = contract_do_watch,
	[CONTRACT_CLOSE] = contract_do_close,
	[CONTRACT_WAKE] = contract_do_wake,
	[CONTRACT_CONFIG] = do_config,
	[CONTRACT_PAGES] = do_pages,
	[CONTRACT_HOLD_PAGES] = do_pages,
	[CONTRACT_HELD_PAGES] = do_held_pages,
	[CONTRACT_DISCARD] = do_discard,
	[CONTRACT_DISCARD_IN] = do_discard_in,
	[CONTRACT_RESUMED] = do_resumed,
	[CONTRACT_MAP] = contract_do_map,
	[CONTRACT_UNMAP] = contract_do_map,
	[CONTRACT_STACK] = do_stack,
};

static bool serve(struct contract *t, struct vq *q)
{
	struct vq_chain *c = vq_pop(q);
	struct contract_request r;
	struct iov_cursor head;
	int result;

	if (!c)
		return false;
	head = c->in;
	if (iov_pull(&c->out, &r, sizeof(r)) < sizeof(r) || r.verb >= CONTRACT_VERBS) {
		vq_break(q, "no request of the contract device");
		vq_push(c);
		return false;
	}
	result = verbs[r.verb](t, c, &r);
	if (result == CONTRACT_NOT_YET) {
		vq_unpop(c);
		return false;
	}
	if (result == CONTRACT_LATER)
		return true;
	if (iov_done(&c->in)) {
		struct contract_answer answer = { result, vq_is_retry(c), ++t->answers, {} };

		iov_push(&head, &answer, sizeof(answer));
	} else {
		contract_answer(t, c, result);
	}
	vq_push(c);
	return true;
}

/*
 * Buffers stay in queue 1 until a frame needs them; a request may have waited for that queue's
 * start, so a kick of either queue serves queue 0.
 */
static void contract_kick(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == CONTRACT_BUFFERS)
		q = virtio_device_queue(d, CONTRACT_REQUESTS);
	while (q && serve(d->data, q))
		;
}

static void contract_start(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == CONTRACT_REQUESTS)
		contract_sources_start(d->data, q);
}

static void contract_stop(struct virtio_device *d, struct vq *q)
{
	struct contract *t = d->data;

	for (unsigned i = 0; i < CONTRACT_HELD; i++) {
		if (t->held[i].c && t->held[i].c->q == q)
			vq_keep(g_steal_pointer(&t->held[i].c));
	}
	if (vq_index(q) == CONTRACT_REQUESTS)
		contract_sources_stop(t, q);
}

static void contract_reset(struct virtio_device *d)
{
	struct contract *t = d->data;

	g_clear_pointer(&t->pages, virtio_pages_release);
	t->answers = 0;
}

static bool contract_open(struct virtio_device *d, GError **error)
{
	struct contract *t = d->data = g_new0(struct contract, 1);

	t->d = d;
	contract_sources_open(t);
	if (contract_shm_open(t))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "no file: %s", g_strerror(errno));
	return false;
}

static void contract_close(struct virtio_device *d)
{
	struct contract *t = g_steal_pointer(&d->data);

	virtio_pages_release(t->pages);
	contract_sources_close(t);
	fd_close(&t->file);
	g_free(t);
}

const struct virtio_device_ops virtio_device_ops = {
	.name = "contract",
	.summary = "virtio device that does what its tests ask for",
	.probe = {
		.device_id = CONTRACT_ID,
		.config_size = sizeof(struct contract_config),
		.min_queues = CONTRACT_QUEUES,
		.max_queues = CONTRACT_QUEUES,
	},
	.threads = VIRTIO_DEVICE_PER_QUEUE,
	.common_queues = 2,
	.any_order = CONTRACT_ANY_ORDER,
	.stack = 2 * CONTRACT_STACK_MAX,
	.shm = contract_regions,
	.wire = &contract_wire,
	.needs = &contract_needs,
	.open = contract_open,
	.close = contract_close,
	.reset = contract_reset,
	.queue_start = contract_start,
	.queue_stop = contract_stop,
	.kick = contract_kick,
};
