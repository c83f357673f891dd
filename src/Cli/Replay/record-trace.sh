#!/bin/sh
# Records what a KVM host does to a VM's second-level tables, as ./quietus replay reads it. Run it as root on the host:
#
#   sh record-trace.sh trace.txt.gz COMMAND...    records while the command runs, a VMM for example
#   sh record-trace.sh trace.txt.gz               records until Ctrl-C; start the VM and end it meanwhile
#
# A FILE.zst is packed by zstd, a FILE.xz by xz, any other by gzip. QUIETUS_BUFFER_KB is the ring buffer of each CPU
# (default 65536). It changes nothing but a tracing instance of its own and its probes, and takes both away at its end.
# KVM/arm64: kernels with 4 KB pages, 5.5 and later, with kprobes. KVM/x86: 5.13 and later, with tdp_mmu.
set -eu

die() { echo "record-trace: $*" >&2; exit 1; }

[ $# -ge 1 ] || die "usage: record-trace.sh FILE.gz [COMMAND...]"
output=$1; shift
[ "$(id -u)" = 0 ] || die "only root can trace: sudo sh record-trace.sh $output ..."
case $(uname -m) in aarch64 | x86_64) ;; *) die "this host is $(uname -m): KVM/arm64 and KVM/x86 are traced" ;; esac
case $output in *.zst) pack="zstd -q -c" ;; *.xz) pack="xz -c -3" ;; *) pack=gzip ;; esac
command -v "${pack%% *}" > /dev/null || die "${pack%% *} is not installed: give a file that ends in .gz"
[ "$(getconf PAGESIZE)" = 4096 ] || die "the host's pages are $(getconf PAGESIZE) bytes, and only 4096 can be replayed"
tracefs=/sys/kernel/tracing
[ -e "$tracefs/instances" ] || mount -t tracefs nodev "$tracefs" 2>/dev/null || true
[ -e "$tracefs/instances" ] || die "$tracefs cannot be mounted: the kernel has no CONFIG_FTRACE, or is locked down"

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
# Linux 5.5 to 7.2: x0 is a function's first one.
probe() {
    name=$1 arguments=$2; shift 2
    for function in "$@"; do
        if echo "p:$group/$name $function $arguments" 2>/dev/null >> "$tracefs/kprobe_events"; then
            probes="$probes $name"
            return 0
        fi
    done
    echo "record-trace: no probe on $*: this kernel has none of them, or has inlined them" >&2
    return 1
}

# Linux 5.10 and later; else 5.5 to 5.9, which writes descriptors.
probe_arm64() {
    [ -e "$tracefs/kprobe_events" ] || die "$tracefs/kprobe_events is missing: the kernel has no CONFIG_KPROBE_EVENTS"
    tables=kvm_pgtable_stage2 level=%x2
    case " $(cat /proc/cmdline) " in *" kvm-arm.mode=protected "*) tables=pkvm_pgtable_stage2 ;; esac
    if ! probe s2map 'pgt=%x0 addr=%x1 size=%x2 phys=%x3 prot=%x4' ${tables}_map; then
        probe s2setpte 'pgt=%x0 addr=%x2 desc=+0(%x3):x64' stage2_set_pte || die "without it nothing can be replayed"
        probe s2setpmd 'pgt=%x0 addr=%x2 desc=+0(%x3):x64' stage2_set_pmd_huge || true
        probe s2setpud 'pgt=%x0 addr=%x2 desc=+0(%x3):x64' stage2_set_pud_huge || true
        level='\3' # The function has no such argument before 5.9: a number for all.
        probe s2unmap 'pgt=%x0 addr=%x1 size=%x2' __unmap_stage2_range unmap_stage2_range || true
        probe s2destroy 'pgt=%x0' kvm_free_stage2_pgd || true
    else
        probe s2relax 'pgt=%x0 addr=%x1 prot=%x2' ${tables}_relax_perms || true
        probe s2unmap 'pgt=%x0 addr=%x1 size=%x2' ${tables}_unmap || true
        probe s2destroy_range 'pgt=%x0' ${tables}_destroy_range 2>/dev/null || true
        probe s2destroy 'pgt=%x0' ${tables}_destroy_pgd ${tables}_destroy || true
        probe s2cmo 'va=%x0 size=%x1' clean_dcache_guest_page __clean_dcache_guest_page stage2_flush_dcache || true
    fi
    probe s2tlbi_ipa "ipa=%x1 level=$level:s32" __kvm_tlb_flush_vmid_ipa || true
    probe s2tlbi_range 'start=%x1 pages=%x2' __kvm_tlb_flush_vmid_range || true
    probe s2tlbi_vmid '' __kvm_tlb_flush_vmid || true
}

events="kvm/kvm_unmap_hva_range"
if [ "$(uname -m)" = aarch64 ]; then
    probe_arm64
    events="$events kvm/kvm_guest_fault"
else
    events="$events kvmmmu/kvm_tdp_mmu_spte_changed kvm/kvm_page_fault"
    [ -e "$tracefs/events/kvmmmu/kvm_tdp_mmu_spte_changed" ] ||
        die "the event kvm_tdp_mmu_spte_changed is missing: Linux 5.13 and later have it, once KVM is loaded"
fi
probe mnrelease '' kvm_mmu_notifier_release || true
probe vmrelease '' kvm_vm_release || true

mkdir "$instance" || die "no tracing instance can be made"
echo "${QUIETUS_BUFFER_KB:-65536}" > "$instance/buffer_size_kb"
echo 1 > "$instance/options/record-tgid" 2>/dev/null || true
for event in $probes; do echo 1 > "$instance/events/$group/$event/enable"; done
for event in $events; do
    echo 1 2>/dev/null > "$instance/events/$event/enable" || echo "record-trace: no event $event" >&2
done

mkfifo "$fifo"
$pack < "$fifo" > "$output" &
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
