// Entry points of the guest: the Linux arm64 Image header, the boot core's and the other cores' first instructions.
// Everything that must happen before C# can run: relocation, .bss, tables, the MMU, a stack.

    .equ STACK_BYTES, 16384
    .equ MAXIMUM_CPUS, 8            // Machine/Cpus.cs

    .section .text.head, "ax"
    .globl image_start
image_start:
    // "Booting AArch64 Linux", the 64-byte header
    b       start
    nop
    .quad   0x200000                // text_offset
    .quad   __image_size            // effective size, .bss included
    .quad   0xa                     // little-endian, 4K granule, may be placed anywhere in RAM
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

    .text
// x0 = the device tree's address. EL1, MMU and data cache off, interrupts masked.
start:
    msr     daifset, #0xf
    mov     x20, x0
    mrs     x1, CurrentEL
    cmp     x1, #(1 << 2)
    b.ne    halt
    adrp    x21, image_start
    add     x21, x21, :lo12:image_start

    // .bss
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x22, __bss_end
    add     x22, x22, :lo12:__bss_end
1:  stp     xzr, xzr, [x1], #16
    cmp     x1, x22
    b.lo    1b

    // Relocate: R_AARCH64_RELATIVE (1027) is all that a static position-independent link leaves.
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
2:  cmp     x1, x2
    b.hs    3f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     x4, #1027
    b.ne    halt
    add     x5, x5, x21
    str     x5, [x21, x3]
    b       2b

    // Identity: the first gigabyte is devices; the image's and the device tree's are memory. C# adds the other RAM.
3:  adrp    x1, root_table
    add     x1, x1, :lo12:root_table
    adrp    x2, gigabyte_table
    add     x2, x2, :lo12:gigabyte_table
    orr     x3, x2, #3
    str     x3, [x1]
    ldr     x3, =0x0060000000000405 // block, AttrIndx 1, AF, never executed
    str     x3, [x2]
    mov     x4, #0x701              // block, AttrIndx 0, inner shareable, AF
    .irp    address, x21, x20
    ubfx    x5, \address, #30, #9
    orr     x6, x4, x5, lsl #30
    str     x6, [x2, x5, lsl #3]
    .endr

    // What was written with the caches off must not be shadowed by older lines.
    mov     x0, x21
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
    dmb     sy
4:  dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x22
    b.lo    4b
    dsb     sy

    bl      enable_mmu
    adrp    x1, stacks + STACK_BYTES
    add     x1, x1, :lo12:(stacks + STACK_BYTES)
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    bl      filler_boot
    b       halt

// A core that PSCI CPU_ON started: x0 = its index. It uses the boot core's tables.
    .globl secondary_start
secondary_start:
    msr     daifset, #0xf
    mov     x20, x0
    cmp     x20, #MAXIMUM_CPUS
    b.hs    halt
    bl      enable_mmu
    adrp    x1, stacks + STACK_BYTES
    add     x1, x1, :lo12:(stacks + STACK_BYTES)
    mov     x2, #STACK_BYTES
    madd    x1, x20, x2, x1
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    bl      filler_secondary

    .globl halt
halt:
    msr     daifset, #0xf
1:  wfi
    b       1b

// 48-bit addresses, 4K granule, caches on, writable memory executable, FP and SIMD on, the vectors in place.
enable_mmu:
    ldr     x1, =0x4404ff           // MAIR: 0 Normal write-back, 1 Device-nGnRE, 2 Normal non-cacheable
    msr     mair_el1, x1
    ldr     x1, =0x803510           // EPD1, inner shareable, write-back walks, T0SZ = 16
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xf
    mov     x3, #5                  // 48 bits of output address at most
    cmp     x2, x3
    csel    x2, x2, x3, lo
    orr     x1, x1, x2, lsl #32
    msr     tcr_el1, x1
    adrp    x1, root_table
    add     x1, x1, :lo12:root_table
    msr     ttbr0_el1, x1
    mov     x1, #(3 << 20)          // CPACR_EL1.FPEN
    msr     cpacr_el1, x1
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el1, x1
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb

    // What the vector registers hold as a core begins: another guest's, if the hypervisor leaks them.
    .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    orr     v0.16b, v0.16b, v\n\().16b
    .endr
    .irp    n, 29, 30, 31
    orr     v0.16b, v0.16b, v\n\().16b
    .endr
    mov     x1, v0.d[0]
    mov     x2, v0.d[1]
    mrs     x3, fpcr
    mrs     x4, fpsr
    orr     x1, x1, x2
    orr     x3, x3, x4
    orr     x1, x1, x3
    adrp    x2, first_vectors
    add     x2, x2, :lo12:first_vectors
    ldr     x3, [x2]
    orr     x3, x3, x1
    str     x3, [x2]
    ldr     x1, =0x30d0180d         // RES1, M, C, SA, I
    msr     sctlr_el1, x1
    isb
    ret
    .ltorg

    .bss
    .balign 4096
root_table:
    .skip   4096
    .globl gigabyte_table
gigabyte_table:                     // level 1: entry n maps the n-th gigabyte
    .skip   4096
    .globl code_page
code_page:                          // Machine/GeneratedCode.cs
    .skip   4096
stacks:
    .skip   STACK_BYTES * MAXIMUM_CPUS
    .globl first_vectors
first_vectors:                      // all that was in them, on any core
    .skip   16
