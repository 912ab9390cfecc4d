/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks: which there are, and what they show. */
#include <sys/timex.h>

#include "base/option.h"
#include "daemon/devices/rtc/rtc.h"

static const struct rtc_kind kinds[] = {
	{ "utc", RTC_CLOCK_UTC, 0, CLOCK_REALTIME, CLOCK_REALTIME },
	{ "tai", RTC_CLOCK_TAI, 0, CLOCK_TAI, CLOCK_REALTIME },
	{ "monotonic", RTC_CLOCK_MONOTONIC, 0, CLOCK_BOOTTIME, CLOCK_BOOTTIME },
	{ "smeared", RTC_CLOCK_UTC_SMEARED, 0, CLOCK_REALTIME, CLOCK_REALTIME },
	{ "noon-linear", RTC_CLOCK_UTC_SMEARED, RTC_SMEAR_NOON_LINEAR, CLOCK_REALTIME,
		CLOCK_REALTIME },
	{ "utc-sls", RTC_CLOCK_UTC_SMEARED, RTC_SMEAR_UTC_SLS, CLOCK_REALTIME, CLOCK_REALTIME },
	{ "maybe-smeared", RTC_CLOCK_UTC_MAYBE_SMEARED, 0, CLOCK_REALTIME, CLOCK_REALTIME },
};

static const struct rtc_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* Tells whether the kernel knows how far TAI is ahead of UTC; an NTP daemon may have told it. */
static bool knows_tai(void)
{
	struct timex t = { 0 };

	return adjtimex(&t) >= 0 && t.tai > 0;
}

static bool add(struct rtc_device *r, const char *name, GError **error)
{
	const struct rtc_kind *kind = find_kind(name);

	if (!kind)
		return option_bad(error,
			"invalid clock: %s (utc, tai, monotonic, smeared, "
			"noon-linear, utc-sls or "
			"maybe-smeared)",
			name);
	for (unsigned i = 0; i < r->n_clocks; i++) {
		if (r->clock[i].kind == kind)
			return option_bad(error, "clock %s is given twice", name);
	}
	if (kind->type == RTC_CLOCK_TAI && !knows_tai())
		return option_bad(
			error, "the kernel does not know TAI's offset (an NTP daemon can tell it)");
	r->clock[r->n_clocks++] = (struct rtc_clock){ .rtc = r, .kind = kind, .timer.fd = -1 };
	return true;
}

bool rtc_clocks_open(struct rtc_device *r, const char *list, GError **error)
{
	g_auto(GStrv) names = NULL;

	G_STATIC_ASSERT(G_N_ELEMENTS(kinds) <= RTC_MAX_CLOCKS);
	/* TAI comes last: the others keep their numbers if the kernel forgets its offset. */
	if (!list)
		list = knows_tai() ? "maybe-smeared,monotonic,tai" : "maybe-smeared,monotonic";
	names = g_strsplit(list, ",", -1);
	for (unsigned i = 0; names[i]; i++) {
		if (!add(r, names[i], error))
			return false;
	}
	return true;
}

uint64_t rtc_clock_read(const struct rtc_clock *c)
{
	struct timespec t;

	clock_gettime(c->kind->host, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
