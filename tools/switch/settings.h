/* SPDX-License-Identifier: Apache-2.0 */
/* What one --port, or one --listen, says. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "net/pcap.h"
#include "tools/switch/vlan_set.h"

struct port_settings {
	char *name;
	/* Where frames come from: one of these. */
	char *path; /* a socket, to connect to or to listen at */
	char *tap; /* an interface */
	int fd; /* -1: to be opened */
	bool is_tap; /* the fd */

	unsigned vlan; /* of frames without a tag; 0: they are dropped */
	struct vlan_set trunk;
	bool isolated;
	char *pcap_path; /* NULL: none */
	struct net_pcap *pcap; /* of it, once it is open */
};

/*
 * Parses "unix:PATH,KEY=VALUE,..." (listen), or "KEY=VALUE,...". NULL: the error says what is
 * wrong.
 */
struct port_settings *port_settings_parse(const char *text, bool listen, GError **error);
/* Ends the capture, and closes an fd that is still here. */
void port_settings_free(struct port_settings *s);
