/* SPDX-License-Identifier: Apache-2.0 */
/* Listening at an address of IP, by numbers. */
#pragma once

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>

struct tcp_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

/* Reads "127.0.0.1:9464" or "[::1]:9464"; the error is "what is right". */
bool tcp_address_parse(const char *text, struct tcp_address *a, GError **error);
/* Returns a listening socket; -1 on error, which names text. */
int tcp_listen(const struct tcp_address *a, const char *text, GError **error);
