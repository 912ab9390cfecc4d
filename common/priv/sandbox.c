/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "priv/sandbox.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"

const char *const sandbox_words[] = {
	[SANDBOX_AUTO] = "auto",
	[SANDBOX_STRICT] = "strict",
	[SANDBOX_NONE] = "none",
	NULL,
};

void sandbox_report(struct sandbox_report *missing, const char *what, int err)
{
	size_t len = strlen(missing->text);

	g_snprintf(missing->text + len, sizeof(missing->text) - len, "%s%s (%s)", len ? ", " : "",
		what, g_strerror(err));
}

bool sandbox_check(const struct sandbox_report *missing, enum sandbox_mode mode, GError **error)
{
	if (!*missing->text)
		return true;
	if (mode == SANDBOX_STRICT)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
			"--sandbox=strict: this machine does not permit: %s (--sandbox=auto does "
			"without)",
			missing->text);
	log_info(NULL, "the sandbox does without: %s", missing->text);
	return true;
}
