/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of the contract device that are done when a source of it is due. */
#include "contract_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Timer. */

static void on_timer(struct virtio_device *d, struct vq *q, struct virtio_timer *timer)
{
	contract_release(container_of(timer, struct contract, timer), CONTRACT_TIMER, 0);
}

int contract_do_timer(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	/* The second call takes the place of the first. */
	virtio_timer(t->d, c->q, &t->timer, g_get_monotonic_time() + 3600ll * G_USEC_PER_SEC);
	virtio_timer(t->d, c->q, &t->timer, g_get_monotonic_time() + r->n);
	return contract_hold(t, c, CONTRACT_TIMER);
}

/* Watches: bytes through a socket, from its first end to the second. */

static bool receive(struct contract *t)
{
	char bytes[64];
	ssize_t n = read(t->watch[1].fd, bytes, sizeof(bytes));

	if (n > 0)
		t->received += n;
	if (n > 0 && t->received == t->to_receive)
		contract_release(t, CONTRACT_WATCH, t->received);
	return n > 0;
}

/* Reads a part at a time, level triggered; with EPOLLET all there is. */
static void on_readable(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct contract *t = container_of(w, struct contract, watch[1]);

	while (receive(t) && w->core.events & EPOLLET)
		;
}

static void on_writable(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct contract *t = container_of(w, struct contract, watch[0]);
	ssize_t n = 1;

	while (t->to_send && n > 0) {
		char byte = 0;

		n = write(w->fd, &byte, 1);
		t->to_send -= n > 0;
	}
	if (!t->to_send && !(w->core.events & EPOLLET))
		virtio_watch(d, q, w, 0);
}

static void open_socket(struct contract *t)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		g_error("socketpair: %s", g_strerror(errno));
	t->watch[0].fd = pair[0];
	t->watch[1].fd = pair[1];
	t->to_send = t->to_receive = t->received = 0;
}

static void close_socket(struct contract *t)
{
	fd_close(&t->watch[0].fd);
	fd_close(&t->watch[1].fd);
}

int contract_do_watch(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	uint32_t edge = r->verb == CONTRACT_WATCH ? EPOLLET : 0;

	t->to_send += r->n;
	t->to_receive += r->n;
	virtio_watch(t->d, c->q, &t->watch[1], EPOLLIN | edge);
	virtio_watch(t->d, c->q, &t->watch[0], EPOLLOUT | edge);
	/* An edge that has been and gone. */
	on_writable(t->d, c->q, &t->watch[0], EPOLLOUT);
	return contract_hold(t, c, CONTRACT_WATCH);
}

/* Opens a file that takes the number of another one, which was closed under its watch. */

static void reopen_socket(struct contract *t, struct vq *q)
{
	virtio_watch(t->d, q, &t->watch[0], 0);
	virtio_watch(t->d, q, &t->watch[1], 0);
	virtio_watch(t->d, q, &t->successor, 0);
	close_socket(t);
	open_socket(t);
}

static void on_successor(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct contract *t = container_of(w, struct contract, successor);

	contract_release(t, CONTRACT_CLOSE, 0);
	reopen_socket(t, q);
}

int contract_do_close(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	struct virtio_watch *old = &t->watch[1];
	int pair[2];

	virtio_watch(t->d, c->q, old, EPOLLIN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	dup3(pair[1], old->fd, O_CLOEXEC);
	close(pair[1]);
	t->successor.fd = old->fd;
	virtio_watch(t->d, c->q, &t->successor, EPOLLIN);
	virtio_watch(t->d, c->q, old, 0);
	/* Its other end closes: the successor is readable. */
	close(pair[0]);
	return contract_hold(t, c, CONTRACT_CLOSE);
}

/* Wake-ups. */

static void *signaller(void *data)
{
	struct contract *t = data;

	for (unsigned i = 0; i < t->signals; i++)
		virtio_wakeup_signal(&t->wakeup);
	return NULL;
}

static void on_wakeup(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	struct contract *t = container_of(w, struct contract, wakeup);

	t->wakes++;
	contract_release(t, CONTRACT_WAKE, t->wakes);
}

static void join(struct contract *t)
{
	if (t->has_thread)
		pthread_join(t->thread, NULL);
	t->has_thread = false;
}

int contract_do_wake(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	join(t);
	t->wakes = 0;
	t->signals = r->n;
	t->has_thread = pthread_create(&t->thread, NULL, signaller, t) == 0;
	return contract_hold(t, c, CONTRACT_WAKE);
}

void contract_sources_start(struct contract *t, struct vq *q)
{
	virtio_wakeup_init(t->d, q, &t->wakeup);
}

void contract_sources_open(struct contract *t)
{
	open_socket(t);
	t->watch[0].ready = on_writable;
	t->watch[1].ready = on_readable;
	t->successor.ready = on_successor;
	t->timer.expired = on_timer;
	t->wakeup.run = on_wakeup;
}

void contract_sources_stop(struct contract *t, struct vq *q)
{
	virtio_timer(t->d, q, &t->timer, -1);
	reopen_socket(t, q);
}

void contract_sources_close(struct contract *t)
{
	join(t);
	close_socket(t);
}

/* Sources are made while it runs. */
static const struct syscall_rule calls[] = { SYSCALL(socketpair), SYSCALL_END };
const struct virtio_device_needs contract_needs = { .calls = calls };
