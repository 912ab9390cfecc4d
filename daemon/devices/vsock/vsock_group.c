/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between guests of a group. Each guest's program listens at GROUP_CID, by the guest's
 * address, and for SOCK_SEQPACKET at GROUP_seqpacket_CID. One that connects there says "CONNECT
 * PORT FROM CID PORT\n" - to which port of that guest, and by whom - and gets "OK PORT\n" once the
 * guest has accepted. What follows is data.
 */
#include "daemon/devices/vsock/vsock.h"

#include <errno.h>
#include <stdio.h>

#include "base/number.h"
#include "base/sock.h"

/* A bit longer than the sibling's program waits for its guest. */
#define ANSWER_US 5000000

bool vsock_is_sibling(const struct vsock *v, uint64_t cid)
{
	unsigned i = 0;

	while (i < v->n_forward && v->forward[i] != cid)
		i++;
	return v->group && i == v->n_forward && cid > VSOCK_HOST_CID && cid < UINT32_MAX &&
		cid != v->guest_cid;
}

void vsock_group_greet(struct vsock_conn *c)
{
	char line[VSOCK_MAX_LINE];
	int n = snprintf(line, sizeof(line), "CONNECT %u FROM %u %u\n", c->key.host_port,
		c->v->guest_cid, c->key.guest_port);

	if (sock_send_some(c->watch.fd, line, (size_t)n) != n) {
		vsock_conn_reset(c);
		return;
	}
	c->state = VSOCK_GREETING;
	vsock_set_timer(c, ANSWER_US);
}

void vsock_group_answered(struct vsock_conn *c, bool hung_up)
{
	char line[VSOCK_MAX_LINE + 1];

	if (!vsock_listen_read_line(c, line)) {
		if (errno == EAGAIN && !hung_up)
			return;
		c->v->count.refused++;
		vsock_conn_reset(c);
		return;
	}
	if (!g_str_has_prefix(line, "OK ")) {
		c->v->count.refused++;
		vsock_conn_reset(c);
		return;
	}
	/* What it sends next may be there already. */
	c->hung_up |= hung_up;
	vsock_dial_open_now(c);
}

static bool is_word(const char *word, const char *wanted)
{
	return g_strcmp0(word, wanted) == 0;
}

bool vsock_group_parse(struct vsock *v, const char *line, struct vsock_key *key)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 6);
	uint64_t guest_port, cid, port;

	if (g_strv_length(words) != 5 || !is_word(words[0], "CONNECT") ||
		!is_word(words[2], "FROM") ||
		!number_parse(words[1], 0, UINT32_MAX - 1, &guest_port) ||
		!number_parse(words[3], 0, UINT32_MAX - 1, &cid) ||
		!number_parse(words[4], 0, UINT32_MAX - 1, &port) || !vsock_is_sibling(v, cid))
		return false;
	*key = (struct vsock_key){ cid, (uint32_t)guest_port, (uint32_t)port };
	return !vsock_conn_find(v, key);
}
