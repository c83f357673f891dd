// Plain loads and stores, which the hypervisor can carry out: C# might make pairs of them.

    .include "Macros.inc"

// ulong load_register(ulong address)
function load_register
    ldr     x0, [x0]
    ret

// void store_register(ulong address, ulong value)
function store_register
    str     x1, [x0]
    ret
