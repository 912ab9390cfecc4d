/* SPDX-License-Identifier: Apache-2.0 */
/* Every message of a wrong size, with wrong fds, for a vring that there is not. */
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/valid.h"
#include "tools/check/wire.h"

#define EXTRA_FDS 3
#define NO_SUCH_VRING 255

static void send_bent(struct check *k, const struct valid *v)
{
	valid_send(k, v, k->acked & VU_BIT(VU_F_REPLY_ACK) ? VU_FLAG_NEED_REPLY : 0);
	framing_settle(k);
}

/* Sends arg more bytes of payload. */
static void run_size(struct check *k)
{
	struct valid v = { 0 };

	valid_make(k, k->c->request, &v);
	v.size = MIN(v.size + k->c->arg, sizeof(v.payload));
	send_bent(k, &v);
	valid_clear(&v);
}

static void run_extra_fds(struct check *k)
{
	int fds[EXTRA_FDS];
	struct valid v;

	for (unsigned i = 0; i < EXTRA_FDS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	valid_make(k, k->c->request, &v);
	wire_send(k, v.request, 0, v.payload, v.size, fds, EXTRA_FDS);
	framing_settle(k);
	valid_clear(&v);
	fds_close(fds, EXTRA_FDS);
}

static void run_no_fd(struct check *k)
{
	struct valid v;

	valid_make(k, k->c->request, &v);
	v.n_fds = 0;
	send_bent(k, &v);
	valid_clear(&v);
}

/* Sends a wrong index: the vring's index is at the start of all payloads that have one. */
static void run_index(struct check *k)
{
	struct valid v;

	valid_make(k, k->c->request, &v);
	v.payload[0] = NO_SUCH_VRING;
	send_bent(k, &v);
	valid_clear(&v);
}

#define SECTION(name) "vhost-user: Front-end message types, VHOST_USER_" #name
#define ROW(prefix, name, how, ...)                                                               \
	{                                                                                         \
		prefix "-" #name, SECTION(name), how,                                             \
			.request = VU_##name,                                                     \
			.needs = CHECK_HOSTILE | (VU_##name == VU_SET_CONFIG ? CHECK_CONFIG : 0), \
			__VA_ARGS__                                                               \
	}
#define SHORT(name) ROW("short", name, run_size, .arg = UINT64_MAX)
#define LONG(name) ROW("long", name, run_size, .arg = 1)
#define HUGE(name) ROW("huge", name, run_size, .arg = 4096)
#define EXTRA(name) ROW("fds", name, run_extra_fds)
#define NO_FD(name) ROW("nofd", name, run_no_fd)
#define INDEX(name) ROW("index", name, run_index)

const struct check_case check_malformed[] = {
	LONG(GET_FEATURES),
	LONG(SET_OWNER),
	LONG(GET_PROTOCOL_FEATURES),
	LONG(GET_QUEUE_NUM),
	LONG(RESET_DEVICE),
	LONG(GET_MAX_MEM_SLOTS),
	LONG(GET_STATUS),
	LONG(SET_FEATURES),
	LONG(SET_PROTOCOL_FEATURES),
	LONG(SET_MEM_TABLE),
	LONG(SET_VRING_NUM),
	LONG(SET_VRING_ADDR),
	LONG(SET_VRING_BASE),
	LONG(GET_VRING_BASE),
	LONG(SET_VRING_KICK),
	LONG(SET_VRING_CALL),
	LONG(SET_VRING_ERR),
	LONG(SET_VRING_ENABLE),
	LONG(SET_BACKEND_REQ_FD),
	LONG(GET_CONFIG),
	LONG(SET_CONFIG),
	LONG(GET_INFLIGHT_FD),
	LONG(SET_INFLIGHT_FD),
	LONG(ADD_MEM_REG),
	LONG(REM_MEM_REG),
	LONG(SET_STATUS),

	SHORT(SET_FEATURES),
	SHORT(SET_PROTOCOL_FEATURES),
	SHORT(SET_MEM_TABLE),
	SHORT(SET_LOG_BASE),
	SHORT(SET_VRING_NUM),
	SHORT(SET_VRING_ADDR),
	SHORT(SET_VRING_BASE),
	SHORT(GET_VRING_BASE),
	SHORT(SET_VRING_KICK),
	SHORT(SET_VRING_CALL),
	SHORT(SET_VRING_ERR),
	SHORT(SET_VRING_ENABLE),
	SHORT(GET_CONFIG),
	SHORT(SET_CONFIG),
	SHORT(GET_INFLIGHT_FD),
	SHORT(SET_INFLIGHT_FD),
	SHORT(ADD_MEM_REG),
	SHORT(REM_MEM_REG),
	SHORT(SET_STATUS),

	HUGE(GET_FEATURES),
	HUGE(SET_FEATURES),
	HUGE(SET_MEM_TABLE),
	HUGE(SET_VRING_NUM),
	HUGE(SET_VRING_ADDR),
	HUGE(SET_VRING_KICK),
	HUGE(GET_CONFIG),
	HUGE(SET_CONFIG),
	HUGE(GET_INFLIGHT_FD),
	HUGE(ADD_MEM_REG),

	EXTRA(GET_FEATURES),
	EXTRA(SET_FEATURES),
	EXTRA(SET_OWNER),
	EXTRA(SET_MEM_TABLE),
	EXTRA(SET_VRING_NUM),
	EXTRA(SET_VRING_ADDR),
	EXTRA(GET_VRING_BASE),
	EXTRA(SET_VRING_KICK),
	EXTRA(SET_VRING_CALL),
	EXTRA(GET_CONFIG),
	EXTRA(SET_CONFIG),
	EXTRA(SET_INFLIGHT_FD),
	EXTRA(SET_BACKEND_REQ_FD),
	EXTRA(ADD_MEM_REG),
	EXTRA(SET_STATUS),

	NO_FD(SET_MEM_TABLE),
	NO_FD(SET_LOG_BASE),
	NO_FD(SET_VRING_KICK),
	NO_FD(SET_VRING_CALL),
	NO_FD(SET_VRING_ERR),
	NO_FD(SET_BACKEND_REQ_FD),
	NO_FD(SET_INFLIGHT_FD),
	NO_FD(ADD_MEM_REG),

	INDEX(SET_VRING_NUM),
	INDEX(SET_VRING_ADDR),
	INDEX(SET_VRING_BASE),
	INDEX(GET_VRING_BASE),
	INDEX(SET_VRING_KICK),
	INDEX(SET_VRING_CALL),
	INDEX(SET_VRING_ERR),
	INDEX(SET_VRING_ENABLE),
	{ NULL },
};
