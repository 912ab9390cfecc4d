/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-rtc from the inside: messages (virtio 1.4 §5.23; Linux has no header of them before
 * 6.17), clocks and their alarms. Times are nanoseconds.
 */
#pragma once

#include "daemon/device.h"

#include <time.h>

enum { RTC_F_ALARM }; /* a feature bit */

enum rtc_status {
	RTC_S_OK = 0,
	RTC_S_EOPNOTSUPP = 2,
	RTC_S_ENODEV = 3,
	RTC_S_EINVAL = 4,
	RTC_S_EIO = 5,
};

enum rtc_message {
	RTC_REQ_READ = 0x0001,
	RTC_REQ_READ_CROSS = 0x0002,
	RTC_REQ_CFG = 0x1000,
	RTC_REQ_CLOCK_CAP = 0x1001,
	RTC_REQ_CROSS_CAP = 0x1002,
	RTC_REQ_READ_ALARM = 0x1003,
	RTC_REQ_SET_ALARM = 0x1004,
	RTC_REQ_SET_ALARM_ENABLED = 0x1005,
	RTC_NOTIF_ALARM = 0x2000,
};

enum rtc_clock_type {
	RTC_CLOCK_UTC,
	RTC_CLOCK_TAI,
	RTC_CLOCK_MONOTONIC,
	RTC_CLOCK_UTC_SMEARED,
	RTC_CLOCK_UTC_MAYBE_SMEARED,
};

enum rtc_smearing { RTC_SMEAR_UNSPECIFIED, RTC_SMEAR_NOON_LINEAR, RTC_SMEAR_UTC_SLS };

enum { RTC_COUNTER_ARM_VCT, RTC_COUNTER_X86_TSC };

#define RTC_FLAG_ALARM_CAP 1
#define RTC_FLAG_ALARM_ENABLED 1

/* All are little-endian. */
struct rtc_request_head {
	uint16_t msg_type;
	uint8_t reserved[6];
};

struct rtc_response_head {
	uint8_t status;
	uint8_t reserved[7];
};

/* Of all requests about a clock but SET_ALARM; the byte is a counter or flags. */
struct rtc_clock_request {
	struct rtc_request_head head;
	uint16_t clock_id;
	uint8_t byte;
	uint8_t reserved[5];
};

struct rtc_set_alarm {
	struct rtc_request_head head;
	uint64_t alarm_time;
	uint16_t clock_id;
	uint8_t flags;
	uint8_t reserved[5];
};

union rtc_request {
	struct rtc_request_head head;
	struct rtc_clock_request clock;
	struct rtc_set_alarm set_alarm;
};

union rtc_response {
	struct rtc_response_head head;
	struct {
		struct rtc_response_head head;
		uint16_t num_clocks;
		uint8_t reserved[6];
	} cfg;
	struct {
		struct rtc_response_head head;
		uint8_t type, smearing, flags;
		uint8_t reserved[5];
	} clock_cap;
	struct {
		struct rtc_response_head head;
		uint8_t flags;
		uint8_t reserved[7];
	} cross_cap;
	struct {
		struct rtc_response_head head;
		uint64_t clock_reading;
	} read;
	struct {
		struct rtc_response_head head;
		uint64_t alarm_time;
		uint8_t flags;
		uint8_t reserved[7];
	} read_alarm;
};

struct rtc_notification {
	struct rtc_request_head head;
	uint16_t clock_id;
	uint8_t reserved[6];
};

struct rtc_device;

/* A clock that can be offered. */
struct rtc_kind {
	const char *name;
	uint8_t type, smearing;
	clockid_t host;
	clockid_t timer; /* what its alarm runs on: timerfd has no TAI */
};

/* What --state keeps in a file, in this form. */
struct rtc_alarm_state {
	uint64_t time;
	uint8_t enabled;
	uint8_t reserved[7];
};

struct rtc_clock {
	struct rtc_device *rtc;
	const struct rtc_kind *kind;
	struct rtc_alarm_state alarm;
	bool expired; /* it can do so again when the clock is set back */
	bool unreported; /* to the driver */
	struct virtio_watch timer; /* a timerfd; -1: not there yet */
};

#define RTC_MAX_CLOCKS 8

struct rtc_device {
	struct virtio_device *d;
	struct rtc_clock clock[RTC_MAX_CLOCKS];
	unsigned n_clocks;
	int state_fd; /* of --state; -1: none */
	bool begun; /* a driver has used this device */
	struct log_limit limit;
};

/* rtc_clock.c: makes the clocks of a list, "utc,tai"; NULL: what suits the host. */
bool rtc_clocks_open(struct rtc_device *r, const char *list, GError **error);
uint64_t rtc_clock_read(const struct rtc_clock *c);

/* rtc_alarm.c: makes the timers, and reads the file of --state, which may be NULL. */
bool rtc_alarms_open(struct rtc_device *r, const char *state, GError **error);
void rtc_alarms_close(struct rtc_device *r);
/* No alarm is set. */
void rtc_alarms_reset(struct rtc_device *r);
/* The alarm queue runs: alarms that have expired meanwhile are reported. */
void rtc_alarms_start(struct rtc_device *r, struct vq *q);
/* Reports what has expired, as far as there are buffers. */
void rtc_alarms_report(struct rtc_device *r);
/* Sets an alarm, or changes whether it is enabled. */
void rtc_alarm_set(struct rtc_clock *c, uint64_t time, bool enabled);

/* rtc_request.c: serves the next request; false: there is none. */
bool rtc_request_serve(struct rtc_device *r, struct vq *q);
