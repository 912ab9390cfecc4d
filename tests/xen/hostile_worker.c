/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker that a guest has taken over may do to its supervisor. */
#include "hostile_worker.h"

#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/deaf_file.h"

struct worker_link {
	int commands, requests;
	uint32_t device;
};

/* --- files --- */

static int requests_socket(const struct worker_link *l)
{
	return dup(l->requests);
}

static int listening_socket(const struct worker_link *l)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr address = { .sa_family = AF_UNIX };

	bind(fd, &address, sizeof(address.sa_family)); /* to a name of the kernel's choice */
	listen(fd, 1);
	return fd;
}

static int event(const struct worker_link *l)
{
	return eventfd(0, EFD_CLOEXEC);
}

static int epoll(const struct worker_link *l)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

static int disk_file(const struct worker_link *l)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int device_file(const struct worker_link *l)
{
	return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int (*const files[])(const struct worker_link *l) = { requests_socket, listening_socket,
	event, epoll, disk_file, device_file };
/* The number of one that does not answer. */
#define DEAF_FILE ((unsigned)G_N_ELEMENTS(files))
#define FILES (DEAF_FILE + 1)

static void pass(int fd, const void *record, size_t size, int file)
{
	ipc_send(fd, record, size, &file, 1);
}

static void as_kept(const struct worker_link *l, int file)
{
	const struct ipc_request request = { .type = IPC_KEEP, .device = l->device };

	pass(l->requests, &request, sizeof(request), file);
}

static void with_a_request(const struct worker_link *l, int file)
{
	const struct ipc_request request = { .type = IPC_DIAL, .device = l->device };

	pass(l->requests, &request, sizeof(request), file);
}

static void with_half_a_request(const struct worker_link *l, int file)
{
	const struct ipc_request request = { .type = IPC_KEEP, .device = l->device };

	pass(l->requests, &request, sizeof(request) / 2, file);
}

static void with_an_event(const struct worker_link *l, int file)
{
	const struct ipc_event ready = { .type = IPC_READY };

	pass(l->commands, &ready, sizeof(ready), file);
}

static const struct {
	const char *name;
	void (*pass)(const struct worker_link *l, int file);
	bool lives;
} places[] = {
	{ "as the file to keep", as_kept },
	{ "with a request", with_a_request },
	{ "with half a request", with_half_a_request },
	{ "with an event", with_an_event, .lives = true },
};

#define PASSES (FILES * G_N_ELEMENTS(places))

/*
 * Passes a file that does not answer. In a child: who has it open cannot be killed. Both end with
 * the worker.
 */
static void pass_deaf_file(const struct worker_link *l, unsigned place)
{
	struct deaf_file deaf;
	int life[2], passed[2];
	char byte;

	if (pipe2(life, O_CLOEXEC) < 0 || pipe2(passed, O_CLOEXEC) < 0)
		_exit(1);
	if (fork() > 0) {
		if (read(passed[0], &byte, 1) < 0)
			_exit(1);
		return;
	}
	close(life[1]);
	if (deaf_file_open(&deaf))
		places[place].pass(l, deaf.fd);
	else
		places[place].pass(l, STDIN_FILENO);
	if (write(passed[1], "", 1) < 0)
		_exit(1);
	while (read(life[0], &byte, 1) > 0)
		continue;
	if (deaf.fd >= 0)
		deaf_file_end(&deaf);
	_exit(0);
}

static void pass_file(const struct worker_link *l, unsigned trick)
{
	unsigned file = trick % FILES, place = trick / FILES;

	if (file == DEAF_FILE)
		pass_deaf_file(l, place);
	else
		places[place].pass(l, files[file](l));
}

/* --- the rest --- */

static void too_many_files(const struct worker_link *l)
{
	const struct ipc_request request = { .type = IPC_KEEP, .device = l->device };
	int many[IPC_MAX_FDS + 1];

	for (unsigned i = 0; i < G_N_ELEMENTS(many); i++)
		many[i] = event(l);
	ipc_send(l->requests, &request, sizeof(request), many, G_N_ELEMENTS(many));
}

static void long_request(const struct worker_link *l)
{
	const uint8_t bytes[sizeof(struct ipc_request) + 1] = { IPC_DIAL };

	ipc_send(l->requests, bytes, sizeof(bytes), NULL, 0);
}

static void long_event(const struct worker_link *l)
{
	const uint8_t bytes[sizeof(struct ipc_event) + 1] = { IPC_READY };

	ipc_send(l->commands, bytes, sizeof(bytes), NULL, 0);
}

static void another_device(const struct worker_link *l)
{
	const struct ipc_request request = { .type = IPC_DIAL, .device = IPC_MAX_DEVICES };

	ipc_send(l->requests, &request, sizeof(request), NULL, 0);
}

static void a_reply_to_take(const struct worker_link *l)
{
	const struct ipc_request request = {
		.type = IPC_TAKE, .device = l->device, .size = IPC_MAX_MESSAGE + 1
	};

	ipc_send(l->requests, &request, sizeof(request), NULL, 0);
}

/* Sends them, and reads no reply. */
static void flood_of_requests(const struct worker_link *l)
{
	const struct ipc_request request = { .type = IPC_EVENTFD, .device = l->device };

	for (;;)
		sock_send(l->requests, &request, sizeof(request), NULL, 0, -1);
}

/* Sends the next request as soon as the last one is answered. */
static void stream_of_requests(const struct worker_link *l)
{
	struct ipc_client *c = ipc_client_new(dup(l->requests));
	struct ipc_request request = { .type = IPC_DIAL, .device = l->device };
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	for (request.fresh = 1; ipc_call(c, &request, &reply, fds, &n_fds); request.fresh ^= 1)
		fds_close(fds, n_fds);
}

static void stream_of_events(const struct worker_link *l)
{
	const struct ipc_event event = { .type = IPC_GIVEN_UP, .device = l->device };

	for (;;)
		sock_send(l->commands, &event, sizeof(event), NULL, 0, -1);
}

static void silence(const struct worker_link *l)
{
}

static const struct {
	const char *name;
	void (*act)(const struct worker_link *l);
	bool lives;
} tricks[] = {
	{ "too many files", too_many_files },
	{ "a long request", long_request },
	{ "a long event", long_event },
	{ "another guest's device", another_device },
	{ "a message that is too large", a_reply_to_take },
	{ "a flood of requests", flood_of_requests },
	{ "a stream of requests", stream_of_requests, .lives = true },
	{ "a stream of events", stream_of_events, .lives = true },
	{ "silence", silence, .lives = true },
};

unsigned hostile_worker_tricks(void)
{
	return PASSES + G_N_ELEMENTS(tricks);
}

char *hostile_worker_name(unsigned trick)
{
	if (trick >= PASSES)
		return g_strdup(tricks[trick - PASSES].name);
	return g_strdup_printf("file %u %s", trick % FILES, places[trick / FILES].name);
}

bool hostile_worker_lives(unsigned trick)
{
	return trick < PASSES ? places[trick / FILES].lives : tricks[trick - PASSES].lives;
}

void hostile_worker_act(unsigned trick, int commands, int requests, uint32_t device)
{
	const struct worker_link l = { commands, requests, device };

	if (trick < PASSES)
		pass_file(&l, trick);
	else
		tricks[trick - PASSES].act(&l);
	for (;;)
		pause();
}
