/* SPDX-License-Identifier: Apache-2.0 */
/* See spec.h. Keys that are unknown here become options of the back-end. */
#include "kvm-stub/machine/device_spec.h"

#include <string.h>

#include "base/option.h"
#include "launch/backend_keys.h"

/* Keys that are virtiod-kvm's: where the back-end is. */
static const char *const place_keys[] = { "socket", "type", NULL };
/* Options of the back-end programs' conventions, which virtiod-kvm itself passes to them. */
static const char *const reserved_keys[] = { "fd", "socket-path", "print-capabilities", NULL };

static bool set_place(char **to, const char *key, const char *value, GError **error)
{
	if (!*value)
		return option_bad(error, "%s= needs a value", key);
	*to = g_strdup(value);
	return true;
}

/* Returns the next "key" or "key=value" of *text, unescaped, and advances *text past it. */
static char *next_item(const char **text)
{
	GString *item = g_string_new(NULL);
	const char *p = *text;

	for (; *p && (*p != ',' || p[1] == ','); p++) {
		g_string_append_c(item, *p);
		if (*p == ',')
			p++;
	}
	*text = *p ? p + 1 : NULL;
	return g_string_free(item, FALSE);
}

/* Accepts option names only: nothing else may get into the back-end's command line. */
static bool is_key(const char *key)
{
	if (!g_ascii_isalnum(*key))
		return false;
	return key[strspn(key, "-_." G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS)] == '\0';
}

static bool is_own(const char *key)
{
	return g_strv_contains(place_keys, key) || backend_keys_has(key);
}

static bool set_own(struct device_spec *s, const char *key, const char *value, GError **error)
{
	if (strcmp(key, "socket") == 0)
		return set_place(&s->socket, key, value, error);
	if (strcmp(key, "type") == 0)
		return set_place(&s->type, key, value, error);
	return backend_keys_set(&s->keys, key, value, error);
}

/* Adds a key. seen: the keys before this one. */
static bool add_item(struct device_spec *s, char *item, GHashTable *seen, GError **error)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	if (!is_key(item))
		return option_bad(error, "\"%s\" is not a key", item);
	if (g_strv_contains(reserved_keys, item))
		return option_bad(
			error, "%s= is reserved: virtiod-kvm gives the back-end its socket", item);
	if (is_own(item)) {
		if (!g_hash_table_add(seen, g_strdup(backend_keys_name(item))))
			return option_bad(error, "%s= is given twice", backend_keys_name(item));
		return set_own(s, item, value ? value : "", error);
	}
	g_ptr_array_add(s->options,
		value ? g_strdup_printf("--%s=%s", item, value) : g_strdup_printf("--%s", item));
	return true;
}

/* Passes the keys on to the front-end. */
static void set_front(struct device_spec *s)
{
	s->front.device_id = s->keys.device_id;
	s->front.config_size = s->keys.config_size == BACKEND_CONFIG_SIZE_UNSAID
		? -1
		: (int32_t)s->keys.config_size;
	s->front.queues = s->keys.queues;
	s->front.probe = s->keys.probe;
	s->front.packed = s->keys.packed;
}

static bool parse(struct device_spec *s, const char *text, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	while (text) {
		g_autofree char *item = next_item(&text);

		if (!add_item(s, item, seen, error))
			return false;
	}
	if (!s->socket == !s->type)
		return option_bad(
			error, "it needs socket=PATH or type=NAME%s", s->type ? ", not both" : "");
	set_front(s);
	if (s->socket && s->options->len)
		return option_bad(error, "unknown key %s (with socket= no key is handed on)",
			(const char *)s->options->pdata[0] + strlen("--"));
	return true;
}

struct device_spec *device_spec_parse(const char *text, GError **error)
{
	g_autoptr(device_spec) s = g_new0(struct device_spec, 1);

	s->text = g_strdup(text);
	s->options = g_ptr_array_new_with_free_func(g_free);
	s->keys = (struct backend_keys)BACKEND_KEYS_INIT;
	if (!parse(s, text, error)) {
		g_prefix_error(error, "device \"%s\": ", text);
		return NULL;
	}
	return g_steal_pointer(&s);
}

void device_spec_free(struct device_spec *s)
{
	if (!s)
		return;
	g_free(s->text);
	g_free(s->socket);
	g_free(s->type);
	g_ptr_array_unref(s->options);
	g_free(s);
}
