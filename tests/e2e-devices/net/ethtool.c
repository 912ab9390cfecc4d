/* SPDX-License-Identifier: Apache-2.0 */
/* What ethtool -k, -S and -L do, as far as is needed. */
#include "tool.h"

#include <err.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const struct {
	const char *name;
	uint32_t command;
} offloads[] = {
	{ "tx-checksum", ETHTOOL_GTXCSUM },
	{ "rx-checksum", ETHTOOL_GRXCSUM },
	{ "scatter-gather", ETHTOOL_GSG },
	{ "tso", ETHTOOL_GTSO },
};

static void ask(const char *name, void *question, const char *what)
{
	struct ifreq r = { .ifr_data = question };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
	if (s < 0 || ioctl(s, SIOCETHTOOL, &r) < 0)
		err(1, "%s: %s", name, what);
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		err(1, "%zu bytes", n * size);
	return p;
}

static void show_counters(const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;

	ask(name, &info, "driver");
	names = allocate(info.n_stats + 1, ETH_GSTRING_LEN);
	values = allocate(info.n_stats + 1, sizeof(uint64_t));
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_STATS, .len = info.n_stats
	};
	ask(name, names, "names of counters");
	*values = (struct ethtool_stats){ .cmd = ETHTOOL_GSTATS, .n_stats = info.n_stats };
	ask(name, values, "counters");
	for (uint32_t i = 0; i < info.n_stats; i++)
		printf("%.*s %llu\n", ETH_GSTRING_LEN, (char *)names->data + i * ETH_GSTRING_LEN,
			(unsigned long long)values->data[i]);
	free(names);
	free(values);
}

void show_interface(const char *name)
{
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		struct ethtool_value v = { .cmd = offloads[i].command };

		ask(name, &v, offloads[i].name);
		printf("%s %u\n", offloads[i].name, v.data);
	}
	show_counters(name);
}

void set_channels(const char *name, uint32_t n)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };

	ask(name, &c, "queues");
	if (c.max_combined < n)
		errx(1, "%s: there are %u pairs of queues", name, c.max_combined);
	c = (struct ethtool_channels){ .cmd = ETHTOOL_SCHANNELS, .combined_count = n };
	ask(name, &c, "setting queues");
}
