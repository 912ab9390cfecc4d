/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the selftest guest: flat protected mode, interrupts off. And its one handler. */
	.section .head, "ax"
	.globl	start
start:
	movl	$stack_end, %esp
	cld
	call	selftest_main
0:	hlt
	jmp	0b

	.text
	.globl	irq_entry
irq_entry:
	incl	irq_count
	movl	$0, 0xfee000b0	/* EOI */
	/* Not iret: not every KVM can emulate it. Interrupts stay off, as irq_window() wants. */
	popl	4(%esp)
	addl	$4, %esp
	ret

	.bss
	.balign	16
	.skip	0x4000
stack_end:

	.section .note.GNU-stack, "", %progbits
