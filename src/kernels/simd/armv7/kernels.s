@ NEON kernels for ARMv7, as Rust's 32-bit NEON intrinsics are not stable. mod.rs declares them and
@ documents the arguments. Activations are shifted to -128..127. With `paired` the sum of two products is kept in 16 bits.
    .text
    .fpu neon
    .arm
    .p2align 2

@ Adds 16 products of each of two rows (q0, q1) with the next 16 weights to the sums \a and \b.
.macro add_sixteen a, b, paired
    vld1.8 {d4, d5}, [r7]!
    vmull.s8 q4, d0, d4
    vmull.s8 q5, d2, d4
.if \paired
    vmlal.s8 q4, d1, d5
    vmlal.s8 q5, d3, d5
.else
    vmull.s8 q6, d1, d5
    vmull.s8 q7, d3, d5
    vpadal.s16 \a, q6
    vpadal.s16 \b, q7
.endif
    vpadal.s16 \a, q4
    vpadal.s16 \b, q5
.endm

@ Two rows times four channels. r0: { row 0, row 1, weights, step between groups of weights, groups, sums }.
.macro tile name, paired
    .globl \name
    .type \name, %function
\name:
    push {r4-r7}
    vpush {d8-d15}
    ldm r0, {r1-r6}
    vmov.i8 q3, #0x80
    vmov.i32 q8, #0
    vmov.i32 q9, #0
    vmov.i32 q10, #0
    vmov.i32 q11, #0
    vmov.i32 q12, #0
    vmov.i32 q13, #0
    vmov.i32 q14, #0
    vmov.i32 q15, #0
1:  vld1.8 {d0, d1}, [r1]!
    vld1.8 {d2, d3}, [r2]!
    mov r7, r3
    add r3, r3, r4
    veor q0, q0, q3
    veor q1, q1, q3
    add_sixteen q8, q9, \paired
    add_sixteen q10, q11, \paired
    add_sixteen q12, q13, \paired
    add_sixteen q14, q15, \paired
    subs r5, r5, #1
    bne 1b
    vpadd.i32 d0, d16, d17
    vpadd.i32 d1, d20, d21
    vpadd.i32 d2, d24, d25
    vpadd.i32 d3, d28, d29
    vpadd.i32 d0, d0, d1
    vpadd.i32 d1, d2, d3
    vpadd.i32 d2, d18, d19
    vpadd.i32 d3, d22, d23
    vpadd.i32 d4, d26, d27
    vpadd.i32 d5, d30, d31
    vpadd.i32 d2, d2, d3
    vpadd.i32 d3, d4, d5
    add r7, r6, #64
    vld1.32 {d16, d17}, [r6]
    vld1.32 {d18, d19}, [r7]
    vadd.i32 q8, q8, q0
    vadd.i32 q9, q9, q1
    vst1.32 {d16, d17}, [r6]
    vst1.32 {d18, d19}, [r7]
    vpop {d8-d15}
    pop {r4-r7}
    bx lr
    .size \name, . - \name
.endm

    tile scenescribe_tile_paired, 1
    tile scenescribe_tile_single, 0

@ Adds the 16 products in q13, q14 to the sums q8 to q11.
.macro add_products
    vaddw.s16 q8, q8, d26
    vaddw.s16 q9, q9, d27
    vaddw.s16 q10, q10, d28
    vaddw.s16 q11, q11, d29
.endm

@ 16 channels of a window with an odd number of taps.
@ r0: { pixels, offset into each pixel, weights, pairs of taps, bias, sums }.
.macro window name, paired
    .globl \name
    .type \name, %function
\name:
    push {r4-r8}
    ldm r0, {r1-r6}
    vmov.i8 q3, #0x80
    vld1.32 {d16-d19}, [r5]!
    vld1.32 {d20-d23}, [r5]
1:  ldr r7, [r1], #4
    ldr r8, [r1], #4
    add r7, r7, r2
    add r8, r8, r2
    vld1.8 {d0, d1}, [r7]
    vld1.8 {d2, d3}, [r8]
    vld1.8 {d4, d5}, [r3]!
    vld1.8 {d24, d25}, [r3]!
    veor q0, q0, q3
    veor q1, q1, q3
    vmull.s8 q13, d0, d4
    vmull.s8 q14, d1, d5
.if \paired
    vmlal.s8 q13, d2, d24
    vmlal.s8 q14, d3, d25
.else
    add_products
    vmull.s8 q13, d2, d24
    vmull.s8 q14, d3, d25
.endif
    add_products
    subs r4, r4, #1
    bne 1b
    ldr r7, [r1]
    add r7, r7, r2
    vld1.8 {d0, d1}, [r7]
    vld1.8 {d4, d5}, [r3]
    veor q0, q0, q3
    vmull.s8 q13, d0, d4
    vmull.s8 q14, d1, d5
    add_products
    vst1.32 {d16-d19}, [r6]!
    vst1.32 {d20-d23}, [r6]
    pop {r4-r8}
    bx lr
    .size \name, . - \name
.endm

    window scenescribe_window_paired, 1
    window scenescribe_window_single, 0

@ 16 sums to steps. r0: sums, r1: multipliers, r2: output, r3: { floor, ceiling, 1.5 * 2^23, zero point }.
    .globl scenescribe_requantize
    .type scenescribe_requantize, %function
scenescribe_requantize:
    vld1.32 {d16-d19}, [r0]!
    vld1.32 {d20-d23}, [r0]
    vld1.32 {d24-d27}, [r1]!
    vld1.32 {d28-d31}, [r1]
    vld1.32 {d0[], d1[]}, [r3]!
    vld1.32 {d2[], d3[]}, [r3]!
    vld1.32 {d4[], d5[]}, [r3]!
    vld1.16 {d6[], d7[]}, [r3]
    vcvt.f32.s32 q8, q8
    vcvt.f32.s32 q9, q9
    vcvt.f32.s32 q10, q10
    vcvt.f32.s32 q11, q11
    vmul.f32 q8, q8, q12
    vmul.f32 q9, q9, q13
    vmul.f32 q10, q10, q14
    vmul.f32 q11, q11, q15
    vmax.f32 q8, q8, q0
    vmax.f32 q9, q9, q0
    vmax.f32 q10, q10, q0
    vmax.f32 q11, q11, q0
    vmin.f32 q8, q8, q1
    vmin.f32 q9, q9, q1
    vmin.f32 q10, q10, q1
    vmin.f32 q11, q11, q1
    vadd.f32 q8, q8, q2
    vadd.f32 q9, q9, q2
    vadd.f32 q10, q10, q2
    vadd.f32 q11, q11, q2
    vmovn.i32 d16, q8
    vmovn.i32 d17, q9
    vmovn.i32 d18, q10
    vmovn.i32 d19, q11
    vadd.i16 q8, q8, q3
    vadd.i16 q9, q9, q3
    vmovn.i16 d16, q8
    vmovn.i16 d17, q9
    vst1.8 {d16, d17}, [r2]
    bx lr
    .size scenescribe_requantize, . - scenescribe_requantize
