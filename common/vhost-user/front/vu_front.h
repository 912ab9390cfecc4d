/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end's end of a vhost-user connection: negotiate, probe, configure, start and stop
 * rings. It knows no device. Every call is synchronous and ends within the deadline; one that
 * fails with VU_FRONT_ERROR_GONE has closed the connection. One thread at a time; plain poll(),
 * no main loop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/choice.h"
#include "virtio/probe.h"
#include "memory/guest_mem.h"
#include "vhost-user/wire/vu_msg.h"
#include "vhost-user/wire/vu_proto.h"

#define VU_FRONT_DEADLINE_MS 3000

#define VU_FRONT_ERROR vu_front_error_quark()
GQuark vu_front_error_quark(void);
enum vu_front_error {
	VU_FRONT_ERROR_BUSY, /* the back-end serves another front-end: it closed at once */
	VU_FRONT_ERROR_GONE, /* connection closed, reset, or the deadline was missed */
	VU_FRONT_ERROR_REFUSED, /* the back-end answered with an error; the connection lives */
	VU_FRONT_ERROR_PROTOCOL, /* an answer that cannot be: closed */
	VU_FRONT_ERROR_PROPERTIES, /* one is missing, or differs from what the user set */
};

enum vu_probe_mode {
	VU_PROBE_AUTO, /* probe if the back-end offers PROBE and STATUS */
	VU_PROBE_FORCE, /* on PROBE alone */
	VU_PROBE_OFF,
};

extern const char *const vu_probe_words[]; /* how users write them; NULL-terminated */

/* A stretch of a shared memory region, and the file that the back-end has mapped into it. */
struct vu_front_mapping {
	uint8_t id;
	bool writable; /* by the driver */
	int fd; /* the library's; closed when the call returns */
	uint64_t at, len; /* in the region: whole pages */
	uint64_t fd_offset;
};
/*
 * Carries out the back-end's requests to map and to unmap. Called from any call that waits for the
 * back-end or reads its channel, and from vu_front_free(): everything is unmapped by
 * vu_front_reset() and at the end of the connection.
 */
struct vu_front_shm_ops {
	/* Nothing is mapped in that range. Returns 0 or an errno for the back-end. */
	int (*map)(void *opaque, const struct vu_front_mapping *m);
	/* Whole mappings, and perhaps gaps between them. */
	void (*unmap)(void *opaque, uint8_t id, uint64_t at, uint64_t len);
};

struct vu_front_options {
	enum vu_probe_mode probe;
	/*
	 * Set when the user has been told that PROBE is offered and not spoken, which is said only
	 * while it is false: the same for all connections to one back-end. The caller's; or NULL.
	 */
	bool *probe_warned;
	/*
	 * The back-end has answered PROBE on an earlier connection. One that fails while it is
	 * asked is an error then; it is not dialled again without PROBE.
	 */
	bool speaks_probe;
	/*
	 * RING_PACKED: AUTO takes it if the back-end offers it and, when asked to track requests
	 * in flight, does so: nothing else records how far a lost back-end was with a packed ring.
	 * ON takes it without that condition; a back-end that does not offer it is an error.
	 */
	enum choice packed;
	unsigned deadline_ms; /* for each request; 0: VU_FRONT_DEADLINE_MS */
	/* For the first answer, which a program gives late that only starts; 0: deadline_ms. */
	unsigned first_answer_ms;
	/*
	 * An eventfd, which stays the caller's: from when it is readable no call waits for the
	 * back-end, and those that would fail with GONE. NULL: there is none.
	 */
	const int *cancel;
	/*
	 * What the user says, for a back-end without PROBE; 0 (config_size: -1): not said. A
	 * back-end that says by PROBE that it is another device is an error.
	 */
	uint32_t device_id;
	int32_t config_size;
	uint32_t queues;
	/*
	 * Virtio features the caller can do (transport and ring); device features (0-23, 50-127)
	 * always pass. 0: all that the front-end library knows to be harmless.
	 */
	uint64_t transport_features;
	/*
	 * Memory regions say of which Xen domain they are (XEN_MMAP): a back-end that does not
	 * offer that is an error.
	 */
	bool xen_memory;
	/*
	 * Acks INFLIGHT_SHMFD, which binds the caller: some back-ends start no ring then before
	 * they were given an area. See vu_front_get_inflight().
	 */
	bool inflight;
	/*
	 * Acks SHMEM, if the back-end offers all that it needs. NULL: the device has no shared
	 * memory. Not together with state: mappings end with the process that made them.
	 */
	const struct vu_front_shm_ops *shm;
	void *shm_opaque;
	/*
	 * Takes the message with this header, which is whole, from the socket: where it may have
	 * an fd, and another process has to look at that first, as this one could not close each
	 * (base/fd_kind.h). What is no memory is left out. NULL: vu_front does so itself.
	 */
	bool (*take)(
		void *opaque, const struct vu_header *header, struct vu_msg *msg, GError **error);
	void *take_opaque;
	/* Kept up to date for vu_front_adopt(); the caller's. NULL: no process will adopt. */
	struct vu_front_state *state;
};

/* Where a property came from. */
enum vu_source {
	VU_SOURCE_NONE, /* not known */
	VU_SOURCE_PROBE, /* PROBE's message */
	/* an ordinary message: GET_QUEUE_NUM; no config as CONFIG is not offered */
	VU_SOURCE_MESSAGE,
	VU_SOURCE_USER, /* the caller's options */
	VU_SOURCE_ASSUMED, /* one queue; the largest config that GET_CONFIG answers */
};
/* "PROBE", "negotiation", "the user" …: for messages to the user. */
const char *vu_source_name(enum vu_source source);

struct vu_properties {
	struct virtio_probe probe;
	enum vu_source device_id, config_size, min_queues, max_queues;
	uint64_t features; /* raw GET_FEATURES: also bits 26 and 30 */
	uint64_t protocol_features; /* offered */
	uint64_t protocol_acked;
	uint64_t max_mem_slots; /* 8 without CONFIGURE_MEM_SLOTS */
};
/*
 * Returns a list of the numbers that are VU_SOURCE_ASSUMED, each with the key that sets it ("1
 * virtqueue (queues=N)"), for one message to the user; NULL: there are none. dashes: "--" where the
 * keys are options, else ""; NULL: name no keys. To be freed.
 */
char *vu_properties_assumed(const struct vu_properties *p, const char *dashes);

/*
 * All that another process must know to go on with the connection of this one. Plain
 * memory, so that it can be shared; zeroed at first; only vu_front looks inside. A process
 * that dies at any instruction leaves it usable.
 */
struct vu_front_state {
	/*
	 * Negotiation is complete, the connection alive; also after vu_front_free(), which is
	 * like dying. Never if the back-end has no protocol features.
	 */
	uint32_t adoptable;
	/*
	 * A request of the back-end that was read from the channel and waits for an answer; or 0.
	 */
	uint32_t owed;
	uint32_t fences; /* attempts to adopt since the last that succeeded */
	struct vu_properties properties;
};

/* A connection that the caller dialled, or kept. */
struct vu_front_sockets {
	int fd; /* connected to the back-end */
	int channel; /* our end of the back-end channel; -1: vu_front makes both ends */
	int channel_peer; /* the back-end's end, to be sent to it; -1: it has it, or no channel */
};

typedef struct vu_front vu_front; /* for g_autoptr */

/*
 * Takes over a connected socket, also on error: negotiates protocol features, probes, becomes
 * owner, opens the back-end channel (protocol.md order: GET_FEATURES, GET/SET_PROTOCOL_FEATURES,
 * probe, GET_QUEUE_NUM, SET_OWNER, SET_BACKEND_REQ_FD). A peer that offers bit 18 but does not
 * answer as PROBE says is asked no more: if path is known the front-end dials again, without
 * probing. name is for messages.
 */
struct vu_front *vu_front_new(
	int fd, const char *name, const struct vu_front_options *options, GError **error);
/* Goes on with fd, which is connected to path, and taken over. */
struct vu_front *vu_front_connect_on(
	int fd, const char *path, const struct vu_front_options *options, GError **error);
/* Dials path first. */
struct vu_front *vu_front_connect(
	const char *path, const struct vu_front_options *options, GError **error);
/*
 * As vu_front_new(); takes over all fds, also on error. A channel of one's own must have its peer.
 */
struct vu_front *vu_front_new_on(const struct vu_front_sockets *sockets, const char *name,
	const struct vu_front_options *options, GError **error);
/*
 * Goes on with the connection of a process that died: options->state is what that one left, the
 * sockets are those that it used (channel_peer -1). Nothing is negotiated again. An answer to a
 * request of the dead process is read and thrown away: every message is read whole or not at all
 * and sent whole or not at all, and one that always has an answer (GET_PROTOCOL_FEATURES) is sent
 * to find out where the next answer begins. Which memory and rings the back-end has is for the
 * caller to know: the first vu_front_set_memory() replaces all of it. A change of configuration
 * counts as noted. GONE: not adoptable, or no answer within the deadline.
 */
struct vu_front *vu_front_adopt(const struct vu_front_sockets *sockets, const char *name,
	const struct vu_front_options *options, GError **error);
void vu_front_free(struct vu_front *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vu_front, vu_front_free)

const struct vu_properties *vu_front_properties(const struct vu_front *f);
/*
 * Calls late(opaque) once, from within a request, when the requests from here on have taken longer
 * together than one may; they go on. NULL: never.
 */
void vu_front_on_late(struct vu_front *f, void (*late)(void *opaque), void *opaque);
/* False once the connection is closed. */
bool vu_front_is_alive(const struct vu_front *f);
/*
 * For poll(): POLLIN or POLLHUP here while no call is under way means that the back-end has closed.
 */
int vu_front_fd(const struct vu_front *f);

/* Bytes of this shared memory region, whole pages; 0: there is none. */
uint64_t vu_front_shm_size(const struct vu_front *f, uint8_t id);

/*
 * Reads or writes part of the configuration space. (On the wire all of it is read: libvhost-user
 * ignores the offset.)
 */
bool vu_front_get_config(
	struct vu_front *f, uint32_t offset, void *to, uint32_t len, GError **error);
bool vu_front_set_config(
	struct vu_front *f, uint32_t offset, const void *from, uint32_t len, GError **error);

/* The driver's choice; bit 30 is added here. */
bool vu_front_set_features(struct vu_front *f, uint64_t features, GError **error);
/*
 * Replaces what memory the back-end sees, by SET_MEM_TABLE or, beyond its limit, by ADD_MEM_REG
 * and REM_MEM_REG. With options->xen_memory always by one SET_MEM_TABLE of 40-byte regions, as
 * many as a message has fds (that is how Xen's front-ends do it). The fds stay the caller's.
 */
bool vu_front_set_memory(struct vu_front *f, const struct mem_region_desc *desc, const int *fds,
	unsigned n, GError **error);

/*
 * The in-flight area: memory that the back-end makes, and records in which requests it has taken
 * and not completed. Kept by the front-end, it lets the next back-end go on after this one died.
 */
struct vu_front_inflight {
	int fd; /* the caller's; -1: there is no area */
	uint64_t size, offset; /* in its file */
	uint16_t queues, queue_size; /* what it was made for */
};
/*
 * Asks for a new, empty area. After vu_front_set_features(), as rings of different formats have
 * different ones. area->fd is -1 without INFLIGHT_SHMFD, on error, or if the back-end has none to
 * give. Once per reset of the device: vu_front_set_inflight() hands the same one over again.
 */
bool vu_front_get_inflight(struct vu_front *f, uint16_t queues, uint16_t queue_size,
	struct vu_front_inflight *area, GError **error);
/* On each connection, after the features, before the first vu_front_setup_ring(). */
bool vu_front_set_inflight(
	struct vu_front *f, const struct vu_front_inflight *area, GError **error);

struct vu_ring_setup {
	uint32_t size;
	uint32_t base;
	uint64_t desc, avail, used; /* user addresses */
	int kick, call, err; /* eventfds, the caller's; err may be -1 */
};
/* NUM, BASE, ADDR, CALL, ERR, KICK. Then vu_front_enable_ring(). */
bool vu_front_setup_ring(
	struct vu_front *f, unsigned index, const struct vu_ring_setup *setup, GError **error);
bool vu_front_enable_ring(struct vu_front *f, unsigned index, bool enable, GError **error);
/* ENABLE 0 and GET_VRING_BASE: on return the back-end has finished or left every request. */
bool vu_front_stop_ring(struct vu_front *f, unsigned index, uint32_t *base, GError **error);
/* A new call fd for a ring that may be running. */
bool vu_front_set_call(struct vu_front *f, unsigned index, int call, GError **error);

/* Without STATUS: SET is nothing, GET gives 0. */
bool vu_front_set_status(struct vu_front *f, uint8_t status, GError **error);
bool vu_front_get_status(struct vu_front *f, uint8_t *status, GError **error);
/* All rings are stopped: SET_STATUS 0 and, if acked, RESET_DEVICE; no shared memory is mapped. */
bool vu_front_reset(struct vu_front *f, GError **error);

/*
 * The back-end channel; -1 without it, and after it broke. Poll it, and call
 * vu_front_backend_event() on POLLIN. Any other call serves it, too, while it waits for a reply;
 * what it saw there is told by the next vu_front_backend_event(), for which this fd is readable.
 */
int vu_front_backend_fd(const struct vu_front *f);
struct vu_front_events {
	void (*config_changed)(void *opaque);
};
/*
 * Reads and acks what is there, without waiting; half a message must become whole within 500 ms, or
 * deadline_ms if that is less. SHARED_OBJECT_LOOKUP is answered with failure, ADD and REMOVE are
 * ignored (PROBE was acked, not sharing). False: the channel is closed or broken.
 */
bool vu_front_backend_event(struct vu_front *f, const struct vu_front_events *events, void *opaque);
