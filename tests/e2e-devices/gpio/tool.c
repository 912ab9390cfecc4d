/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of a GPIO chip, by the kernel's interface.
 *
 *	tool get CHIP LINE	prints an input's value
 *	tool drive CHIP LINE	is an output at 0, and takes the values that are typed
 *	tool watch CHIP LINE	prints "watching", and each edge that ends a wait for it
 */
#include <err.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Returns the file descriptor of a line with these flags. */
static int request(const char *chip, const char *line, uint64_t flags)
{
	struct gpio_v2_line_request r = {
		.offsets = { (uint32_t)strtoul(line, NULL, 10) },
		.num_lines = 1,
		.consumer = "tool",
		.config.flags = flags,
	};
	int fd = open(chip, O_RDWR);

	if (fd < 0 || ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &r) < 0)
		err(1, "line %s of %s", line, chip);
	return r.fd;
}

static void get(const char *chip, const char *line)
{
	struct gpio_v2_line_values v = { .mask = 1 };

	if (ioctl(request(chip, line, GPIO_V2_LINE_FLAG_INPUT), GPIO_V2_LINE_GET_VALUES_IOCTL, &v) <
		0)
		err(1, "get");
	printf("%d\n", (int)v.bits);
}

static void drive(const char *chip, const char *line)
{
	int fd = request(chip, line, GPIO_V2_LINE_FLAG_OUTPUT), c;

	while ((c = getchar()) != EOF) {
		struct gpio_v2_line_values v = { .mask = 1, .bits = c == '1' };

		if (c != '\n' && ioctl(fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &v) < 0)
			err(1, "set");
	}
}

static void watch(const char *chip, const char *line)
{
	struct gpio_v2_line_event e;
	struct pollfd p = {
		.fd = request(chip, line,
			GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
				GPIO_V2_LINE_FLAG_EDGE_FALLING),
		.events = POLLIN,
	};

	puts("watching");
	while (poll(&p, 1, -1) == 1) {
		if (read(p.fd, &e, sizeof(e)) != sizeof(e))
			err(1, "read");
		puts(e.id == GPIO_V2_LINE_EVENT_RISING_EDGE ? "rising" : "falling");
	}
	err(1, "poll");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	if (argc == 4 && strcmp(argv[1], "get") == 0)
		get(argv[2], argv[3]);
	else if (argc == 4 && strcmp(argv[1], "drive") == 0)
		drive(argv[2], argv[3]);
	else if (argc == 4 && strcmp(argv[1], "watch") == 0)
		watch(argv[2], argv[3]);
	else
		errx(2, "usage: tool get|drive|watch CHIP LINE");
	return 0;
}
