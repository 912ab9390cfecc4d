/* SPDX-License-Identifier: Apache-2.0 */
/* The requests, each a row of a table. To repeat one changes nothing but that time has passed. */
#include "daemon/devices/rtc/rtc.h"

static bool has_alarms(const struct rtc_device *r)
{
	return r->d->driver_features & 1ull << RTC_F_ALARM;
}

static enum rtc_status cfg(struct rtc_device *r, struct rtc_clock *c, const union rtc_request *q,
	union rtc_response *a)
{
	a->cfg.num_clocks = htole16((uint16_t)r->n_clocks);
	return RTC_S_OK;
}

static enum rtc_status clock_cap(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	a->clock_cap.type = c->kind->type;
	a->clock_cap.smearing = c->kind->smearing;
	a->clock_cap.flags = has_alarms(r) ? RTC_FLAG_ALARM_CAP : 0;
	return RTC_S_OK;
}

/* Answers that no counter goes with a clock: how the guest's differs is not known. */
static enum rtc_status cross_cap(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	return q->clock.byte <= RTC_COUNTER_X86_TSC ? RTC_S_OK : RTC_S_EOPNOTSUPP;
}

static enum rtc_status read_cross(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	return RTC_S_EOPNOTSUPP;
}

static enum rtc_status read_clock(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	a->read.clock_reading = htole64(rtc_clock_read(c));
	return RTC_S_OK;
}

static enum rtc_status read_alarm(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	a->read_alarm.alarm_time = htole64(c->alarm.time);
	a->read_alarm.flags = c->alarm.enabled ? RTC_FLAG_ALARM_ENABLED : 0;
	return RTC_S_OK;
}

static enum rtc_status set_alarm(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	if (q->set_alarm.flags & ~RTC_FLAG_ALARM_ENABLED)
		return RTC_S_EINVAL;
	rtc_alarm_set(c, le64toh(q->set_alarm.alarm_time), q->set_alarm.flags);
	return RTC_S_OK;
}

static enum rtc_status set_alarm_enabled(struct rtc_device *r, struct rtc_clock *c,
	const union rtc_request *q, union rtc_response *a)
{
	if (q->clock.byte & ~RTC_FLAG_ALARM_ENABLED)
		return RTC_S_EINVAL;
	rtc_alarm_set(c, c->alarm.time, q->clock.byte);
	return RTC_S_OK;
}

#define ANSWER(member) sizeof(((union rtc_response *)NULL)->member)

static const struct rtc_row {
	uint16_t type;
	bool is_alarm; /* only with the feature */
	uint8_t request, response; /* bytes */
	enum rtc_status (*run)(struct rtc_device *r, struct rtc_clock *c,
		const union rtc_request *q, union rtc_response *a);
} rows[] = {
	{ RTC_REQ_READ, false, sizeof(struct rtc_clock_request), ANSWER(read), read_clock },
	/* The response is 24 bytes; it is never sent. */
	{ RTC_REQ_READ_CROSS, false, sizeof(struct rtc_clock_request), 24, read_cross },
	{ RTC_REQ_CFG, false, sizeof(struct rtc_request_head), ANSWER(cfg), cfg },
	{ RTC_REQ_CLOCK_CAP, false, sizeof(struct rtc_clock_request), ANSWER(clock_cap),
		clock_cap },
	{ RTC_REQ_CROSS_CAP, false, sizeof(struct rtc_clock_request), ANSWER(cross_cap),
		cross_cap },
	{ RTC_REQ_READ_ALARM, true, sizeof(struct rtc_clock_request), ANSWER(read_alarm),
		read_alarm },
	{ RTC_REQ_SET_ALARM, true, sizeof(struct rtc_set_alarm), ANSWER(head), set_alarm },
	{ RTC_REQ_SET_ALARM_ENABLED, true, sizeof(struct rtc_clock_request), ANSWER(head),
		set_alarm_enabled },
};

static const struct rtc_row *find_row(const struct rtc_device *r, uint16_t type)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].type == type && (!rows[i].is_alarm || has_alarms(r)))
			return &rows[i];
	}
	return NULL;
}

/* Carries out a request of which n bytes are there; room: for the response. */
static enum rtc_status run(struct rtc_device *r, const union rtc_request *q, size_t n, size_t room,
	union rtc_response *a, size_t *len)
{
	const struct rtc_row *row;
	unsigned id;

	if (n < sizeof(q->head))
		return RTC_S_EINVAL;
	row = find_row(r, le16toh(q->head.msg_type));
	if (!row)
		return RTC_S_EOPNOTSUPP;
	if (n < row->request || room < row->response)
		return RTC_S_EINVAL;
	*len = row->response;
	if (row->request == sizeof(q->head))
		return row->run(r, NULL, q, a);
	id = le16toh(row->type == RTC_REQ_SET_ALARM ? q->set_alarm.clock_id : q->clock.clock_id);
	return id < r->n_clocks ? row->run(r, &r->clock[id], q, a) : RTC_S_ENODEV;
}

bool rtc_request_serve(struct rtc_device *r, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	union rtc_response a = { 0 };
	union rtc_request request;
	size_t n, len = sizeof(a.head);

	if (!c)
		return false;
	n = iov_pull(&c->out, &request, sizeof(request));
	a.head.status = run(r, &request, n, iov_left(&c->in), &a, &len);
	iov_push(&c->in, &a, len);
	return true;
}
