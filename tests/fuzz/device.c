/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's device, served in this thread: requests of any bytes and lengths, which the ring
 * engine has checked, resets, pauses, configuration writes, messages of its own.
 *
 * FUZZ_OPTIONS: its options, for each of the ways to run it: "--a=%;--b", '%' a file of 64 KiB,
 * "|" between ways. An input chooses one.
 */
#include "tests/lib/test.h"

#include "tests/fuzz/fuzz.h"
#include "tests/lib/kit_core.h"

#define FILE_SIZE 65536
#define MAX_OUT 2048

static struct kit_core *core;
static char *file, **ways;

static void setup(void)
{
	g_auto(GStrv) parts = g_strsplit(FUZZ_OPTIONS, "%", -1);
	g_autofree char *options = NULL;

	file = fuzz_path("file");
	options = g_strjoinv(file, parts);
	ways = g_strsplit(*options ? options : ";", "|", -1);
}

static void reap_all(void)
{
	void *token;
	uint32_t len;

	for (unsigned i = 0; i < core->n_queues; i++)
		while (kit_core_reap(core, i, &token, &len))
			;
}

/* Cuts len bytes in up to three pieces. */
static unsigned cut(struct fuzz_input *in, uint64_t addr, uint32_t len, struct driver_buf *to)
{
	unsigned n = 0, pieces = len ? 1 + fuzz_u8(in) % 3 : 0;

	while (pieces--) {
		uint32_t part = pieces ? MIN(fuzz_u8(in), len) : len;

		if (!part)
			continue;
		to[n++] = (struct driver_buf){ addr, part };
		addr += part;
		len -= part;
	}
	return n;
}

static void act_request(struct fuzz_input *in)
{
	unsigned queue = fuzz_below(in, core->n_queues), n_out, n_in;
	uint32_t out = fuzz_u16(in) % MAX_OUT;
	uint32_t room = fuzz_u16(in);
	struct driver_buf buf[6];
	uint64_t out_at, in_at;

	out_at = driver_mem_alloc(core->mem, out + 1, 16);
	in_at = driver_mem_alloc(core->mem, room + 1, 16);
	if (!out_at || !in_at)
		return;
	n_out = cut(in, out_at, out, buf);
	n_in = cut(in, in_at, room, buf + n_out);
	fuzz_copy(in, kit_core_host(core, out_at), out);
	if (n_out + n_in)
		driver_ring_add(core->queue[queue].ring, buf, n_out, n_in, &buf);
	if (fuzz_u8(in) % 4)
		kit_core_kick(core, queue);
	reap_all();
}

static void act_step(struct fuzz_input *in)
{
	kit_core_step(core, 0);
	reap_all();
}

static void act_pause(struct fuzz_input *in)
{
	kit_core_stop(core);
	kit_core_resume(core);
}

static void act_reset(struct fuzz_input *in)
{
	kit_core_reset(core);
}

static void act_config(struct fuzz_input *in)
{
	const struct virtio_config_range *r = virtio_device_ops.config_writable;
	uint8_t which = fuzz_u8(in);

	for (unsigned i = 0; r && r[i].size; i++) {
		if (i != which)
			continue;
		fuzz_copy(in, core->device.config + r[i].offset, r[i].size);
		kit_core_begin(core, NULL);
		virtio_device_ops.config_written(&core->device, r[i].offset, r[i].size);
		kit_core_end(core, NULL);
	}
}

/* Loads what another version of the device, or an attacker, has saved. */
static void act_load(struct fuzz_input *in)
{
	const struct virtio_device_wire *wire = virtio_device_ops.wire;
	struct fuzz_input part = fuzz_part(in, fuzz_u16(in));

	if (!wire || !wire->load)
		return;
	kit_core_stop(core);
	wire->load(&core->device, part.at, part.end - part.at, NULL);
	kit_core_resume(core);
}

static bool open_device(struct fuzz_input *in)
{
	g_auto(GStrv) o = g_strsplit(ways[fuzz_below(in, g_strv_length(ways))], ";", 4);
	const char *a[4];
	unsigned n = 0;
	g_autofree char *content = g_malloc0(FILE_SIZE);

	g_assert_true(g_file_set_contents(file, content, FILE_SIZE, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(a); i++)
		a[i] = o[n] && *o[n] ? o[n++] : NULL;
	return kit_core_open(core, NULL, a[0], a[1], a[2], a[3], NULL);
}

static void run(struct fuzz_input *in)
{
	static void (*const actions[])(struct fuzz_input * in) = { act_request, act_request,
		act_request, act_step, act_pause, act_reset, act_config, act_load };
	void *state;

	kit_core_setup(&state);
	core = state;
	if (open_device(in)) {
		kit_core_start(core, core->device.features | (fuzz_u64(in) & KIT_RING_FEATURES));
		while (fuzz_more(in))
			actions[fuzz_below(in, G_N_ELEMENTS(actions))](in);
	}
	g_assert_cmpint(kit_core_teardown(&state), ==, 0);
}

FUZZ_TARGET(device, .setup = setup, .run = run);
