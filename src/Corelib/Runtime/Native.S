// What ILC's code calls in every freestanding image: block moves and fills (System.SpanHelpers), the transitions between
// managed and native code, the cookie of stack protection.

    .include "Macros.inc"

// void* memmove(void* to, void* from, nuint bytes)
function memmove
    mov     x3, x0
    cmp     x0, x1
    b.eq    9f
    sub     x4, x0, x1
    cmp     x4, x2
    b.lo    5f                      // overlaps upwards: copy from the end
1:  subs    x2, x2, #64
    b.lo    2f
    ldp     q16, q17, [x1], #32     // EL2's code uses no other vector registers (build/vector-registers)
    stp     q16, q17, [x3], #32
    ldp     q16, q17, [x1], #32
    stp     q16, q17, [x3], #32
    b       1b
2:  adds    x2, x2, #56             // 64 - 8: words
    b.mi    4f
3:  ldr     x4, [x1], #8
    str     x4, [x3], #8
    subs    x2, x2, #8
    b.pl    3b
4:  adds    x2, x2, #8
    b.eq    9f
8:  ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    subs    x2, x2, #1
    b.ne    8b
9:  ret
5:  add     x1, x1, x2
    add     x3, x3, x2
6:  subs    x2, x2, #8
    b.lo    7f
    ldr     x4, [x1, #-8]!
    str     x4, [x3, #-8]!
    b       6b
7:  adds    x2, x2, #8
    b.eq    9b
10: ldrb    w4, [x1, #-1]!
    strb    w4, [x3, #-1]!
    subs    x2, x2, #1
    b.ne    10b
    ret

// void* memset(void* to, int value, nuint bytes)
function memset
    mov     x3, x0
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
1:  subs    x2, x2, #64
    b.lo    2f
    stp     x1, x1, [x3]
    stp     x1, x1, [x3, #16]
    stp     x1, x1, [x3, #32]
    stp     x1, x1, [x3, #48]
    add     x3, x3, #64
    b       1b
2:  tbz     x2, #5, 3f              // what is left, less 64: the same low bits
    stp     x1, x1, [x3], #16
    stp     x1, x1, [x3], #16
3:  tbz     x2, #4, 4f
    stp     x1, x1, [x3], #16
4:  tbz     x2, #3, 5f
    str     x1, [x3], #8
5:  ands    x2, x2, #7
    b.eq    7f
6:  strb    w1, [x3], #1
    subs    x2, x2, #1
    b.ne    6b
7:  ret

// Transitions between managed and native code: there is no collector to tell.
function RhpReversePInvoke
    ret

function RhpReversePInvokeReturn
    ret

    .data
    .balign 8
    .globl __security_cookie
__security_cookie:
    .quad   0x5175696574757321
