/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of the selftest guest at EL1. With the MMU off, data accesses would go past the caches that
 * the other side of the rings writes through; so it is on, memory where it is: the first GiB is
 * devices, the second RAM.
 */
	.section .head, "ax"
	.globl	start
start:
	ldr	x0, =tables
	msr	ttbr0_el1, x0
	/* attribute 0: device nGnRnE, 1: normal, write-back */
	ldr	x0, =0xff00
	msr	mair_el1, x0
	/* T0SZ 25, tables write-back and inner shareable, 4 KiB, no TTBR1, 40 bits of address */
	ldr	x0, =0x200803519
	msr	tcr_el1, x0
	tlbi	vmalle1
	dsb	nsh
	isb
	mrs	x0, sctlr_el1
	mov	x1, #0x1005			/* I, C, M */
	orr	x0, x0, x1
	msr	sctlr_el1, x0
	isb
	ldr	x0, =stack_end
	mov	sp, x0
	bl	selftest_main
0:	wfi
	b	0b
	.ltorg

	.balign	4096
tables:						/* blocks of 1 GiB */
	.quad	0x00000000 | 0x401 | 3 << 53	/* accessed; attribute 0, never executed */
	.quad	0x40000000 | 0x705		/* accessed, inner shareable, attribute 1 */
	.skip	510 * 8

	.bss
	.balign	16
	.skip	0x4000
stack_end:

	.section .note.GNU-stack, "", %progbits
