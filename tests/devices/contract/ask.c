/* SPDX-License-Identifier: Apache-2.0 */
/* See ask.h. */
#include "ask.h"

struct kit_request *ask_at(
	struct kit *k, enum contract_verb verb, uint32_t n, uint64_t address, size_t room)
{
	const struct contract_request request = { verb, n, address };

	return kit_send(k, 0, &request, sizeof(request), room);
}

struct kit_request *ask(struct kit *k, enum contract_verb verb, uint32_t n)
{
	return ask_at(k, verb, n, 0, ROOM);
}

struct contract_answer answer(struct kit *k, struct kit_request *r)
{
	struct contract_answer a;

	assert_true(kit_wait(k, r) >= sizeof(a));
	memcpy(&a, r->in, sizeof(a));
	return a;
}

int result(struct kit *k, struct kit_request *r)
{
	return answer(k, r).result;
}
