/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rtc: clocks, alarms, and what it refuses. argv[2]: the number of kills. */
#include "tests/lib/kit.h"

#include "daemon/devices/rtc/rtc.h"

#define NS 1000000000ull
#define ENABLED RTC_FLAG_ALARM_ENABLED

/* Sends a request about a clock; returns the response, of which all of len bytes must be there. */
static union rtc_response *ask(
	struct kit *k, unsigned type, unsigned clock, unsigned byte, size_t len)
{
	const struct rtc_clock_request out = {
		.head.msg_type = htole16(type),
		.clock_id = htole16(clock),
		.byte = (uint8_t)byte,
	};
	struct kit_request *r = kit_send(k, 0, &out, sizeof(out), 24);

	assert_int_equal(kit_wait(k, r), len);
	return (union rtc_response *)(void *)r->in;
}

static uint8_t failure(struct kit *k, unsigned type, unsigned clock, unsigned byte, size_t len)
{
	uint8_t status = ask(k, type, clock, byte, len)->head.status;

	assert_int_not_equal(status, RTC_S_OK);
	return status;
}

static uint64_t read_clock(struct kit *k, unsigned clock)
{
	union rtc_response *a = ask(k, RTC_REQ_READ, clock, 0, 16);

	assert_int_equal(a->head.status, RTC_S_OK);
	return le64toh(a->read.clock_reading);
}

static void set_alarm(struct kit *k, unsigned clock, uint64_t time, unsigned flags)
{
	const struct rtc_set_alarm out = {
		.head.msg_type = htole16(RTC_REQ_SET_ALARM),
		.alarm_time = htole64(time),
		.clock_id = htole16(clock),
		.flags = (uint8_t)flags,
	};
	struct kit_request *r = kit_send(k, 0, &out, sizeof(out), 8);

	assert_int_equal(kit_wait(k, r), 8);
	assert_int_equal(r->in[0], RTC_S_OK);
}

static struct kit_request *listen_to(struct kit *k)
{
	return kit_send(k, 1, NULL, 0, sizeof(struct rtc_notification));
}

/* Waits for an alarm and returns its clock. */
static unsigned alarm_of(struct kit *k, struct kit_request *r)
{
	const struct rtc_notification *n = (const void *)r->in;

	assert_int_equal(kit_wait(k, r), sizeof(*n));
	assert_int_equal(le16toh(n->head.msg_type), RTC_NOTIF_ALARM);
	return le16toh(n->clock_id);
}

static uint64_t host_time(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void test_clocks(struct kit *k)
{
	static const struct {
		uint8_t type, smearing;
		clockid_t host;
	} clocks[] = {
		{ RTC_CLOCK_UTC, 0, CLOCK_REALTIME },
		{ RTC_CLOCK_MONOTONIC, 0, CLOCK_BOOTTIME },
		{ RTC_CLOCK_UTC_SMEARED, RTC_SMEAR_UNSPECIFIED, CLOCK_REALTIME },
		{ RTC_CLOCK_UTC_SMEARED, RTC_SMEAR_NOON_LINEAR, CLOCK_REALTIME },
		{ RTC_CLOCK_UTC_SMEARED, RTC_SMEAR_UTC_SLS, CLOCK_REALTIME },
		{ RTC_CLOCK_UTC_MAYBE_SMEARED, 0, CLOCK_REALTIME },
	};
	union rtc_response *a;

	kit_start(k, "--clocks=utc,monotonic,smeared,noon-linear,utc-sls,maybe-smeared", NULL);
	a = ask(k, RTC_REQ_CFG, 0, 0, 16);
	assert_int_equal(le16toh(a->cfg.num_clocks), G_N_ELEMENTS(clocks));
	for (unsigned i = 0; i < G_N_ELEMENTS(clocks); i++) {
		uint64_t before = host_time(clocks[i].host), now;

		a = ask(k, RTC_REQ_CLOCK_CAP, i, 0, 16);
		assert_int_equal(a->clock_cap.type, clocks[i].type);
		assert_int_equal(a->clock_cap.smearing, clocks[i].smearing);
		assert_int_equal(a->clock_cap.flags, RTC_FLAG_ALARM_CAP);
		now = read_clock(k, i);
		assert_in_range(now, before, host_time(clocks[i].host));
		a = ask(k, RTC_REQ_CROSS_CAP, i, RTC_COUNTER_X86_TSC, 16);
		assert_int_equal(a->cross_cap.flags, 0);
	}
}

static void test_defaults(struct kit *k)
{
	kit_start(k, NULL);
	assert_in_range(le16toh(ask(k, RTC_REQ_CFG, 0, 0, 16)->cfg.num_clocks), 2, 3);
	assert_int_equal(
		ask(k, RTC_REQ_CLOCK_CAP, 0, 0, 16)->clock_cap.type, RTC_CLOCK_UTC_MAYBE_SMEARED);
	assert_int_equal(ask(k, RTC_REQ_CLOCK_CAP, 1, 0, 16)->clock_cap.type, RTC_CLOCK_MONOTONIC);
}

static void test_refused(struct kit *k)
{
	const struct rtc_request_head cfg = { .msg_type = htole16(RTC_REQ_CFG) };
	struct kit_request *r;

	kit_start(k, "--clocks=utc", NULL);
	assert_int_equal(failure(k, RTC_REQ_READ, 1, 0, 16), RTC_S_ENODEV);
	assert_int_equal(failure(k, RTC_REQ_READ_CROSS, 0, 0, 24), RTC_S_EOPNOTSUPP);
	assert_int_equal(failure(k, RTC_REQ_CROSS_CAP, 0, 2, 16), RTC_S_EOPNOTSUPP);
	assert_int_equal(failure(k, 0x1006, 0, 0, 8), RTC_S_EOPNOTSUPP);
	assert_int_equal(failure(k, RTC_REQ_SET_ALARM_ENABLED, 0, 2, 8), RTC_S_EINVAL);
	assert_int_equal(failure(k, RTC_REQ_SET_ALARM, 0, 0, 8), RTC_S_EINVAL);
	/* Room for less than the response, than the head, than the status. */
	for (unsigned room = 0; room < 16; room += 5) {
		r = kit_send(k, 0, &cfg, sizeof(cfg), room);
		assert_int_equal(kit_wait(k, r), MIN(room, 8));
		if (room)
			assert_int_equal(r->in[0], RTC_S_EINVAL);
	}
	r = kit_send(k, 0, "short", 5, 16);
	assert_int_equal(kit_wait(k, r), 8);
	assert_int_equal(r->in[0], RTC_S_EINVAL);
}

static void test_alarm(struct kit *k)
{
	struct kit_request *r;
	union rtc_response *a;
	uint64_t time;

	kit_start(k, "--clocks=maybe-smeared,monotonic", NULL);
	for (unsigned clock = 0; clock < 2; clock++) {
		r = listen_to(k);
		time = read_clock(k, clock) + NS / 20;
		set_alarm(k, clock, time, ENABLED);
		assert_int_equal(alarm_of(k, r), clock);
		assert_true(read_clock(k, clock) >= time);
		a = ask(k, RTC_REQ_READ_ALARM, clock, 0, 24);
		assert_int_equal(le64toh(a->read_alarm.alarm_time), time);
		assert_int_equal(a->read_alarm.flags, ENABLED);
	}
	/* A time that has passed, before there is a buffer; and again, as it is enabled again. */
	set_alarm(k, 1, 1, ENABLED);
	assert_int_equal(alarm_of(k, listen_to(k)), 1);
	ask(k, RTC_REQ_SET_ALARM_ENABLED, 1, ENABLED, 8);
	assert_int_equal(alarm_of(k, listen_to(k)), 1);
}

/* An alarm that is disabled, or far ahead, does not come; nor does one that is disabled in time. */
static void test_no_alarm(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--clocks=utc,monotonic", NULL);
	set_alarm(k, 0, 1, 0);
	set_alarm(k, 1, 1, ENABLED);
	ask(k, RTC_REQ_SET_ALARM_ENABLED, 1, 0, 8);
	r = listen_to(k);
	assert_false(kit_is_done(k, r));
	set_alarm(k, 0, UINT64_MAX, ENABLED);
	set_alarm(k, 1, UINT64_MAX, ENABLED);
	assert_false(kit_is_done(k, r));
	assert_int_equal(
		le64toh(ask(k, RTC_REQ_READ_ALARM, 1, 0, 24)->read_alarm.alarm_time), UINT64_MAX);
	/* What another driver has set is not there after a reset. */
	kit_reset(k);
	assert_int_equal(ask(k, RTC_REQ_READ_ALARM, 1, 0, 24)->read_alarm.flags, 0);
}

/* Alarms go on in another process, also one whose time passes while there is none. */
static void test_state(struct kit *k)
{
	g_autofree char *option = g_strdup_printf("--state=%s", kit_path(k, "state"));
	uint64_t time;

	kit_start(k, "--clocks=utc,monotonic", option, NULL);
	time = read_clock(k, 1) + NS / 10;
	set_alarm(k, 1, time, ENABLED);
	kit_restart(k);
	if (!kit_core(k)) /* whose options are gone */
		assert_int_equal(alarm_of(k, listen_to(k)), 1);
}

/* Keeps alarms that it has acknowledged over many kills. */
static void test_kills(struct kit *k)
{
	unsigned kills = kit_rounds(k, 10);
	g_autofree char *option = g_strdup_printf("--state=%s", kit_path(k, "state"));

	kit_start(k, "--clocks=utc,monotonic", option, NULL);
	for (unsigned i = 0; i < kills; i++) {
		union rtc_response *a;

		set_alarm(k, 1, UINT64_MAX - i, i % 2);
		a = ask(k, RTC_REQ_READ_ALARM, 1, 0, 24);
		assert_int_equal(le64toh(a->read_alarm.alarm_time), UINT64_MAX - i);
		assert_int_equal(a->read_alarm.flags, i % 2);
	}
}

static void test_short_buffer(struct kit *k)
{
	kit_start(k, "--clocks=utc", NULL);
	set_alarm(k, 0, 1, ENABLED);
	kit_send(k, 1, NULL, 0, 15);
	kit_wait_broken(k, "a buffer for alarms of 15 bytes");
}

static void test_no_feature(struct kit *k)
{
	kit_start(k, "--clocks=utc", NULL);
	assert_int_equal(ask(k, RTC_REQ_CLOCK_CAP, 0, 0, 16)->clock_cap.flags, 0);
	assert_int_equal(failure(k, RTC_REQ_READ_ALARM, 0, 0, 8), RTC_S_EOPNOTSUPP);
}

static void test_bad_options(struct kit *k)
{
	kit_start_fails(k, "invalid clock: moon (utc", "--clocks=utc,moon", NULL);
	kit_start_fails(k, "utc is given twice", "--clocks=utc,utc", NULL);
	kit_start_fails(k, "invalid clock: ", "--clocks=utc,", NULL);
	kit_start_fails(k, "/nowhere/state", "--state=/nowhere/state", NULL);
	kit_start_fails(k, "regular", "--state=/dev/null", NULL);
}

static const struct kit_test tests[] = {
	{ "clocks", test_clocks },
	{ "defaults", test_defaults },
	{ "refused", test_refused },
	{ "alarm", test_alarm, .skip = KIT_NO_KILL },
	{ "no alarm", test_no_alarm, .skip = KIT_NO_KILL },
	{ "state", test_state },
	{ "kills", test_kills },
	{ "short buffer", test_short_buffer, .skip = KIT_NO_KILL },
	{ "no F_ALARM", test_no_feature, .features = 1ull << 24 },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
