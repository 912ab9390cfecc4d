/* SPDX-License-Identifier: Apache-2.0 */
/* An agent with every verb of struct virtio_device_wire. */
#pragma once

#include "tests/daemon/agent.h"

#define WIRE_FEATURES                                                      \
	(ALL_PROTOCOL_FEATURES | VU_BIT(VU_F_RARP) | VU_BIT(VU_F_MTU) |    \
		VU_BIT(VU_F_CRYPTO_SESSION) | VU_BIT(VU_F_SHARED_OBJECT) | \
		VU_BIT(VU_F_DEVICE_STATE))

/* What the verbs were given, and what they do. */
struct wire_seen {
	_Atomic unsigned calls; /* of any verb but left */
	_Atomic unsigned lefts;
	bool refuses; /* the next verbs, with an error */
	bool silent; /* without one */
	uint8_t mac[6];
	unsigned mtu;
	int display; /* the test's to close; -1 */
	uint64_t closed; /* session */
	uint8_t uuid[16];
	int object; /* to be returned; -1 */
	GByteArray *state; /* saved, or loaded */
};
extern struct wire_seen wire_seen;

extern const struct virtio_device_wire wire_all;

/* Makes p's back-end an agent with these verbs; with WIRE_FEATURES acked, and no vring. */
void wire_begin(struct peer *p, const struct agent_mode *mode, const struct virtio_device_wire *w);
void wire_end(struct peer *p);
/* Runs the test in each mode, with wire_all. */
void wire_in_modes(void **state, void (*test)(struct peer *p));

/* SET_DEVICE_STATE_FD with this fd, which remains the test's; the reply. */
uint64_t wire_set_state_fd(struct peer *p, uint32_t direction, uint32_t phase, int fd);
/* The reply. */
uint64_t wire_check_state(struct peer *p);

/* Fills the agent's state with n bytes. */
void wire_fill_state(unsigned n);
/* Saves it, slowly if in small pieces; the stream, which is the caller's. */
GByteArray *wire_save_all(struct peer *p, unsigned piece);
/* Loads a stream; CHECK_DEVICE_STATE's reply. */
uint64_t wire_load_all(struct peer *p, const uint8_t *stream, size_t n, unsigned piece);
