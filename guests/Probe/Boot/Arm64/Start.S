// The few instructions that C# cannot say, and the guest.

    .include "Macros.inc"

// CTR_EL0, which Linux lets programs read.
function read_cache_type
    mrs     x0, ctr_el0
    ret

// void store_lines(ulong start, ulong bytes): one store for each line of 64 bytes, as the guest does.
function store_lines
    add     x1, x0, x1
1:  str     x0, [x0], #64
    cmp     x0, x1
    b.lo    1b
    ret

function address_of_guest
    adrp    x0, guest_start
    add     x0, x0, :lo12:guest_start
    ret

function size_of_guest
    mov     x0, #(guest_end - guest_start)
    ret

// What the virtual machine runs, copied to its address 0, where a vCPU of KVM starts. MMU off, EL1. It rings the
// doorbell (a store to where nothing is) to say that it runs. Then it stores to every line of its memory, says so, and
// begins again. Kvm/Arm64 writes the three words at its end.
    .section .rodata
    .balign 16
guest_start:
    adr     x9, 3f
    ldp     x0, x1, [x9]
    ldr     x2, [x9, #16]
    str     xzr, [x2]
1:  mov     x3, x0
2:  mov     x4, x3
    str     x4, [x3], #64
    cmp     x3, x1
    b.lo    2b
    str     x3, [x2]
    b       1b
    .balign 8
3:  .quad   0                       // the first byte that it may write
    .quad   0                       // the first that it may not
    .quad   0                       // the doorbell
guest_end:
