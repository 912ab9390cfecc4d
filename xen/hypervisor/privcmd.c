/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the ioctls of the kernel's device files for Xen. */
#include "xen/hypervisor/privcmd.h"

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/virtio_mmio.h>
#include <sys/ioctl.h>
#include <xen/hvm/dm_op.h>

#include "base/error.h"
#include "base/util.h"
#include "base/xen_abi.h"

/* From linux/privcmd.h of Linux 6.7, which changed the number that 6.6 had for IRQFD. */
struct privcmd_irqfd {
	uint64_t dm_op; /* address of the operation that is done when fd is signalled */
	uint32_t size;
	uint32_t fd;
	uint32_t flags;
	uint16_t domid;
	uint8_t pad[2];
};

struct privcmd_ioeventfd {
	uint64_t ioreq;
	uint64_t ports;
	uint64_t addr; /* of the device: the kernel adds QueueNotify's offset */
	uint32_t addr_len;
	uint32_t event_fd;
	uint32_t vcpus;
	uint32_t vq;
	uint32_t flags;
	uint16_t domid;
	uint8_t pad[2];
};
#define DEASSIGN 1u /* a flag of both */

#define IRQFD _IOW('P', 8, struct privcmd_irqfd)
#define IOEVENTFD _IOW('P', 9, struct privcmd_ioeventfd)

static int kernel_open(const char *path, int flags)
{
	return open(path, flags);
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static const struct privcmd_ops kernel = { kernel_open, kernel_ioctl };
static const struct privcmd_ops *ops = &kernel;

void privcmd_set_ops(const struct privcmd_ops *replacement)
{
	ops = replacement ? replacement : &kernel;
}

static int open_device(const char *path, GError **error)
{
	int fd = ops->open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		error_errno(error, errno, "cannot open '%s'", path);
	return fd;
}

int privcmd_open_restricted(unsigned domid, GError **error)
{
	autofd fd = open_device("/dev/xen/privcmd", error);
	uint16_t dom = domid;

	if (fd < 0)
		return -1;
	if (ops->ioctl(fd, XEN_IOCTL_RESTRICT, &dom) < 0) {
		error_errno(error, errno, "cannot restrict '/dev/xen/privcmd' to domain %u", domid);
		return -1;
	}
	return fd_steal(&fd);
}

int privcmd_open_gntdev(GError **error)
{
	return open_device("/dev/xen/gntdev", error);
}

/* Makes a pulse. For an edge only the assertion counts: Xen ignores level 0. */
static struct xen_dm_op make_pulse(uint32_t irq)
{
	return (struct xen_dm_op){
		.op = XEN_DMOP_set_irq_level,
		.u.set_irq_level = { .irq = irq, .level = 1 },
	};
}

bool privcmd_pulse_irq(int privcmd, unsigned domid, uint32_t irq)
{
	struct xen_dm_op op = make_pulse(irq);
	const struct xen_dm_op_buffer buffer = { .data = &op, .size = sizeof(op) };
	struct xen_dm_op_call arg = { .domid = domid, .n = 1, .buffers = &buffer };

	return ops->ioctl(privcmd, XEN_IOCTL_DM_OP, &arg) == 0;
}

bool privcmd_irqfd(int privcmd, unsigned domid, uint32_t irq, int fd, bool assign)
{
	struct xen_dm_op op = make_pulse(irq);
	struct privcmd_irqfd arg = {
		.dm_op = (uintptr_t)&op,
		.size = sizeof(op),
		.fd = fd,
		.flags = assign ? 0 : DEASSIGN,
		.domid = domid,
	};

	return ops->ioctl(privcmd, IRQFD, &arg) == 0;
}

bool privcmd_ioeventfd(int privcmd, const struct privcmd_kick *kick, int fd, bool assign)
{
	struct privcmd_ioeventfd arg = {
		.ioreq = (uintptr_t)kick->ioreq,
		.ports = (uintptr_t)kick->ports,
		.addr = kick->addr - VIRTIO_MMIO_QUEUE_NOTIFY,
		.addr_len = sizeof(uint32_t),
		.event_fd = fd,
		.vcpus = kick->vcpus,
		.vq = kick->queue,
		.flags = assign ? 0 : DEASSIGN,
		.domid = kick->domid,
	};

	return ops->ioctl(privcmd, IOEVENTFD, &arg) == 0;
}
