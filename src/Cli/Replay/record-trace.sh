#!/bin/sh
# Records what a KVM/arm64 host does to a VM's Stage-2, as ./quietus replay reads it. Run it as root on the host:
#
#   sh record-trace.sh trace.txt.gz COMMAND...    records while the command runs, a VMM for example
#   sh record-trace.sh trace.txt.gz               records until Ctrl-C; start the VM and end it meanwhile
#
# QUIETUS_BUFFER_KB is the ring buffer of each CPU (default 65536). It changes nothing but a tracing instance of its
# own and its probes, and takes both away at its end. Host kernels with 4 KB pages, 5.10 and later, with kprobes.
set -eu

die() { echo "record-trace: $*" >&2; exit 1; }

[ $# -ge 1 ] || die "usage: record-trace.sh FILE.gz [COMMAND...]"
output=$1; shift
[ "$(id -u)" = 0 ] || die "only root can trace: sudo sh record-trace.sh $output ..."
[ "$(uname -m)" = aarch64 ] || die "this host is $(uname -m), and KVM/arm64 is traced"
[ "$(getconf PAGESIZE)" = 4096 ] || die "the host's pages are $(getconf PAGESIZE) bytes, and only 4096 can be replayed"
tracefs=/sys/kernel/tracing
[ -e "$tracefs/kprobe_events" ] || mount -t tracefs nodev "$tracefs" 2>/dev/null || true
[ -e "$tracefs/kprobe_events" ] || die "$tracefs/kprobe_events is missing: the kernel has no CONFIG_KPROBE_EVENTS"

group=quietus
instance=$tracefs/instances/quietus-$$
fifo=${TMPDIR:-/tmp}/record-trace-$$
reader= packer=
clean() {
    trap - EXIT INT TERM HUP
    if [ -n "$reader" ]; then
        sleep 1
        echo 0 > "$instance/tracing_on"
        sleep 1
        kill "$reader" 2>/dev/null || true
        wait "$packer" || true
        echo "record-trace: wrote $output; ./quietus replay $output plays it" >&2
    fi
    if [ -d "$instance" ]; then
        echo 0 > "$instance/events/enable" || true
        rmdir "$instance" || true
    fi
    for event in $probes; do echo "-:$group/$event" >> "$tracefs/kprobe_events" || true; done
    rm -f "$fifo"
}
probes=
trap clean EXIT
trap 'exit 0' INT TERM HUP

# probe NAME ARGUMENTS FUNCTION...: on the first of the functions that this kernel has. The arguments are those of
# Linux 5.10 to 6.18: x0 is a function's first one.
probe() {
    name=$1 arguments=$2; shift 2
    for function in "$@"; do
        if echo "p:$group/$name $function $arguments" >> "$tracefs/kprobe_events" 2>/dev/null; then
            probes="$probes $name"
            return 0
        fi
    done
    echo "record-trace: no probe on $*: this kernel has none of them, or has inlined them" >&2
    return 1
}

probe s2map 'pgt=%x0 addr=%x1 size=%x2 phys=%x3 prot=%x4' kvm_pgtable_stage2_map ||
    die "without it nothing can be replayed"
probe s2relax 'pgt=%x0 addr=%x1 prot=%x2' kvm_pgtable_stage2_relax_perms || true
probe s2unmap 'pgt=%x0 addr=%x1 size=%x2' kvm_pgtable_stage2_unmap || true
probe s2destroy 'pgt=%x0' kvm_pgtable_stage2_destroy_pgd kvm_pgtable_stage2_destroy || true
probe s2cmo 'va=%x0 size=%x1' clean_dcache_guest_page __clean_dcache_guest_page || true
probe s2tlbi_ipa 'ipa=%x1 level=%x2:s32' __kvm_tlb_flush_vmid_ipa || true
probe s2tlbi_range 'start=%x1 pages=%x2' __kvm_tlb_flush_vmid_range || true
probe s2tlbi_vmid '' __kvm_tlb_flush_vmid || true
probe mnrelease '' kvm_mmu_notifier_release || true
probe vmrelease '' kvm_vm_release || true

mkdir "$instance" || die "no tracing instance can be made"
echo "${QUIETUS_BUFFER_KB:-65536}" > "$instance/buffer_size_kb"
echo 1 > "$instance/options/record-tgid" 2>/dev/null || true
for event in $probes; do echo 1 > "$instance/events/$group/$event/enable"; done
for event in kvm_unmap_hva_range kvm_guest_fault; do
    echo 1 > "$instance/events/kvm/$event/enable" 2>/dev/null || true
done

mkfifo "$fifo"
gzip < "$fifo" > "$output" &
packer=$!
cat "$instance/trace_pipe" > "$fifo" &
reader=$!
echo "record-trace: recording to $output" >&2
if [ $# -gt 0 ]; then
    "$@" || echo "record-trace: the command ended with code $?" >&2
else
    echo "record-trace: start the VM and end it, then Ctrl-C" >&2
    while :; do sleep 3600; done
fi
