/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor keeps one invariant: `left` is never more than what lies in the list from here on. So
 * only `left` is checked, once per call, and a walk of that many bytes cannot leave the list.
 */
#include "base/iov.h"

#include <glib.h>
#include <string.h>

/*
 * Returns the next bytes that lie in one piece, at most len (0 < len <= left), gone by on
 * return.
 */
static inline char *next_piece(struct iov_cursor *c, size_t len, size_t *piece)
{
	char *p;

	while (c->offset == c->iov->iov_len) {
		c->iov++;
		c->n_iov--;
		c->offset = 0;
	}
	p = (char *)c->iov->iov_base + c->offset;
	*piece = MIN(len, c->iov->iov_len - c->offset);
	c->offset += *piece;
	c->left -= *piece;
	c->done += *piece;
	return p;
}

struct iov_cursor iov_cursor(const struct iovec *iov, unsigned n, size_t bytes)
{
	struct iov_cursor c = { .iov = iov, .n_iov = n };

	for (unsigned i = 0; i < n && c.left < bytes; i++)
		c.left += MIN(iov[i].iov_len, bytes - c.left);
	return c;
}

size_t iov_pull(struct iov_cursor *c, void *to, size_t len)
{
	size_t todo = MIN(len, c->left), piece;

	len = todo;
	for (char *p = to; todo; p += piece, todo -= piece) {
		const char *from = next_piece(c, todo, &piece);

		memcpy(p, from, piece);
	}
	return len;
}

size_t iov_push(struct iov_cursor *c, const void *from, size_t len)
{
	size_t todo = MIN(len, c->left), piece;

	len = todo;
	for (const char *p = from; todo; p += piece, todo -= piece) {
		char *to = next_piece(c, todo, &piece);

		memcpy(to, p, piece);
	}
	return len;
}

size_t iov_push_zeroes(struct iov_cursor *c, size_t len)
{
	size_t todo = MIN(len, c->left), piece;

	len = todo;
	for (; todo; todo -= piece) {
		char *to = next_piece(c, todo, &piece);

		memset(to, 0, piece);
	}
	return len;
}

size_t iov_skip(struct iov_cursor *c, size_t len)
{
	size_t todo = MIN(len, c->left), piece;

	len = todo;
	for (; todo; todo -= piece)
		next_piece(c, todo, &piece);
	return len;
}

size_t iov_peek(
	const struct iov_cursor *c, size_t len, struct iovec *iov, unsigned max, unsigned *n)
{
	struct iov_cursor ahead = *c;
	size_t todo = MIN(len, c->left), piece;

	for (*n = 0; todo && *n < max; todo -= piece) {
		char *p = next_piece(&ahead, todo, &piece);

		iov[(*n)++] = (struct iovec){ .iov_base = p, .iov_len = piece };
	}
	return c->left - ahead.left;
}

bool iov_split_tail(struct iov_cursor *c, size_t len, struct iov_cursor *tail)
{
	if (len > c->left)
		return false;
	*tail = *c;
	iov_skip(tail, c->left - len);
	tail->done = 0;
	c->left -= len;
	return true;
}

void iov_join_tail(struct iov_cursor *c, const struct iov_cursor *tail)
{
	if (c->left == 0)
		c->done += tail->done;
}
