@ Matrix kernel for ARMv6 without NEON: two products of 16-bit halves per instruction. Called by mod.rs, which documents
@ the arguments.
    .text
    .arch armv6
    .arm
    .p2align 2

@ Adds the products of two weights (r8 for the first channel, r9 for the second) with the same values of two rows.
.macro add_pairs rotation
    uxtb16 r10, r6\rotation
    uxtb16 r11, r7\rotation
    smlad r2, r10, r8, r2
    smlad r3, r10, r9, r3
    smlad r4, r11, r8, r4
    smlad r5, r11, r9, r5
.endm

@ Two rows times two channels. r0: { row 0, row 1, weights, groups of 4 values, sums }.
    .globl scenescribe_armv6_tile
    .type scenescribe_armv6_tile, %function
scenescribe_armv6_tile:
    push {r4-r11, lr}
    ldr r14, [r0, #16]
    ldm r14, {r2-r5}
    ldr r1, [r0, #8]
    ldr r14, [r0, #4]
    ldr r12, [r0, #12]
    push {r0}
    ldr r0, [r0]
1:  ldr r6, [r0], #4
    ldr r7, [r14], #4
    ldr r8, [r1], #4
    ldr r9, [r1], #4
    subs r12, r12, #1
    add_pairs
    ldr r8, [r1], #4
    ldr r9, [r1], #4
    add_pairs ", ror #8"
    bne 1b
    pop {r0}
    ldr r14, [r0, #16]
    stm r14, {r2-r5}
    pop {r4-r11, pc}
    .size scenescribe_armv6_tile, . - scenescribe_armv6_tile
