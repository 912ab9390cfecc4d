/* SPDX-License-Identifier: Apache-2.0 */
/* Between boot.c and the loaders of the architectures and formats. */
#pragma once

#include "kvm-stub/boot/boot.h"

/* A file to load from: regular, not empty; size is that at opening. */
struct boot_file {
	const char *path;
	int fd;
	uint64_t size;
};

/* One that is closed at the end of its scope: autobootfile f = BOOT_FILE_NONE; */
#define autobootfile __attribute__((cleanup(boot_file_close))) struct boot_file
#define BOOT_FILE_NONE ((struct boot_file){ .fd = -1 })

bool boot_file_open(struct boot_file *f, const struct boot_source *source, GError **error);
void boot_file_close(struct boot_file *f);
/* Reads all of [offset, offset + len), or sets an error that names what is missing. */
bool boot_file_read(
	const struct boot_file *f, uint64_t offset, void *to, uint64_t len, GError **error);
/* The same into RAM; an error if there is no RAM. what: "kernel", "initrd". */
bool boot_file_load(const struct boot_file *f, uint64_t offset, uint64_t len, const struct ram *r,
	uint64_t addr, const char *what, GError **error);
/*
 * Refuses a file of an unknown format: "path: not WANTED", followed by what its first bytes show it
 * to be and what to load instead. False.
 */
bool boot_refuse_format(const struct boot_file *f, const char *wanted, GError **error);
/* Sets "path: …" and returns false. */
bool boot_refuse(const struct boot_file *f, GError **error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* ram_at() with an error that names what does not fit. */
void *boot_ram_at(
	const struct ram *r, uint64_t addr, uint64_t len, const char *what, GError **error);
/* COMMAND_LINE_SIZE of Linux on x86 and arm64, without the terminator. */
#define LINUX_CMDLINE_MAX 2047u
/*
 * Returns the command line for the kernel in f, which takes at most max bytes of it; NULL with an
 * error if it is longer.
 */
const char *boot_cmdline(
	const struct boot_config *config, const struct boot_file *f, uint64_t max, GError **error);

/* In boot_x86.c or boot_arm64.c: load a kernel; set where the selftest guest starts. */
bool boot_arch_kernel(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error);
bool boot_arch_selftest(const struct ram *r, struct vm_entry *entry, GError **error);
