/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end, and a front-end that sends it what it likes. */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "tests/daemon/peer.h"
#include "tests/fuzz/device_ops.h"

/* Files that come with messages. */
enum { MEMORY, SHORT_MEMORY, KICK, CALL, PIPE_READ, PIPE_WRITE, SOCKET, OTHER, N_FILES };

static struct peer peer;
static int files[N_FILES], far_end;

static void act_message(struct fuzz_input *in)
{
	struct vu_header header = { .request = fuzz_below(in, VU_REQUEST_END + 2) };
	uint8_t bytes[sizeof(header) + 512];
	int fds[4];
	unsigned n = fuzz_u8(in) % 16;

	n = n <= G_N_ELEMENTS(fds) ? n : 0;
	for (unsigned i = 0; i < n; i++)
		fds[i] = files[fuzz_below(in, N_FILES)];
	header.flags = VU_VERSION | (fuzz_u8(in) & 0xf) << 2;
	header.size = fuzz_u16(in) % 512;
	memcpy(bytes, &header, sizeof(header));
	fuzz_copy(in, bytes + sizeof(header), header.size);
	sock_send(peer.sock, bytes, sizeof(header) + header.size, fds, n, 0);
}

/* Sends any bytes, which may be part of a header or of a payload. */
static void act_bytes(struct fuzz_input *in)
{
	struct fuzz_input part = fuzz_part(in, fuzz_u8(in));

	if (fuzz_more(&part))
		sock_send(peer.sock, part.at, part.end - part.at, NULL, 0, 0);
	peer_run();
}

static void act_memory(struct fuzz_input *in)
{
	uint8_t len = fuzz_u8(in);

	fuzz_copy(in, peer.mem + fuzz_u16(in), len);
}

static void act_kick(struct fuzz_input *in)
{
	eventfd_write(files[KICK], 1);
	peer_run();
}

static void act_receive(struct fuzz_input *in)
{
	while (peer.sock >= 0 && peer_receive(&peer))
		;
}

/* Answers on the back-end channel, if files[SOCKET] has become one. */
static void act_channel(struct fuzz_input *in)
{
	struct vu_header header = { .request = fuzz_u8(in) % 16, .flags = VU_VERSION };
	uint8_t bytes[sizeof(header) + 64];

	header.flags |= fuzz_u8(in) % 4 << 2;
	header.size = fuzz_u8(in) % 64;
	memcpy(bytes, &header, sizeof(header));
	fuzz_copy(in, bytes + sizeof(header), header.size);
	sock_send(far_end, bytes, sizeof(header) + header.size, NULL, 0, 0);
	peer_run();
}

static void act_state(struct fuzz_input *in)
{
	struct fuzz_input part = fuzz_part(in, fuzz_u8(in));
	uint8_t bytes[256];

	if (fuzz_more(&part) && write(files[PIPE_WRITE], part.at, part.end - part.at) < 0)
		return;
	peer_run();
	if (read(files[PIPE_READ], bytes, sizeof(bytes)) < 0)
		return;
}

static void act_reconnect(struct fuzz_input *in)
{
	peer_disconnect(&peer);
	while (backend_state(peer.backend) != BACKEND_IDLE)
		g_main_context_iteration(NULL, TRUE);
	peer_connect(&peer);
}

static void act_shrink(struct fuzz_input *in)
{
	g_assert_cmpint(ftruncate(files[SHORT_MEMORY], fuzz_u8(in) * 64), ==, 0);
}

static void open_files(void)
{
	int pair[2];

	files[MEMORY] = memfd_create("guest", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(files[MEMORY], MEM_SIZE), ==, 0);
	peer.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, files[MEMORY], 0);
	files[SHORT_MEMORY] = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	g_assert_cmpint(ftruncate(files[SHORT_MEMORY], 0x4000), ==, 0);
	files[KICK] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	files[CALL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	files[OTHER] = open("/dev/null", O_RDWR | O_CLOEXEC);
	g_assert_cmpint(pipe2(pair, O_CLOEXEC | O_NONBLOCK), ==, 0);
	files[PIPE_READ] = pair[0];
	files[PIPE_WRITE] = pair[1];
	g_assert_cmpint(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
	files[SOCKET] = pair[0];
	far_end = pair[1];
}

static void close_all(void)
{
	vu_msg_clear(&peer.msg);
	peer_disconnect(&peer);
	while (backend_state(peer.backend) != BACKEND_IDLE)
		g_main_context_iteration(NULL, TRUE);
	backend_free(peer.backend);
	munmap(peer.mem, MEM_SIZE);
	for (unsigned i = 0; i < N_FILES; i++)
		close(files[i]);
	close(far_end);
}

static void run(struct fuzz_input *in)
{
	static void (*const actions[])(struct fuzz_input * in) = { act_message, act_bytes,
		act_memory, act_kick, act_receive, act_channel, act_state, act_reconnect,
		act_shrink };

	peer = (struct peer){ .channel = -1 };
	peer_options = (struct backend_options){ .probe = true, .workers = 1 };
	open_files();
	fuzz_device_object = files[MEMORY];
	peer_make_backend(&peer, &fuzz_device_ops);
	vu_msg_init(&peer.msg, 0);
	peer_connect(&peer);
	while (fuzz_more(in) && peer.sock >= 0)
		actions[fuzz_below(in, G_N_ELEMENTS(actions))](in);
	close_all();
}

static void setup(void)
{
	guest_mem_catch_sigbus();
}

FUZZ_TARGET(backend, .setup = setup, .run = run);
