// The few instructions that C# cannot say.

    .include "Macros.inc"

function read_counter
    isb
    mrs     x0, cntvct_el0
    ret

function read_counter_frequency
    mrs     x0, cntfrq_el0
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

function address_of_child
    adrp    x0, child_start
    add     x0, x0, :lo12:child_start
    ret

function size_of_child
    mov     x0, #(child_end - child_start)
    ret

// What the virtual machine runs, copied to its address 0, where a vCPU of KVM starts. MMU off, EL1. It stores to every
// line of its memory, says so by a store to where nothing is (the doorbell), and begins again. Kvm/VirtualMachine.cs
// writes the three words at its end.
    .section .rodata
    .balign 16
guest_start:
    adr     x9, 3f
    ldp     x0, x1, [x9]
    ldr     x2, [x9, #16]
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

// What the child of a snapshot runs, at its address 0, MMU off, EL1: it rings the doorbell (x2), and touches a word of
// each page (x5 bytes) from x0 to x1, writing where x4 is not 0. Registers are set while it waits at the doorbell.
    .balign 16
child_start:
1:  str     x0, [x2]
2:  cbz     x4, 3f
    str     x4, [x0]
    b       4f
3:  ldr     x3, [x0]
4:  add     x0, x0, x5
    cmp     x0, x1
    b.lo    2b
    b       1b
child_end:
