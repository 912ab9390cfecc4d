/* SPDX-License-Identifier: Apache-2.0 */
/* The entropy device (virtio 1.2 §5.4). */
#include <linux/virtio_ids.h>

#include "tools/check/cases.h"
#include "tools/check/session.h"

#define SIZE 16
#define ROOM 131072

static struct check_queue *open_rng(struct check *k, uint64_t *addr, uint8_t **host)
{
	struct check_queue *q = session_start(k, session_basic_features(k), SIZE);

	if (check_over(k))
		return NULL;
	*addr = driver_mem_alloc(k->mem, ROOM, 4096);
	*host = driver_mem_host(k->mem, *addr, ROOM);
	return q;
}

/* Expects at least one byte in a buffer of arg bytes, and none behind it. */
static void run_fill(struct check *k)
{
	uint32_t n = (uint32_t)k->c->arg, len;
	struct driver_buf buf;
	uint8_t *host;
	struct check_queue *q = open_rng(k, &buf.addr, &host);

	buf.len = n;
	len = data_exchange(k, q, &buf, 0, 1);
	if (check_over(k))
		return;
	check_that(k, len > 0, "no random byte");
	for (uint32_t i = n; i < n + 64; i++)
		check_equal(k, "a byte behind the buffer", host[i], 0);
}

/* Makes a request of several buffers. */
static void run_buffers(struct check *k)
{
	struct driver_buf buf[4];
	uint64_t addr;
	uint8_t *host;
	struct check_queue *q = open_rng(k, &addr, &host);

	for (unsigned i = 0; i < G_N_ELEMENTS(buf); i++)
		buf[i] = (struct driver_buf){ addr + i * 4096, 33 };
	if (!check_over(k))
		check_that(k, data_exchange(k, q, buf, 0, G_N_ELEMENTS(buf)) > 0 || check_over(k),
			"no random byte");
}

/* Requires that two requests do not return the same bytes. */
static void run_differs(struct check *k)
{
	uint8_t *host;
	struct driver_buf buf = { .len = 32 };
	struct check_queue *q = open_rng(k, &buf.addr, &host);
	uint8_t first[32];
	uint32_t len = data_exchange(k, q, &buf, 0, 1);

	if (check_over(k))
		return;
	memcpy(first, host, sizeof(first));
	len = MIN(len, data_exchange(k, q, &buf, 0, 1));
	if (!check_over(k) && len >= 16 && memcmp(first, host, 16) == 0)
		check_fail(k, "the same bytes twice");
}

#define OPERATION "virtio 1.2 §5.4.6.2 Device Requirements: Device Operation"
#define RNG .device = VIRTIO_ID_RNG, .needs = CHECK_DATA

const struct check_case check_rng[] = {
	{ "rng-fill-1", OPERATION, run_fill, RNG, .arg = 1 },
	{ "rng-fill-64", OPERATION, run_fill, RNG, .arg = 64 },
	{ "rng-fill-64K", OPERATION, run_fill, RNG, .arg = 65536 },
	{ "rng-buffers", OPERATION, run_buffers, RNG },
	{ "rng-differs", OPERATION, run_differs, RNG },
	{ NULL },
};
