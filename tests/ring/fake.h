/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver without manners: it writes vrings byte by byte, honest or not, into a memfd that a vq
 * serves; packed ones if the features say so, and by functions that serve both where it can. Guest
 * addresses, user addresses and the mapping here all differ.
 *
 * Memory is two regions that follow each other for the guest and not for the host. With map, each
 * borrow maps (as grants do) and is counted.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "ring/vq_engine.h"
#include "memory/shm.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define EVENT_IDX FEATURE(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT FEATURE(VIRTIO_RING_F_INDIRECT_DESC)
#define IN_ORDER FEATURE(VIRTIO_F_IN_ORDER)

#define PACKED FEATURE(VIRTIO_F_RING_PACKED)

#define REGION_BYTES (4u << 20)
#define REGIONS 2
#define GUEST_ADDR UINT64_C(0x100000)
#define DATA_ADDR (GUEST_ADDR + (1u << 20)) /* free for a test's buffers */
#define BORDER_ADDR (GUEST_ADDR + REGION_BYTES) /* where the second region begins */
#define END_ADDR (BORDER_ADDR + REGION_BYTES)

struct fake {
	unsigned fds;
	int memfd;
	uint8_t *host;
	bool map;
	struct guest_mem *mem;
	struct vq *q;
	struct vq_setup setup;

	/* The driver's view, valid after fake_layout(). */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen; /* used entries reaped */
	struct vring_packed_desc *list; /* packed: the vring, and the two event areas */
	struct vring_packed_desc_event *driver, *device;
	uint16_t at, used_at; /* packed: where the next goes, comes from; bit 15: wrap counter */

	/* A test's: the driver's interrupt handler. */
	void (*on_call)(struct fake *f);
	bool bounce; /* with map, memory is copied when borrowed and given back */

	/* What happened. */
	unsigned calls, breaks;
	char reason[256];
	unsigned borrows, give_backs; /* calls to the memory type, with map */
	int mapped; /* ranges that are mapped now, with map */
	uint32_t written; /* what the last give back said was written, with map */
	bool lost; /* with map, what the device wrote does not get to the guest */
	unsigned lost_from; /* with lost, only this range of each give back, and what follows */
};

/* Added to the features by fake_layout(): PACKED, or not. */
extern uint64_t fake_format;

/* Makes memory and a stopped queue. */
void fake_open(struct fake *f, bool map);
/* Replaces the queue, which is stopped, by a new one. */
void fake_new_queue(struct fake *f);
/* As fake_open(), with zeroed vrings in default places, started. */
void fake_start(struct fake *f, bool map, unsigned size, uint64_t features);
/* Stops it if need be; checks that no mapping and no fd leaked. */
void fake_close(struct fake *f);

/* Default places for a vring of this size and these features: into f->setup, zeroed. */
void fake_layout(struct fake *f, unsigned size, uint64_t features);
/* The driver's view of a vring at f->setup. */
void fake_places(struct fake *f);
/* vq_start() of f->setup, which must work. */
void fake_vq_start(struct fake *f);
/* vq_stop(), then nothing may be mapped. */
uint32_t fake_vq_stop(struct fake *f);
/* The host address of a guest address. */
void *fake_host(struct fake *f, uint64_t guest_addr);
/* The user address of a guest address. */
uint64_t fake_user(uint64_t guest_addr);

/* Split: writes a descriptor; makes a head the next available one. */
void fake_desc(
	struct fake *f, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
void fake_avail(struct fake *f, uint16_t head);
uint16_t *fake_used_event(struct fake *f);
uint16_t *fake_avail_event(struct fake *f);

/* Packed: the next descriptor, made available with these flags besides. */
void fake_packed(struct fake *f, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id);
/* Moves a position on, or back. */
uint16_t fake_packed_move(const struct fake *f, uint16_t position, int n);

/* Both. */

struct fake_buf {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* without NEXT */
};
/* A request of n buffers, known as id; split: in the descriptors from id on. Available. */
void fake_list(struct fake *f, uint16_t id, const struct fake_buf *buf, unsigned n);
/* Writes entry i of an indirect table at a guest address; packed ones have no next. */
void fake_table(struct fake *f, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next);
/* 16 bytes for the device to write. */
void fake_request(struct fake *f, uint16_t id);
/* n of these, with ids from first on, available all at once; true: the device wants a kick. */
bool fake_publish(struct fake *f, unsigned first, unsigned n);
/* The next completed request, if any. */
bool fake_reap(struct fake *f, uint32_t *id, uint32_t *len);
/* How many are new; reaps them. */
unsigned fake_reap_all(struct fake *f);
/* Asks for a call at the next one; true if there is one already. */
bool fake_arm(struct fake *f);
/* SET_VRING_BASE of a vring in which n descriptors have come and gone. */
uint32_t fake_base(const struct fake *f, unsigned n);

/* A device that writes one byte to every request, in one burst after the other; how many. */
unsigned fake_serve(struct fake *f);
/*
 * Serves bursts of requests, after set_event() has named an entry relative to the next one that
 * will be used: a call is due if that entry is among those of the burst. The vring has 7 or more.
 */
void fake_expect_event_calls(struct fake *f, void (*set_event)(struct fake *f, int event));
/* The next request has so many bytes each way; it is completed. */
void fake_answer(struct fake *f, size_t out, size_t in);
/* Returns how many mappings of the queue are out; or requests, where memory stays mapped. */
unsigned fake_mappings_out(const struct fake *f);
/* It has broken once, and this is in the reason. */
void fake_expect_broken(const struct fake *f, const char *reason);
/* Runs them with split vrings, then with packed ones. */
#define fake_run_both(tests)                                                           \
	({                                                                             \
		int failed_ = cmocka_run_group_tests_name("split", tests, NULL, NULL); \
                                                                                       \
		fake_format = PACKED;                                                  \
		failed_ += cmocka_run_group_tests_name("packed", tests, NULL, NULL);   \
		fake_format = 0;                                                       \
		failed_;                                                               \
	})
