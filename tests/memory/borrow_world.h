/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory to borrow from: pages of a file, and pages of a memory type that maps for each
 * borrow.
 */
#pragma once

#include "mem_test.h"

/*
 * The "bounce" memory type: regions of xen_flags 1, which are copied to and from allocated memory
 * for each borrow, so that what was not given back is not in the "guest", and leaks are found.
 */
#define BOUNCE_BASE 0x800000u
#define BOUNCE_PAGES 4

struct bounce {
	unsigned char memory[BOUNCE_PAGES * PAGE]
		__attribute__((aligned(16))); /* page i is full of i + 1 */
	unsigned regions;
	unsigned borrows, give_backs; /* calls */
	unsigned out; /* ranges that are borrowed now */
	size_t copied; /* bytes that reached the guest */
	unsigned most; /* ranges in one call */
	unsigned rings;
	uint64_t bad_page; /* ranges that touch it fail; 0: none */
};

extern struct bounce bounce;

/*
 * [0, 2 pages), [2 pages, 3 pages) and [4 pages, 5 pages) of a file whose pages are full of 0xf0,
 * 0xf1 ... The first region lies last in the file: neighbours in the guest are not neighbours here.
 */
extern struct guest_mem *memory;
extern struct mem_borrower borrower;

int world_setup(void **state);
/* Adds BOUNCE_PAGES regions of a page each, of that type. */
int world_setup_bounce(void **state);
int world_teardown(void **state);

#define with(setup, f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

/* A mapping with room for everything. */
struct borrow_request {
	struct mem_mapping mapping;
	struct mem_range range[8];
	struct iovec iov[8];
};

void request_init(struct borrow_request *q);
void request_range(struct borrow_request *q, uint64_t addr, uint32_t len, bool write);
int request_borrow(struct borrow_request *q);
void request_give_back(struct borrow_request *q);
/* The i-th iovec has this length, and begins and ends with this byte. */
void assert_iov(const struct borrow_request *q, unsigned i, size_t len, unsigned char byte);
/* Borrowing it fails, though another range of the mapping is good. */
void assert_fault(uint64_t addr, uint32_t len);
