/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks, in nanoseconds since 1970.
 *
 *	tool now		prints the system's time
 *	tool compare CLOCK N	asks for the host's time N times and compares it with the PTP clock
 *	tool alarm RTC		sets an alarm and waits for it
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ptp_clock.h>
#include <linux/rtc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ll
#define MS (NS / 1000)
#define SAMPLES 10
#define FRESH_MS 10
#define ALARM_SECONDS 2
#define PATIENCE_MS 120000

static void now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	printf("%" PRId64 "\n", (int64_t)(t.tv_sec * NS + t.tv_nsec));
}

static int64_t ns(const struct ptp_clock_time *t)
{
	return t->sec * NS + t->nsec;
}

/* Returns the clock's time; *least: made less if a read took less. */
static int64_t read_clock(int fd, int64_t *least)
{
	struct ptp_sys_offset_extended o = { .n_samples = SAMPLES };
	int64_t last = 0;

	if (ioctl(fd, PTP_SYS_OFFSET_EXTENDED, &o) < 0)
		err(1, "reading the clock");
	for (unsigned i = 0; i < SAMPLES; i++) {
		int64_t took = ns(&o.ts[i][2]) - ns(&o.ts[i][0]);

		if (ns(&o.ts[i][1]) < last)
			errx(1, "the clock goes back");
		last = ns(&o.ts[i][1]);
		if (took < *least)
			*least = took;
	}
	return last;
}

/*
 * Fails if the clock, before the host looked at its own, was ahead of that, or is behind it later,
 * by more than a millisecond: it is fast by at least "low", and at most "high", which are as far
 * apart as the host's answer takes. And a time that is read has to be fresh, by the guest's own
 * clock, as far as an emulated machine can tell: there, a read may take more than a millisecond.
 */
static void compare(const char *path, unsigned n)
{
	int64_t low = INT64_MIN, high = INT64_MAX, least = INT64_MAX, host;
	int fd = open(path, O_RDWR);

	if (fd < 0)
		err(1, "%s", path);
	for (unsigned i = 0; i < n; i++) {
		int64_t before = read_clock(fd, &least), after;

		puts("@ host rtc now");
		if (scanf(" 0 %" SCNd64, &host) != 1)
			errx(1, "no answer from the host");
		after = read_clock(fd, &least);
		low = before - host > low ? before - host : low;
		high = after - host < high ? after - host : high;
	}
	warnx("fast by %" PRId64 " to %" PRId64 " us, read in %" PRId64 " us", low / 1000,
		high / 1000, least / 1000);
	if (low > MS || high < -MS || least > FRESH_MS * MS)
		exit(1);
}

/* Returns the time of an RTC, in seconds since 1970. */
static time_t read_rtc(int fd)
{
	struct tm t = { 0 };
	struct rtc_time r;

	if (ioctl(fd, RTC_RD_TIME, &r) < 0)
		err(1, "RTC_RD_TIME");
	t = (struct tm){ r.tm_sec, r.tm_min, r.tm_hour, r.tm_mday, r.tm_mon, r.tm_year };
	return timegm(&t);
}

static void set_alarm(int fd, time_t at)
{
	struct rtc_wkalrm w = { .enabled = 1 };
	struct tm t;

	gmtime_r(&at, &t);
	w.time = (struct rtc_time){ t.tm_sec, t.tm_min, t.tm_hour, t.tm_mday, t.tm_mon, t.tm_year };
	if (ioctl(fd, RTC_WKALM_SET, &w) < 0)
		err(1, "RTC_WKALM_SET");
}

static void wait_alarm(const char *path)
{
	struct pollfd p = { .fd = open(path, O_RDONLY), .events = POLLIN };
	unsigned long what = 0;
	time_t at;

	if (p.fd < 0)
		err(1, "%s", path);
	at = read_rtc(p.fd) + ALARM_SECONDS;
	set_alarm(p.fd, at);
	if (poll(&p, 1, PATIENCE_MS) != 1 || read(p.fd, &what, sizeof(what)) != sizeof(what) ||
		!(what & RTC_AF))
		errx(1, "no alarm");
	if (read_rtc(p.fd) < at)
		errx(1, "the alarm is early");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "now") == 0)
		now();
	else if (argc == 4 && strcmp(argv[1], "compare") == 0)
		compare(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "alarm") == 0)
		wait_alarm(argv[2]);
	else
		errx(2, "usage: tool now|compare|alarm [CLOCK [N]]");
	return 0;
}
