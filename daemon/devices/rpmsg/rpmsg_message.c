/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the guest, and the name service. */
#include <string.h>

#include "rpmsg.h"

enum { NS_CREATE, NS_DESTROY };

struct ns_message {
	char name[RPMSG_NAME_BYTES];
	uint32_t address;
	uint32_t flags;
};

struct vq_chain *rpmsg_buffer(struct vq *rx, size_t payload, struct iov_cursor *head)
{
	struct vq_chain *c = rx ? vq_pop(rx) : NULL;
	size_t wanted = sizeof(struct rpmsg_header) + payload;

	if (!c)
		return NULL;
	if (iov_left(&c->in) < wanted) {
		vq_break(rx, "a receive buffer is of %zu bytes (at least %zu)", iov_left(&c->in),
			wanted);
		vq_push(c);
		return NULL;
	}
	*head = c->in;
	iov_skip(&c->in, sizeof(struct rpmsg_header));
	return c;
}

void rpmsg_send(struct vq_chain *c, struct iov_cursor *head, uint32_t source, uint32_t destination)
{
	const struct rpmsg_header header = {
		.source = htole32(source),
		.destination = htole32(destination),
		.len = htole16(iov_done(&c->in) - sizeof(header)),
	};

	iov_push(head, &header, sizeof(header));
	vq_push(c);
}

static bool tell(struct rpmsg_service *s, struct vq *rx, uint32_t flags)
{
	struct ns_message m = { .address = htole32(s->address), .flags = htole32(flags) };
	struct iov_cursor head;
	struct vq_chain *c = rpmsg_buffer(rx, sizeof(m), &head);

	if (!c)
		return false;
	memcpy(m.name, s->name, sizeof(m.name));
	iov_push(&c->in, &m, sizeof(m));
	rpmsg_send(c, &head, RPMSG_NS_ADDRESS, RPMSG_NS_ADDRESS);
	return true;
}

bool rpmsg_announce(struct rpmsg_service *s, struct vq *rx)
{
	if (!(s->r->d->driver_features & 1ull << RPMSG_F_NS))
		s->news = 0;
	if (s->news & RPMSG_NEWS_DESTROY && !tell(s, rx, NS_DESTROY))
		return false;
	s->told &= !(s->news & RPMSG_NEWS_DESTROY);
	s->news &= ~RPMSG_NEWS_DESTROY;
	if (s->news & RPMSG_NEWS_CREATE && !tell(s, rx, NS_CREATE))
		return false;
	s->told |= s->news;
	s->news = 0;
	return true;
}

void rpmsg_take_announcement(struct rpmsg_device *r, struct vq_chain *c, size_t len)
{
	struct ns_message m;
	g_autofree char *name = NULL;

	if (len != sizeof(m) || iov_pull(&c->out, &m, sizeof(m)) < sizeof(m)) {
		log_limited(&r->limit, LOG_LEVEL_WARNING, "name service",
			"a message of the guest has %zu bytes (%zu)", len, sizeof(m));
		return;
	}
	name = g_strndup(m.name, sizeof(m.name));
	log_limited(&r->limit, LOG_LEVEL_INFO, "name service", "the guest %s '%s' at %u",
		le32toh(m.flags) == NS_CREATE ? "announces" : "takes back", name,
		le32toh(m.address));
}
