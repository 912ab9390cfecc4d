/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rpmsg: many messages, and a load over kills. argv[2]: how many of these. */
#include "test_rpmsg.h"

#define BYTES (1u << 20)
#define DEPTH 16
#define PART 496

/* 1 MiB comes back in order. */
static void test_bulk(struct kit *k)
{
	struct kit_request *out[DEPTH], *in[DEPTH];
	uint8_t part[PART];

	kit_start(k, NULL);
	check_announcement(k, give_buffer(k), "rpmsg-raw", 1024, 0);
	for (size_t n = 0; n < BYTES / PART; n++) {
		unsigned i = n % DEPTH;

		if (n >= DEPTH) {
			fill(part, PART, (n - DEPTH) * PART);
			check_message(k, in[i], 1024, ME, part, PART);
			kit_wait(k, out[i]);
			kit_add_again(k, in[i]);
			kit_kick(k, RPMSG_RX);
			fill(out[i]->out + sizeof(struct rpmsg_header), PART, n * PART);
			kit_add_again(k, out[i]);
			kit_kick(k, RPMSG_TX);
		} else {
			in[i] = give_buffer(k);
			fill(part, PART, n * PART);
			out[i] = send_message(k, ME, 1024, part, PART);
		}
	}
}

static struct kit_request *add(struct kit *k, unsigned port, const void *record, size_t len)
{
	return add_message(k, ME, 1024 + port, record, len);
}

static void test_load(struct kit *k)
{
	struct load_port ports[] = {
		{ "a", RPMSG_TX, LOAD_FILE, .max = PART, .add = add },
		{ "b", RPMSG_TX, LOAD_READ, .max = PART, .add = add },
		{ "c", RPMSG_TX, LOAD_STUCK, .max = PART, .add = add },
	};

	kit_start(k, spec(k, "--service=a,backend=file:%s", "a"),
		spec(k, "--service=b,backend=unix:%s", "b"),
		spec(k, "--service=c,backend=unix:%s", "c"), NULL);
	run_load(k, ports, G_N_ELEMENTS(ports));
}

static const struct kit_test tests[] = {
	{ "bulk", test_bulk, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "load", test_load, .skip = KIT_NO_PAUSE | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
