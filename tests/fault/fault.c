/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one call of a program fail (LD_PRELOAD): the n-th of its kind, as the kernel would without
 * memory, file descriptors or a working disk. Only calls that the program's own code makes count:
 * GLib ends the process if it gets no eventfd, and what it allocates is not tried here either, as
 * g_malloc() ends the process, too.
 *
 *	VIRTIOD_FAULT		KIND:N, of the table below; N 0: none fails
 *	VIRTIOD_FAULT_REPORT	a file, of zeroes and at least as large as struct report
 *
 * Programs that this one starts are not concerned.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <link.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const kinds[] = { "accept", "epoll_create", "epoll_ctl", "eventfd", "fstat",
	"ioctl", "memalign", "memfd", "mmap", "pread", "pwrite", "read", "recvmsg", "sendmsg",
	"signalfd", "socketpair", "thread", "timerfd", "uring" };
#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

struct report {
	uint32_t failed; /* one has */
	struct {
		char name[16];
		uint32_t calls; /* so far */
	} kind[N_KINDS];
};

static struct {
	unsigned kind; /* an index */
	uint32_t n;
	uintptr_t from, to; /* the program's code */
	struct report *report;
} fault;

static unsigned find_kind(const char *name, size_t len)
{
	unsigned i = 0;

	while (i < N_KINDS && (strlen(kinds[i]) != len || memcmp(kinds[i], name, len)))
		i++;
	return i;
}

static bool is_chosen(const char *name, uintptr_t caller)
{
	unsigned kind;

	if (!fault.report || caller < fault.from || caller >= fault.to)
		return false;
	kind = find_kind(name, strlen(name));
	if (kind == N_KINDS)
		abort();
	if (__atomic_add_fetch(&fault.report->kind[kind].calls, 1, __ATOMIC_SEQ_CST) != fault.n ||
		kind != fault.kind)
		return false;
	__atomic_store_n(&fault.report->failed, 1, __ATOMIC_SEQ_CST);
	return true;
}

/* Finds the code of the program, which is the first of all objects. */
static int find_program(struct dl_phdr_info *info, size_t size, void *opaque)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		fault.from = info->dlpi_addr + p->p_vaddr;
		fault.to = fault.from + p->p_memsz;
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *what = getenv("VIRTIOD_FAULT"), *path = getenv("VIRTIOD_FAULT_REPORT");
	const char *colon = what ? strchr(what, ':') : NULL;
	int fd;

	unsetenv("LD_PRELOAD");
	if (!colon || !path)
		return;
	fault.kind = find_kind(what, (size_t)(colon - what));
	fault.n = strtoul(colon + 1, NULL, 10);
	dl_iterate_phdr(find_program, NULL);
	fd = open(path, O_RDWR | O_CLOEXEC);
	fault.report = mmap(NULL, sizeof(*fault.report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (fault.report == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < N_KINDS; i++)
		strcpy(fault.report->kind[i].name, kinds[i]);
}

#define NEXT(symbol)                                      \
	({                                                \
		static void *next_;                       \
		if (!next_)                               \
			next_ = dlsym(RTLD_NEXT, symbol); \
		next_;                                    \
	})
/* A function that fails with `result`, having set errno to `err`. */
#define FAULTY(kind, symbol, result, err, type, name, params, args)            \
	type name params                                                       \
	{                                                                      \
		if (is_chosen(kind, (uintptr_t)__builtin_return_address(0))) { \
			errno = err;                                           \
			return result;                                         \
		}                                                              \
		return ((__typeof__(&name))NEXT(symbol))args;                  \
	}

/* Leaves KVM_RUN alone: each of the guest's accesses is one. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	if (request != KVM_RUN && is_chosen("ioctl", (uintptr_t)__builtin_return_address(0))) {
		errno = ENOMEM;
		return -1;
	}
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return ((__typeof__(&ioctl))NEXT("ioctl"))(fd, request, arg);
}

/* clang-format off */
FAULTY("mmap", "mmap64", MAP_FAILED, ENOMEM, void *, mmap,
	(void *at, size_t len, int prot, int flags, int fd, off_t offset),
	(at, len, prot, flags, fd, offset))
FAULTY("memfd", "memfd_create", -1, ENFILE, int, memfd_create,
	(const char *name, unsigned flags), (name, flags))
FAULTY("memalign", "posix_memalign", ENOMEM, ENOMEM, int, posix_memalign,
	(void **to, size_t alignment, size_t size), (to, alignment, size))
FAULTY("recvmsg", "recvmsg", -1, ENOMEM, ssize_t, recvmsg,
	(int fd, struct msghdr *m, int flags), (fd, m, flags))
FAULTY("sendmsg", "sendmsg", -1, ENOBUFS, ssize_t, sendmsg,
	(int fd, const struct msghdr *m, int flags), (fd, m, flags))
FAULTY("eventfd", "eventfd", -1, EMFILE, int, eventfd, (unsigned n, int flags), (n, flags))
FAULTY("timerfd", "timerfd_create", -1, EMFILE, int, timerfd_create,
	(clockid_t clock, int flags), (clock, flags))
FAULTY("signalfd", "signalfd", -1, EMFILE, int, signalfd,
	(int fd, const sigset_t *set, int flags), (fd, set, flags))
FAULTY("socketpair", "socketpair", -1, EMFILE, int, socketpair,
	(int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
FAULTY("accept", "accept4", -1, EMFILE, int, accept4,
	(int fd, struct sockaddr *a, socklen_t *len, int flags), (fd, a, len, flags))
FAULTY("epoll_create", "epoll_create1", -1, EMFILE, int, epoll_create1, (int flags), (flags))
FAULTY("epoll_ctl", "epoll_ctl", -1, ENOSPC, int, epoll_ctl,
	(int epoll, int op, int fd, struct epoll_event *e), (epoll, op, fd, e))
FAULTY("read", "read", -1, EIO, ssize_t, read, (int fd, void *to, size_t n), (fd, to, n))
FAULTY("pread", "pread64", -1, EIO, ssize_t, pread,
	(int fd, void *to, size_t n, off_t at), (fd, to, n, at))
FAULTY("pread", "preadv64v2", -1, EIO, ssize_t, preadv2,
	(int fd, const struct iovec *iov, int n, off_t at, int flags), (fd, iov, n, at, flags))
FAULTY("pwrite", "pwritev64v2", -1, ENOSPC, ssize_t, pwritev2,
	(int fd, const struct iovec *iov, int n, off_t at, int flags), (fd, iov, n, at, flags))
FAULTY("fstat", "fstat64", -1, EIO, int, fstat, (int fd, struct stat *st), (fd, st))
FAULTY("thread", "pthread_create", EAGAIN, EAGAIN, int, pthread_create,
	(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *opaque),
	(t, a, run, opaque))
FAULTY("uring", "io_uring_queue_init_params", -ENOMEM, ENOMEM, int, io_uring_queue_init_params,
	(unsigned n, struct io_uring *ring, struct io_uring_params *p), (n, ring, p))
FAULTY("uring", "io_uring_submit", -EAGAIN, EAGAIN, int, io_uring_submit,
	(struct io_uring *ring), (ring))
FAULTY("uring", "io_uring_submit_and_get_events", -EAGAIN, EAGAIN, int,
	io_uring_submit_and_get_events, (struct io_uring *ring), (ring))
FAULTY("uring", "io_uring_get_events", -EAGAIN, EAGAIN, int, io_uring_get_events,
	(struct io_uring *ring), (ring))
FAULTY("uring", "io_uring_register_eventfd", -ENOMEM, ENOMEM, int, io_uring_register_eventfd,
	(struct io_uring *ring, int fd), (ring, fd))
FAULTY("uring", "io_uring_register_files", -ENOMEM, ENOMEM, int, io_uring_register_files,
	(struct io_uring *ring, const int *fds, unsigned n), (ring, fds, n))
FAULTY("uring", "io_uring_register", -ENOMEM, ENOMEM, int, io_uring_register,
	(unsigned fd, unsigned op, const void *what, unsigned n), (fd, op, what, n))
