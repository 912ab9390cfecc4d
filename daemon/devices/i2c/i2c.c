/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-i2c (virtio 1.2 §5.15): an adapter whose devices are some of the host's adapters', or
 * simulated.
 *
 * A transfer (a register's number written, its contents read) is a group of requests, each but the
 * last with FAIL_NEXT. It is carried out as one, so it is taken from the queue only as a whole.
 * Drivers make the requests available one by one, and the rest of a group may not be there yet. It
 * never comes if a group is longer than the vring (Linux then lets the rest out): so the wait is
 * limited.
 *
 * What a transfer does cannot be undone, nor, if a back-end died during it, be known: its requests
 * fail then, and are not carried out again.
 */
#include "daemon/device.h"

#include <linux/i2c-dev.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_ids.h>

#include "base/option.h"
#include "daemon/devices/i2c/i2c.h"

#define GROUP_WAIT_US 10000

struct i2c {
	struct virtio_device *d;
	struct i2c_map map;
	struct virtio_timer rest; /* of a group */
	bool has_waited; /* for it: what is there is carried out */
	bool fails_next; /* the group goes on with the next request, and has failed */
	struct log_limit limit;
	/* The requests of a group. */
	unsigned n;
	struct i2c_request {
		struct vq_chain *c;
		uint8_t *status; /* in guest memory: written only */
		bool valid, more; /* more: FAIL_NEXT */
		struct i2c_message m;
	} request[I2C_MAX_MESSAGES];
	uint8_t data[I2C_MAX_MESSAGES][I2C_MAX_BYTES];
};

static struct {
	char *device_list;
	char **sims;
	bool force;
} options;

/* Fills in a message from a request. Returns false if it is none that can be carried out. */
static bool i2c_parse(struct i2c *i, struct i2c_request *r)
{
	struct virtio_i2c_out_hdr h = { 0 };
	struct vq_chain *c = r->c;
	bool whole = iov_pull(&c->out, &h, sizeof(h)) == sizeof(h);
	uint16_t address = le16toh(h.addr);
	uint32_t flags = le32toh(h.flags);
	struct iov_cursor *data, *none;

	r->more = flags & VIRTIO_I2C_FLAGS_FAIL_NEXT;
	r->m.read = flags & VIRTIO_I2C_FLAGS_M_RD;
	r->m.address = (uint8_t)(address >> 1);
	data = r->m.read ? &c->in : &c->out;
	none = r->m.read ? &c->out : &c->in;
	if (!whole || vq_is_retry(c) || iov_left(none) || iov_left(data) > I2C_MAX_BYTES ||
		flags & ~(VIRTIO_I2C_FLAGS_FAIL_NEXT | VIRTIO_I2C_FLAGS_M_RD) || address & 1 ||
		address >> 1 >= I2C_ADDRESSES || !i->map.of[r->m.address])
		return false;
	r->m.len = (uint16_t)iov_left(data);
	if (!r->m.read)
		iov_pull(data, r->m.data, r->m.len);
	return true;
}

/* Takes one more request of the group. Returns false if there is none, or the queue is broken. */
static bool i2c_take(struct i2c *i, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct i2c_request *r = &i->request[i->n];

	if (!c)
		return false;
	*r = (struct i2c_request){ .c = c, .m.data = i->data[i->n] };
	r->status = iov_split_last(&c->in);
	if (!r->status) {
		vq_break(q, "request has no room for a status");
		return false;
	}
	r->valid = i2c_parse(i, r);
	i->n++;
	g_steal_pointer(&c);
	return true;
}

/* Returns how many requests of the group have succeeded: the first ones. */
static unsigned i2c_run(struct i2c *i)
{
	unsigned valid = 0, done = 0;

	while (valid < i->n && i->request[valid].valid)
		valid++;
	while (done < valid) {
		struct i2c_bus *b = i->map.of[i->request[done].m.address];
		struct i2c_message m[I2C_MAX_MESSAGES];
		unsigned n = 0, ok;

		for (; done + n < valid && i->map.of[i->request[done + n].m.address] == b; n++)
			m[n] = i->request[done + n].m;
		ok = b->ops->transfer(b, m, n);
		done += ok;
		if (ok < n)
			break;
	}
	return done;
}

static void i2c_answer(struct i2c_request *r, bool ok)
{
	struct iov_cursor *in = &r->c->in;

	if (ok && r->m.read)
		iov_push(in, r->m.data, r->m.len);
	else
		iov_push_zeroes(in, iov_left(in));
	iov_put_last(in, r->status, ok ? VIRTIO_I2C_MSG_OK : VIRTIO_I2C_MSG_ERR);
	vq_push(r->c);
}

static void i2c_put_back(struct i2c *i)
{
	while (i->n)
		vq_unpop(i->request[--i->n].c);
}

/* Tells whether the driver lacks what §5.15.3 makes mandatory: its requests fail then. */
static bool i2c_is_rejected(struct i2c *i, struct vq *q)
{
	if (vq_features(q) & 1ull << VIRTIO_I2C_F_ZERO_LENGTH_REQUEST)
		return false;
	log_limited(&i->limit, LOG_LEVEL_WARNING, vq_name(q),
		"requests fail: the driver has not negotiated ZERO_LENGTH_REQUEST");
	return true;
}

/* Serves one group; returns false if nothing more can be done now. */
static bool i2c_serve(struct i2c *i, struct vq *q)
{
	bool more = true;
	unsigned ok = 0;

	i->n = 0;
	while (more && i->n < I2C_MAX_MESSAGES && i2c_take(i, q))
		more = i->request[i->n - 1].more;
	if (!i->n)
		return false;
	if (more && i->n < I2C_MAX_MESSAGES && !i->has_waited) {
		i2c_put_back(i);
		virtio_timer(i->d, q, &i->rest, g_get_monotonic_time() + GROUP_WAIT_US);
		return false;
	}
	virtio_timer(i->d, q, &i->rest, -1);
	if (!i->fails_next && !i2c_is_rejected(i, q))
		ok = i2c_run(i);
	i->fails_next = more && ok < i->n;
	for (unsigned n = 0; n < i->n; n++)
		i2c_answer(&i->request[n], n < ok);
	return true;
}

static void i2c_kick(struct virtio_device *d, struct vq *q)
{
	while (i2c_serve(d->data, q))
		;
}

static void i2c_waited(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct i2c *i = d->data;

	i->has_waited = true;
	i2c_kick(d, q);
	i->has_waited = false;
}

static void i2c_reset(struct virtio_device *d)
{
	((struct i2c *)d->data)->fails_next = false;
}

static bool i2c_open(struct virtio_device *d, GError **error)
{
	struct i2c *i = d->data = g_new0(struct i2c, 1);

	i->d = d;
	i->rest.expired = i2c_waited;
	d->num_queues = 1;
	if (!options.device_list && !options.sims)
		return option_bad(error,
			"--device-list=LIST or --sim=CHIP is missing: no I2C "
			"device to serve");
	if (options.device_list &&
		!i2c_dev_open(&i->map, options.device_list, options.force, error)) {
		g_prefix_error(error, "--device-list=%s: ", options.device_list);
		return false;
	}
	for (char **sim = options.sims; sim && *sim; sim++) {
		if (!i2c_sim_open(&i->map, *sim, error)) {
			g_prefix_error(error, "--sim=%s: ", *sim);
			return false;
		}
	}
	return true;
}

static void i2c_close(struct virtio_device *d)
{
	struct i2c *i = g_steal_pointer(&d->data);

	i2c_map_clear(&i->map);
	g_free(i);
	g_clear_pointer(&options.device_list, g_free);
	g_clear_pointer(&options.sims, g_strfreev);
}

static const struct option_entry i2c_options[] = {
	{ "device-list", "LIST", .string = &options.device_list,
		.help = "Devices of the host: BUS:ADDRESS[:ADDRESS...],..." },
	{ "force", .flag = &options.force,
		.help = "Let the guest use devices that a driver of the host uses" },
	{ "sim", "CHIP@ADDRESS", .paths = &options.sims,
		.help = "Simulate a chip: eeprom, rtc or tmp; [,KEY=VALUE...] may follow" },
	{ NULL },
};

static bool i2c_call_set(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct i2c *i = d->data;

	return i2c_sim_change(i->map.of[args[0].number], args[1].text, args[2].text, error);
}

static const struct virtio_method i2c_methods[] = {
	{
		.name = "set",
		.summary = "Set a value of a simulated chip: address=0x48 key=celsius value=30",
		.params = {
			{ "address", VIRTIO_PARAM_NUMBER, .max = I2C_ADDRESSES - 1 },
			{ "key", VIRTIO_PARAM_TEXT },
			{ "value", VIRTIO_PARAM_TEXT },
		},
		.call = i2c_call_set,
	},
	{ NULL },
};

static const struct syscall_rule i2c_calls[] = {
	SYSCALL_IOCTL(I2C_RDWR),
	SYSCALL_IOCTL(I2C_SMBUS),
	SYSCALL_IOCTL(I2C_SLAVE),
	SYSCALL_IOCTL(I2C_SLAVE_FORCE),
	SYSCALL(pwrite64),
	SYSCALL_END,
};

static const struct virtio_device_needs i2c_needs = { .calls = i2c_calls };

const struct virtio_device_ops virtio_device_ops = {
	.name = "i2c",
	.summary = "virtio I2C adapter with devices of the host, or simulated ones",
	.probe = {
		.device_id = VIRTIO_ID_I2C_ADAPTER,
		.features = 1ull << VIRTIO_I2C_F_ZERO_LENGTH_REQUEST,
		.min_queues = 1,
		.max_queues = 1,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.prefers_split = true,
	.options = i2c_options,
	.methods = i2c_methods,
	.needs = &i2c_needs,
	.open = i2c_open,
	.close = i2c_close,
	.reset = i2c_reset,
	.kick = i2c_kick,
};
