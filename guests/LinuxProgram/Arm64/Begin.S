// The first instructions of our programs for arm64 Linux, and the way into its kernel.

    .include "Macros.inc"

    .section .text.head, "ax"
    .globl image_start
// Linux enters here at EL0 with the stack as the ABI has it: argc, argv, a null, the environment.
image_start:
    mov     x20, sp
    adrp    x21, image_start
    add     x21, x21, :lo12:image_start

    // Relocate: R_AARCH64_RELATIVE (1027) is all that a static position-independent link leaves.
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
1:  cmp     x1, x2
    b.hs    2f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     x4, #1027
    b.ne    3f
    add     x5, x5, x21
    str     x5, [x21, x3]
    b       1b

2:  mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    bl      program_start
3:  brk     #0

// What the compiler calls where its own helper is missing: an ordinary failed check.
function RhpFallbackFailFast
    mov     w0, #255
    b       quietus_check_failed

// long system_call(long number, a, b, c, d, e, f): the result, or a negative errno.
function system_call
    mov     x8, x0
    mov     x0, x1
    mov     x1, x2
    mov     x2, x3
    mov     x3, x4
    mov     x4, x5
    mov     x5, x6
    svc     #0
    ret
