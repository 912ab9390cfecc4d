/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest device: the virtio-mmio registers on one side, a vhost-user back-end on the other,
 * and a control thread between them that owns the connection.
 *
 *	vCPU thread: vmm_dev_access()  ->  registers  ->  desired state (DONE, or LATER)
 *	control thread: brings the back-end to it  ->  ops->access_done(token)
 *
 * The guest-driven state is the truth. While the back-end is away the guest's registers go on
 * working: config reads come from the last copy, DRIVER_OK completes, rings start when the back-
 * end is back; reset, QueueReady = 0 and QueueReset complete at once. A back-end that comes back
 * as something else (another id, config size, fewer queues, missing features) gives
 * DEVICE_NEEDS_RESET.
 *
 * Nothing here knows a device or a hypervisor.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/guest_mem.h"
#include "mmio/virtio_mmio.h"
#include "vhost-user/front/vu_front.h"

typedef struct vmm_dev vmm_dev; /* for g_autoptr */

enum vmm_eventfd {
	VMM_KICK, /* front-end or kernel to back-end */
	VMM_CALL, /* back-end to kernel or front-end */
};

/*
 * What a hypervisor supplies. opaque is vmm_dev_new()'s. Calls come from vCPU threads (inside
 * vmm_dev_access()) and from the device's control thread, so they must be thread-safe, and must
 * not call back into the same vmm_dev. interrupt() is called with the device's lock held: a lock
 * that it takes must not be held around vmm_dev_access().
 */
struct vmm_ops {
	/*
	 * The guest's memory as the back-end shall see it, while these queues of the device are
	 * to run (where rings are regions of their own, as with Xen's grants). *desc and *fds stay
	 * the hypervisor's and valid until it is asked again for the same device, or
	 * vmm_dev_memory_changed() has returned. Returns how many. Called on the device's control
	 * thread. packed: so these queues are laid out.
	 */
	unsigned (*memory)(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
		unsigned n_ready, bool packed, const struct mem_region_desc **desc,
		const int **fds);
	/*
	 * Connects to the back-end, at first and after each loss, on the control thread. kept: it
	 * is the very connection that the predecessor used (vmm_dev_config.state). fresh: there is
	 * none worth keeping: close what is kept. options: what the user says of this
	 * back-end may be set in there. NULL: by the configuration's path or fd.
	 */
	bool (*dial)(void *opaque, struct vmm_dev *d, bool fresh, struct vu_front_options *options,
		struct vu_front_sockets *sockets, bool *kept, GError **error);
	/*
	 * An eventfd for a queue, non-blocking: one that outlives this process, and that its
	 * successor is given again. The caller's. -1 and errno. NULL: eventfd() does.
	 */
	int (*eventfd)(void *opaque, struct vmm_dev *d, unsigned queue, enum vmm_eventfd which);
	/*
	 * Keeps a file, the in-flight area, for our successor, in the place of what was kept
	 * before; with -1: gives back what was kept, the caller's, or -1. NULL: there is no
	 * successor.
	 */
	int (*keep)(void *opaque, struct vmm_dev *d, int fd);
	/*
	 * Routes guest accesses of [base, base + size) to vmm_dev_access(); NULL: the caller does
	 * so itself.
	 */
	bool (*map_range)(
		void *opaque, struct vmm_dev *d, uint64_t base, uint64_t size, GError **error);
	void (*unmap_range)(void *opaque, struct vmm_dev *d, uint64_t base, uint64_t size);
	/*
	 * The device's interrupt line. Pulse an edge-triggered one at every true, also when the
	 * last call was true.
	 */
	void (*interrupt)(void *opaque, struct vmm_dev *d, bool level);
	/*
	 * Let the kernel inject the interrupt when fd is signalled (assign), or stop that. False:
	 * cannot; the control thread then waits for fd itself and uses interrupt(). NULL: never
	 * can.
	 */
	bool (*irqfd)(void *opaque, struct vmm_dev *d, unsigned queue, int fd, bool assign);
	/*
	 * Likewise: let the kernel signal fd when the guest writes queue to the 32-bit register
	 * at addr.
	 */
	bool (*ioeventfd)(void *opaque, struct vmm_dev *d, uint64_t addr, uint32_t queue, int fd,
		bool assign);
	/*
	 * Shared memory regions (virtio 1.2 §2.10), on the control thread. NULL, all three: the
	 * device shows none to the driver. Likewise with vmm_dev_config.state.
	 *
	 * Reserves guest addresses for a region of size bytes, whole pages, before the driver sees
	 * the device, once for each region; there it reads zeroes until something is mapped. They
	 * stay until the device is freed. False: the driver finds no such region.
	 */
	bool (*shm_reserve)(void *opaque, struct vmm_dev *d, uint8_t id, uint64_t size,
		uint64_t *base, GError **error);
	/* In a region that was reserved: see struct vu_front_shm_ops. */
	int (*shm_map)(void *opaque, struct vmm_dev *d, const struct vu_front_mapping *m);
	void (*shm_unmap)(void *opaque, struct vmm_dev *d, uint8_t id, uint64_t at, uint64_t len);
	/*
	 * An access that vmm_dev_access() (or vmm_dev_invalidate()) left for LATER is complete;
	 * value for a read. Once per token.
	 */
	void (*access_done)(void *opaque, void *token, uint64_t value);
};

struct vmm_dev_config {
	const char *name; /* for messages; copied */
	const char *socket_path; /* dial, and dial again after a loss; or NULL and: */
	int fd; /* a connected socket, taken over; no second chance */
	struct vu_front_options front; /* transport_features and inflight are set here */
	uint64_t base; /* guest address of the window */
	uint64_t window; /* its size, from 0x100; configuration beyond reads 0; 0: a page */
	uint32_t queue_size_max; /* 0: 256 */
	unsigned retry_ms; /* between two dials; 0: 200 */
	/*
	 * A guest whose driver has not set the device up so long after the first back-end was
	 * there is named in the log, once; 0: a minute.
	 */
	unsigned idle_ms;
	/* Added there: what the guest's kernel needs to use the device. Copied; or NULL. */
	const char *needs;
	uint64_t withheld; /* ring features that are not offered to the driver */
	/*
	 * Drivers must ask the platform where memory is (the guest grants it): ACCESS_PLATFORM is
	 * offered to the driver, whatever the back-end offers, and never acked to the back-end.
	 */
	bool access_platform;
	/*
	 * Memory of vmm_dev_state_size() bytes that outlives this process, or NULL; zeroed for a
	 * new device. One that a predecessor used makes this device that one: the registers are
	 * as the guest left them, and if ops->dial hands over the kept connection the back-end
	 * is only brought in line again (rings stopped where they are, and started again), so
	 * that neither guest nor back-end sees a loss. Until then every access waits. Accesses
	 * that the predecessor had begun must be repeated by the caller. Registers are
	 * always there before vmm_dev_access() says DONE, or ops->access_done() is called.
	 * vmm_dev_free() makes it a new device's again.
	 */
	void *state;
};
/* Fixed: for mmap(). */
size_t vmm_dev_state_size(void);

/*
 * Makes the slot at once, maps its range, and starts the control thread, which dials. Until the
 * first probe has succeeded, accesses are LATER; vmm_dev_give_up() turns the slot into an empty
 * one instead.
 */
struct vmm_dev *vmm_dev_new(const struct vmm_dev_config *config, const struct vmm_ops *ops,
	void *opaque, GError **error);
/*
 * Stops the back-end's rings, closes, ends the thread; every token still out is completed first. A
 * back-end that has not stopped within half a second is left: its connection is closed.
 */
void vmm_dev_free(struct vmm_dev *d);
/* Begins that, so that several devices end at the same time. vmm_dev_free() is all that is next. */
void vmm_dev_end(struct vmm_dev *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vmm_dev, vmm_dev_free)

/*
 * Waits until the first probe succeeded (true) or failed for good, or timeout_ms passed (then the
 * error is G_FILE_ERROR_AGAIN: one may go on waiting). Not from within vmm_ops.
 */
bool vmm_dev_wait(struct vmm_dev *d, unsigned timeout_ms, GError **error);
/* The slot reads as empty (DeviceID 0), loudly; accesses that wait are completed. */
void vmm_dev_give_up(struct vmm_dev *d);

const char *vmm_dev_name(const struct vmm_dev *d);
/* The probed properties; valid once vmm_dev_wait() returned true. */
const struct vu_properties *vmm_dev_properties(const struct vmm_dev *d);
/* Bytes of the window. */
uint64_t vmm_dev_window(const struct vmm_dev *d);

/*
 * A guest access at window offset off. DONE: complete, *value set for a read. LATER: token comes
 * back by ops->access_done(), possibly before this returns. Any thread; never waits for the back-
 * end.
 */
enum virtio_mmio_result vmm_dev_access(
	struct vmm_dev *d, uint64_t off, unsigned size, bool write, uint64_t *value, void *token);

/*
 * ops->memory() gives something else now: returns when the back-end has it, or is away. Memory that
 * queues lie in keeps its user address as long as they are ready.
 */
void vmm_dev_memory_changed(struct vmm_dev *d);

/*
 * Pages have left the guest, its addresses stay: a back-end that keeps pages mapped must let go of
 * them. The same table is sent again; LATER: token comes back by ops->access_done() when the back-
 * end has it, or is away. Any thread, never waits. Several that come while one is under way are
 * answered by one more table.
 */
enum virtio_mmio_result vmm_dev_invalidate(struct vmm_dev *d, void *token);

struct vmm_dev_counters {
	/* Accesses by the guest that came here; those that had to wait. */
	uint64_t accesses, later;
	/* Of them: QueueNotify, reads of InterruptStatus, writes of InterruptACK. */
	uint64_t notifies, status_reads, acks;
	/* Calls that were not the kernel's business; configuration interrupts; back-ends back. */
	uint64_t interrupts, config_interrupts, reconnects;
};
void vmm_dev_counters(struct vmm_dev *d, struct vmm_dev_counters *counters);
