/* SPDX-License-Identifier: Apache-2.0 */
/* Capture files: what is in them, and that a slow reader delays nobody. */
#include "tests/lib/test.h"

#include <sys/stat.h>

#include "net/pcap.h"

#define HEAD 24
#define RECORD 16

static void test_file(void **state)
{
	struct test *t = *state;
	const char *path = test_path(t, "frames.pcap");
	struct iovec iov[] = { { "abc", 3 }, { "defgh", 5 } };
	struct net_pcap *p = net_pcap_open(path, NULL);
	g_autofree char *text = NULL;
	uint32_t word[4];
	size_t len;

	assert_non_null(p);
	for (unsigned i = 0; i < 1000; i++)
		net_pcap_put(p, iov, 2, 8);
	assert_int_equal(net_pcap_dropped(p), 0);
	net_pcap_free(p);
	assert_true(g_file_get_contents(path, &text, &len, NULL));
	assert_int_equal(len, HEAD + 1000 * (RECORD + 8));
	memcpy(word, text, sizeof(word));
	assert_int_equal(word[0], 0xa1b23c4d);
	memcpy(word, text + HEAD - 4, 4);
	assert_int_equal(word[0], 1);
	for (unsigned i = 0; i < 1000; i++) {
		const char *record = text + HEAD + i * (RECORD + 8);

		memcpy(word, record, sizeof(word));
		assert_true(word[0] > 1000000000 && word[1] < 1000000000);
		assert_int_equal(word[2], 8);
		assert_int_equal(word[3], 8);
		assert_memory_equal(record + RECORD, "abcdefgh", 8);
	}
}

static void test_slow_reader(void **state)
{
	struct test *t = *state;
	const char *path = test_path(t, "pipe");
	g_autofree uint8_t *frame = g_malloc0(60000);
	struct iovec iov = { frame, 60000 };
	struct net_pcap *p;
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	p = net_pcap_open(path, NULL);
	assert_non_null(p);
	for (unsigned i = 0; i < 100; i++)
		net_pcap_put(p, &iov, 1, 60000);
	assert_in_range(net_pcap_dropped(p), 100 - 20, 99);
	net_pcap_free(p);
	close(fd);
}

static void test_errors(void **state)
{
	struct test *t = *state;
	GError *error = NULL;

	assert_null(net_pcap_open(test_path(t, "no/folder"), &error));
	assert_error_has(&error, "no/folder");
	net_pcap_put(NULL, NULL, 0, 0);
	net_pcap_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_file),
		TEST_WITH(plain, test_slow_reader),
		TEST_WITH(plain, test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
