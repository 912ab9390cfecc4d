/* SPDX-License-Identifier: Apache-2.0 */
/* An input device of the host, by libevdev. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <libevdev/libevdev.h>
#include <unistd.h>

/* More events than that do not wait in the kernel; a device may go on making them meanwhile. */
#define MAX_BACKLOG 65536

struct input_evdev {
	struct input *in;
	struct virtio_watch watch;
	struct libevdev *dev;
	bool lost; /* the kernel dropped events: libevdev gives what has changed */
};

static int evdev_next(struct input *in, struct input_event *e)
{
	struct input_evdev *v = in->data;
	int result;

	do {
		result = libevdev_next_event(
			v->dev, v->lost ? LIBEVDEV_READ_FLAG_SYNC : LIBEVDEV_READ_FLAG_NORMAL, e);
		/* While it gives what has changed, that is also the result of each event. */
		if (result == LIBEVDEV_READ_STATUS_SYNC && v->lost)
			return 0;
		if (result == LIBEVDEV_READ_STATUS_SYNC)
			v->lost = true;
		else if (v->lost && result == -EAGAIN) {
			v->lost = false;
			result = LIBEVDEV_READ_STATUS_SYNC;
		}
	} while (result == LIBEVDEV_READ_STATUS_SYNC || result == -EINTR);
	return result;
}

static void evdev_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	input_run(container_of(w, struct input_evdev, watch)->in);
}

static void evdev_wait(struct input *in, struct vq *q, bool on)
{
	struct input_evdev *v = in->data;

	virtio_watch(in->d, q, &v->watch, on ? EPOLLIN : 0);
}

static int evdev_value(const struct input *in, unsigned type, unsigned code)
{
	const struct input_evdev *v = in->data;

	/* Of a device that is not there any more no key is down. */
	return in->ended && type != EV_ABS ? 0 : libevdev_get_event_value(v->dev, type, code);
}

static void evdev_begin(struct input *in)
{
	struct input_event e;

	for (unsigned i = 0; i < MAX_BACKLOG && evdev_next(in, &e) == 0; i++)
		;
}

static void evdev_set(struct input *in, const struct input_event *e)
{
	const struct input_evdev *v = in->data;
	ssize_t n;

	do
		n = write(v->watch.fd, e, sizeof(*e));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		log_limited(&in->limit, LOG_LEVEL_WARNING, "input", "cannot set LEDs of '%s': %s",
			in->path, g_strerror(errno));
}

static void evdev_close(struct input *in)
{
	struct input_evdev *v = g_steal_pointer(&in->data);

	libevdev_free(v->dev);
	fd_close(&v->watch.fd);
	g_free(v);
}

static void copy_text(char *to, const char *from)
{
	g_strlcpy(to, from ? from : "", sizeof(((struct input_properties *)NULL)->name));
}

static void take_type(struct input_properties *p, const struct libevdev *dev, unsigned type)
{
	for (unsigned code = 0; code < input_codes(type); code++)
		input_set_bit(p->codes[type], code, libevdev_has_event_code(dev, type, code));
}

static void take_properties(struct input_properties *p, const struct libevdev *dev)
{
	copy_text(p->name, libevdev_get_name(dev));
	copy_text(p->serial, libevdev_get_uniq(dev));
	p->id = (struct input_id){ libevdev_get_id_bustype(dev), libevdev_get_id_vendor(dev),
		libevdev_get_id_product(dev), libevdev_get_id_version(dev) };
	for (unsigned i = 0; i < INPUT_PROP_CNT; i++)
		input_set_bit(p->props, i, libevdev_has_property(dev, i));
	for (unsigned type = 0; type < EV_CNT; type++)
		take_type(p, dev, type);
	for (unsigned i = 0; i < ABS_CNT; i++) {
		if (libevdev_get_abs_info(dev, i))
			p->axis[i] = *libevdev_get_abs_info(dev, i);
	}
}

static const struct input_source evdev = {
	.next = evdev_next,
	.wait = evdev_wait,
	.value = evdev_value,
	.begin = evdev_begin,
	.set = evdev_set,
	.close = evdev_close,
};

/* Opens it, for reading alone if that is what is allowed: LEDs stay as they are then. */
static int open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && (errno == EACCES || errno == EROFS))
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd;
}

bool input_evdev_open(struct input *in, const char *path, bool grab, GError **error)
{
	autofd fd = open_device(path);
	const char *what = "open";
	struct libevdev *dev = NULL;
	struct input_evdev *v;
	int result = fd < 0 ? -errno : 0;

	if (!result) {
		what = "use as an input device";
		result = libevdev_new_from_fd(fd, &dev);
	}
	if (!result && grab) {
		what = "grab (without --no-grab)";
		result = libevdev_grab(dev, LIBEVDEV_GRAB);
	}
	if (result) {
		libevdev_free(dev);
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result),
			"cannot %s '%s': %s", what, path, g_strerror(-result));
		return false;
	}
	take_properties(&in->properties, dev);
	v = in->data = g_new0(struct input_evdev, 1);
	v->in = in;
	v->dev = dev;
	v->watch = (struct virtio_watch){ .fd = fd_steal(&fd), .ready = evdev_ready };
	in->source = &evdev;
	in->path = path;
	return true;
}
