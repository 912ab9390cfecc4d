/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pcap.h. Records are in a ring of bytes, between frames' threads, which append under the lock,
 * and the file's, which writes what is there without it.
 */
#include "net/pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/util.h"

#define RING_SIZE (1u << 20) /* a power of two */
#define MAGIC_NANOSECONDS 0xa1b23c4d
#define LINK_ETHERNET 1
#define SNAP 262144
/* How often a writer whose pipe is full looks whether it is to end. */
#define PIPE_MS 100

struct pcap_head {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap, link;
};

struct pcap_record {
	uint32_t seconds, nanoseconds, captured, len;
};

struct net_pcap {
	int fd;
	char *path;
	uint8_t *ring;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	uint64_t put, got; /* bytes since the start */
	uint64_t dropped;
	bool running, quit, failed;
};

static bool write_all(struct net_pcap *p, const uint8_t *from, size_t len)
{
	while (len) {
		ssize_t n = write(p->fd, from, len);

		if (n >= 0) {
			from += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd pfd = { .fd = p->fd, .events = POLLOUT };

			if (__atomic_load_n(&p->quit, __ATOMIC_RELAXED))
				return false;
			poll(&pfd, 1, PIPE_MS);
		} else if (errno != EINTR) {
			log_error(NULL, "cannot write to '%s': %s: the capture ends here", p->path,
				g_strerror(errno));
			return false;
		}
	}
	return true;
}

struct net_pcap *net_pcap_open(const char *path, GError **error)
{
	const struct pcap_head head = { MAGIC_NANOSECONDS, 2, 4, 0, 0, SNAP, LINK_ETHERNET };
	struct net_pcap *p;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	if (fd < 0) {
		error_errno(error, errno, "cannot write to '%s'", path);
		return NULL;
	}
	p = g_new0(struct net_pcap, 1);
	p->fd = fd;
	p->path = g_strdup(path);
	p->ring = g_malloc(RING_SIZE);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	if (write(fd, &head, sizeof(head)) == sizeof(head))
		return p;
	error_errno(error, errno, "cannot write to '%s'", path);
	net_pcap_free(p);
	return NULL;
}

/* Waits for bytes in the ring. Returns how many lie in one piece from *at on; 0: to end. */
static size_t wait_for_bytes(struct net_pcap *p, size_t *at)
{
	size_t n;

	pthread_mutex_lock(&p->lock);
	while (p->put == p->got && !p->quit)
		pthread_cond_wait(&p->changed, &p->lock);
	*at = p->got % RING_SIZE;
	n = MIN(p->put - p->got, RING_SIZE - *at);
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void *run(void *opaque)
{
	struct net_pcap *p = opaque;
	size_t at, n;

	while ((n = wait_for_bytes(p, &at))) {
		bool ok = write_all(p, p->ring + at, n);

		pthread_mutex_lock(&p->lock);
		p->got += n;
		p->failed = !ok;
		pthread_mutex_unlock(&p->lock);
		if (!ok)
			break;
	}
	return NULL;
}

/* Starts the thread, without the signals of the program; the lock is held. */
static void start(struct net_pcap *p)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p->running = pthread_create(&p->thread, NULL, run, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void append(struct net_pcap *p, struct iov_cursor *c, size_t len)
{
	while (len) {
		size_t at = p->put % RING_SIZE;
		size_t n = iov_pull(c, p->ring + at, MIN(len, RING_SIZE - at));

		p->put += n;
		len -= n;
	}
}

void net_pcap_put(struct net_pcap *p, const struct iovec *iov, unsigned n, uint32_t len)
{
	struct iov_cursor frame = iov_cursor(iov, n, len), head;
	struct pcap_record record;
	struct timespec now;
	struct iovec piece = { &record, sizeof(record) };

	if (!p)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	record = (struct pcap_record){ (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec,
		(uint32_t)iov_left(&frame), len };
	head = iov_cursor(&piece, 1, sizeof(record));
	pthread_mutex_lock(&p->lock);
	if (!p->running)
		start(p);
	if (!p->running || p->failed ||
		RING_SIZE - (p->put - p->got) < sizeof(record) + record.captured) {
		p->dropped++;
	} else {
		append(p, &head, sizeof(record));
		append(p, &frame, record.captured);
		pthread_cond_signal(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
}

uint64_t net_pcap_dropped(struct net_pcap *p)
{
	uint64_t dropped;

	pthread_mutex_lock(&p->lock);
	dropped = p->dropped;
	pthread_mutex_unlock(&p->lock);
	return dropped;
}

void net_pcap_free(struct net_pcap *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->quit, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	fd_close(&p->fd);
	g_free(p->ring);
	g_free(p->path);
	g_free(p);
}
