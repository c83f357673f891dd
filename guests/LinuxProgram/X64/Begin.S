# The first instructions of our programs for x86-64 Linux, and the way into its kernel. AT&T syntax, System V ABI.

    .section .text.head, "ax"
    .globl image_start
# Linux enters here with the stack as the ABI has it: argc, argv, a null, the environment.
image_start:
    xor     %ebp, %ebp
    mov     %rsp, %rbx
    lea     image_start(%rip), %r12

    # Relocate: R_X86_64_RELATIVE (8) is all that a static position-independent link leaves.
    lea     __rela_start(%rip), %rdi
    lea     __rela_end(%rip), %rsi
1:  cmp     %rsi, %rdi
    jae     2f
    cmpl    $8, 8(%rdi)
    jne     3f
    mov     (%rdi), %rax
    mov     16(%rdi), %rcx
    add     %r12, %rcx
    mov     %rcx, (%r12, %rax)
    add     $24, %rdi
    jmp     1b

2:  and     $-16, %rsp
    mov     %rbx, %rdi
    call    program_start
3:  ud2

# What the compiler calls where its own helper is missing: an ordinary failed check.
    .text
    .balign 16
    .globl RhpFallbackFailFast
RhpFallbackFailFast:
    mov     $255, %edi
    jmp     quietus_check_failed

# long system_call(long number, a, b, c, d, e, f): the result, or a negative errno.
    .balign 16
    .globl system_call
system_call:
    mov     %rdi, %rax
    mov     %rsi, %rdi
    mov     %rdx, %rsi
    mov     %rcx, %rdx
    mov     %r8, %r10
    mov     %r9, %r8
    mov     8(%rsp), %r9
    syscall
    ret
