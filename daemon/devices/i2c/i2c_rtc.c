/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated clock, as the DS1307 is: seven registers of time, which stand still during a
 * transfer, one of control, and 56 bytes of memory. It has the host's time (UTC) until the guest
 * sets it.
 */
#include "daemon/devices/i2c/i2c_sim.h"

#include <time.h>

#include "base/number.h"
#include "base/option.h"

enum { SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, N_TIME };
#define REGISTERS 64
#define STOPPED 0x80 /* in SECOND */
#define HALF_DAY 0x40 /* in HOUR: it counts to 12, and */
#define AFTERNOON 0x20
#define MIN_TIME 946684800 /* 2000-01-01 */
#define MAX_TIME 4102444799 /* 2099-12-31 23:59:59 */

static int64_t rtc_now(const struct i2c_sim *s)
{
	return s->stopped_s >= 0 ? s->stopped_s : time(NULL) + s->ahead_s;
}

static uint8_t to_bcd(int value)
{
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static int from_bcd(uint8_t value)
{
	return (value >> 4) * 10 + (value & 15);
}

/* Shows the time of now in the registers. */
static void rtc_start(struct i2c_sim *s)
{
	time_t now = CLAMP(rtc_now(s), MIN_TIME, MAX_TIME);
	struct tm tm;

	gmtime_r(&now, &tm);
	s->bytes[SECOND] = to_bcd(tm.tm_sec) | (s->stopped_s >= 0 ? STOPPED : 0);
	s->bytes[MINUTE] = to_bcd(tm.tm_min);
	s->bytes[HOUR] = to_bcd(tm.tm_hour);
	s->bytes[WEEKDAY] = (uint8_t)(tm.tm_wday + 1);
	s->bytes[DAY] = to_bcd(tm.tm_mday);
	s->bytes[MONTH] = to_bcd(tm.tm_mon + 1);
	s->bytes[YEAR] = to_bcd(tm.tm_year - 100);
}

static int hour_of(uint8_t value)
{
	if (!(value & HALF_DAY))
		return from_bcd(value & 0x3f);
	return from_bcd(value & 0x1f) % 12 + (value & AFTERNOON ? 12 : 0);
}

/* Goes on from the time that the registers show. timegm() makes a date of any numbers. */
static void rtc_take(struct i2c_sim *s)
{
	struct tm tm = {
		.tm_sec = from_bcd(s->bytes[SECOND] & 0x7f),
		.tm_min = from_bcd(s->bytes[MINUTE] & 0x7f),
		.tm_hour = hour_of(s->bytes[HOUR]),
		.tm_mday = from_bcd(s->bytes[DAY] & 0x3f),
		.tm_mon = from_bcd(s->bytes[MONTH] & 0x1f) - 1,
		.tm_year = from_bcd(s->bytes[YEAR]) + 100,
	};
	int64_t time_s = timegm(&tm);

	s->stopped_s = s->bytes[SECOND] & STOPPED ? time_s : -1;
	s->ahead_s = time_s - time(NULL);
}

static bool rtc_write(struct i2c_sim *s, const uint8_t *data, unsigned n)
{
	bool sets_time = false;

	s->pointer = data[0] % REGISTERS;
	for (unsigned i = 1; i < n; i++) {
		sets_time |= s->pointer < N_TIME;
		s->bytes[s->pointer] = data[i];
		s->pointer = (s->pointer + 1) % REGISTERS;
	}
	if (sets_time)
		rtc_take(s);
	return true;
}

static void rtc_read(struct i2c_sim *s, uint8_t *data, unsigned n)
{
	while (n--) {
		*data++ = s->bytes[s->pointer];
		s->pointer = (s->pointer + 1) % REGISTERS;
	}
}

static bool rtc_set(
	struct i2c_sim *s, const char *key, const char *value, bool starts, GError **error)
{
	uint64_t time_s;

	if (strcmp(key, "time") != 0)
		return false;
	if (!number_parse(value, MIN_TIME, MAX_TIME, &time_s))
		return option_bad(error, "invalid time: %s (seconds of Unix time, %d to %lld)",
			value, MIN_TIME, (long long)MAX_TIME);
	s->ahead_s = (int64_t)time_s - time(NULL);
	s->stopped_s = -1;
	return true;
}

/* Has the C library read the time zone's file, which is out of reach later. */
static bool rtc_setup(struct i2c_sim *s, GError **error)
{
	tzset();
	return true;
}

const struct i2c_chip i2c_rtc = {
	.name = "rtc",
	.size = REGISTERS,
	.values = "time=SECONDS of Unix time",
	.set = rtc_set,
	.setup = rtc_setup,
	.start = rtc_start,
	.write = rtc_write,
	.read = rtc_read,
};
