/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host's kernel (AF_VSOCK), streams: what the guest sends to the host goes to that
 * address at which a machine reaches itself, and not to the host's own one, at which other machines
 * do: which address that is depends on where the host runs. The kernel sends a message in parts if
 * it may not wait for room, and tells nobody: so there are none.
 */
#include "daemon/devices/vsock/vsock.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/syscall_rule.h"
#include "base/util.h"

#ifndef VMADDR_CID_LOCAL
#define VMADDR_CID_LOCAL 1
#endif
#define BACKLOG 128

const struct syscall_rule vsock_native_calls[] = {
	SYSCALL_IF(socket, 0, UINT32_MAX, AF_VSOCK),
	SYSCALL(connect),
	SYSCALL_END,
};

static int new_socket(void)
{
	return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void on_connected(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct vsock_conn *c = container_of(w, struct vsock_conn, watch);
	struct vsock *v = c->v;
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	virtio_watch(d, NULL, w, 0);
	if (err)
		fd_close(&w->fd);
	vsock_dialled(c, err ? -ECONNREFUSED : fd_steal(&w->fd));
	vsock_rx_run(v);
}

void vsock_native_dial(struct vsock_conn *c)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = c->key.cid == VSOCK_HOST_CID ? VMADDR_CID_LOCAL : (uint32_t)c->key.cid,
		.svm_port = c->key.host_port,
	};
	autofd fd = c->type == VIRTIO_VSOCK_TYPE_STREAM ? new_socket() : -1;

	if (fd < 0 ||
		(connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
			errno != EINPROGRESS)) {
		vsock_dialled(c, -ECONNREFUSED);
		return;
	}
	c->by_kernel = true;
	/* The kernel waits two seconds at most. */
	c->watch.fd = fd_steal(&fd);
	c->watch.ready = on_connected;
	virtio_watch(c->v->d, NULL, &c->watch, EPOLLOUT);
}

int vsock_native_listen(uint32_t port, GError **error)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
		.svm_port = port,
	};
	autofd fd = new_socket();

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(fd, BACKLOG) == 0)
		return fd_steal(&fd);
	error_errno(error, errno, "--native-port=%u: cannot listen%s", port,
		errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT
			? " (the kernel needs the module vsock_loopback)"
			: "");
	return -1;
}
