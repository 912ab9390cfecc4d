/* SPDX-License-Identifier: Apache-2.0 */
/* Loads files into guest RAM with bounds checks, and the built-in guest. */
#include "kvm-stub/boot/boot_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/util.h"
#include "kvm-stub/layout.h"

/* guest/selftest.S: the built-in guest, linked to run at SELFTEST_ADDR. */
extern const uint8_t selftest_image[], selftest_image_end[];

bool boot_refuse(const struct boot_file *f, GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, f->path, format, args);
	va_end(args);
	return false;
}

bool boot_file_open(struct boot_file *f, const struct boot_source *source, GError **error)
{
	struct stat st;

	*f = (struct boot_file){ .path = source->path };
	f->fd = source->kept ? fcntl(source->kept, F_DUPFD_CLOEXEC, 0)
			     : open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return boot_refuse(f, error, "cannot open it: %s", g_strerror(errno));
	if (!S_ISREG(st.st_mode))
		return boot_refuse(f, error, "not a regular file");
	if (st.st_size == 0)
		return boot_refuse(f, error, "empty");
	f->size = (uint64_t)st.st_size;
	return true;
}

void boot_file_close(struct boot_file *f)
{
	fd_close(&f->fd);
}

bool boot_file_read(
	const struct boot_file *f, uint64_t offset, void *to, uint64_t len, GError **error)
{
	if (offset > f->size || len > f->size - offset)
		return boot_refuse(f, error,
			"truncated: %" PRIu64 " bytes at %" PRIu64 " are wanted, it has %" PRIu64,
			len, offset, f->size);
	for (uint64_t done = 0; done < len;) {
		ssize_t n = pread(f->fd, (char *)to + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return boot_refuse(f, error, "cannot read it: %s", g_strerror(errno));
		if (n == 0)
			return boot_refuse(f, error, "truncated while it was read");
		done += (uint64_t)n;
	}
	return true;
}

void *boot_ram_at(
	const struct ram *r, uint64_t addr, uint64_t len, const char *what, GError **error)
{
	void *p = ram_at(r, addr, len);

	if (!p)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
			"no RAM for the %s, %" PRIu64 " bytes at 0x%" PRIx64 " (RAM has %" PRIu64
			" MiB)",
			what, len, addr, r->size >> 20);
	return p;
}

bool boot_file_load(const struct boot_file *f, uint64_t offset, uint64_t len, const struct ram *r,
	uint64_t addr, const char *what, GError **error)
{
	void *to = boot_ram_at(r, addr, len, what, error);

	if (!to) {
		g_prefix_error(error, "%s: ", f->path);
		return false;
	}
	return boot_file_read(f, offset, to, len, error);
}

const char *boot_cmdline(
	const struct boot_config *config, const struct boot_file *f, uint64_t max, GError **error)
{
	const char *text = config->append ? config->append : "console=ttyS0";
	size_t len = strlen(text);

	if (len <= max)
		return text;
	boot_refuse(f, error, "the command line has %zu bytes, this kernel takes at most %" PRIu64,
		len, max);
	return NULL;
}

static bool keep(struct boot_source *source, GError **error)
{
	autobootfile f = BOOT_FILE_NONE;

	if (!source->path)
		return true;
	if (!boot_file_open(&f, source, error))
		return false;
	source->kept = fd_steal(&f.fd);
	return true;
}

bool boot_keep(struct boot_config *config, GError **error)
{
	return keep(&config->kernel, error) && keep(&config->initrd, error);
}

void boot_drop(struct boot_config *config)
{
	struct boot_source *sources[] = { &config->kernel, &config->initrd };

	for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++) {
		if (sources[i]->kept)
			close(sources[i]->kept);
		sources[i]->kept = 0;
	}
}

bool boot_load(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error)
{
	size_t len = (size_t)(selftest_image_end - selftest_image);
	void *to;

	*entry = (struct vm_entry){ 0 };
	if (!config->selftest)
		return boot_arch_kernel(r, config, entry, error);
	/* Its stack and virtqueues, which the file does not contain, follow it. */
	to = boot_ram_at(r, SELFTEST_ADDR, SELFTEST_SIZE, "selftest guest", error);
	if (!to)
		return false;
	memcpy(to, selftest_image, len);
	return boot_arch_selftest(r, entry, error);
}
