/* SPDX-License-Identifier: Apache-2.0 */
/* See tcp.h. */
#include "base/tcp.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "base/option.h"
#include "base/sock.h"

static bool parse_host(const char *host, bool is_v6, uint16_t port, struct tcp_address *a)
{
	if (is_v6) {
		a->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		a->len = sizeof(a->v6);
		return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1;
	}
	a->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	a->len = sizeof(a->v4);
	return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1;
}

bool tcp_address_parse(const char *text, struct tcp_address *a, GError **error)
{
	const char *colon = strrchr(text, ':');
	g_autofree char *host = NULL;
	bool is_v6 = *text == '[';
	uint64_t port;

	if (colon && number_parse(colon + 1, 1, UINT16_MAX, &port) &&
		(!is_v6 || (colon - text > 1 && colon[-1] == ']'))) {
		host = is_v6 ? g_strndup(text + 1, (size_t)(colon - text) - 2)
			     : g_strndup(text, (size_t)(colon - text));
		if (parse_host(host, is_v6, (uint16_t)port, a))
			return true;
	}
	return option_bad(error,
		"an address of this host and a port, by numbers, as 127.0.0.1:9464 or [::1]:9464");
}

int tcp_listen(const struct tcp_address *a, const char *text, GError **error)
{
	int fd = sock_listen_ip(&a->any, a->len);

	if (fd < 0)
		error_errno(error, -fd, "cannot listen at %s", text);
	return MAX(fd, -1);
}
