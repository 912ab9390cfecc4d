/* SPDX-License-Identifier: Apache-2.0 */
/* See pace.h. */
#include "daemon/worker/pace.h"

#include <glib.h>

#define LOOK_NS 100000
/* Each 5 us, or more often: no driver does so that waits for answers. */
#define DENSE_NS 5000
/* The part of the vring that is to come during a nap. */
#define PART 8
#define SHORTEST_NS 20000
#define LONGEST_NS 150000

uint32_t pace_nap(struct pace *p, uint64_t now, uint64_t popped, unsigned room)
{
	uint64_t passed = now - p->since, n = popped - p->popped, nap;

	if (passed < LOOK_NS)
		return p->nap;
	*p = (struct pace){ .since = now, .popped = popped };
	/* If a queue has stopped that counted, n is huge, and the nap too short. */
	if (n < passed / DENSE_NS)
		return 0;
	nap = passed * (room / PART) / n;
	p->nap = nap < SHORTEST_NS ? 0 : (uint32_t)MIN(nap, LONGEST_NS);
	return p->nap;
}
