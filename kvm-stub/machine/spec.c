/* SPDX-License-Identifier: Apache-2.0 */
/* See spec.h. Keys that are unknown here become options of the back-end. */
#include "kvm-stub/machine/spec.h"

#include <string.h>

#include "base/option.h"
#include "virtio/ring_layout.h"

static bool set_number(uint32_t *to, const char *key, const char *value, uint32_t min, uint32_t max,
	GError **error)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(value, 10, min, max, &number, NULL))
		return option_bad(error, "%s=%s: not a number from %u to %u", key, value, min, max);
	*to = number;
	return true;
}

static bool set_string(char **to, const char *key, const char *value, GError **error)
{
	if (!*value)
		return option_bad(error, "%s= needs a value", key);
	*to = g_strdup(value);
	return true;
}

static bool set_socket(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	return set_string(&s->socket, key, value, error);
}

static bool set_type(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	return set_string(&s->type, key, value, error);
}

static bool set_id(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	return set_number(&s->front.device_id, key, value, 1, 63, error);
}

static bool set_config_size(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	uint32_t size = 0;

	if (!set_number(&size, key, value, 0, VIRTIO_MAX_CONFIG, error))
		return false;
	s->front.config_size = (int32_t)size;
	return true;
}

static bool set_queues(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	return set_number(&s->front.queues, key, value, 1, VIRTIO_MAX_QUEUES, error);
}

static bool set_queue_size(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	if (!set_number(&s->queue_size, key, value, 1, VIRTIO_MAX_QUEUE_SIZE, error))
		return false;
	if (s->queue_size & (s->queue_size - 1))
		return option_bad(error, "%s=%s: not a power of two", key, value);
	return true;
}

static bool set_word(
	unsigned *to, const char *key, const char *value, const char *const *words, GError **error)
{
	if (option_word(value, words, to, error))
		return true;
	g_prefix_error(error, "%s=%s: ", key, value);
	return false;
}

static bool set_probe(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	unsigned mode = s->front.probe;
	bool ok = set_word(&mode, key, value, vu_probe_words, error);

	s->front.probe = mode;
	return ok;
}

static bool set_packed(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	unsigned mode = s->front.packed;
	bool ok = set_word(&mode, key, value, choice_words, error);

	s->front.packed = mode;
	return ok;
}

static bool set_nothing(struct dev_spec *s, const char *key, const char *value, GError **error)
{
	return option_bad(
		error, "%s= is not for you to say: the back-end gets a socket from us", key);
}

static const struct own_key {
	const char *name;
	bool (*set)(struct dev_spec *s, const char *key, const char *value, GError **error);
} own_keys[] = {
	{ "socket", set_socket },
	{ "type", set_type },
	{ "fallback-type", set_id },
	{ "config-size", set_config_size },
	{ "queues", set_queues },
	{ "queue-size", set_queue_size },
	{ "probe", set_probe },
	{ "packed", set_packed },
	/* Of the back-end programs' conventions. */
	{ "fd", set_nothing },
	{ "socket-path", set_nothing },
	{ "print-capabilities", set_nothing },
};

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

/* seen: a bit for each of own_keys. */
static bool add_item(struct dev_spec *s, char *item, unsigned *seen, GError **error)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	if (!is_key(item))
		return option_bad(error, "\"%s\" is not a key", item);
	for (unsigned i = 0; i < G_N_ELEMENTS(own_keys); i++) {
		if (strcmp(item, own_keys[i].name) != 0)
			continue;
		if (*seen & 1u << i)
			return option_bad(error, "%s= is there twice", item);
		*seen |= 1u << i;
		return own_keys[i].set(s, item, value ? value : "", error);
	}
	g_ptr_array_add(s->options,
		value ? g_strdup_printf("--%s=%s", item, value) : g_strdup_printf("--%s", item));
	return true;
}

static bool parse(struct dev_spec *s, const char *text, GError **error)
{
	unsigned seen = 0;

	while (text) {
		g_autofree char *item = next_item(&text);

		if (!add_item(s, item, &seen, error))
			return false;
	}
	if (!s->socket == !s->type)
		return option_bad(
			error, "it needs socket=PATH or type=NAME%s", s->type ? ", not both" : "");
	if (s->socket && s->options->len)
		return option_bad(error, "unknown key %s (with socket= no key is handed on)",
			(const char *)s->options->pdata[0] + strlen("--"));
	return true;
}

struct dev_spec *dev_spec_parse(const char *text, GError **error)
{
	g_autoptr(dev_spec) s = g_new0(struct dev_spec, 1);

	s->text = g_strdup(text);
	s->options = g_ptr_array_new_with_free_func(g_free);
	s->front.config_size = -1;
	if (!parse(s, text, error)) {
		g_prefix_error(error, "device \"%s\": ", text);
		return NULL;
	}
	return g_steal_pointer(&s);
}

void dev_spec_free(struct dev_spec *s)
{
	if (!s)
		return;
	g_free(s->text);
	g_free(s->socket);
	g_free(s->type);
	g_ptr_array_unref(s->options);
	g_free(s);
}
