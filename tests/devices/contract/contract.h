/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that does what a request asks for, so that a test can have every item of daemon/device.h
 * done, and undone, by a driver. Queue 0 takes the requests, queue 1 buffers for frames, on the
 * same thread; queue 2 is another thread's. All numbers are in host byte order.
 */
#pragma once

#include <stdint.h>

#define CONTRACT_ID 61

enum contract_verb {
	CONTRACT_ECHO, /* answers with the data of the request */
	CONTRACT_FRAME, /* fills n buffers of queue 1 as one frame; answers how many there were */
	CONTRACT_UNPOP, /* puts n buffers of queue 1 back; answers as above */
	CONTRACT_HOLD, /* answers when released */
	CONTRACT_RELEASE, /* answers what is held, then itself */
	CONTRACT_TIMER, /* answers after n microseconds */
	CONTRACT_WATCH, /* sends n bytes to itself through a socket; answers how many arrived */
	CONTRACT_LEVEL, /* as above, without EPOLLET */
	CONTRACT_CLOSE, /* closes a watched fd, and watches the next one of that number */
	CONTRACT_WAKE, /* answers when another thread has woken this one, n times */
	CONTRACT_CONFIG, /* sets both words of the configuration space to n */
	CONTRACT_PAGES, /* answers with the memory at address */
	CONTRACT_HOLD_PAGES, /* the same, for CONTRACT_HELD_PAGES to come */
	CONTRACT_HELD_PAGES,
	CONTRACT_DISCARD, /* discards n bytes of memory at address */
	CONTRACT_DISCARD_IN, /* discards its own buffers */
	CONTRACT_RESUMED, /* answers vq_is_resumed() */
	CONTRACT_MAP, /* maps page n of a file at address of the region; answers done()'s result */
	CONTRACT_UNMAP, /* unmaps the page at address of the region; likewise */
	CONTRACT_STACK, /* uses n bytes of stack */
	CONTRACT_VERBS,
};

struct contract_request {
	uint32_t verb;
	uint32_t n;
	uint64_t address;
};

struct contract_answer {
	int32_t result; /* a number, or -errno */
	uint8_t retry; /* vq_is_retry() */
	uint8_t order; /* of answers: 1, 2 ... */
	uint8_t pad[2];
};

/* The configuration space: the driver must see both words equal. */
struct contract_config {
	uint32_t word[2];
	uint32_t mtu; /* by NET_SET_MTU */
	uint32_t sessions; /* that are open */
	uint8_t mac[6]; /* by SEND_RARP */
	uint8_t pad[2];
};

/* The region, and the file that is mapped into it and is the shared object: 'a's, 'b's ... */
#define CONTRACT_REGION 3
#define CONTRACT_REGION_PAGES 16
#define CONTRACT_PAGES_OF_FILE 8
#define CONTRACT_GREETING "hello" /* what a display gets */
#define CONTRACT_SESSION 1000 /* a session's id, in the second u64: this, plus the first */
#define CONTRACT_STACK_MAX (1u << 20)

/* In front of the first buffer of a frame. */
struct contract_frame {
	uint32_t buffers;
};
