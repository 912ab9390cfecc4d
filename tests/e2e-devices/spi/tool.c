/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chips of an SPI controller, by the kernel's interfaces.
 *
 *	tool duplex SPIDEV	a loopback: what is written is read at the same time
 *	tool program MTD FILE	erases as much of a flash as the file needs, and writes it there
 */
#include <err.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <mtd/mtd-user.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 200

static void duplex(const char *path)
{
	uint8_t out[256], in[256];
	int fd = open(path, O_RDWR);

	if (fd < 0)
		err(1, "%s", path);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct spi_ioc_transfer t = {
			.tx_buf = (uintptr_t)out,
			.rx_buf = (uintptr_t)in,
			.len = 1 + i,
		};

		for (unsigned j = 0; j < t.len; j++)
			out[j] = (uint8_t)(i + 7 * j);
		memset(in, 0xff, sizeof(in));
		if (ioctl(fd, SPI_IOC_MESSAGE(1), &t) != (int)t.len)
			err(1, "transfer %u", i);
		if (memcmp(out, in, t.len) != 0)
			errx(1, "transfer %u: other bytes came back", i);
	}
}

static void program(const char *path, const char *file)
{
	int mtd = open(path, O_RDWR), from = open(file, O_RDONLY);
	struct mtd_info_user info;
	struct erase_info_user erase = { 0 };
	char data[4096];
	struct stat st;
	ssize_t n;

	if (mtd < 0 || from < 0 || fstat(from, &st) < 0 || ioctl(mtd, MEMGETINFO, &info) < 0)
		err(1, "%s, %s", path, file);
	erase.length = info.erasesize;
	for (; erase.start < st.st_size; erase.start += info.erasesize) {
		if (ioctl(mtd, MEMERASE, &erase) < 0)
			err(1, "erasing at %u", erase.start);
	}
	while ((n = read(from, data, sizeof(data))) > 0) {
		if (write(mtd, data, (size_t)n) != n)
			err(1, "writing");
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "duplex") == 0)
		duplex(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "program") == 0)
		program(argv[2], argv[3]);
	else
		errx(2, "usage: tool duplex SPIDEV | program MTD FILE");
	return 0;
}
