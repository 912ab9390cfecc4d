/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device-specific messages of the contract device. What they have done is in its configuration
 * space, which also is the state that it saves.
 */
#include "contract_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SET(t, member, from) \
	virtio_config_set((t)->d, offsetof(struct contract_config, member), from, sizeof(*(from)))

static bool refuse(GError **error, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s", why);
	return false;
}

static bool wire_announce(struct virtio_device *d, const uint8_t mac[6], GError **error)
{
	static const uint8_t none[6];

	if (memcmp(mac, none, sizeof(none)) == 0)
		return refuse(error, "no address");
	virtio_config_set(d, offsetof(struct contract_config, mac), mac, 6);
	return true;
}

static bool wire_mtu(struct virtio_device *d, unsigned mtu, GError **error)
{
	uint32_t value = mtu;

	if (mtu < 68)
		return refuse(error, "MTU too small");
	SET((struct contract *)d->data, mtu, &value);
	return true;
}

static bool wire_display(struct virtio_device *d, int fd, GError **error)
{
	ssize_t n = write(fd, CONTRACT_GREETING, sizeof(CONTRACT_GREETING));

	close(fd);
	return n == sizeof(CONTRACT_GREETING) || refuse(error, "cannot write");
}

static void count_sessions(struct contract *t, int more)
{
	struct contract_config *config = (struct contract_config *)(void *)t->d->config;
	uint32_t sessions = config->sessions + more;

	SET(t, sessions, &sessions);
}

static bool wire_session_open(struct virtio_device *d, void *payload, size_t size, GError **error)
{
	uint64_t words[2];

	memcpy(words, payload, sizeof(words));
	words[1] = words[0] + CONTRACT_SESSION;
	memcpy(payload, words, sizeof(words));
	count_sessions(d->data, 1);
	return true;
}

static void wire_session_close(struct virtio_device *d, uint64_t id)
{
	if (id >= CONTRACT_SESSION)
		count_sessions(d->data, -1);
}

/* Returns objects of the names that begin with a byte that is a page of the file. */
static int wire_object(struct virtio_device *d, const uint8_t uuid[16])
{
	struct contract *t = d->data;

	return uuid[0] < CONTRACT_PAGES_OF_FILE ? fcntl(t->file, F_DUPFD_CLOEXEC, 0) : -1;
}

struct contract_state {
	uint32_t version;
	struct contract_config config;
};
#define STATE_VERSION 1

static bool wire_save(struct virtio_device *d, GByteArray *to, GError **error)
{
	struct contract_state state = { .version = STATE_VERSION };

	memcpy(&state.config, d->config, sizeof(state.config));
	g_byte_array_append(to, (const guint8 *)&state, sizeof(state));
	return true;
}

static bool wire_load(struct virtio_device *d, const void *from, size_t size, GError **error)
{
	struct contract_state state;

	if (size != sizeof(state))
		return refuse(error, "not the state of this device");
	memcpy(&state, from, sizeof(state));
	if (state.version != STATE_VERSION)
		return refuse(error, "another version");
	virtio_config_set(d, 0, &state.config, sizeof(state.config));
	return true;
}

static void wire_left(struct virtio_device *d)
{
	log_info("contract", "the front-end has left");
}

const struct virtio_device_wire contract_wire = {
	.announce = wire_announce,
	.mtu = wire_mtu,
	.display = wire_display,
	.session_open = wire_session_open,
	.session_close = wire_session_close,
	.object = wire_object,
	.save = wire_save,
	.load = wire_load,
	.left = wire_left,
};
