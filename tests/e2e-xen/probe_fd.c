/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be done with a privcmd descriptor by somebody who got hold of a daemon?
 *
 *	probe_fd FD DOMID
 *
 * FD is inherited and restricted to DOMID. Prints a line for each attempt, "ok", "WRONG" or "note"
 * first. Exit status: 0 if the guest's memory could be mapped and all else was refused, and because
 * of the restriction; 1 if not; 2 if it was called wrongly. What is not refused does no harm.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/xen_abi.h"

#define GUEST_FRAME (0x40000000u >> XEN_PAGE_SHIFT) /* begins its memory, on arm64 */

struct hypercall {
	uint64_t op, arg[5];
};

struct mmap_call {
	int num;
	uint16_t domid;
	const struct mmap_entry {
		uint64_t va, mfn, pages;
	} * entry;
};

struct mmap_batch_v1 {
	int num;
	uint16_t domid;
	uint64_t addr;
	const uint64_t *gfn;
};

struct mmap_resource {
	uint16_t domid;
	uint32_t type, id, index;
	uint64_t num, addr;
};

struct irqfd {
	uint64_t dm_op;
	uint32_t size, fd, flags;
	uint16_t domid;
	uint8_t pad[2];
};

struct ioeventfd {
	uint64_t ioreq, ports, addr;
	uint32_t addr_len, event_fd, vcpus, vq, flags;
	uint16_t domid;
	uint8_t pad[2];
};

#define HYPERCALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct hypercall))
#define MMAP _IOC(_IOC_NONE, 'P', 2, sizeof(struct mmap_call))
#define MMAP_BATCH_V1 _IOC(_IOC_NONE, 'P', 3, sizeof(struct mmap_batch_v1))
#define MMAP_RESOURCE _IOC(_IOC_NONE, 'P', 7, sizeof(struct mmap_resource))
#define IRQFD _IOW('P', 8, struct irqfd)
#define IOEVENTFD _IOW('P', 9, struct ioeventfd)

#define DM_OP_NR_VCPUS 20

static int fd;
static bool wrong;

static void report(const char *verdict, const char *what, unsigned which, int err)
{
	printf("%-5s  %s %u: %s\n", verdict, what, which, err ? strerror(err) : "done");
}

/*
 * Checks that it fails, and with one of these errors: another would tell nothing about the
 * restriction.
 */
static void refused(const char *what, unsigned which, unsigned long request, void *arg,
	int expected, int or_expected)
{
	int err = ioctl(fd, request, arg) < 0 ? errno : 0;
	bool good = err && (err == expected || err == or_expected);

	wrong |= !good;
	report(good ? "ok" : "WRONG", what, which, err);
}

/* Makes a mapping of the descriptor, empty as yet: each call that fills one gets its own. */
static void *new_mapping(void)
{
	return mmap(NULL, XEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static int map_page(unsigned domid, void *addr)
{
	uint64_t gfn = GUEST_FRAME;
	int page = 0;
	struct xen_mmap_batch batch = {
		.num = 1,
		.domid = domid,
		.addr = (uintptr_t)addr,
		.gfn = &gfn,
		.err = &page,
	};

	return ioctl(fd, XEN_IOCTL_MMAP_BATCH, &batch) < 0 ? errno : -page;
}

static void try_own_memory(unsigned domid)
{
	void *addr = new_mapping();
	int err = map_page(domid, addr);

	wrong |= err != 0;
	report(err ? "WRONG" : "ok", "map memory of domain", domid, err);
	if (!err)
		printf("       it begins with 0x%08x\n", *(const volatile unsigned *)addr);
}

static void try_memory(unsigned domid)
{
	uint64_t gfn = GUEST_FRAME;
	struct mmap_entry entry = { (uintptr_t)new_mapping(), GUEST_FRAME, 1 };
	struct mmap_call call = { 1, domid, &entry };
	struct mmap_batch_v1 v1 = { 1, domid, (uintptr_t)new_mapping(), &gfn };
	struct mmap_resource resource = {
		.domid = domid,
		.num = 1,
		.addr = (uintptr_t)new_mapping(),
	};
	int err = map_page(domid, new_mapping());

	wrong |= err != EPERM;
	report(err == EPERM ? "ok" : "WRONG", "IOCTL_PRIVCMD_MMAPBATCH_V2 of domain", domid, err);
	refused("IOCTL_PRIVCMD_MMAPBATCH of domain", domid, MMAP_BATCH_V1, &v1, EPERM, 0);
	refused("IOCTL_PRIVCMD_MMAP_RESOURCE of domain", domid, MMAP_RESOURCE, &resource, EPERM, 0);
	/* There is none where Xen translates all addresses: on arm64. */
	refused("IOCTL_PRIVCMD_MMAP of domain", domid, MMAP, &call, EPERM, ENOSYS);
}

/* Asks what changes nothing: how many vCPUs has it? */
static struct xen_dm_op_call ask_vcpus(unsigned domid)
{
	static uint32_t op[18] = { DM_OP_NR_VCPUS };
	static const struct xen_dm_op_buffer buf = { op, sizeof(op) };

	return (struct xen_dm_op_call){ domid, 1, &buf };
}

static void try_control(unsigned domid)
{
	struct xen_dm_op_call question = ask_vcpus(domid);
	struct irqfd irqfd = { .fd = -1, .domid = domid };
	struct ioeventfd ioeventfd = { .event_fd = -1, .vcpus = 1, .domid = domid };
	uint16_t wider = domid;

	refused("IOCTL_PRIVCMD_DM_OP on domain", domid, XEN_IOCTL_DM_OP, &question, EPERM, 0);
	refused("IOCTL_PRIVCMD_RESTRICT to domain", domid, XEN_IOCTL_RESTRICT, &wider, EINVAL,
		EPERM);
	/* Not every kernel has these. */
	refused("IOCTL_PRIVCMD_IRQFD for domain", domid, IRQFD, &irqfd, EPERM, EOPNOTSUPP);
	refused("IOCTL_PRIVCMD_IOEVENTFD for domain", domid, IOEVENTFD, &ioeventfd, EPERM,
		EOPNOTSUPP);
}

static void try_hypercalls(void)
{
	/*
	 * memory_op, xen_version, grant_table_op, sched_op, event_channel_op, hvm_op, sysctl,
	 * domctl, dm_op; without arguments they would do nothing.
	 */
	static const unsigned number[] = { 12, 17, 20, 29, 32, 34, 35, 36, 41 };

	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		struct hypercall call = { .op = number[i] };

		refused("hypercall", number[i], HYPERCALL, &call, EPERM, 0);
	}
}

int main(int argc, char **argv)
{
	struct xen_dm_op_call question;
	unsigned domid;

	if (argc != 3) {
		fprintf(stderr, "usage: probe_fd FD DOMID\n");
		return 2;
	}
	fd = atoi(argv[1]);
	domid = atoi(argv[2]);
	try_own_memory(domid);
	/* This much the kernel allows. */
	question = ask_vcpus(domid);
	report("note", "IOCTL_PRIVCMD_DM_OP on domain", domid,
		ioctl(fd, XEN_IOCTL_DM_OP, &question) < 0 ? errno : 0);
	/* "The caller", "I/O memory", "Xen". */
	for (unsigned i = 1; i <= 3; i++)
		try_memory(XEN_MAX_DOMID + i);
	try_memory(0);
	try_control(0);
	try_memory(domid + 1);
	try_control(domid + 1);
	try_hypercalls();
	return wrong;
}
