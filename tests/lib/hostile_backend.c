/* SPDX-License-Identifier: Apache-2.0 */
/* See hostile_backend.h. First each file in each place where one can be passed, then the rest. */
#include "tests/lib/hostile_files.h"

#include "tests/lib/test.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/sock.h"
#include "base/util.h"

#define FLOOD 5000
#define RING_MS 300 /* for the front-end to start ring 0 */

/* --- places where one can be passed --- */

static void send_main(struct hostile *h, const void *bytes, size_t len, int fd)
{
	pthread_mutex_lock(&h->b->lock);
	sock_send(h->b->conn, bytes, len, &fd, fd < 0 ? 0 : 1, 0);
	pthread_mutex_unlock(&h->b->lock);
}

static void as_area(struct hostile *h, int fd)
{
	pthread_mutex_lock(&h->b->lock);
	h->b->area_is_given = true;
	h->b->given_area = (struct vu_inflight){ .mmap_size = HOSTILE_AREA_SIZE, .num_queues = 3 };
	h->b->given_area_fd = fd;
	pthread_mutex_unlock(&h->b->lock);
}

static void in_a_reply(struct hostile *h, int fd)
{
	const struct {
		struct vu_header header;
		uint64_t value;
	} __attribute__((packed))
	reply = { { VU_GET_STATUS, VU_VERSION | VU_FLAG_REPLY, sizeof(uint64_t) }, 0 };

	send_main(h, &reply, sizeof(reply), fd);
}

static void in_half_a_reply(struct hostile *h, int fd)
{
	const struct vu_header header = { VU_GET_STATUS, VU_VERSION | VU_FLAG_REPLY, 8 };

	send_main(h, &header, sizeof(header), fd);
}

static void as_shared_memory(struct hostile *h, int fd)
{
	const struct vu_shmem_map map = { .id = 1, .len = HOSTILE_SHM_SIZE };

	fake_channel_shm(h->b, VU_BACKEND_SHMEM_MAP, VU_FLAG_NEED_REPLY, &map, fd);
}

static void on_the_channel(struct hostile *h, int fd)
{
	static const uint32_t requests[] = { VU_BACKEND_CONFIG_CHANGE_MSG,
		VU_BACKEND_VRING_HOST_NOTIFIER_MSG, VU_BACKEND_REQUEST_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		const struct vu_header header = { requests[i], VU_VERSION | VU_FLAG_NEED_REPLY };

		fake_channel_bytes(h->b, &header, sizeof(header), &fd, 1);
	}
}

static void in_half_a_request(struct hostile *h, int fd)
{
	const struct vu_header header = { VU_BACKEND_SHMEM_MAP, VU_VERSION, 40 };
	const int fds[] = { fd, fake_channel_fd(h->b) };

	/* With its own end of the channel, which thus stays open, too. */
	if (fds[1] >= 0)
		fake_channel_bytes(h->b, &header, sizeof(header), fds, 2);
}

static const struct {
	const char *name;
	void (*pass)(struct hostile *h, int fd);
	bool early, slow;
} places[] = {
	{ "as in-flight area", as_area, .early = true },
	{ "in a reply", in_a_reply, .early = true },
	{ "in half a reply", in_half_a_reply, .early = true, .slow = true },
	{ "as shared memory", as_shared_memory },
	{ "on the channel", on_the_channel },
	{ "in half a request", in_half_a_request, .slow = true },
};

#define PASSES (HOSTILE_FILES * G_N_ELEMENTS(places))

/* --- the rest --- */

/*
 * Fills an fd: the driver's kicks, and its reading of calls, must not wait. Takes it from the ring:
 * its owner would empty a kick at once.
 */
static void fill(struct hostile *h, bool kick)
{
	int fd, *of_ring = kick ? &h->b->ring[0].kick : &h->b->ring[0].call;
	eventfd_t count;

	pthread_mutex_lock(&h->b->lock);
	fd = *of_ring < 0 ? -1 : hostile_own(h, *of_ring);
	*of_ring = -1;
	pthread_mutex_unlock(&h->b->lock);
	if (fd < 0)
		return;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (eventfd_write(fd, UINT64_MAX - 1) < 0)
		eventfd_read(fd, &count);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

static void full_kick(struct hostile *h)
{
	fill(h, true);
}

static void full_call(struct hostile *h)
{
	fill(h, false);
}

static void answers_not_read(struct hostile *h)
{
	const struct vu_header header = { VU_BACKEND_CONFIG_CHANGE_MSG,
		VU_VERSION | VU_FLAG_NEED_REPLY };

	for (unsigned i = 0; i < FLOOD; i++)
		if (fake_channel_bytes(h->b, &header, sizeof(header), NULL, 0) < 0)
			break;
}

static void flood_of_replies(struct hostile *h)
{
	for (unsigned i = 0; i < FLOOD; i++)
		in_a_reply(h, -1);
}

static void noise_on_channel(struct hostile *h)
{
	uint8_t noise[4096];

	memset(noise, 0xff, sizeof(noise));
	fake_channel_bytes(h->b, noise, sizeof(noise), NULL, 0);
}

static void noise(struct hostile *h)
{
	uint8_t noise[4096];

	memset(noise, 0xff, sizeof(noise));
	send_main(h, noise, sizeof(noise), -1);
}

/* Fills the backlog: no connection is accepted, and no more find room to wait. */
static void full_backlog(struct hostile *h)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = hostile_own(h, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	g_strlcpy(address.sun_path, h->b->path, sizeof(address.sun_path));
	unlink(h->b->path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	while (hostile_own(h, sock_connect_now(h->b->path, NULL)) >= 0)
		continue;
}

static void busy(struct hostile *h)
{
	h->b->busy = true;
	fake_up(h->b);
}

static const struct {
	const char *name;
	uint32_t request; /* answered in this way */
	enum fake_quirk quirk;
	void (*begin)(struct hostile *h), (*act)(struct hostile *h);
	bool slow;
} tricks[] = {
	{ "full backlog", .begin = full_backlog },
	{ "accepts and closes", .begin = busy },
	{ "full kick", .act = full_kick },
	{ "full call", .act = full_call },
	{ "answers not read", .act = answers_not_read },
	{ "flood of replies", .act = flood_of_replies },
	{ "noise", .act = noise },
	{ "noise on the channel", .act = noise_on_channel },
	{ "silence", VU_GET_FEATURES, FAKE_SILENT, .slow = true },
	{ "silence after the channel", VU_SET_BACKEND_REQ_FD, FAKE_SILENT, .slow = true },
	{ "silence at STATUS", VU_SET_STATUS, FAKE_SILENT, .slow = true },
	{ "silence at memory", VU_SET_MEM_TABLE, FAKE_SILENT, .slow = true },
	{ "silence at a kick", VU_SET_VRING_KICK, FAKE_SILENT, .slow = true },
	{ "silence at a base", VU_GET_VRING_BASE, FAKE_SILENT, .slow = true },
	{ "silence at an area", VU_GET_INFLIGHT_FD, FAKE_SILENT, .slow = true },
	{ "a reply in two", VU_GET_CONFIG, FAKE_IN_TWO, .slow = true },
	{ "half a header", VU_GET_STATUS, FAKE_HALF_HEADER },
	{ "half a payload", VU_GET_PROTOCOL_FEATURES, FAKE_HALF_PAYLOAD },
	{ "closes", VU_SET_VRING_ENABLE, FAKE_CLOSE },
	{ "another reply", VU_GET_CONFIG, FAKE_OTHER_NUMBER },
	{ "a reply of its own", VU_GET_STATUS, FAKE_OWN_SIZE },
	{ "an echo", VU_GET_CONFIG, FAKE_ECHO },
	{ "refuses memory", VU_SET_MEM_TABLE, FAKE_REFUSE },
	{ "refuses a ring", VU_SET_VRING_ADDR, FAKE_REFUSE },
	{ "closes the channel", VU_GET_STATUS, FAKE_CHANNEL_CLOSE },
};

void hostile_init(struct hostile *h, struct fake_backend *b)
{
	*h = (struct hostile){ .b = b, .own = g_array_new(FALSE, FALSE, sizeof(int)) };
	h->fuse = deaf_file_open(&h->deaf);
	if (h->fuse)
		deaf_file_end(&h->deaf);
	h->deaf.fd = -1;
	b->protocol |=
		VU_BIT(VU_F_INFLIGHT_SHMFD) | VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM);
	b->shm.n_regions = 1;
	b->shm.size[1] = HOSTILE_SHM_SIZE;
}

void hostile_clear(struct hostile *h)
{
	g_array_unref(h->own);
}

unsigned hostile_tricks(void)
{
	return PASSES + G_N_ELEMENTS(tricks);
}

char *hostile_name(unsigned trick)
{
	if (trick >= PASSES)
		return g_strdup(tricks[trick - PASSES].name);
	return g_strdup_printf("%s %s", hostile_file_name(trick % HOSTILE_FILES),
		places[trick / HOSTILE_FILES].name);
}

bool hostile_is_slow(unsigned trick)
{
	return trick < PASSES ? places[trick / HOSTILE_FILES].slow : tricks[trick - PASSES].slow;
}

void hostile_begin(struct hostile *h, unsigned trick)
{
	if (trick < PASSES && trick % HOSTILE_FILES == HOSTILE_DEAF_FILE && h->fuse)
		deaf_file_open(&h->deaf);
	h->b->connections = 0;
	if (trick >= PASSES && tricks[trick - PASSES].begin) {
		tricks[trick - PASSES].begin(h);
		return;
	}
	if (trick >= PASSES && tricks[trick - PASSES].quirk)
		fake_quirk(h->b, tricks[trick - PASSES].request, tricks[trick - PASSES].quirk);
	fake_up(h->b);
	WAIT_UNTIL_LOCKED(&h->b->lock, h->b->connections > 0);
}

static void pass(struct hostile *h, unsigned trick, bool early)
{
	int fd;

	if (trick >= PASSES || places[trick / HOSTILE_FILES].early != early)
		return;
	fd = hostile_file(h, trick % HOSTILE_FILES);
	if (fd >= 0)
		places[trick / HOSTILE_FILES].pass(h, fd);
}

void hostile_meet(struct hostile *h, unsigned trick)
{
	pass(h, trick, true);
}

/* Tells whether it has a ring, or the front-end has come again meanwhile. */
static bool has_ring(struct fake_backend *b)
{
	bool has;

	pthread_mutex_lock(&b->lock);
	has = !b->up || b->ring[0].enabled || b->connections > 1;
	pthread_mutex_unlock(&b->lock);
	return has;
}

void hostile_act(struct hostile *h, unsigned trick)
{
	/* Unless there is no ring to wait for. */
	for (int64_t until = test_deadline(RING_MS); !has_ring(h->b);)
		if (!test_wait_turn(until))
			break;
	pass(h, trick, false);
	if (trick >= PASSES && tricks[trick - PASSES].act)
		tricks[trick - PASSES].act(h);
}

void hostile_leave(struct hostile *h)
{
	fake_down(h->b);
	fake_behave(h->b);
	h->b->busy = h->b->area_is_given = false;
	for (unsigned i = 0; i < h->own->len; i++)
		fd_close(&g_array_index(h->own, int, i));
	g_array_set_size(h->own, 0);
}

static bool is_listening(struct hostile *h)
{
	g_autoptr(GError) error = NULL;
	autofd fd = sock_connect_now(h->b->path, &error);

	return fd >= 0 || g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN);
}

void hostile_wait(struct hostile *h)
{
	WAIT_UNTIL(!is_listening(h));
}

void hostile_end(struct hostile *h)
{
	if (h->deaf.fd >= 0)
		deaf_file_end(&h->deaf);
}
