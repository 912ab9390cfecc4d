/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-gpio on a chip of the host, in whose place is a fake that notes what it gets. */
#include "tests/lib/kit.h"

#include <errno.h>
#include <linux/gpio.h>
#include <linux/virtio_gpio.h>

#include "base/util.h"
#include "daemon/devices/gpio/gpio_host.h"

#define OK VIRTIO_GPIO_STATUS_OK
#define ERR VIRTIO_GPIO_STATUS_ERR
#define LINES 4

static struct {
	int chip; /* its fd */
	int line[LINES]; /* the fds that the device has */
	int event[LINES]; /* the other ends, for events */
	uint8_t value[LINES];
	GString *calls;
} fake;

int gpio_host_open(const char *name)
{
	if (strcmp(name, "gpiochip0") != 0) {
		errno = ENOENT;
		return -1;
	}
	for (unsigned i = 0; i < LINES; i++)
		fake.line[i] = -1;
	g_string_truncate(fake.calls, 0);
	return fake.chip = dup(STDERR_FILENO);
}

static int describe(struct gpio_v2_line_info *info)
{
	static const char *const names[LINES] = { "LED", "", "button", "LED" };

	g_strlcpy(info->name, names[info->offset], sizeof(info->name));
	info->flags = info->offset == 1 ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
	if (info->offset == 3)
		g_strlcpy(info->consumer, "reset", sizeof(info->consumer));
	return 0;
}

static int take(struct gpio_v2_line_request *r)
{
	unsigned i = r->offsets[0];
	int pair[2];

	assert_int_equal(r->num_lines, 1);
	assert_int_equal(r->config.flags, 0);
	if (i == 3) {
		errno = EBUSY;
		return -1;
	}
	assert_int_equal(pipe(pair), 0);
	fd_close(&fake.event[i]);
	fake.line[i] = r->fd = pair[0];
	fake.event[i] = pair[1];
	return 0;
}

static int configure(unsigned i, const struct gpio_v2_line_config *c)
{
	g_string_append_printf(fake.calls, "%u: config %#llx", i, (unsigned long long)c->flags);
	if (c->num_attrs) {
		fake.value[i] = c->attrs[0].attr.values & c->attrs[0].mask;
		g_string_append_printf(fake.calls, " value %u", fake.value[i]);
	}
	g_string_append_c(fake.calls, '\n');
	return 0;
}

int gpio_host_ioctl(int fd, unsigned long request, void *arg)
{
	struct gpio_v2_line_values *v = arg;
	unsigned i = 0;

	while (fd != fake.chip && fake.line[i] != fd)
		i++;
	switch (request) {
	case GPIO_GET_CHIPINFO_IOCTL:
		((struct gpiochip_info *)arg)->lines = LINES;
		return 0;
	case GPIO_V2_GET_LINEINFO_IOCTL:
		return describe(arg);
	case GPIO_V2_GET_LINE_IOCTL:
		return take(arg);
	case GPIO_V2_LINE_SET_CONFIG_IOCTL:
		return configure(i, arg);
	case GPIO_V2_LINE_SET_VALUES_IOCTL:
		fake.value[i] = v->bits & v->mask;
		g_string_append_printf(fake.calls, "%u: value %u\n", i, fake.value[i]);
		return 0;
	case GPIO_V2_LINE_GET_VALUES_IOCTL:
		v->bits = fake.value[i];
		return 0;
	default:
		fail_msg("unexpected ioctl: %#lx", request);
		return -1;
	}
}

static uint8_t ask(struct kit *k, unsigned type, unsigned line, uint32_t to, uint8_t *value)
{
	const struct virtio_gpio_request out = { htole16(type), htole16(line), htole32(to) };
	struct kit_request *r = kit_send(k, 0, &out, sizeof(out), 2);

	assert_int_equal(kit_wait(k, r), 2);
	*value = r->in[1];
	return r->in[0];
}

/* Checks what the host got since the last time. */
static void check_calls(const char *expected)
{
	assert_string_equal(fake.calls->str, expected);
	g_string_truncate(fake.calls, 0);
}

static void close_events(void)
{
	fds_close(fake.event, LINES);
}

static void test_lines(struct kit *k)
{
	const struct virtio_gpio_request out = { htole16(VIRTIO_GPIO_MSG_GET_NAMES), 0, 0 };
	struct kit_request *r;
	uint8_t value;

	kit_start(k, "--device=gpiochip0:2,0-1", NULL);
	r = kit_send(k, 0, &out, sizeof(out), 13);
	assert_int_equal(kit_wait(k, r), 13);
	assert_memory_equal(r->in, "\0button\0LED\0", 13);
	/* The lines are as they were: line 2 of the guest is line 1 of the chip, an output. */
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_GET_DIRECTION, 2, 0, &value), OK);
	assert_int_equal(value, VIRTIO_GPIO_DIRECTION_OUT);
	check_calls("");
	ask(k, VIRTIO_GPIO_MSG_SET_VALUE, 2, 1, &value);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_GET_VALUE, 2, 0, &value), OK);
	assert_int_equal(value, 1);
	check_calls("1: value 1\n");
	ask(k, VIRTIO_GPIO_MSG_SET_VALUE, 1, 1, &value);
	check_calls("");
	ask(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 1, VIRTIO_GPIO_DIRECTION_OUT, &value);
	check_calls("0: config 0x8 value 1\n");
	ask(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 2, VIRTIO_GPIO_DIRECTION_IN, &value);
	check_calls("1: config 0x4\n");
	close_events();
}

static void send_event(unsigned line, unsigned id)
{
	const struct gpio_v2_line_event e = { .id = id };

	assert_int_equal(write(fake.event[line], &e, sizeof(e)), sizeof(e));
}

static void test_events(struct kit *k)
{
	const struct virtio_gpio_irq_request out = { htole16(2) };
	struct kit_request *r;
	uint8_t value;

	kit_start(k, "--device=gpiochip0:0-2", NULL);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 2, 1, &value), OK);
	check_calls("2: config 0x34\n");
	r = kit_send(k, 1, &out, sizeof(out), 1);
	send_event(2, GPIO_V2_LINE_EVENT_FALLING_EDGE);
	assert_false(kit_is_done(k, r));
	kit_pause(k);
	send_event(2, GPIO_V2_LINE_EVENT_RISING_EDGE);
	assert_int_equal(kit_wait(k, r), 1);
	assert_int_equal(r->in[0], VIRTIO_GPIO_IRQ_STATUS_VALID);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 2, 0, &value), OK);
	check_calls("2: config 0x4\n");
	/* The chip is removed. */
	ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 2, 3, &value);
	fd_close(&fake.event[2]);
	kit_wait_log(k, "no more interrupts of line 2");
	close_events();
}

static void test_bad_options(struct kit *k)
{
	static const char *const bad[][2] = {
		{ "--device=gpiochip0:3", "line 3: Device or resource busy, used by reset" },
		{ "--device=gpiochip0:4", "4 (numbers and ranges from 0 to 3)" },
		{ "--device=gpiochip0:2-1", "2-1 (" },
		{ "--device=gpiochip0:", "invalid lines" },
		{ "--device=gpiochip1", "No such file" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		kit_start_fails(k, bad[i][1], bad[i][0], NULL);
}

static const struct kit_test tests[] = {
	{ "lines", test_lines, .skip = KIT_NO_PROCESS },
	{ "events", test_events, .skip = KIT_NO_PROCESS },
	{ "bad options", test_bad_options, .skip = KIT_NO_PROCESS },
};

int main(int argc, char **argv)
{
	int result;

	fake.calls = g_string_new(NULL);
	for (unsigned i = 0; i < LINES; i++)
		fake.event[i] = -1;
	result = kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
	g_string_free(fake.calls, TRUE);
	return result;
}
