/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-input with a device of the host, played by a FIFO and a libevdev of the test's own: what
 * is written to the FIFO are its events. Of those, SYN_DROPPED begins a loss of events, and one of
 * type UNPLUG is the end.
 */
#include "tests/lib/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libevdev/libevdev.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/lib/input_driver.h"

#define UNPLUG 0x7fff

struct libevdev {
	int fd;
	bool key_a; /* is down */
	unsigned changes; /* that were not told yet */
};

static struct {
	unsigned grabs;
	int grab_result;
	bool changed; /* KEY_A is down after a loss */
} fake;

int libevdev_new_from_fd(int fd, struct libevdev **dev)
{
	*dev = g_new0(struct libevdev, 1);
	(*dev)->fd = fd;
	return 0;
}

void libevdev_free(struct libevdev *dev)
{
	g_free(dev);
}

int libevdev_grab(struct libevdev *dev, enum libevdev_grab_mode grab)
{
	fake.grabs++;
	return fake.grab_result;
}

/* Returns KEY_A, if it has changed, and SYN_REPORT. */
static int next_change(struct libevdev *dev, struct input_event *e)
{
	*e = (struct input_event){ .type = EV_SYN, .code = SYN_REPORT };
	if (!dev->changes)
		return -EAGAIN;
	if (--dev->changes) {
		*e = (struct input_event){ .type = EV_KEY, .code = KEY_A, .value = fake.changed };
		dev->key_a = fake.changed;
	}
	return LIBEVDEV_READ_STATUS_SYNC;
}

int libevdev_next_event(struct libevdev *dev, unsigned flags, struct input_event *e)
{
	ssize_t n;

	if (flags & LIBEVDEV_READ_FLAG_SYNC)
		return next_change(dev, e);
	n = read(dev->fd, e, sizeof(*e));
	if (n < 0)
		return -errno;
	if (e->type == UNPLUG)
		return -ENODEV;
	if (e->type == EV_KEY && e->code == KEY_A)
		dev->key_a = e->value;
	if (e->type != EV_SYN || e->code != SYN_DROPPED)
		return LIBEVDEV_READ_STATUS_SUCCESS;
	dev->changes = 2;
	return LIBEVDEV_READ_STATUS_SYNC;
}

int libevdev_get_event_value(const struct libevdev *dev, unsigned type, unsigned code)
{
	if (type == EV_SW)
		return 1;
	return type == EV_KEY && code == KEY_A ? dev->key_a : 0;
}

int libevdev_has_event_code(const struct libevdev *dev, unsigned type, unsigned code)
{
	return (type == EV_KEY && (code == KEY_A || code == KEY_B)) ||
		(type == EV_SW && code == SW_LID) || (type == EV_LED && code == LED_CAPSL) ||
		(type == EV_MSC && (code == MSC_SCAN || code == MSC_TIMESTAMP));
}

int libevdev_has_property(const struct libevdev *dev, unsigned prop)
{
	return 0;
}

const struct input_absinfo *libevdev_get_abs_info(const struct libevdev *dev, unsigned code)
{
	return NULL;
}

const char *libevdev_event_code_get_name(unsigned type, unsigned code)
{
	return "LED";
}

const char *libevdev_get_name(const struct libevdev *dev)
{
	return "Keyboard";
}

const char *libevdev_get_uniq(const struct libevdev *dev)
{
	return "0815";
}

#define ID(name)                                             \
	int libevdev_get_id_##name(const struct libevdev *d) \
	{                                                    \
		return 1;                                    \
	}

ID(bustype)
ID(vendor)
ID(product)
ID(version)

/* Starts the device; returns where its events come from, and what is written to it goes. */
static int start(struct kit *k, const char *option)
{
	const char *path = kit_path(k, "event0");
	g_autofree char *evdev = g_strconcat("--evdev-path=", path, NULL);
	int fd;

	memset(&fake, 0, sizeof(fake));
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	kit_start(k, evdev, option, NULL);
	return fd;
}

static void happen(int fd, unsigned type, unsigned code, int value)
{
	const struct input_event e = { .type = type, .code = code, .value = value };

	assert_int_equal(write(fd, &e, sizeof(e)), sizeof(e));
}

/* Expects that the lid was closed before. */
static void expect_lid(struct kit *k)
{
	input_expect(k, EV_SW, SW_LID, 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
}

static void test_events(struct kit *k)
{
	autofd fd = start(k, NULL);
	struct kit_request *r;

	assert_int_equal(fake.grabs, 1);
	expect_lid(k);
	r = input_ask(k);
	assert_false(kit_is_done(k, r));
	happen(fd, EV_MSC, MSC_SCAN, 30);
	happen(fd, EV_REP, REP_DELAY, 250); /* not for the guest */
	happen(fd, EV_KEY, KEY_A, 1);
	happen(fd, EV_SYN, SYN_REPORT, 0);
	input_expect_in(k, r, EV_MSC, MSC_SCAN, 30);
	input_expect(k, EV_KEY, KEY_A, 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
}

static void test_no_grab(struct kit *k)
{
	close(start(k, "--no-grab"));
	assert_int_equal(fake.grabs, 0);
}

static void test_grabbed_by_another(struct kit *k)
{
	const char *path = kit_path(k, "event0");
	g_autofree char *evdev = g_strconcat("--evdev-path=", path, NULL);

	assert_int_equal(mkfifo(path, 0600), 0);
	fake.grab_result = -EBUSY;
	kit_start_fails(k, "cannot grab", evdev, NULL);
	kit_start_fails(k, path, evdev, NULL);
}

static void test_lost_events(struct kit *k)
{
	autofd fd = start(k, NULL);

	expect_lid(k);
	fake.changed = true;
	happen(fd, EV_SYN, SYN_DROPPED, 0);
	happen(fd, EV_KEY, KEY_B, 1);
	input_expect(k, EV_KEY, KEY_A, 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
	input_expect(k, EV_KEY, KEY_B, 1);
}

/* A new driver gets nothing of what was typed before it came. */
static void test_reset(struct kit *k)
{
	autofd fd = start(k, NULL);

	expect_lid(k);
	happen(fd, EV_KEY, KEY_A, 1);
	happen(fd, EV_SYN, SYN_REPORT, 0);
	kit_reset(k);
	expect_lid(k);
	happen(fd, EV_KEY, KEY_B, 1);
	input_expect(k, EV_KEY, KEY_B, 1);
}

static void test_unplug(struct kit *k)
{
	autofd fd = start(k, NULL);

	expect_lid(k);
	happen(fd, EV_KEY, KEY_A, 1);
	happen(fd, UNPLUG, 0, 0);
	input_expect(k, EV_KEY, KEY_A, 1);
	input_expect(k, EV_KEY, KEY_A, 0);
	input_expect(k, EV_KEY, KEY_B, 0);
	input_expect(k, EV_SW, SW_LID, 0);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
	kit_wait_log(k, "no more events from");
	input_status(k, EV_LED, LED_CAPSL, 1);
	assert_false(kit_is_done(k, input_ask(k)));
}

/* The FIFO gives back what was written to it. */
static void test_status(struct kit *k)
{
	int fd = start(k, NULL);

	expect_lid(k);
	input_status(k, EV_KEY, KEY_A, 1);
	input_status(k, EV_MSC, MSC_TIMESTAMP, 5);
	input_status(k, EV_MSC, MSC_SCAN, 7);
	input_status(k, EV_LED, LED_NUML, 1);
	input_status(k, EV_LED, LED_CAPSL, 1);
	input_expect(k, EV_MSC, MSC_SCAN, 7);
	input_expect(k, EV_LED, LED_CAPSL, 1);
	close(fd);
}

static const struct kit_test tests[] = {
	{ "events", test_events, .skip = KIT_NO_PROCESS },
	{ "no grab", test_no_grab, .skip = KIT_NO_PROCESS },
	{ "grabbed by another", test_grabbed_by_another, .skip = KIT_NO_PROCESS },
	{ "lost events", test_lost_events, .skip = KIT_NO_PROCESS },
	{ "reset", test_reset, .skip = KIT_NO_PROCESS },
	{ "unplug", test_unplug, .skip = KIT_NO_PROCESS },
	{ "status", test_status, .skip = KIT_NO_PROCESS },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
