/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rproc-serial: what has no reader yet waits for one. */
#include "../console/test_ports.h"

/* No byte is taken from the ring before it has a reader: also not by a process that is killed. */
static void test_waits_for_reader(struct kit *k)
{
	struct kit_request *first, *second;
	char text[16] = "";
	int fd;

	kit_start(k, spec(k, "--backend=unix:%s", "a"), NULL);
	first = kit_send(k, 1, "Hello, ", 7, 0);
	second = kit_send(k, 1, "world", 5, 0);
	assert_false(kit_is_done(k, first));
	fd = join(k, "a");
	kit_wait(k, second);
	assert_true(first->done);
	assert_int_equal(read(fd, text, sizeof(text)), 12);
	assert_string_equal(text, "Hello, world");
	close(fd);
}

static void test_to_guest(struct kit *k)
{
	struct kit_request *r;
	int fd;

	kit_start(k, spec(k, "--backend=unix:%s", "a"), NULL);
	r = kit_send(k, 0, NULL, 0, 4);
	fd = join(k, "a");
	assert_int_equal(write(fd, "abcdef", 6), 6);
	assert_int_equal(kit_wait(k, r), 4);
	assert_memory_equal(r->in, "abcd", 4);
	r = kit_send(k, 0, NULL, 0, 4);
	assert_int_equal(kit_wait(k, r), 2);
	assert_memory_equal(r->in, "ef", 2);
	close(fd);
}

static void test_no_room(struct kit *k)
{
	int fd;

	kit_start(k, spec(k, "--backend=unix:%s", "a"), NULL);
	fd = join(k, "a");
	assert_int_equal(write(fd, "abc", 3), 3);
	kit_send(k, 0, "no room", 7, 0);
	kit_wait_broken(k, "no room");
	close(fd);
}

static const struct kit_test tests[] = {
	{ "waits for a reader", test_waits_for_reader },
	{ "to the guest", test_to_guest, .skip = KIT_NO_KILL },
	{ "no room", test_no_room, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
