# The few instructions that C# cannot say, and the guest. AT&T syntax, System V ABI.

    .macro function name
    .text
    .balign 16
    .globl \name
    .type \name, @function
\name:
    .endm

# void store_lines(ulong start, ulong bytes): one store for each line of 64 bytes, as the guest does.
function store_lines
    add     %rdi, %rsi
1:  mov     %rdi, (%rdi)
    add     $64, %rdi
    cmp     %rsi, %rdi
    jb      1b
    ret

function address_of_guest
    lea     guest_start(%rip), %rax
    ret

function size_of_guest
    mov     $(guest_end - guest_start), %eax
    ret

# What the virtual machine runs, copied to its address 4K: 64-bit code at privilege level 3 with IOPL 3, over tables
# that map all of its memory at its own addresses (Kvm/X64). It rings the doorbell (an OUT) to say that it runs. Then
# it stores to every line from rbx to rsi, says so with the page that it has come to, and begins again.
    .section .rodata
    .balign 16
guest_start:
    xor     %eax, %eax
    out     %eax, $0x80
1:  mov     %rbx, %rdi
2:  mov     %rdi, (%rdi)
    add     $64, %rdi
    cmp     %rsi, %rdi
    jb      2b
    mov     %rdi, %rax
    shr     $12, %rax
    out     %eax, $0x80
    jmp     1b
guest_end:
