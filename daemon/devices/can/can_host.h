/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of can_socket.c, which its test replaces: few machines have a CAN interface. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Opens a raw socket of an interface, not blocking, which receives its own frames, too, and error
 * frames about bus-off. Returns an fd that the caller owns, or -1 with errno; *mtu: of the
 * interface.
 */
int can_host_open(const char *interface, int *mtu);
/* As recv(); *own: the frame was sent by this socket, and is on the bus. */
ssize_t can_host_recv(int fd, void *buf, size_t len, bool *own);
ssize_t can_host_send(int fd, const void *buf, size_t len);
