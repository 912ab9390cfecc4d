/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes requests from the slots of the ioreq page, and answers them.
 *
 * Three parties write a slot's state: Xen (NONE -> READY, RESP_READY -> NONE), the kernel's
 * ioeventfd code, and the worker. Xen crashes the guest if a state goes back, or if a slot is not
 * NONE at the next request. So each request is answered exactly once, and a taken one is never put
 * back.
 *
 * The kernel examines every write in the interrupt that also wakes the worker: READY -> INPROCESS,
 * then RESP_READY if it has an eventfd for it, else READY again; without compare-and-swap. It does
 * so only while the port is unmasked, and the port is masked from the interrupt until the worker
 * unmasks it. So the worker looks first and unmasks afterwards; both can meet only if the worker
 * runs before the interrupt that woke it has returned. A write to QueueNotify of a queue that the
 * kernel serves is left to it, unless it stays for KERNEL_US: then it came before the kernel knew
 * of the queue.
 *
 * The worker can be killed at any instruction. Its successor finds, per vCPU:
 *
 *	journal  slot		killed
 *	0        READY		before		the request is taken like any other
 *	1        READY		before claim	the same
 *	1        INPROCESS	after claim	the access is repeated
 *	1        RESP_READY	after answer	Xen may not know: notify (twice is harmless)
 *	0        RESP_READY	before notify	the same
 *	1        NONE or later	after answer	Xen saw the answer: there is a new request, or none
 *
 * In the last case the kernel may just be examining the new request (INPROCESS). So a slot is taken
 * over from a predecessor only after it has stayed INPROCESS for FLIP_US.
 */
#include "xen/worker/ioreq.h"

#include <inttypes.h>
#include <pthread.h>
#include <linux/virtio_mmio.h>

#include "base/clock.h"
#include "base/log.h"
#include "xen/hypervisor/ioreq_page.h"

/* How long the kernel may take to examine a request. */
#define FLIP_US 2000
#define FLIP_LOOKS 2 /* at least: this process may not have run meanwhile */
/* How long the kernel may take to answer a write that it serves. */
#define KERNEL_US 20000
#define KERNEL_LOOKS 5
/* How long after its range a device may be added. */
#define DEVICE_US 500000
#define DEVICE_LOOKS 20
/* A request that waits longer is logged. */
#define STUCK_US (3 * G_USEC_PER_SEC)

#define SPINS 64
#define SOON_MS 1
#define SOON_US 100000 /* until then SOON_MS, afterwards LATER_MS */
#define LATER_MS 20

struct ioreq_vcpu {
	struct ioreq *q;
	struct ioreq_slot *slot;
	uint32_t *taken; /* in the journal */
	bool busy; /* taken by this process; under the lock */
	struct ioreq_slot req; /* the request, while busy */
	uint64_t value; /* for a read */
	int left; /* completions to wait for; negative: some came before they were counted */
	/* Of the thread that looks at slots. */
	int64_t since; /* first seen and not taken; 0: not waiting */
	enum ioreq_state seen; /* at the last look */
	unsigned looks; /* since then, by ioreq_again() */
	bool inherited; /* a predecessor's, if it stays INPROCESS */
	bool stuck; /* has been logged */
};

struct ioreq {
	const struct ioreq_ops *ops;
	void *opaque;
	unsigned n;
	struct ioreq_vcpu vcpu[IPC_MAX_VCPUS];
	/* No new request may be taken between an answer and the end of busy. */
	pthread_mutex_t lock;
	struct ioreq_counters counters;
	struct log_limit limit;
};

static uint64_t mask_of(uint32_t size)
{
	return size < 8 ? (UINT64_C(1) << (8 * size)) - 1 : UINT64_MAX;
}

struct ioreq *ioreq_new(struct ioreq_page *page, unsigned vcpus, struct ipc_journal *journal,
	const struct ioreq_ops *ops, void *opaque)
{
	struct ioreq *q = g_new0(struct ioreq, 1);

	q->ops = ops;
	q->opaque = opaque;
	q->n = MIN(vcpus, IPC_MAX_VCPUS);
	for (unsigned i = 0; i < q->n; i++) {
		q->vcpu[i].q = q;
		q->vcpu[i].slot = (struct ioreq_slot *)page + i;
		q->vcpu[i].taken = &journal->taken[i];
	}
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

void ioreq_free(struct ioreq *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	g_free(q);
}

/* Loads to acquire: pairs with Xen's barrier between filling a slot and making it READY. */
static uint8_t load_bits(const struct ioreq_vcpu *v)
{
	return __atomic_load_n(&v->slot->bits, __ATOMIC_ACQUIRE);
}

static void set_taken(struct ioreq_vcpu *v, uint32_t taken)
{
	__atomic_store_n(v->taken, taken, __ATOMIC_SEQ_CST);
}

/* Copies the request; only Xen writes its fields, and not while the vCPU waits. */
static void copy_request(const struct ioreq_vcpu *v, struct ioreq_slot *to)
{
	const struct ioreq_slot *s = v->slot;

	to->bits = load_bits(v);
	to->addr = __atomic_load_n(&s->addr, __ATOMIC_RELAXED);
	to->data = __atomic_load_n(&s->data, __ATOMIC_RELAXED);
	to->count = __atomic_load_n(&s->count, __ATOMIC_RELAXED);
	to->size = __atomic_load_n(&s->size, __ATOMIC_RELAXED);
	to->type = __atomic_load_n(&s->type, __ATOMIC_RELAXED);
}

/* Returns whether the kernel answers the request; it takes 16 bits for the queue. */
static bool is_kernels(const struct ioreq *q, const struct ioreq_slot *r)
{
	uint64_t offset;
	void *d;

	if (r->type != IOREQ_COPY || (r->bits & IOREQ_DIR_READ) || r->size != 4)
		return false;
	d = q->ops->find(q->opaque, r->addr, &offset);
	return d && offset == VIRTIO_MMIO_QUEUE_NOTIFY &&
		q->ops->kernel_has(q->opaque, d, offset, r->data & 0xffff);
}

static bool has_device(const struct ioreq *q, const struct ioreq_slot *r)
{
	uint64_t offset;

	return r->type != IOREQ_COPY || q->ops->find(q->opaque, r->addr, &offset);
}

/* Takes the request, under the lock. Returns false if its state changed meanwhile. */
static bool claim(struct ioreq_vcpu *v, uint8_t bits)
{
	uint8_t ours = (bits & ~IOREQ_STATE_BITS) | IOREQ_INPROCESS;

	/* Before the slot: if killed in between, the slot shows that nothing was begun. */
	set_taken(v, 1);
	if (!__atomic_compare_exchange_n(
		    &v->slot->bits, &bits, ours, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		set_taken(v, 0);
		return false;
	}
	v->busy = true;
	v->since = 0;
	v->inherited = v->stuck = false;
	/* Anew: what was seen before may have been answered, and followed by another request. */
	copy_request(v, &v->req);
	v->value = UINT64_MAX;
	v->left = 0;
	return true;
}

/* Returns whether the request has to be left alone for now. */
static bool must_wait(struct ioreq *q, struct ioreq_vcpu *v, const struct ioreq_slot *r)
{
	int64_t waited = g_get_monotonic_time() - v->since;

	if (waited > STUCK_US && !v->stuck) {
		v->stuck = true;
		log_limited(&q->limit, LOG_LEVEL_WARNING, "ioreq",
			"vCPU %u: access to 0x%" PRIx64 " (type %u, state %u) waits for %s",
			(unsigned)(v - q->vcpu), r->addr, r->type, r->bits & IOREQ_STATE_BITS,
			has_device(q, r) ? "the kernel" : "its device to be added");
	}
	if ((r->bits & IOREQ_STATE_BITS) == IOREQ_INPROCESS) {
		if (!v->inherited || waited < FLIP_US || v->looks < FLIP_LOOKS)
			return true;
	} else {
		v->inherited = false;
		if ((waited < KERNEL_US || v->looks < KERNEL_LOOKS) && is_kernels(q, r))
			return true;
	}
	return (waited < DEVICE_US || v->looks < DEVICE_LOOKS) && !has_device(q, r);
}

/* Takes the request if possible. Returns true if it was taken and has to be served. */
static bool look(struct ioreq *q, struct ioreq_vcpu *v)
{
	struct ioreq_slot seen;
	bool taken = false;

	pthread_mutex_lock(&q->lock);
	copy_request(v, &seen);
	v->seen = seen.bits & IOREQ_STATE_BITS;
	switch (v->seen) {
	case IOREQ_READY:
	case IOREQ_INPROCESS:
		if (v->busy)
			break;
		if (!v->since) {
			v->since = g_get_monotonic_time();
			v->looks = 0;
		}
		taken = !must_wait(q, v, &seen) && claim(v, seen.bits);
		break;
	case IOREQ_NONE:
	case IOREQ_RESP_READY:
		v->since = 0;
		v->inherited = v->stuck = false;
	}
	pthread_mutex_unlock(&q->lock);
	return taken;
}

/* Puts the answer into the slot and notifies the vCPU. */
static void answer(struct ioreq *q, struct ioreq_vcpu *v)
{
	bool read = v->req.type != IOREQ_INVALIDATE && (v->req.bits & IOREQ_DIR_READ);
	uint8_t bits;
	bool answered;

	pthread_mutex_lock(&q->lock);
	bits = load_bits(v);
	/* READY: the kernel was still examining the request, and wrote its state back. */
	answered = (bits & IOREQ_STATE_BITS) == IOREQ_INPROCESS ||
		(bits & IOREQ_STATE_BITS) == IOREQ_READY;
	if (answered) {
		if (read)
			__atomic_store_n(&v->slot->data, v->value, __ATOMIC_RELAXED);
		bits = (bits & ~IOREQ_STATE_BITS) | IOREQ_RESP_READY;
		/* Release: pairs with Xen's barrier between the state and the data. */
		__atomic_store_n(&v->slot->bits, bits, __ATOMIC_RELEASE);
	}
	/* After the answer: if killed in between, the slot shows that it was given. */
	set_taken(v, 0);
	v->busy = false;
	pthread_mutex_unlock(&q->lock);
	if (answered)
		q->ops->notify(q->opaque, v - q->vcpu);
}

/* Counts completions that are awaited (n > 0) or have come (n < 0); answers after the last. */
static void settle(struct ioreq *q, struct ioreq_vcpu *v, int n)
{
	if (__atomic_add_fetch(&v->left, n, __ATOMIC_ACQ_REL) == 0)
		answer(q, v);
}

static bool is_sane(const struct ioreq_slot *r)
{
	return r->type == IOREQ_COPY && r->count == 1 && !(r->bits & IOREQ_DATA_IS_PTR) &&
		(r->size == 1 || r->size == 2 || r->size == 4 || r->size == 8);
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Returns the number of completions to wait for. */
static unsigned serve(struct ioreq *q, struct ioreq_vcpu *v)
{
	const struct ioreq_slot *r = &v->req;
	bool write = !(r->bits & IOREQ_DIR_READ);
	uint64_t offset, value;
	void *d = NULL;

	if (r->type == IOREQ_INVALIDATE) {
		count(&q->counters.invalidates);
		return q->ops->invalidate(q->opaque, v);
	}
	count(&q->counters.requests);
	if (is_sane(r))
		d = q->ops->find(q->opaque, r->addr, &offset);
	if (!d) {
		count(&q->counters.strays);
		return 0;
	}
	value = write ? r->data & mask_of(r->size) : 0;
	if (q->ops->access(q->opaque, d, offset, r->size, write, &value, v) == VIRTIO_MMIO_LATER)
		return 1;
	v->value = value & mask_of(r->size);
	return 0;
}

static void look_and_serve(struct ioreq *q, struct ioreq_vcpu *v)
{
	for (unsigned spin = 0; spin < SPINS; spin++) {
		if (look(q, v)) {
			settle(q, v, serve(q, v));
			return;
		}
		/*
		 * Only the kernel's examination is a matter of nanoseconds; nothing else happens
		 * while the port is masked.
		 */
		if (v->seen != IOREQ_INPROCESS || !v->since ||
			g_get_monotonic_time() - v->since > FLIP_US)
			return;
		cpu_relax();
	}
}

void ioreq_event(struct ioreq *q, unsigned vcpu)
{
	if (vcpu >= q->n)
		return;
	/* It may be another request. */
	if (!q->vcpu[vcpu].inherited)
		q->vcpu[vcpu].since = 0;
	look_and_serve(q, &q->vcpu[vcpu]);
}

void ioreq_resume(struct ioreq *q)
{
	for (unsigned i = 0; i < q->n; i++) {
		struct ioreq_vcpu *v = &q->vcpu[i];
		uint8_t state = load_bits(v) & IOREQ_STATE_BITS;

		v->inherited =
			state == IOREQ_INPROCESS && __atomic_load_n(v->taken, __ATOMIC_SEQ_CST);
		if (!v->inherited)
			set_taken(v, 0);
		if (state == IOREQ_RESP_READY)
			q->ops->notify(q->opaque, i);
		look_and_serve(q, v);
	}
}

int ioreq_again(struct ioreq *q)
{
	int next = -1;

	for (unsigned i = 0; i < q->n; i++) {
		struct ioreq_vcpu *v = &q->vcpu[i];

		if (v->since) {
			v->looks++;
			look_and_serve(q, v);
		}
		if (!v->since)
			continue;
		if (g_get_monotonic_time() - v->since < SOON_US)
			next = SOON_MS;
		else if (next < 0)
			next = LATER_MS;
	}
	return next;
}

void ioreq_done(void *token, uint64_t value)
{
	struct ioreq_vcpu *v = token;

	/* An invalidation has several completions, possibly at the same time. */
	if (v->req.type == IOREQ_COPY)
		v->value = value & mask_of(v->req.size);
	settle(v->q, v, -1);
}

void ioreq_counters(const struct ioreq *q, struct ioreq_counters *counters)
{
	*counters = (struct ioreq_counters){
		.requests = __atomic_load_n(&q->counters.requests, __ATOMIC_RELAXED),
		.invalidates = __atomic_load_n(&q->counters.invalidates, __ATOMIC_RELAXED),
		.strays = __atomic_load_n(&q->counters.strays, __ATOMIC_RELAXED),
	};
}
