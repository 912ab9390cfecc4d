/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the filter of an allow-list. */
#include "priv/syscall_filter.h"

#include "base/error.h"
#include "base/log.h"

#ifdef HAVE_SECCOMP
#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>

static int allow_calls(scmp_filter_ctx context, const char *const *names)
{
	int err = 0;

	for (unsigned i = 0; names[i] && !err; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		if (call == __NR_SCMP_ERROR) /* newer than the library */
			continue;
		err = seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 0);
		if (err == -EDOM) /* not on this machine */
			err = 0;
	}
	return err;
}

/* Allows threads, not processes: a filter cannot look at clone3()'s flags, which are in memory. */
static int allow_threads(scmp_filter_ctx context)
{
	int err = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	return err ? err
		   : seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
}

static int allow_memory(scmp_filter_ctx context)
{
	static const int with_prot[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	int err = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(with_prot) && !err; i++)
		err = seccomp_rule_add(context, SCMP_ACT_ALLOW, with_prot[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err;
}

/* Allows the requests listed: the kernel takes 32 bits of the request. */
static int allow_ioctls(scmp_filter_ctx context, const uint32_t *requests, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]));
	return err;
}

bool syscall_filter_load(const struct syscall_filter *filter, GError **error)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = context ? allow_calls(context, filter->calls) : -ENOMEM;

	if (!err)
		err = allow_threads(context);
	if (!err)
		err = allow_memory(context);
	if (!err)
		err = allow_ioctls(context, filter->ioctls, filter->n_ioctls);
	if (!err)
		err = seccomp_load(context);
	seccomp_release(context);
	if (err)
		error_errno(error, -err, "cannot filter system calls");
	return !err;
}
#else
bool syscall_filter_load(const struct syscall_filter *filter, GError **error)
{
	log_warning(NULL, "built without libseccomp: system calls are not filtered");
	return true;
}
#endif
