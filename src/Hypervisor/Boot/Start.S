// Entry points of the image: the Linux arm64 Image header, the boot core's and the other cores' first instructions.
// Everything that must happen before C# can run: relocation, .bss, a first set of tables, the MMU, a stack.

    .equ CORE_STACK_TOP, 8          // offsets into Core (Core/Core.cs asserts them)
    .equ CORE_TRANSLATION_TABLE, 16

    .section .text.head, "ax"
    .globl image_start
image_start:
    // "Booting AArch64 Linux", the 64-byte header
    b       start
    nop
    .quad   0x200000                // text_offset: where in RAM, from a 2 MB boundary, QEMU puts us
    .quad   __image_size            // effective size, .bss included
    .quad   0xa                     // little-endian, 4K granule, may be placed anywhere in RAM
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

    .text
// x0 = the device tree's address. MMU and data cache off, interrupts masked.
start:
    msr     daifset, #0xf
    mov     x20, x0
    adrp    x21, image_start
    add     x21, x21, :lo12:image_start

    // .bss
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
1:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
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
3:
    // The boot tables map the gigabyte of the image and that of the device tree, as Normal memory.
    adrp    x22, boot_tables
    add     x22, x22, :lo12:boot_tables
    add     x24, x22, #4096         // the next level-1 page
    mov     x23, #0x701             // block, AttrIndx 0, inner shareable, AF
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    4f
    orr     x23, x23, #0x40         // AP[1] is RES1 in a regime with one privilege level
4:  mov     x0, x21
    bl      map_gigabyte
    mov     x0, x20
    bl      map_gigabyte

    // What was written with the caches off must not be shadowed by older lines.
    mov     x0, x21
    adrp    x1, __image_end
    add     x1, x1, :lo12:__image_end
    bl      invalidate_to_poc

    mov     x0, x22
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.eq    5f
    cmp     x1, #(1 << 2)
    b.ne    halt
    // Started at EL1: run just far enough to say so.
    bl      enable_mmu_el1
    adrp    x1, boot_stack_top
    add     sp, x1, :lo12:boot_stack_top
    mov     x0, x20
    bl      quietus_wrong_level
    b       halt

5:  bl      enable_mmu_el2
    adrp    x1, boot_stack_top
    add     sp, x1, :lo12:boot_stack_top
    adrp    x0, boot_core
    add     x0, x0, :lo12:boot_core
    msr     tpidr_el2, x0
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el2, x0
    isb
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    mov     x1, x21
    bl      quietus_boot
    b       halt

// A core that PSCI CPU_ON started: x0 = its Core, in memory that was cleaned to the PoC.
    .globl secondary_start
secondary_start:
    msr     daifset, #0xf
    mov     x20, x0
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    halt
    ldr     x0, [x20, #CORE_TRANSLATION_TABLE]
    bl      enable_mmu_el2
    ldr     x1, [x20, #CORE_STACK_TOP]
    mov     sp, x1
    msr     tpidr_el2, x20
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el2, x0
    isb
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    bl      quietus_secondary

    .globl halt
halt:
    msr     daifset, #0xf
1:  wfi
    b       1b

// x0 = an address. Adds a 1 GB block with attributes x23 for it to the level-0 table at x22; x24 = the next level-1
// page.
map_gigabyte:
    ubfx    x1, x0, #39, #9
    ldr     x2, [x22, x1, lsl #3]
    cbnz    x2, 1f
    orr     x2, x24, #3
    add     x24, x24, #4096
    str     x2, [x22, x1, lsl #3]
1:  and     x2, x2, #~0xfff
    ubfx    x1, x0, #30, #9
    and     x3, x0, #~0x3fffffff
    ubfx    x3, x3, #0, #48
    orr     x3, x3, x23
    str     x3, [x2, x1, lsl #3]
    ret

// [x0, x1): drop the lines, whatever their size.
invalidate_to_poc:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
    dmb     sy
1:  dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret

    .equ MAIR_VALUE, 0x4404ff       // 0: Normal write-back; 1: Device-nGnRE; 2: Normal non-cacheable

// x0 = the level-0 table. 48-bit addresses, 4K granule, caches on. SCTLR_EL2's RES1 bits are 0x30c50830.
enable_mmu_el2:
    mov     x1, #(1 << 31)          // HCR_EL2.RW alone: no VHE, nothing trapped yet
    msr     hcr_el2, x1
    isb
    ldr     x1, =MAIR_VALUE
    msr     mair_el2, x1
    ldr     x1, =0x80803510         // RES1, inner shareable, write-back walks, T0SZ = 16
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xf
    mov     x3, #5                  // 48 bits of output address at most
    cmp     x2, x3
    csel    x2, x2, x3, lo
    orr     x1, x1, x2, lsl #16
    msr     tcr_el2, x1
    msr     ttbr0_el2, x0
    dsb     sy
    tlbi    alle2
    tlbi    alle1                   // what ran before may have had a guest, under any VMID
    ic      iallu
    dsb     nsh
    isb
    ldr     x1, =0x30c5183d         // RES1, M, C, SA, I
    msr     sctlr_el2, x1
    isb
    mov     x1, #0x33ff             // CPTR_EL2: RES1; FP and SIMD are not trapped
    msr     cptr_el2, x1
    isb
    ret

enable_mmu_el1:
    ldr     x1, =MAIR_VALUE
    msr     mair_el1, x1
    ldr     x1, =0x803510           // EPD1, inner shareable, write-back walks, T0SZ = 16
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xf
    mov     x3, #5
    cmp     x2, x3
    csel    x2, x2, x3, lo
    orr     x1, x1, x2, lsl #32
    msr     tcr_el1, x1
    msr     ttbr0_el1, x0
    mov     x1, #(3 << 20)          // CPACR_EL1.FPEN
    msr     cpacr_el1, x1
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x1, =0x30d0180d         // RES1, M, C, SA, I
    msr     sctlr_el1, x1
    isb
    ret
    .ltorg

    .bss
    .balign 4096
boot_tables:
    .skip   3 * 4096
    .globl boot_stack_bottom
boot_stack_bottom:
    .skip   32768
boot_stack_top:
    .globl last_words_text
last_words_text:                    // why it would not run (Boot/LastWords.cs), for a look into memory
    .skip   384
    .balign 4096
    .globl boot_core
boot_core:                          // its record, and above it the stack for fault reports
    .skip   8192
