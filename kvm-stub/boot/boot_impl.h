/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by boot.c and the loaders of each architecture and format, and nobody else. */
#pragma once

#include "kvm-stub/boot/boot.h"

/* A file to load from: regular, not empty, size as it was when opened. */
struct boot_file {
	const char *path;
	int fd;
	uint64_t size;
};

/* One that is closed at the end of its scope: autobootfile f = BOOT_FILE_NONE; */
#define autobootfile __attribute__((cleanup(boot_file_close))) struct boot_file
#define BOOT_FILE_NONE ((struct boot_file){ .fd = -1 })

bool boot_file_open(struct boot_file *f, const char *path, GError **error);
void boot_file_close(struct boot_file *f);
/* All of [offset, offset + len), or an error that says what of the file is missing. */
bool boot_file_read(
	const struct boot_file *f, uint64_t offset, void *to, uint64_t len, GError **error);
/* The same into RAM; an error if it does not fit there. what: "kernel", "initrd". */
bool boot_file_load(const struct boot_file *f, uint64_t offset, uint64_t len, const struct ram *r,
	uint64_t addr, const char *what, GError **error);
/* Sets "path: …" and returns false. */
bool boot_refuse(const struct boot_file *f, GError **error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* ram_at(), with an error that says what was to be there. */
void *boot_ram_at(
	const struct ram *r, uint64_t addr, uint64_t len, const char *what, GError **error);
/* What the guest gets to read as its command line. */
const char *boot_cmdline(const struct boot_config *config);

/* boot_x86.c or boot_arm64.c: all for a kernel; and the start of the selftest guest. */
bool boot_arch_kernel(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error);
bool boot_arch_selftest(const struct ram *r, struct vm_entry *entry, GError **error);
