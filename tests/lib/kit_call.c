/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the control socket. */
#include "tests/lib/test.h"

#include <poll.h>

#include "base/sock.h"
#include "control/request.h"
#include "tests/lib/kit_process.h"

const char *kit_call(struct kit *k, const char *method, const char *params)
{
	g_autofree char *line = g_strdup_printf(
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{%s}}", method, params);
	char *reply = k->world->call(k, line);

	g_ptr_array_add(k->paths, reply); /* lasts as long */
	return reply;
}

/* In this process. */

static const struct virtio_method *find(const char *name)
{
	const struct virtio_method *m = virtio_device_ops.methods;

	while (strcmp(m->name, name) != 0)
		m++;
	return m;
}

char *kit_core_call(struct kit_core *c, char *line)
{
	GString *out = g_string_new(NULL);
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	g_autoptr(GError) error = NULL;
	struct json j = { .out = out };
	const struct virtio_method *m;
	struct control_request r;
	bool ok;

	control_request_read(&r, line, strlen(line));
	assert_int_equal(r.error, 0);
	m = find(r.method);
	control_reply_begin(&j, &r);
	ok = control_request_match(&r, m->params, args, &error);
	if (ok) {
		kit_core_begin(c, NULL);
		ok = m->call(&c->device, args, &j, &error);
		kit_core_end(c, NULL);
	}
	if (ok) {
		control_reply_end(&j);
	} else {
		g_string_truncate(out, 0);
		control_reply_error(out, &r, CONTROL_FAILED, error->message);
	}
	return g_string_free(out, FALSE);
}

/* Over the program's socket. */

char *kit_process_call(struct kit *k, char *line)
{
	const struct kit_process *p = k->data;
	GString *reply = g_string_new(NULL);
	autofd fd = sock_connect(p->control, NULL);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char c;

	assert_true(fd >= 0);
	assert_int_equal(sock_send(fd, line, strlen(line), NULL, 0, KIT_PATIENCE_MS), 0);
	assert_int_equal(sock_send(fd, "\n", 1, NULL, 0, KIT_PATIENCE_MS), 0);
	do {
		assert_int_equal(poll(&pfd, 1, KIT_PATIENCE_MS), 1);
		assert_int_equal(read(fd, &c, 1), 1);
		g_string_append_c(reply, c);
	} while (c != '\n');
	return g_string_free(reply, FALSE);
}
