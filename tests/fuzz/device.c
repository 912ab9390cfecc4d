/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's device, served in this thread: requests of any bytes and lengths, which the ring
 * engine has checked, resets, pauses, configuration writes, messages of its own, methods of its
 * control socket, and what its peer on the host sends.
 *
 * FUZZ_OPTIONS: its options, for each of the ways to run it: "--a=%;--b", '%' a file of 64 KiB,
 * "|" between ways. An input chooses one. A peer listens at the socket "%.peer"; or receives
 * datagrams there, and sends them to "%.host", if the options name that.
 */
#include "tests/lib/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kit_core.h"

#define FILE_SIZE 65536
#define MAX_OUT 2048

static struct kit_core *core;
static char *file, **ways;
static char *peer_path, *host_path;
static struct {
	int listener, stream; /* -1: none, as below */
	int in, out; /* datagrams */
	bool is_datagram;
} peer;

static void setup(void)
{
	g_auto(GStrv) parts = g_strsplit(FUZZ_OPTIONS, "%", -1);
	g_autofree char *options = NULL;

	file = fuzz_path("file");
	peer_path = fuzz_path("file.peer");
	host_path = fuzz_path("file.host");
	options = g_strjoinv(file, parts);
	ways = g_strsplit(*options ? options : ";", "|", -1);
}

static void reap_all(void)
{
	void *token;
	uint32_t len;

	for (unsigned i = 0; i < core->n_queues; i++)
		while (kit_core_reap(core, i, &token, &len))
			;
}

/* Cuts len bytes in up to three pieces. */
static unsigned cut(struct fuzz_input *in, uint64_t addr, uint32_t len, struct driver_buf *to)
{
	unsigned n = 0, pieces = len ? 1 + fuzz_u8(in) % 3 : 0;

	while (pieces--) {
		uint32_t part = pieces ? fuzz_u8(in) : len;

		part = MIN(part, len);
		if (!part)
			continue;
		to[n++] = (struct driver_buf){ addr, part };
		addr += part;
		len -= part;
	}
	return n;
}

static void act_request(struct fuzz_input *in)
{
	unsigned queue = fuzz_below(in, core->n_queues), n_out, n_in;
	uint32_t out = fuzz_u16(in) % MAX_OUT;
	uint32_t room = fuzz_u16(in);
	struct driver_buf buf[6];
	uint64_t out_at, in_at;

	out_at = driver_mem_alloc(core->mem, out + 1, 16);
	in_at = driver_mem_alloc(core->mem, room + 1, 16);
	if (!out_at || !in_at)
		return;
	n_out = cut(in, out_at, out, buf);
	n_in = cut(in, in_at, room, buf + n_out);
	fuzz_copy(in, kit_core_host(core, out_at), out);
	if (n_out + n_in)
		driver_ring_add(core->queue[queue].ring, buf, n_out, n_in, &buf);
	if (fuzz_u8(in) % 4)
		kit_core_kick(core, queue);
	reap_all();
}

static void act_step(struct fuzz_input *in)
{
	kit_core_step(core, 0);
	reap_all();
}

static void act_pause(struct fuzz_input *in)
{
	kit_core_stop(core);
	kit_core_resume(core);
}

static void act_reset(struct fuzz_input *in)
{
	kit_core_reset(core);
}

static void act_config(struct fuzz_input *in)
{
	const struct virtio_config_range *r = virtio_device_ops.config_writable;
	uint8_t which = fuzz_u8(in);

	for (unsigned i = 0; r && r[i].size; i++) {
		if (i != which)
			continue;
		fuzz_copy(in, core->device.config + r[i].offset, r[i].size);
		kit_core_begin(core, NULL);
		virtio_device_ops.config_written(&core->device, r[i].offset, r[i].size);
		kit_core_end(core, NULL);
	}
}

/* Loads what another version of the device, or an attacker, has saved. */
static void act_load(struct fuzz_input *in)
{
	const struct virtio_device_wire *wire = virtio_device_ops.wire;
	struct fuzz_input part = fuzz_part(in, fuzz_u16(in));

	if (!wire || !wire->load)
		return;
	kit_core_stop(core);
	wire->load(&core->device, part.at, part.end - part.at, NULL);
	kit_core_resume(core);
}

static void open_peer(const char *options)
{
	peer.listener = peer.stream = peer.in = peer.out = -1;
	peer.is_datagram = strstr(options, host_path);
	unlink(peer_path);
	if (peer.is_datagram)
		peer.in = sock_bind_datagram(peer_path, 0600, NULL);
	else if (strstr(options, peer_path))
		peer.listener = sock_listen(peer_path, 0600, (gid_t)-1, NULL);
}

static void close_peer(void)
{
	fd_close(&peer.listener);
	fd_close(&peer.stream);
	fd_close(&peer.in);
	fd_close(&peer.out);
}

static void drain(int fd)
{
	char buf[4096];

	while (fd >= 0 && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* Has the peer read all, and send something. */
static void act_peer(struct fuzz_input *in)
{
	struct fuzz_input part = fuzz_part(in, fuzz_u16(in) % MAX_OUT);

	if (peer.listener >= 0 && peer.stream < 0)
		peer.stream = sock_accept(peer.listener);
	if (peer.is_datagram && peer.out < 0)
		peer.out = sock_connect_datagram(host_path);
	drain(peer.stream);
	drain(peer.in);
	send(MAX(peer.stream, peer.out), part.at, (size_t)(part.end - part.at),
		MSG_DONTWAIT | MSG_NOSIGNAL);
	act_step(in);
}

/* Has the peer leave; one of datagrams comes back, too. */
static void act_leave(struct fuzz_input *in)
{
	fd_close(&peer.stream);
	fd_close(&peer.out);
	if (peer.in >= 0)
		fd_close(&peer.in);
	else if (peer.is_datagram)
		peer.in = sock_bind_datagram(peer_path, 0600, NULL);
	act_step(in);
}

/* Lets a time come that the device waits for. */
static void act_hurry(struct fuzz_input *in)
{
	if (core->timers->len)
		kit_core_hurry(core);
	act_step(in);
}

static struct virtio_arg make_arg(struct fuzz_input *in, const struct virtio_param *p, char **text)
{
	struct virtio_arg a = { .given = !p->optional || fuzz_u8(in) % 2, .text = "" };
	size_t max = p->max ? (size_t)p->max : 4096;

	if (!a.given)
		return a;
	if (p->type == VIRTIO_PARAM_FLAG) {
		a.flag = fuzz_u8(in) % 2;
	} else if (p->type == VIRTIO_PARAM_NUMBER) {
		a.number = p->min +
			(int64_t)(fuzz_u64(in) % ((uint64_t)p->max - (uint64_t)p->min + 1));
	} else {
		g_autofree char *any = fuzz_string(in);

		*text = g_utf8_make_valid(any, -1);
		a.text = strlen(*text) <= max ? *text : "";
	}
	return a;
}

/* Runs a method of the control socket. */
static void act_method(struct fuzz_input *in)
{
	const struct virtio_method *m = virtio_device_ops.methods;
	char *text[VIRTIO_MAX_PARAMS + 1] = { NULL };
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	g_autoptr(GString) out = g_string_new(NULL);
	struct json result = { .out = out };
	g_autoptr(GError) error = NULL;
	unsigned n = 0;

	while (m && m[n].name)
		n++;
	if (!n)
		return;
	m += fuzz_below(in, n);
	for (unsigned i = 0; i < VIRTIO_MAX_PARAMS && m->params[i].name; i++)
		args[i] = make_arg(in, &m->params[i], &text[i]);
	json_open_object(&result, NULL);
	kit_core_begin(core, NULL);
	g_assert_true(m->call(&core->device, args, &result, &error) == !error);
	kit_core_end(core, NULL);
	for (unsigned i = 0; i < VIRTIO_MAX_PARAMS; i++)
		g_free(text[i]);
	reap_all();
}

static bool open_device(struct fuzz_input *in)
{
	const char *way = ways[fuzz_below(in, g_strv_length(ways))];
	g_auto(GStrv) o = g_strsplit(way, ";", 4);
	const char *a[4];
	unsigned n = 0;
	g_autofree char *content = g_malloc0(FILE_SIZE);

	open_peer(way);
	g_assert_true(g_file_set_contents(file, content, FILE_SIZE, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(a); i++)
		a[i] = o[n] && *o[n] ? o[n++] : NULL;
	return kit_core_open(core, NULL, a[0], a[1], a[2], a[3], NULL);
}

static void run(struct fuzz_input *in)
{
	static void (*const actions[])(struct fuzz_input * in) = { act_request, act_request,
		act_request, act_step, act_pause, act_reset, act_config, act_load, act_peer,
		act_leave, act_hurry, act_method };
	void *state;

	kit_core_setup(&state);
	core = state;
	if (open_device(in)) {
		kit_core_start(core, core->device.features | (fuzz_u64(in) & KIT_RING_FEATURES));
		while (fuzz_more(in))
			actions[fuzz_below(in, G_N_ELEMENTS(actions))](in);
	}
	close_peer();
	g_assert_cmpint(kit_core_teardown(&state), ==, 0);
}

FUZZ_TARGET(device, .setup = setup, .run = run);
