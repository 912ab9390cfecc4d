/* SPDX-License-Identifier: Apache-2.0 */
/* A broker on a fake Xen. */
#pragma once

#include "tests/lib/test.h"

#include "fake_xen.h"
#include "xen/supervisor/broker.h"

#define BASE UINT64_C(0x2000000)

struct broker_test {
	struct test test;
	struct broker *broker;
	/* Of the last answer. */
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n;
};

int broker_setup(void **state);
int broker_teardown(void **state);
/* The broker of a guest with 128 MiB. */
struct broker *broker_test_make(GError **error);
/* Adds a device of id 4, with a back-end, a wait and a queue size. */
bool broker_test_add(
	struct broker_test *w, uint64_t base, uint32_t irq, bool grants, GError **error);
/*
 * Returns the reply's err, whose files are in fds; -1: the request was refused. file: -1 or sent.
 */
int broker_test_ask_with(struct broker_test *w, struct ipc_request request, int file);
int broker_test_ask(struct broker_test *w, struct ipc_request request);
/* Closes the files of the last reply. */
void broker_test_close(struct broker_test *w);
