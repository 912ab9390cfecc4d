/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. Keys are a table. */
#include "tools/switch/settings.h"

#include <string.h>

#include "base/choice.h"
#include "base/number.h"
#include "base/option.h"
#include "base/util.h"

/* An fd below these is the program's own. */
#define MIN_FD 3

struct port_key {
	const char *name;
	bool (*set)(struct port_settings *s, const char *value, GError **error);
	bool is_place; /* says where frames come from */
};

static bool set_text(char **to, const char *value, GError **error)
{
	if (!*value)
		return option_bad(error, "it needs a value");
	*to = g_strdup(value);
	return true;
}

static bool set_fd(struct port_settings *s, const char *value, GError **error)
{
	uint64_t n;

	if (!number_parse(value, MIN_FD, G_MAXINT, &n))
		return option_bad(error, "the number of an open file, from %d on", MIN_FD);
	s->fd = n;
	return true;
}

static bool set_address(struct port_settings *s, const char *value, GError **error)
{
	if (g_str_has_prefix(value, "fd:"))
		return set_fd(s, value + strlen("fd:"), error);
	if (!g_str_has_prefix(value, "unix:") || !value[strlen("unix:")])
		return option_bad(error, "unix:PATH or fd:N");
	s->path = g_strdup(value + strlen("unix:"));
	return true;
}

static bool set_tap(struct port_settings *s, const char *value, GError **error)
{
	return set_text(&s->tap, value, error);
}

static bool set_tap_fd(struct port_settings *s, const char *value, GError **error)
{
	s->is_tap = true;
	return set_fd(s, value, error);
}

static bool set_name(struct port_settings *s, const char *value, GError **error)
{
	return set_text(&s->name, value, error);
}

static bool set_vlan(struct port_settings *s, const char *value, GError **error)
{
	uint64_t n;

	if (!number_parse(value, VLAN_MIN, VLAN_MAX, &n))
		return option_bad(error, "a number from %d to %d", VLAN_MIN, VLAN_MAX);
	s->vlan = n;
	return true;
}

static bool set_trunk(struct port_settings *s, const char *value, GError **error)
{
	return vlan_set_parse(&s->trunk, value, error);
}

static bool set_isolated(struct port_settings *s, const char *value, GError **error)
{
	static const char *const words[] = { "off", "on", NULL };
	unsigned on;

	if (!choice_parse(value, words, &on))
		return option_bad(error, "on or off");
	s->isolated = on;
	return true;
}

static bool set_pcap(struct port_settings *s, const char *value, GError **error)
{
	return set_text(&s->pcap_path, value, error);
}

static const struct port_key keys[] = {
	{ "stream", set_address, true },
	{ "tap", set_tap, true },
	{ "tap-fd", set_tap_fd, true },
	{ "name", set_name },
	{ "vlan", set_vlan },
	{ "trunk", set_trunk },
	{ "isolated", set_isolated },
	{ "pcap", set_pcap },
};

/* Returns the next item of *text, in which two commas are one, and moves *text past it. */
static char *next_item(const char **text)
{
	GString *item = g_string_new(NULL);
	const char *at = *text;

	while (*at && (*at != ',' || at[1] == ',')) {
		at += *at == ',';
		g_string_append_c(item, *at++);
	}
	*text = *at ? at + 1 : NULL;
	return g_string_free(item, FALSE);
}

/* Sets one key. seen: a bit for each key before this one. */
static bool set_item(
	struct port_settings *s, char *item, bool listen, unsigned *seen, GError **error)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(item, keys[i].name) != 0 || (listen && keys[i].is_place))
			continue;
		if (*seen & 1u << i)
			return option_bad(error, "%s= is given twice", item);
		*seen |= 1u << i;
		if (keys[i].set(s, value ? value : "", error))
			return true;
		g_prefix_error(error, "%s=: ", item);
		return false;
	}
	return option_bad(error, "unknown key \"%s\"", item);
}

/* Names a port after what it is connected to. */
static char *default_name(const struct port_settings *s)
{
	if (s->tap)
		return g_strdup(s->tap);
	return s->path ? g_path_get_basename(s->path) : g_strdup_printf("fd%d", s->fd);
}

static bool parse(struct port_settings *s, const char *text, bool listen, GError **error)
{
	unsigned seen = 0;

	if (listen) {
		g_autofree char *address = next_item(&text);

		if (!set_address(s, address, error))
			return false;
	}
	while (text) {
		g_autofree char *item = next_item(&text);

		if (!set_item(s, item, listen, &seen, error))
			return false;
	}
	if ((s->path != NULL) + (s->tap != NULL) + (s->fd >= 0) != 1)
		return option_bad(error, "it needs one of stream=, tap= and tap-fd=");
	if (!s->vlan && vlan_set_is_empty(&s->trunk))
		s->vlan = 1;
	if (!s->name)
		s->name = default_name(s);
	return true;
}

struct port_settings *port_settings_parse(const char *text, bool listen, GError **error)
{
	struct port_settings *s = g_new(struct port_settings, 1);

	*s = (struct port_settings){ .fd = -1 };
	if (parse(s, text, listen, error))
		return s;
	s->fd = -1; /* is still whose number it is */
	port_settings_free(s);
	return NULL;
}

void port_settings_free(struct port_settings *s)
{
	if (!s)
		return;
	net_pcap_free(s->pcap);
	fd_close(&s->fd);
	g_free(s->name);
	g_free(s->path);
	g_free(s->tap);
	g_free(s->pcap_path);
	g_free(s);
}
