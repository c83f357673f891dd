# What ILC's code calls in every program for x86-64: as Native.S has it for arm64. AT&T syntax, System V ABI.

    .macro function name
    .text
    .balign 16
    .globl \name
    .type \name, @function
\name:
    .endm

# void* memmove(void* to, void* from, nuint bytes)
function memmove
    mov     %rdi, %rax
    mov     %rdx, %rcx
    mov     %rdi, %r8
    sub     %rsi, %r8
    cmp     %rdx, %r8
    jb      1f                      # overlaps upwards: copy from the end
    rep movsb
    ret
1:  lea     -1(%rsi, %rdx), %rsi
    lea     -1(%rdi, %rdx), %rdi
    std
    rep movsb
    cld
    ret

# void* memset(void* to, int value, nuint bytes)
function memset
    mov     %rdi, %r8
    mov     %esi, %eax
    mov     %rdx, %rcx
    rep stosb
    mov     %r8, %rax
    ret

# A frame of a page and more is touched from the top, so that the stack's guard is hit first. r11: its lowest address;
# every other register is the caller's.
function RhpStackProbe
    push    %rax
    mov     %rsp, %rax
1:  sub     $4096, %rax
    testl   $0, (%rax)
    cmp     %r11, %rax
    jge     1b
    pop     %rax
    ret

# Transitions between managed and native code: there is no collector to tell.
function RhpReversePInvoke
    ret

function RhpReversePInvokeReturn
    ret

    .data
    .balign 8
    .globl __security_cookie
__security_cookie:
    .quad   0x5175696574757321
