/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm's PL031 (DDI 0224) without alarm: the seconds since 1970, and the identification by which a
 * driver's bus recognises it.
 */
#include "kvm-stub/machine/rtc.h"

#include <time.h>

enum { RTC_DATA = 0x00, RTC_CONTROL = 0x0c, RTC_ID = 0xfe0 };

/* Peripheral and cell id, a byte in each word. */
static const uint8_t id[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

bool rtc_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	if (write)
		return true;
	*value = 0;
	if (offset == RTC_DATA)
		*value = (uint32_t)time(NULL);
	else if (offset == RTC_CONTROL)
		*value = 1; /* always on */
	else if (offset >= RTC_ID && offset < RTC_ID + 4 * sizeof(id))
		*value = id[(offset - RTC_ID) / 4];
	return true;
}
