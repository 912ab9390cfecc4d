/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h. */
#include "tests/lib/figures.h"

#include "tests/lib/test.h"

#define LIMIT_MS 1000
#define LIMIT_TIMES 50

static unsigned as_ms(int64_t us)
{
	return (unsigned)((us + 999) / 1000);
}

void figures_add(struct figures *f, const char *when, int64_t us, int64_t usual_us)
{
	int64_t limit = test_patience() * LIMIT_MS * G_TIME_SPAN_MILLISECOND;

	f->sum += us;
	f->longest = MAX(f->longest, us);
	f->usual = MAX(f->usual, usual_us);
	f->n++;
	if (us > MAX(limit, LIMIT_TIMES * f->usual))
		fail_msg("%s: %s within %u ms instead of %u", when, f->what, as_ms(us),
			as_ms(f->usual));
}

void figures_print(const struct figures *f)
{
	if (f->n)
		print_message("[  NOTE    ] %s within %u ms on average, %u ms at most\n", f->what,
			as_ms(f->sum / f->n), as_ms(f->longest));
}
