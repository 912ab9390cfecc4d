/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver asks of the contract device, and its answers. */
#pragma once

#include "tests/lib/kit.h"

#include "contract.h"

#define ROOM sizeof(struct contract_answer)

/* Sends a request to queue 0, with room for an answer in it. */
struct kit_request *ask(struct kit *k, enum contract_verb verb, uint32_t n);
struct kit_request *ask_at(
	struct kit *k, enum contract_verb verb, uint32_t n, uint64_t address, size_t room);
/* Waits for the answer. */
struct contract_answer answer(struct kit *k, struct kit_request *r);
int result(struct kit *k, struct kit_request *r);
