/* SPDX-License-Identifier: Apache-2.0 */
/* See round.h. */
#include "tools/control/round.h"

#include <string.h>

#include "base/sock.h"

void round_leave(struct round_daemon *d)
{
	daemon_client_clear(&d->client);
	d->asked = false;
}

bool round_ask(struct round_daemon *d)
{
	static const char request[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\",\"params\":{}}\n";
	const ssize_t len = sizeof(request) - 1;
	int fd;

	if (d->asked)
		return true;
	if (d->client.fd < 0) {
		fd = sock_connect_now(d->path, NULL);
		if (fd < 0)
			return false;
		daemon_client_init(&d->client, fd);
	}
	/* Nothing is on its way: there is room for all of it, or it has left. */
	d->asked = sock_send_some(d->client.fd, request, len) == len;
	if (!d->asked)
		round_leave(d);
	return d->asked;
}

enum round_result round_take(struct round_daemon *d, char **line, struct json_value *result)
{
	int n = daemon_client_receive(&d->client);

	if (n == 0)
		return ROUND_WAIT;
	*line = n > 0 ? daemon_client_answer(&d->client, result, NULL) : NULL;
	d->asked = false;
	if (*line)
		return ROUND_ANSWERED;
	round_leave(d);
	return ROUND_LOST;
}
