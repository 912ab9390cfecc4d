/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's ioreq servers and their address ranges. The only file that includes
 * <xendevicemodel.h>. For the supervisor only: the file that the library opens permits any
 * hypercall and cannot be restricted.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct devmodel;
typedef struct devmodel devmodel; /* for g_autoptr */

/* Opens the device model operations of this domain. */
struct devmodel *devmodel_open(unsigned domid, GError **error);
void devmodel_free(struct devmodel *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(devmodel, devmodel_free)

bool devmodel_vcpus(struct devmodel *m, unsigned *n, GError **error);
/* Creates a server without a buffered ioreq page. */
bool devmodel_create_server(struct devmodel *m, uint16_t *server, GError **error);
bool devmodel_enable_server(struct devmodel *m, uint16_t server, GError **error);
void devmodel_destroy_server(struct devmodel *m, uint16_t server);
/* Routes guest accesses to [base, base + size) to the server. */
bool devmodel_map_range(
	struct devmodel *m, uint16_t server, uint64_t base, uint64_t size, GError **error);
void devmodel_unmap_range(struct devmodel *m, uint16_t server, uint64_t base, uint64_t size);
