/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-gpio: requests and interrupts, on simulated lines. argv[2]: the number of kills. */
#include "tests/lib/kit.h"

#include <linux/virtio_gpio.h>

#include "tests/lib/kit_core.h"

#define OK VIRTIO_GPIO_STATUS_OK
#define ERR VIRTIO_GPIO_STATUS_ERR
#define NONE VIRTIO_GPIO_DIRECTION_NONE
#define OUT VIRTIO_GPIO_DIRECTION_OUT
#define IN VIRTIO_GPIO_DIRECTION_IN
#define RISING VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING
#define FALLING VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING
#define BOTH VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH
#define HIGH VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH
#define LOW VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW
#define VALID VIRTIO_GPIO_IRQ_STATUS_VALID
#define INVALID VIRTIO_GPIO_IRQ_STATUS_INVALID

/* Returns the status; *value, if given, receives the value. */
static uint8_t ask(struct kit *k, unsigned type, unsigned line, uint32_t to, uint8_t *value)
{
	const struct virtio_gpio_request out = { htole16(type), htole16(line), htole32(to) };
	struct kit_request *r = kit_send(k, 0, &out, sizeof(out), 2);

	assert_int_equal(kit_wait(k, r), 2);
	if (value)
		*value = r->in[1];
	return r->in[0];
}

static uint8_t get(struct kit *k, unsigned type, unsigned line)
{
	uint8_t value;

	assert_int_equal(ask(k, type, line, 0, &value), OK);
	return value;
}

static void set(struct kit *k, unsigned type, unsigned line, uint32_t value)
{
	assert_int_equal(ask(k, type, line, value, NULL), OK);
}

static struct kit_request *unmask(struct kit *k, unsigned line)
{
	const struct virtio_gpio_irq_request out = { htole16(line) };

	return kit_send(k, 1, &out, sizeof(out), 1);
}

static uint8_t interrupt(struct kit *k, struct kit_request *r)
{
	assert_int_equal(kit_wait(k, r), 1);
	return r->in[0];
}

/* Calls a method of the control socket on a line; returns the reply, or NULL if it fails. */
static const char *call(struct kit *k, const char *name, unsigned line, int value)
{
	g_autofree char *params = value < 0
		? g_strdup_printf("\"line\":%u", line)
		: g_strdup_printf("\"line\":%u,\"value\":%d", line, value);
	const char *reply = kit_call(k, name, params);

	assert_true(!strstr(reply, "\"error\"") == !!strstr(reply, "\"result\""));
	return strstr(reply, "\"result\"");
}

static void drive(struct kit *k, unsigned line, unsigned level)
{
	assert_non_null(call(k, "set", line, level));
}

static const char *with_state(struct kit *k)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--state=%s", kit_path(k, "state"));
	return text;
}

static void test_config(struct kit *k)
{
	struct virtio_gpio_config config;
	const struct virtio_gpio_request out = { htole16(VIRTIO_GPIO_MSG_GET_NAMES), 0, 0 };
	struct kit_request *r;

	kit_start(k, "--sim=2", NULL);
	kit_config_read(k, 0, &config, sizeof(config));
	assert_int_equal(le16toh(config.ngpio), 2);
	assert_int_equal(le32toh(config.gpio_names_size), 10);
	r = kit_send(k, 0, &out, sizeof(out), 11);
	assert_int_equal(kit_wait(k, r), 11);
	assert_memory_equal(r->in, "\0sim0\0sim1", 11);
	r = kit_send(k, 0, &out, sizeof(out), 10);
	assert_int_equal(kit_wait(k, r), 1);
	assert_int_equal(r->in[0], ERR);
}

static void test_values(struct kit *k)
{
	kit_start(k, "--sim=4", with_state(k), NULL);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_DIRECTION, 3), IN);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), 0);
	/* A value counts once the line is an output. */
	set(k, VIRTIO_GPIO_MSG_SET_VALUE, 3, 1);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), 0);
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, OUT);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), 1);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_DIRECTION, 3), OUT);
	set(k, VIRTIO_GPIO_MSG_SET_VALUE, 3, 0);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), 0);
	set(k, VIRTIO_GPIO_MSG_SET_VALUE, 3, 1);
	/* Given back, the line has no state. */
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, NONE);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_DIRECTION, 3), NONE);
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, OUT);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), 0);
}

/* Keeps what it has acknowledged over many kills. */
static void test_kills(struct kit *k)
{
	unsigned kills = kit_rounds(k, 10);

	kit_start(k, "--sim=4", with_state(k), NULL);
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, OUT);
	for (unsigned i = 0; i < kills; i++) {
		set(k, VIRTIO_GPIO_MSG_SET_VALUE, 3, i / 2 % 2);
		assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 3), i / 2 % 2);
	}
}

static void test_bad_requests(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--sim=4", NULL);
	assert_int_equal(ask(k, 0, 0, 0, NULL), ERR);
	assert_int_equal(ask(k, 7, 0, 0, NULL), ERR);
	assert_int_equal(ask(k, 0xffff, 0, 0, NULL), ERR);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_GET_VALUE, 4, 0, NULL), ERR);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_SET_VALUE, 0, 2, NULL), ERR);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 0, 3, NULL), ERR);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, 5, NULL), ERR);
	r = kit_send(k, 0, "short", 5, 2);
	assert_int_equal(kit_wait(k, r), 2);
	assert_int_equal(r->in[0], ERR);
	kit_send(k, 0, "no status", 9, 0);
	kit_wait_broken(k, "no room for a status");
}

/* One row: what drives the line after the interrupt is enabled and unmasked. */
static const struct {
	unsigned type, first, level;
	bool comes;
} edges[] = {
	{ RISING, 0, 1, true },
	{ RISING, 1, 0, false },
	{ FALLING, 0, 1, false },
	{ FALLING, 1, 0, true },
	{ BOTH, 0, 1, true },
	{ BOTH, 1, 0, true },
	{ HIGH, 0, 1, true },
	{ HIGH, 1, 0, false },
	{ LOW, 1, 0, true },
};

static void test_edges(struct kit *k)
{
	kit_start(k, "--sim=16", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(edges); i++) {
		struct kit_request *r;

		drive(k, i, edges[i].first);
		set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, i, edges[i].type);
		if (edges[i].type == HIGH && edges[i].first)
			assert_int_equal(interrupt(k, unmask(k, i)), VALID);
		drive(k, i, edges[i].first);
		if (edges[i].type == HIGH && edges[i].first)
			drive(k, i, 0);
		r = unmask(k, i);
		assert_false(kit_is_done(k, r));
		kit_pause(k);
		assert_false(kit_is_done(k, r));
		drive(k, i, edges[i].level);
		if (edges[i].comes)
			assert_int_equal(interrupt(k, r), VALID);
		else
			assert_false(kit_is_done(k, r));
	}
}

/* An edge is latched while it is masked, a level is not; both only while it is enabled. */
static void test_latch(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--sim=2", NULL);
	drive(k, 0, 1);
	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, BOTH);
	r = unmask(k, 0);
	assert_false(kit_is_done(k, r));
	drive(k, 0, 0);
	drive(k, 0, 1);
	assert_int_equal(interrupt(k, r), VALID);
	assert_int_equal(interrupt(k, unmask(k, 0)), VALID);
	r = unmask(k, 0);
	assert_false(kit_is_done(k, r));
	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, 0);
	assert_int_equal(interrupt(k, r), INVALID);

	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 1, HIGH);
	drive(k, 1, 1);
	drive(k, 1, 0);
	r = unmask(k, 1);
	assert_false(kit_is_done(k, r));
	drive(k, 1, 1);
	assert_int_equal(interrupt(k, r), VALID);
	assert_int_equal(interrupt(k, unmask(k, 1)), VALID);
}

static void test_irq_rules(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--sim=2", NULL);
	/* Not enabled, no such line, no line. */
	assert_int_equal(interrupt(k, unmask(k, 0)), INVALID);
	assert_int_equal(interrupt(k, unmask(k, 2)), INVALID);
	r = kit_send(k, 1, "x", 1, 1);
	assert_int_equal(interrupt(k, r), INVALID);
	/* An output has none. A type changes by none in between; the same again is no change. */
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 1, OUT);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 1, RISING, NULL), ERR);
	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, RISING);
	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, RISING);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, FALLING, NULL), ERR);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 0, OUT, NULL), ERR);
	/* A second buffer for the same line comes back. */
	r = unmask(k, 0);
	assert_int_equal(interrupt(k, unmask(k, 0)), INVALID);
	assert_false(kit_is_done(k, r));
	/* Without a direction there is no interrupt. */
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 0, NONE);
	assert_int_equal(interrupt(k, r), INVALID);
	kit_send(k, 1, "no status", 2, 0);
	kit_wait_broken(k, "no room for a status");
}

/* Interrupts go on in another process, which reports one that may have come meanwhile. */
static void test_killed(struct kit *k, const char *state)
{
	struct kit_request *r;

	kit_start(k, "--sim=2", state, NULL);
	set(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, RISING);
	r = unmask(k, 0);
	if (kit_core(k)) { /* whose options are gone */
		assert_false(kit_is_done(k, r));
		return;
	}
	kit_restart(k);
	assert_int_equal(interrupt(k, r), VALID);
	r = unmask(k, 0);
	if (!kit_has_kills(k))
		assert_false(kit_is_done(k, r));
}

static void test_killed_with_state(struct kit *k)
{
	test_killed(k, with_state(k));
}

static void test_killed_without_state(struct kit *k)
{
	test_killed(k, NULL);
}

static void test_methods(struct kit *k)
{
	kit_start(k, "--sim=2", NULL);
	drive(k, 1, 1);
	assert_int_equal(get(k, VIRTIO_GPIO_MSG_GET_VALUE, 1), 1);
	assert_non_null(strstr(call(k, "get", 1, -1), "\"direction\":\"in\",\"value\":1"));
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 1, OUT);
	assert_non_null(strstr(call(k, "get", 1, -1), "\"direction\":\"out\",\"value\":0"));
	assert_null(call(k, "set", 2, 0));
	assert_null(call(k, "get", 2, -1));
}

/* What the guest changes is an event; what changes nothing is none. */
static void test_events(struct kit *k)
{
	kit_start(k, "--sim=4", NULL);
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 2, IN);
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, OUT);
	kit_wait_log(k, "{\"line\":{\"line\":3,\"direction\":\"out\",\"value\":0}}");
	set(k, VIRTIO_GPIO_MSG_SET_VALUE, 3, 1);
	kit_wait_log(k, "{\"line\":{\"line\":3,\"direction\":\"out\",\"value\":1}}");
	set(k, VIRTIO_GPIO_MSG_SET_DIRECTION, 3, NONE);
	kit_wait_log(k, "{\"line\":{\"line\":3,\"direction\":\"none\"}}");
	assert_false(test_logged("\"line\":2"));
}

static void test_no_irq(struct kit *k)
{
	kit_start(k, "--sim=1", NULL);
	assert_int_equal(ask(k, VIRTIO_GPIO_MSG_IRQ_TYPE, 0, RISING, NULL), ERR);
}

static void test_bad_options(struct kit *k)
{
	static const char *const bad[][2] = {
		{ "--sim=0", "1 to 1024" },
		{ "--sim=1025", "1 to 1024" },
		{ "--device=nosuchchip", "/dev/nosuchchip: No such file" },
	};

	kit_start_fails(k, "--sim=N is missing", NULL);
	kit_start_fails(k, "/nowhere/state", "--sim=1", "--state=/nowhere/state", NULL);
	kit_start_fails(k, "regular", "--sim=1", "--state=/dev/null", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		kit_start_fails(k, bad[i][1], bad[i][0], NULL);
}

static const struct kit_test tests[] = {
	{ "configuration", test_config },
	{ "values", test_values },
	{ "kills", test_kills },
	{ "bad requests", test_bad_requests },
	{ "edges", test_edges, .skip = KIT_NO_KILL },
	{ "latch", test_latch, .skip = KIT_NO_KILL },
	{ "rules of interrupts", test_irq_rules, .skip = KIT_NO_KILL },
	{ "killed, with --state", test_killed_with_state },
	{ "killed, without --state", test_killed_without_state, .skip = KIT_NO_KILL },
	{ "methods", test_methods, .skip = KIT_NO_KILL },
	{ "events", test_events, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "no F_IRQ", test_no_irq, .features = 1ull << 24 },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
