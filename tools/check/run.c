/* SPDX-License-Identifier: Apache-2.0 */
/* One case: may it run, what comes of it, and does the back-end live on? */
#include <inttypes.h>
#include <linux/virtio_config.h>

#include "tools/check/session.h"
#include "tools/check/wire.h"
#include "tools/names.h"

static void set_once(char **text, const char *format, va_list ap)
{
	g_autofree char *said = g_strdup_vprintf(format, ap);

	if (!*text)
		*text = g_steal_pointer(&said);
}

void check_fail(struct check *k, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (!check_over(k))
		set_once(&k->failure, format, ap);
	va_end(ap);
}

void check_skip(struct check *k, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (!check_over(k))
		set_once(&k->skip, format, ap);
	va_end(ap);
}

void check_equal(struct check *k, const char *what, uint64_t actual, uint64_t expected)
{
	if (actual != expected)
		check_fail(k, "%s is 0x%" PRIx64 " instead of 0x%" PRIx64, what, actual, expected);
}

void check_that(struct check *k, bool holds, const char *what)
{
	if (!holds)
		check_fail(k, "%s", what);
}

bool check_is_selected(const struct check_options *o, const struct check_case *c)
{
	for (char *const *p = o->patterns; p && *p; p++) {
		if (g_pattern_match_simple(*p, c->name))
			return true;
	}
	return !o->patterns;
}

/* Returns "RING_PACKED is not offered": the first of the bits that is missing. */
static void skip_bits(
	struct check *k, uint64_t bits, const char *(*name)(const struct check *, int))
{
	int bit = __builtin_ctzll(bits);

	if (name(k, bit))
		check_skip(k, "%s is not offered", name(k, bit));
	else
		check_skip(k, "bit %d is not offered", bit);
}

static const char *feature_name(const struct check *k, int bit)
{
	return names_feature(k->peer.device, bit);
}

static const char *protocol_name(const struct check *k, int bit)
{
	return vu_protocol_feature_name(bit);
}

uint64_t check_case_protocol(const struct check_case *c)
{
	const struct vu_shape *shape = c->request ? vu_shape(c->request) : NULL;

	if (!shape || !shape->needs_feature_plus1)
		return c->protocol;
	return c->protocol | VU_BIT(shape->needs_feature_plus1 - 1);
}

static void skip_for_device(struct check *k, const struct check_case *c)
{
	if (c->device && !k->peer.device)
		check_skip(k, "the device's type is not known: --device-id");
	if (c->device && c->device != k->peer.device)
		check_skip(k, "the device is no %s", names_device(c->device));
}

static void skip_for_needs(struct check *k, const struct check_case *c)
{
	const struct check_peer *p = &k->peer;

	if (c->needs & CHECK_HOSTILE && !k->options->hostile)
		check_skip(k, "needs --hostile");
	if (c->needs & CHECK_WRITE && !k->options->write)
		check_skip(k, "needs --write");
	if (c->needs & CHECK_DATA && !p->data)
		check_skip(k,
			p->device ? "no requests to this type of device are known"
				  : "the device's type is not known: --device-id");
	if (c->needs & CHECK_CONFIG && p->config_size <= 0)
		check_skip(k,
			p->config_size ? "the configuration's size is not known: --config-size"
				       : "there is no configuration space");
	if (c->queues > p->queues)
		check_skip(k, "there are fewer than %u virtqueues", c->queues);
}

static void skip_for_offer(struct check *k, const struct check_case *c)
{
	uint64_t protocol = check_case_protocol(c) & ~k->peer.protocol;
	uint64_t features = c->features & ~k->peer.features;

	skip_for_device(k, c);
	if (features)
		skip_bits(k, features, feature_name);
	if (protocol)
		skip_bits(k, protocol, protocol_name);
	skip_for_needs(k, c);
}

/* Checks, after a case that was hostile, that the process lives, and serves the next connection. */
static void see_that_it_lives(struct check *k)
{
	session_end(k);
	if (check_over(k))
		return;
	wire_note(k, "# does it serve the next connection?");
	if (!k->peer.data) {
		wire_connect(k);
		return;
	}
	data_run(k, session_start(k, session_basic_features(k), 16), 1);
}

/*
 * Reports how the back-end of --start ended, if it has; one may end with its connection, but not
 * crash.
 */
static void look_at_process(struct check *k)
{
	/* It may take a moment to crash over the end of the connection. */
	if (k->child && !check_process_ended(k, wire_quiet_us(k)))
		return;
	if (!k->child_end)
		return;
	wire_note(k, "# %s", k->child_end);
	if (!k->failure)
		check_fail(k, "%s", k->child_end);
	g_clear_pointer(&k->child_end, g_free);
}

enum check_result check_run_case(struct check *k, const struct check_case *c)
{
	g_clear_pointer(&k->failure, g_free);
	g_clear_pointer(&k->skip, g_free);
	g_string_truncate(k->record, 0);
	k->c = c;
	skip_for_offer(k, c);
	if (check_over(k))
		return CHECK_SKIPPED;
	c->run(k);
	k->after = true;
	if (c->needs & CHECK_HOSTILE)
		see_that_it_lives(k);
	k->after = false;
	session_end(k);
	look_at_process(k);
	/* One that hangs would fail the cases to come, too. */
	if (k->failure)
		check_process_stop(k);
	if (k->failure)
		return CHECK_FAILED;
	return k->skip ? CHECK_SKIPPED : CHECK_PASSED;
}
