/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of kernels of any architecture share: RAM, files, and the loader's verdict. */
#pragma once

#include "kvm-stub/boot/boot.h"
#include "kvm-stub/ram.h"
#include "tests/lib/test.h"

#define MIB (UINT64_C(1) << 20)

/* One test runs at a time. */
extern struct boot_test {
	struct test test;
	char *kernel, *initrd; /* paths */
	struct ram *ram;
	struct boot_config config; /* of that kernel */
	struct vm_entry entry; /* after boot_loads() */
} boot;

/* Begins with RAM of `ram_size` bytes and a configuration that names the kernel alone. */
int boot_begin(uint64_t ram_size);
int boot_teardown(void **state);
/* Replaces the RAM by an empty one of this size. */
void boot_new_ram(uint64_t size);
void boot_write(const char *path, const void *bytes, size_t len);
/* Guest RAM at this address; the test fails if it is none. */
void *boot_at(uint64_t addr, uint64_t len);
/* Requires that the kernel loads. */
void boot_loads(void);
/* Requires an error that names the file and contains the words. */
void boot_refuses(const char *path, const char *words);
