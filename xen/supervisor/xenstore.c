/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses xenstore by libxenstore. */
#include "xen/supervisor/xenstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <xenstore.h>

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"

#define MAX_NAMES 4096
/* A transaction fails (EAGAIN) when anything was changed meanwhile. */
#define TRIES 100

struct xenstore {
	struct xs_handle *xs;
	struct loop_watch *watch; /* NULL: the connection is lost */
	void (*changed)(void *opaque, const char *path);
	void *opaque;
};

/* What libxenstore allocates. */
typedef void xs_memory;
static void xs_memory_free(xs_memory *p)
{
	free(p);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xs_memory, xs_memory_free)

static bool fail(GError **error, int err, const char *what, const char *path)
{
	error_errno(error, err, "xenstore: %s '%s'", what, path);
	return false;
}

/* Reads events until there is none: the fd shows that there are some, not how many. */
static void on_readable(void *opaque, uint32_t revents)
{
	struct xenstore *s = opaque;

	for (;;) {
		g_autoptr(xs_memory) event = xs_check_watch(s->xs);

		if (!event)
			break;
		s->changed(s->opaque, ((char **)event)[XS_WATCH_PATH]);
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	log_error("xenstore", "the connection is lost, changes are no longer seen: %s",
		g_strerror(errno));
	loop_watch_free(s->watch);
	s->watch = NULL;
}

struct xenstore *xenstore_open(
	void (*changed)(void *opaque, const char *path), void *opaque, GError **error)
{
	struct xs_handle *xs = xs_open(0);
	struct xenstore *s;

	if (!xs) {
		error_errno(error, errno, "cannot connect to xenstore");
		return NULL;
	}
	s = g_new(struct xenstore, 1);
	*s = (struct xenstore){ .xs = xs, .changed = changed, .opaque = opaque };
	s->watch = loop_watch_fd(xs_fileno(xs), EPOLLIN, on_readable, s);
	return s;
}

void xenstore_free(struct xenstore *s)
{
	if (!s)
		return;
	loop_watch_free(s->watch);
	xs_close(s->xs);
	g_free(s);
}

bool xenstore_watch(struct xenstore *s, const char *path, GError **error)
{
	return xs_watch(s->xs, path, path) || fail(error, errno, "cannot watch", path);
}

void xenstore_unwatch(struct xenstore *s, const char *path)
{
	xs_unwatch(s->xs, path, path);
}

static bool is_text(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return false;
	}
	return true;
}

char *xenstore_read(struct xenstore *s, const char *path, size_t max, GError **error)
{
	unsigned len;
	g_autoptr(xs_memory) value = xs_read(s->xs, XBT_NULL, path, &len);

	if (!value) {
		fail(error, errno, "cannot read", path);
		return NULL;
	}
	if (len > max) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"xenstore: '%s' has %u bytes, at most %zu are allowed", path, len, max);
		return NULL;
	}
	if (!is_text(value, len)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"xenstore: the value of '%s' is not text", path);
		return NULL;
	}
	return g_strndup(value, len);
}

char **xenstore_list(struct xenstore *s, const char *path, GError **error)
{
	unsigned n;
	g_autoptr(xs_memory) names = xs_directory(s->xs, XBT_NULL, path, &n);
	char **list;

	if (!names) {
		fail(error, errno, "cannot list", path);
		return NULL;
	}
	if (n > MAX_NAMES) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"xenstore: '%s' has %u nodes, at most %u are allowed", path, n, MAX_NAMES);
		return NULL;
	}
	list = g_new0(char *, n + 1);
	for (unsigned i = 0; i < n; i++)
		list[i] = g_strdup(((char **)names)[i]);
	return list;
}

/* Makes one attempt, if the node beside exists. Returns 0 or an errno. */
static int try_write(struct xs_handle *xs, const char *path, const char *beside, const char *value)
{
	xs_transaction_t t = xs_transaction_start(xs);
	g_autoptr(xs_memory) old = NULL;
	unsigned len;
	int err = 0;

	if (!t)
		return errno;
	old = xs_read(xs, t, beside, &len);
	if (!old || !xs_write(xs, t, path, value, strlen(value)))
		err = errno;
	if (!xs_transaction_end(xs, t, err) && !err)
		err = errno;
	return err;
}

bool xenstore_write(
	struct xenstore *s, const char *path, const char *beside, const char *value, GError **error)
{
	int err = EAGAIN;

	for (int i = 0; i < TRIES && err == EAGAIN; i++)
		err = try_write(s->xs, path, beside, value);
	return !err || fail(error, err, "cannot change", path);
}

bool xenstore_update(struct xenstore *s, const char *path, const char *value, GError **error)
{
	return xenstore_write(s, path, path, value, error);
}

bool xenstore_has_domain(struct xenstore *s, unsigned domid)
{
	return xs_is_domain_introduced(s->xs, domid);
}
