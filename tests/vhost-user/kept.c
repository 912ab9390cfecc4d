/* SPDX-License-Identifier: Apache-2.0 */
/* See kept.h. */
#include "kept.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/sock.h"
#include "base/util.h"

struct kept kept;
static unsigned changes;

static void count_change(void *opaque)
{
	changes++;
}

const struct vu_front_events kept_events = { .config_changed = count_change };

int kept_setup(void **state)
{
	int ret = front_setup(state);

	options.deadline_ms = 30000;
	options.state = kept.state = mmap(NULL, sizeof(*kept.state), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return ret;
}

int kept_teardown(void **state)
{
	munmap(kept.state, sizeof(*kept.state));
	return front_teardown(state);
}

int kept_dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void kept_start(void)
{
	g_autoptr(GError) error = NULL;
	struct vu_front_sockets s = { .fd = fake_pair(b) };
	int pair[2];

	assert_true(sock_pair(pair));
	s.channel = pair[0];
	s.channel_peer = pair[1];
	kept.fd = kept_dup(s.fd);
	kept.channel = kept_dup(s.channel);
	f = vu_front_new_on(&s, "peer", &options, &error);
	if (!f)
		fail_msg("%s", error->message);
}

void kept_connect(void)
{
	kept_start();
	g_clear_pointer(&f, vu_front_free);
}

void kept_adopt(void)
{
	g_autoptr(GError) error = NULL;

	f = vu_front_adopt(
		&(struct vu_front_sockets){ kept_dup(kept.fd), kept_dup(kept.channel), -1 }, "peer",
		&options, &error);
	if (!f)
		fail_msg("%s", error->message);
}

void kept_check(void)
{
	const struct vu_properties *properties = vu_front_properties(f);
	uint8_t config[60];

	assert_true(vu_front_is_alive(f));
	assert_int_equal(properties->probe.device_id, b->device_id);
	assert_true(properties->features == b->features);
	assert_true(properties->protocol_acked == b->acked);
	assert_true(vu_front_get_config(f, 0, config, sizeof(config), NULL));
	assert_memory_equal(config, b->config, sizeof(config));
	changes = 0;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vu_front_backend_event(f, &kept_events, NULL));
		assert_int_equal(changes, 1);
	}
}

void kept_finish(void)
{
	g_clear_pointer(&f, vu_front_free);
	fd_close(&kept.fd);
	fd_close(&kept.channel);
	fake_finish(b);
	munmap(kept.state, sizeof(*kept.state));
}
