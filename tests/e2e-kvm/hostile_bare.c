/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of virtiod-kvm's machine. */
#include "hostile.h"

#include "kvm-stub/layout.h"

uint64_t hostile_slot(unsigned slot)
{
	return slot < MAX_SLOTS ? virtio_addr(slot) : 0;
}
