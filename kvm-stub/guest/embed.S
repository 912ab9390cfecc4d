/* SPDX-License-Identifier: Apache-2.0 */
/* The selftest guest as data of the program: boot.c copies it. */
	.section .rodata
	.globl	selftest_image, selftest_image_end
	.balign	16
selftest_image:
	.incbin	SELFTEST_BIN
selftest_image_end:

	.section .note.GNU-stack, "", %progbits
