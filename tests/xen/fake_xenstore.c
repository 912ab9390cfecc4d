/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_xenstore.h. */
#include "fake_xenstore.h"

#include <string.h>

#include "base/loop.h"

struct xenstore {
	void (*changed)(void *opaque, const char *path);
	void *opaque;
	GPtrArray *watched; /* paths, as given */
	GQueue events; /* paths, to be told */
	struct loop_watch *soon; /* NULL: no events */
};

static GTree *nodes; /* path -> GBytes */
static struct xenstore *open_store;
static char *fail_path;
static GFileError fail_code;

static const char *relative(const char *path)
{
	static const char ours[] = "/local/domain/0/";

	return g_str_has_prefix(path, ours) ? path + strlen(ours) : path;
}

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && (path[len] == '/' || !path[len]);
}

static int compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
	return strcmp(a, b);
}

static GTree *tree(void)
{
	if (!nodes)
		nodes = g_tree_new_full(compare, NULL, g_free, (GDestroyNotify)g_bytes_unref);
	return nodes;
}

static void tell(void *opaque)
{
	struct xenstore *s = opaque;
	g_autofree char *path = g_queue_pop_head(&s->events);

	g_clear_pointer(&s->soon, loop_watch_free);
	if (!g_queue_is_empty(&s->events))
		s->soon = loop_watch_soon(tell, s);
	s->changed(s->opaque, path);
}

static void add_event(struct xenstore *s, const char *path)
{
	g_queue_push_tail(&s->events, g_strdup(path));
	if (!s->soon)
		s->soon = loop_watch_soon(tell, s);
}

/* Reports a change in the way the watch was set: relative or not. */
static void has_changed(const char *path)
{
	struct xenstore *s = open_store;

	for (unsigned i = 0; s && i < s->watched->len; i++) {
		const char *watched = s->watched->pdata[i];

		if (!is_below(path, relative(watched)))
			continue;
		if (relative(watched) == watched) {
			add_event(s, path);
		} else {
			g_autofree char *full = g_strdup_printf("/local/domain/0/%s", path);

			add_event(s, full);
		}
	}
}

void fake_xenstore_set_bytes(const char *path, const void *value, size_t len)
{
	g_tree_insert(tree(), g_strdup(relative(path)), g_bytes_new(value, len));
	has_changed(relative(path));
}

void fake_xenstore_set(const char *path, const char *value)
{
	fake_xenstore_set_bytes(path, value, strlen(value));
}

/* Returns the first node at or below path; NULL: none. */
static GTreeNode *find(const char *path)
{
	GTreeNode *n = g_tree_lower_bound(tree(), path);

	while (n && !is_below(g_tree_node_key(n), path) &&
		g_str_has_prefix(g_tree_node_key(n), path))
		n = g_tree_node_next(n);
	return n && is_below(g_tree_node_key(n), path) ? n : NULL;
}

void fake_xenstore_remove(const char *path)
{
	GTreeNode *n;

	path = relative(path);
	while ((n = find(path)))
		g_tree_remove(tree(), g_tree_node_key(n));
	has_changed(path);
}

const char *fake_xenstore_get(const char *path)
{
	static char value[256];
	GBytes *bytes = g_tree_lookup(tree(), relative(path));
	size_t len = bytes ? MIN(g_bytes_get_size(bytes), sizeof(value) - 1) : 0;

	if (len)
		memcpy(value, g_bytes_get_data(bytes, NULL), len);
	value[len] = '\0';
	return bytes ? value : NULL;
}

void fake_xenstore_fail(const char *path, GFileError code)
{
	g_free(fail_path);
	fail_path = (int)code < 0 ? NULL : g_strdup(relative(path));
	fail_code = code;
}

static bool find_watch(const char *path, unsigned *i)
{
	return g_ptr_array_find_with_equal_func(open_store->watched, path, g_str_equal, i);
}

bool fake_xenstore_is_watched(const char *path)
{
	return find_watch(path, NULL);
}

unsigned fake_xenstore_pending(void)
{
	return open_store ? open_store->events.length : 0;
}

void fake_xenstore_clear(void)
{
	g_clear_pointer(&nodes, g_tree_destroy);
	g_clear_pointer(&fail_path, g_free);
}

static bool fail(const char *path, GFileError code, GError **error)
{
	g_set_error(error, G_FILE_ERROR, code, "fake xenstore: '%s'", path);
	return false;
}

/* Sets *bytes to the value, or an error. */
static bool look_up(const char *path, GBytes **bytes, GError **error)
{
	if (fail_path && strcmp(fail_path, relative(path)) == 0)
		return fail(path, fail_code, error);
	*bytes = g_tree_lookup(tree(), relative(path));
	return *bytes || fail(path, G_FILE_ERROR_NOENT, error);
}

struct xenstore *xenstore_open(
	void (*changed)(void *opaque, const char *path), void *opaque, GError **error)
{
	struct xenstore *s = g_new0(struct xenstore, 1);

	s->changed = changed;
	s->opaque = opaque;
	s->watched = g_ptr_array_new_with_free_func(g_free);
	open_store = s;
	return s;
}

void xenstore_free(struct xenstore *s)
{
	if (!s)
		return;
	open_store = NULL;
	loop_watch_free(s->soon);
	g_queue_clear_full(&s->events, g_free);
	g_ptr_array_unref(s->watched);
	g_free(s);
}

bool xenstore_watch(struct xenstore *s, const char *path, GError **error)
{
	g_ptr_array_add(s->watched, g_strdup(path));
	add_event(s, path);
	return true;
}

void xenstore_unwatch(struct xenstore *s, const char *path)
{
	unsigned i;

	if (find_watch(path, &i))
		g_ptr_array_remove_index(s->watched, i);
}

char *xenstore_read(struct xenstore *s, const char *path, size_t max, GError **error)
{
	GBytes *bytes;
	const char *value;
	bool text = true;
	size_t len;

	if (!look_up(path, &bytes, error))
		return NULL;
	value = g_bytes_get_data(bytes, &len);
	for (size_t i = 0; i < len; i++)
		text = text && (unsigned char)value[i] >= ' ' && value[i] != 0x7f;
	if (len > max || !text) {
		fail(path, G_FILE_ERROR_INVAL, error);
		return NULL;
	}
	return g_strndup(len ? value : "", len);
}

char **xenstore_list(struct xenstore *s, const char *path, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	size_t len = strlen(relative(path));
	GTreeNode *n = find(relative(path));

	if (!n) {
		fail(path, G_FILE_ERROR_NOENT, error);
		return NULL;
	}
	for (; n && g_str_has_prefix(g_tree_node_key(n), relative(path)); n = g_tree_node_next(n)) {
		const char *key = g_tree_node_key(n);
		g_auto(GStrv) parts = NULL;

		if (key[len] != '/')
			continue;
		parts = g_strsplit(key + len + 1, "/", 2);
		if (!names->len || strcmp(names->pdata[names->len - 1], parts[0]) != 0)
			g_ptr_array_add(names, g_strdup(parts[0]));
	}
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_steal(names, NULL);
}

bool xenstore_write(
	struct xenstore *s, const char *path, const char *beside, const char *value, GError **error)
{
	GBytes *bytes;

	if (!look_up(beside, &bytes, error))
		return false;
	fake_xenstore_set(path, value);
	return true;
}

bool xenstore_update(struct xenstore *s, const char *path, const char *value, GError **error)
{
	return xenstore_write(s, path, path, value, error);
}

bool xenstore_has_domain(struct xenstore *s, unsigned domid)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u", domid);

	return find(path) != NULL;
}
