/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device test kit. A test of a device is a function that plays the driver, and a line in a
 * table:
 *
 *	static void test_echo(struct kit *k)
 *	{
 *		struct kit_request *r;
 *
 *		kit_start(k, "--upper", NULL);
 *		r = kit_send(k, 0, "Hello", 5, 16);
 *		assert_int_equal(kit_wait(k, r), 5);
 *		assert_memory_equal(r->in, "HELLO", 5);
 *	}
 *
 *	static const struct kit_test tests[] = { { "echo", test_echo } };
 *
 *	int main(int argc, char **argv)
 *	{
 *		return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
 *	}
 *
 * kit_main() runs each test over split and packed rings, with buffers in one piece and in many,
 * with the queues stopped and resumed after every request, and with a hostile driver that sends
 * distorted copies of the test's requests. These runs have the device in the test's process
 * (kit_core.h). With the device's program as argument, the test runs against that, too, over a
 * vhost-user socket: undisturbed, stopped and resumed, and killed by SIGKILL and started again
 * while requests are in flight.
 */
#pragma once

#include "tests/lib/test.h"

struct kit;

/* A request; belongs to the kit and lasts as long as the test. */
struct kit_request {
	unsigned queue;
	uint8_t *out, *in; /* what the device reads and writes, in guest memory */
	uint64_t out_address, in_address; /* for the guest */
	uint32_t out_size, in_size;
	bool done; /* the device has completed it */
	uint32_t used; /* bytes that it has written then */
	unsigned order; /* 1: the first that was completed, 2: the next ... */
};

struct kit_test {
	const char *name;
	void (*run)(struct kit *k);
	uint64_t features; /* of the device's own, to negotiate; 0: all that it offers */
	unsigned skip; /* enum kit_skip */
};
/* For tests that a variant does not apply to. */
enum kit_skip {
	KIT_NO_PAUSE = 1 << 0,
	KIT_NO_KILL = 1 << 1, /* the device's own state does not outlive its process */
	KIT_NO_HOSTILE = 1 << 2,
	KIT_NO_PROCESS = 1 << 3, /* looks into the test's process */
};

/*
 * Runs the tests; argv[1], if given, is the device's program, and argv[2] what kit_rounds() is to
 * return. Returns main()'s result.
 */
int kit_main(const struct kit_test *tests, unsigned n, int argc, char **argv);

/* Returns how often a test is to do what a long run does more often. */
unsigned kit_rounds(const struct kit *k, unsigned usual);

/* Opens the device with these options (NULL ends them) and starts its queues. */
void kit_start(struct kit *k, ...) G_GNUC_NULL_TERMINATED;
/* Fails the test unless the device refuses to start, with an error that contains text. */
void kit_start_fails(struct kit *k, const char *text, ...) G_GNUC_NULL_TERMINATED;

/* Before kit_start(): the front-end has no shared memory, or the queues no in-flight area. */
void kit_without_shm(struct kit *k);
void kit_without_inflight(struct kit *k);

/* Sends a request: out_size bytes for the device to read, and room for in_size bytes. */
struct kit_request *kit_send(
	struct kit *k, unsigned queue, const void *out, size_t out_size, size_t in_size);
/* As kit_send(), but the device learns of it with the next kit_send() or kit_kick(). */
struct kit_request *kit_add(
	struct kit *k, unsigned queue, const void *out, size_t out_size, size_t in_size);
/* Adds a request that is complete once more, with the same buffers. */
void kit_add_again(struct kit *k, struct kit_request *r);
void kit_kick(struct kit *k, unsigned queue);
/* Waits until the request is complete; returns how much was written. */
uint32_t kit_wait(struct kit *k, struct kit_request *r);
/* Lets the device do what it can do now; returns true if the request is complete. */
bool kit_is_done(struct kit *k, struct kit_request *r);
/* Waits until the device has broken a queue for a reason that contains text. */
void kit_wait_broken(struct kit *k, const char *text);
/* Waits until the device has logged text. */
void kit_wait_log(struct kit *k, const char *text);

/* Stops the queues and starts them again, in the place of a front-end that pauses the guest. */
void kit_pause(struct kit *k);
/* The driver resets the device and starts afresh; earlier requests are forgotten. */
void kit_reset(struct kit *k);

/* Another device takes the place of this one, which was killed in the runs with a process. */
void kit_restart(struct kit *k);
/* The front-end disconnects, and another one connects, with the same rings. */
void kit_leave(struct kit *k);

void kit_config_read(struct kit *k, uint32_t offset, void *to, uint32_t size);
void kit_config_write(struct kit *k, uint32_t offset, const void *from, uint32_t size);
/* Waits until the device has notified the driver of at least n changes of its configuration. */
void kit_wait_config(struct kit *k, unsigned n);

/* Device-specific messages (struct virtio_device_wire). They return false if they are refused. */
bool kit_announce(struct kit *k, const uint8_t mac[6]);
bool kit_mtu(struct kit *k, uint64_t mtu);
/* fd stays the caller's. */
bool kit_display(struct kit *k, int fd);
/* The payload becomes the answer's; the test fails if there is none. */
void kit_session_open(struct kit *k, void *payload, size_t size);
void kit_session_close(struct kit *k, uint64_t id);
/* Returns an fd that the caller owns, or -1. */
int kit_object(struct kit *k, const uint8_t uuid[16]);
/* Stops the queues, saves or loads the device's state, and starts them again. */
GByteArray *kit_save(struct kit *k);
bool kit_load(struct kit *k, GByteArray *state);

/*
 * Calls a method of the control socket: kit_call(k, "set", "\"line\":3,\"value\":1"). Returns the
 * reply, valid for the test. (In this process events are lines of the log.)
 */
const char *kit_call(struct kit *k, const char *method, const char *params);

/* Waits until something is mapped there in a shared memory region, and returns where it is. */
uint8_t *kit_wait_mapped(struct kit *k, uint8_t id, uint64_t at);
void kit_wait_unmapped(struct kit *k, uint8_t id, uint64_t at);
/* From now on the front-end refuses to map anything, with this errno; 0: it does not. */
void kit_fail_mappings(struct kit *k, int error);

/* A path in a folder of the test's own, which is removed with all in it; valid for the test. */
const char *kit_path(struct kit *k, const char *name);
/* Returns true if the queues are stopped and resumed after each request. */
bool kit_has_pauses(const struct kit *k);
/*
 * Returns true if the device is killed after each request: it carries it out before that, after it
 * in the next process, or in both. What it remembers may be forgotten whenever kit_wait() returns.
 */
bool kit_has_kills(const struct kit *k);
bool kit_is_packed(const struct kit *k);
/* Returns the device's process, for signals. */
pid_t kit_pid(struct kit *k);
/* The core of a run in this process; NULL in the others. */
struct kit_core *kit_core(struct kit *k);
