/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the IPC: a worker that sends its broker what it likes. */
#include "tests/fuzz/fuzz.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/xen/broker_fixture.h"

static int files[4], pair[2];

static unsigned pick_files(struct fuzz_input *in, int fds[IPC_MAX_FDS + 1])
{
	unsigned n = fuzz_u8(in) % (IPC_MAX_FDS + 2);

	for (unsigned i = 0; i < n; i++)
		fds[i] = files[fuzz_below(in, G_N_ELEMENTS(files))];
	return n;
}

/* Makes a record of the right size; its fields are small numbers, or any. */
static size_t make_request(struct fuzz_input *in, struct ipc_request *r)
{
	uint8_t how = fuzz_u8(in);

	r->type = how % 5;
	r->device = fuzz_u8(in) % 4;
	r->queue = fuzz_u8(in);
	r->which = fuzz_u8(in) % 3;
	r->on = fuzz_u8(in) % 2;
	r->fresh = fuzz_u8(in) % 2;
	if (how & 0x40)
		fuzz_copy(in, r, sizeof(*r));
	return how & 0x80 ? fuzz_u8(in) % (sizeof(*r) + 1) : sizeof(*r);
}

/* Receives as the supervisor does with each record. Returns false when it would end the worker. */
static bool receive(struct broker *b)
{
	struct ipc_request request;
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n;
	bool valid;

	if (ipc_receive(pair[0], &request, sizeof(request), fds, &n) != 1)
		return false;
	reply = (struct ipc_reply){ 0 };
	valid = broker_answer(b, &request, &reply, fds, &n);
	if (valid)
		g_assert_true(reply.err == 0 || n == 0);
	while (n)
		close(fds[--n]);
	return valid;
}

static void run(struct fuzz_input *in)
{
	struct broker_test *w;
	void *state;

	broker_setup(&state);
	w = state;
	files[0] = memfd_create("file", MFD_CLOEXEC);
	files[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	files[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	files[3] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	g_assert_true(sock_pair_records(pair));
	for (unsigned i = fuzz_u8(in) % 4; i; i--)
		broker_test_add(w, BASE + i * 0x200, 32 + i, fuzz_u8(in) % 2, NULL);
	fake_xen.assign_errno = fuzz_u8(in) % 2 ? EOPNOTSUPP : 0;
	while (fuzz_more(in)) {
		struct ipc_request request;
		int fds[IPC_MAX_FDS + 1];
		size_t size = make_request(in, &request);
		unsigned n = pick_files(in, fds);

		fake_xen.unreachable = fuzz_u8(in) == 1;
		if (!ipc_send(pair[1], &request, size, fds, n) || !receive(w->broker))
			break;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++)
		close(files[i]);
	close(pair[0]);
	close(pair[1]);
	while (fake_xen.n_peers)
		fd_close(&fake_xen.peer[--fake_xen.n_peers]);
	broker_teardown(&state);
}

FUZZ_TARGET(broker, .run = run);
