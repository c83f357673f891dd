// The filler guest, as the image that guests/Filler builds: from filler_start to filler_end. It is copied into each VM
// that runs it, so that its own alignment does not matter.

    .section .embedded, "a"
    .balign 16
    .globl  filler_start
filler_start:
    .incbin "filler.img"
    .globl  filler_end
filler_end:
