/* SPDX-License-Identifier: Apache-2.0 */
/* What the switch has done, for people and for programs. */
#pragma once

#include "base/json.h"
#include "tools/switch/switcher.h"

/* Logs a line a port. */
void report_log(const struct switcher *sw);
/* Adds an array "ports": settings, state, statistics of each. */
void report_ports(const struct switcher *sw, struct json *j);
/* Adds an array "macs": the addresses that are known; port: a name, behind it alone; NULL: all. */
void report_macs(const struct switcher *sw, const char *port, struct json *j);
/* Adds totals of the table of addresses, and of all ports that there are. */
void report_stats(const struct switcher *sw, struct json *j);
