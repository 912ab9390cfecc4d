/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-console: bytes both ways by each kind of back-end, ports, the control queue, size. */
#include "test_ports.h"

#include <linux/virtio_console.h>

#define BIG (300u << 10)

static void test_file(struct kit *k)
{
	const char *path = kit_path(k, "file");
	g_autofree char *text = NULL;

	kit_start(k, spec(k, "--backend=file:%s", "file"), NULL);
	kit_wait(k, kit_send(k, 1, "Hello, ", 7, 0));
	kit_wait(k, kit_send(k, 1, "world", 5, 0));
	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	/* What may have been written when the process was killed is written again. */
	if (kit_has_kills(k))
		assert_true(strstr(text, "Hello, ") && strstr(text, "world"));
	else
		assert_string_equal(text, "Hello, world");
}

static void test_null(struct kit *k)
{
	kit_start(k, "--backend=null", NULL);
	kit_wait(k, kit_send(k, 1, "Hello", 5, 0));
	assert_false(kit_is_done(k, kit_send(k, 0, NULL, 0, 16)));
}

/* More than the pipe holds waits for the guest to read. */
static void test_echo(struct kit *k)
{
	g_autofree uint8_t *bytes = pattern(BIG);
	struct kit_request *out, *in;

	kit_start(k, "--backend=echo", NULL);
	in = kit_send(k, 0, NULL, 0, 16);
	kit_wait(k, kit_send(k, 1, "Hello", 5, 0));
	assert_int_equal(kit_wait(k, in), 5);
	assert_memory_equal(in->in, "Hello", 5);
	out = kit_send(k, 1, bytes, BIG, 0);
	assert_false(kit_is_done(k, out));
	for (size_t n = 0; n < BIG; n += in->used) {
		in = kit_send(k, 0, NULL, 0, 10000);
		kit_wait(k, in);
		assert_memory_equal(in->in, bytes + n, in->used);
	}
	kit_wait(k, out);
}

static void test_unix(struct kit *k)
{
	struct kit_request *to_guest, *from_guest;
	char text[5];

	kit_start(k, spec(k, "--backend=unix:%s", "sock"), NULL);
	to_guest = kit_send(k, 0, NULL, 0, 16);
	for (unsigned i = 0; i < 2; i++) {
		int fd = join(k, "sock");

		assert_int_equal(write(fd, "abc", 3), 3);
		assert_int_equal(kit_wait(k, to_guest), 3);
		assert_memory_equal(to_guest->in, "abc", 3);
		from_guest = kit_send(k, 1, "Hello", 5, 0);
		read_host(k, fd, text, 5, from_guest);
		assert_memory_equal(text, "Hello", 5);
		kit_wait(k, from_guest);
		/* What it sent before it left arrives; then the next one's turn comes. */
		assert_int_equal(write(fd, "end", 3), 3);
		close(fd);
		to_guest = kit_send(k, 0, NULL, 0, 16);
		assert_int_equal(kit_wait(k, to_guest), 3);
		assert_memory_equal(to_guest->in, "end", 3);
		to_guest = kit_send(k, 0, NULL, 0, 16);
	}
}

/* A reader that is slower than the guest gets each byte once, also over a stop. */
static void test_slow_reader(struct kit *k)
{
	g_autofree uint8_t *bytes = pattern(BIG), *got = g_malloc(BIG);
	struct kit_request *r[3];
	int fd;

	kit_start(k, spec(k, "--backend=unix:%s", "sock"), NULL);
	fd = join(k, "sock");
	assert_int_equal(write(fd, "x", 1), 1);
	kit_wait(k, kit_send(k, 0, NULL, 0, 16));
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = kit_send(k, 1, bytes, BIG, 0);
	assert_false(kit_is_done(k, r[2]));
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
		read_host(k, fd, got, BIG / 2, r[i]);
		kit_pause(k);
		read_host(k, fd, got + BIG / 2, BIG - BIG / 2, r[i]);
		assert_memory_equal(got, bytes, BIG);
		kit_wait(k, r[i]);
	}
	close(fd);
}

static const char *pty_path(struct kit *k)
{
	const char *start = strstr(kit_call(k, "ports", ""), "\"/dev/pts/");
	static char path[64];

	assert_non_null(start);
	g_strlcpy(path, start + 1, MIN(sizeof(path), 1 + strcspn(start + 1, "\"")));
	return path;
}

static void test_pty(struct kit *k)
{
	struct kit_request *r;
	char text[5];
	int fd;

	kit_start(k, "--backend=pty", NULL);
	/* Without a reader it is dropped: a guest would wait for ever. */
	kit_wait(k, kit_send(k, 1, "lost", 4, 0));
	for (unsigned i = 0; i < 2; i++) {
		fd = open(pty_path(k), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "a\r\003", 3), 3);
		r = kit_send(k, 0, NULL, 0, 16);
		assert_int_equal(kit_wait(k, r), 3);
		assert_memory_equal(r->in, "a\r\003", 3);
		r = kit_send(k, 1, "\003\n\rxy", 5, 0);
		read_host(k, fd, text, 5, r);
		assert_memory_equal(text, "\003\n\rxy", 5);
		close(fd);
	}
}

/* The control queue. */

static struct kit_request *tell(struct kit *k, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = { htole32(id), htole16(event), htole16(value) };

	return kit_send(k, 3, &m, sizeof(m), 0);
}

/* Gets the next message; rest: what follows its header. */
static void expect(
	struct kit *k, uint32_t id, uint16_t event, uint16_t value, const char *rest, size_t len)
{
	struct kit_request *r = kit_send(k, 2, NULL, 0, 64);
	struct virtio_console_control m;

	assert_int_equal(kit_wait(k, r), sizeof(m) + len);
	memcpy(&m, r->in, sizeof(m));
	assert_int_equal(le32toh(m.id), id);
	assert_int_equal(le16toh(m.event), event);
	assert_int_equal(le16toh(m.value), value);
	assert_memory_equal(r->in + sizeof(m), rest, len);
}

static void start_ports(struct kit *k)
{
	kit_start(k, spec(k, "--port=name=org.a,backend=unix:%s", "a"),
		"--port=backend=null,console=on", spec(k, "--port=name=c,backend=unix:%s", "c"),
		NULL);
	kit_wait(k, tell(k, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1));
	for (unsigned i = 0; i < 3; i++)
		expect(k, i, VIRTIO_CONSOLE_PORT_ADD, 1, "", 0);
}

static void test_control(struct kit *k)
{
	int fd;

	start_ports(k);
	kit_wait(k, tell(k, 0, VIRTIO_CONSOLE_PORT_READY, 1));
	expect(k, 0, VIRTIO_CONSOLE_PORT_NAME, 1, "org.a", 5);
	kit_wait(k, tell(k, 1, VIRTIO_CONSOLE_PORT_READY, 1));
	expect(k, 1, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "", 0);
	expect(k, 1, VIRTIO_CONSOLE_RESIZE, 0, "\x50\0\x19\0", 4);
	expect(k, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "", 0);
	for (unsigned i = 0; i < 2; i++) {
		fd = join(k, "a");
		expect(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, "", 0);
		expect(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, "", 0);
		close(fd);
		expect(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, "", 0);
	}
	kit_wait(k, tell(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 1));
	assert_non_null(
		strstr(kit_call(k, "ports", ""), "\"name\":\"org.a\",\"backend\":\"unix\""));
	kit_wait(k, tell(k, 77, VIRTIO_CONSOLE_PORT_OPEN, 1));
	kit_wait_log(k, "the guest names port 77 (there are 3)");
}

/* A guest that knows a port as closed may look for no more bytes of it. */
static void test_last_bytes(struct kit *k)
{
	struct kit_request *r, *closed;
	int fd;

	start_ports(k);
	kit_wait(k, tell(k, 0, VIRTIO_CONSOLE_PORT_READY, 1));
	expect(k, 0, VIRTIO_CONSOLE_PORT_NAME, 1, "org.a", 5);
	kit_wait(k, tell(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 1));
	fd = join(k, "a");
	expect(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, "", 0);
	expect(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, "", 0);
	assert_int_equal(write(fd, "end", 3), 3);
	close(fd);
	closed = kit_send(k, 2, NULL, 0, 64);
	assert_false(kit_is_done(k, closed));
	r = kit_send(k, 0, NULL, 0, 16);
	assert_int_equal(kit_wait(k, r), 3);
	assert_memory_equal(r->in, "end", 3);
	assert_int_equal(kit_wait(k, closed), sizeof(struct virtio_console_control));
	assert_memory_equal(closed->in + 4, "\x06\0\0\0", 4);
}

static void test_short_control(struct kit *k)
{
	start_ports(k);
	kit_send(k, 3, "1234567", 7, 0);
	kit_wait_broken(k, "shorter than 8 bytes");
}

/* Nothing is read for a port that the guest has not opened, and a stuck port stops no other. */
static void test_ports(struct kit *k)
{
	g_autofree uint8_t *bytes = pattern(BIG), *got = g_malloc(BIG);
	struct kit_request *stuck[4], *to_guest;
	int a, c;

	start_ports(k);
	kit_wait(k, tell(k, 0, VIRTIO_CONSOLE_PORT_READY, 1));
	kit_wait(k, tell(k, 2, VIRTIO_CONSOLE_PORT_READY, 1));
	a = join(k, "a");
	c = join(k, "c");
	for (unsigned i = 0; i < G_N_ELEMENTS(stuck); i++)
		stuck[i] = kit_send(k, 1, bytes, BIG, 0);
	assert_int_equal(write(c, "abc", 3), 3);
	to_guest = kit_send(k, 6, NULL, 0, 16);
	assert_false(kit_is_done(k, to_guest));
	kit_wait(k, tell(k, 2, VIRTIO_CONSOLE_PORT_OPEN, 1));
	assert_int_equal(kit_wait(k, to_guest), 3);
	kit_wait(k, kit_send(k, 7, "Hello", 5, 0));
	read_host(k, c, got, 5, to_guest);
	assert_memory_equal(got, "Hello", 5);
	kit_wait(k, kit_send(k, 5, "to null", 7, 0));
	assert_false(kit_is_done(k, stuck[3]));
	for (unsigned i = 0; i < G_N_ELEMENTS(stuck); i++) {
		read_host(k, a, got, BIG, stuck[i]);
		assert_memory_equal(got, bytes, BIG);
	}
	close(a);
	close(c);
}

/* A process that follows another one tells the guest the state of the ports as it is now. */
static void test_successor(struct kit *k)
{
	struct kit_request *r[6];
	struct virtio_console_control m;

	kit_start(k, spec(k, "--port=name=org.a,backend=unix:%s", "a"), NULL);
	tell(k, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	if (!kit_has_kills(k))
		return;
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = kit_send(k, 2, NULL, 0, 64);
	kit_wait(k, r[0]);
	memcpy(&m, r[0]->in, sizeof(m));
	assert_int_equal(le16toh(m.event), VIRTIO_CONSOLE_PORT_ADD);
}

static void test_size(struct kit *k)
{
	static const char wanted[] = { 132, 0, 43, 0, 0, 0, 0, 0 };
	char config[8] = { 0 };

	kit_start(k, "--backend=null", NULL);
	kit_config_read(k, 0, config, 4);
	assert_memory_equal(config, "\x50\0\x19\0", 4);
	assert_non_null(strstr(kit_call(k, "resize", "\"cols\":132,\"rows\":43"), "\"result\":{}"));
	kit_wait_config(k, 1);
	kit_config_read(k, 0, config, 4);
	assert_memory_equal(config, wanted, 4);
	assert_non_null(strstr(kit_call(k, "resize", "\"cols\":132,\"rows\":0"), "\"error\""));
	assert_non_null(
		strstr(kit_call(k, "resize", "\"cols\":1,\"rows\":1,\"port\":1"), "only 1"));
}

static void test_emergency(struct kit *k)
{
	const char *path = kit_path(k, "file");
	const uint32_t value = htole32('!');
	g_autofree char *text = NULL;

	kit_start(k, spec(k, "--backend=file:%s", "file"), NULL);
	kit_config_write(k, 8, &value, sizeof(value));
	kit_wait(k, kit_send(k, 1, "?", 1, 0));
	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	assert_string_equal(text, "!?");
}

static void test_bad_options(struct kit *k)
{
	kit_start_fails(k, "invalid back-end: 'tty'", "--backend=tty", NULL);
	kit_start_fails(k, "invalid back-end: 'unix:'", "--backend=unix:", NULL);
	kit_start_fails(k, "invalid back-end: 'null:x'", "--backend=null:x", NULL);
	kit_start_fails(k, "/no/such/folder", "--backend=file:/no/such/folder/x", NULL);
	kit_start_fails(k, "invalid --port key: 'x=1'", "--port=backend=null,x=1", NULL);
	kit_start_fails(k, "--port without backend", "--port=name=a", NULL);
	kit_start_fails(k, "exclude each other", "--port=backend=null", "--backend=null", NULL);
}

#define NO_STATE KIT_NO_KILL /* a client, or what the guest has told, is of one process */

static const struct kit_test tests[] = {
	{ "file", test_file },
	{ "null", test_null },
	{ "echo", test_echo, .skip = NO_STATE },
	{ "unix", test_unix, .skip = NO_STATE },
	{ "slow reader", test_slow_reader, .skip = NO_STATE },
	{ "pty", test_pty, .skip = NO_STATE },
	{ "control", test_control, .skip = NO_STATE },
	{ "last bytes", test_last_bytes, .skip = NO_STATE },
	{ "short control message", test_short_control, .skip = NO_STATE },
	{ "ports", test_ports, .skip = NO_STATE },
	{ "successor", test_successor },
	{ "size", test_size, .skip = NO_STATE },
	{ "emergency write", test_emergency, .skip = NO_STATE },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
