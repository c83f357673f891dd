using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>The forms in which ftrace, trace-cmd and different kernels write the same event.</summary>
public class LineFormTests
{
    private const string Map =
        "(kvm_pgtable_stage2_map+0x0/0x140) addr=0x40000000 size=0x1000 phys=0x10408f000 prot=0x7";

    [Theory]
    [InlineData("gvm-180     [001] d....     7.291846: s2map: " + Map)]
    [InlineData("             gvm-180     [001]     7.291846: s2map: " + Map)]
    [InlineData("CPU 0/KVM-180   (  178) [001] d.h2.     7.291846: s2map: " + Map)]
    [InlineData("CPU 0/KVM-180   (-------) [001] d.h2.     7.291846: s2map: " + Map)]
    [InlineData("[my] t-1-180 [011] d....     7.291846123: anything_at_all: " + Map)]
    [InlineData("<...>-180 [0] d... 7.29: s2map: (ffff800080041234) addr=1073741824 size=4096 phys=0x10408f000 prot=7")]
    [InlineData("gvm-180 [001] d....  7291846: p_kvm_pgtable_stage2_map_0: " + Map)]
    public void One_map(string line)
    {
        HostTrace trace = Sample.Read(line + "\n");

        trace.Operations.ShouldBe(
        [
            new TraceOperation(
                TraceOperationKind.Map, TraceProtection.Read | TraceProtection.Write | TraceProtection.Execute,
                new Ipa(0x4000_0000), 0x1000, new Pa(0x1_0408_f000)),
        ]);
        trace.Counts.Used.ShouldBe(1);
    }

    [Fact]
    public void Windows_line_ends() =>
        Sample.Read(Sample.Small.ReplaceLineEndings("\r\n")).Operations
            .ShouldBe(Sample.Read(Sample.Small).Operations);

    [Fact]
    public void Function_tracer_lines_count_where_there_is_no_probe()
    {
        HostTrace trace = Sample.Read(
            "a-1 [0] .... 1.0: s2map: " + Map + "\n"
            + "a-1 [0] .... 1.1: clean_dcache_guest_page <-stage2_map_walker_try_leaf\n"
            + "a-1 [0] .... 1.2: function:             clean_dcache_guest_page <-- stage2_map_walker_try_leaf\n");

        // A page is cleaned once for its map: the second time was for something else.
        (trace.Mapping.Cleanings, trace.Mapping.CleanedBytes).ShouldBe((1, 0x1000));
        (trace.Other.Cleanings, trace.Other.CleanedBytes).ShouldBe((1, 0));
    }

    [Fact]
    public void Function_tracer_lines_do_not_count_beside_probes()
    {
        HostTrace trace = Sample.Read(
            Sample.Small + "a-1 [0] .... 9.0: clean_dcache_guest_page <-stage2_flush_walker\n");

        trace.Other.Cleanings.ShouldBe(0);
        trace.Mapping.Cleanings.ShouldBe(2);
    }

    [Fact]
    public void Maintenance_belongs_to_the_thread_that_issues_it()
    {
        HostTrace trace = Sample.Read(
            "a-1 [0] .... 1.0: s2unmap: (kvm_pgtable_stage2_unmap+0x0/0x1) addr=0x40000000 size=0x2000\n"
            + "b-2 [1] .... 1.1: s2map: " + Map + "\n"
            + "a-1 [0] .... 1.2: s2tlbi_ipa: (__kvm_tlb_flush_vmid_ipa+0x0/0xd8) ipa=0x40000000 level=3\n"
            + "b-2 [1] .... 1.3: s2cmo: (clean_dcache_guest_page+0x0/0x40) va=0xffff0000c408f000 size=0x1000\n"
            + "b-2 [1] .... 1.4: s2cmo: (clean_dcache_guest_page+0x0/0x40) va=0xffff0000c408e000 size=0x1000\n");

        trace.Unmapping.LeafTlbi.ShouldBe(1);
        trace.Mapping.Cleanings.ShouldBe(1);
        trace.Other.Cleanings.ShouldBe(1);
        trace.UnmapNanoseconds.ShouldBe(200_000_000);
    }

    [Fact]
    public void An_unmap_larger_than_the_notifiers_range_is_a_slots_removal()
    {
        HostTrace trace = Sample.Read(
            "a-1 [0] .... 1.0: s2map: " + Map + "\n"
            + "a-1 [0] .... 1.1: kvm_unmap_hva_range: mmu notifier unmap range: 0x1000 -- 0x2000\n"
            + "a-1 [0] .... 1.2: s2unmap: (kvm_pgtable_stage2_unmap+0x0/0x1) addr=0x40000000 size=0x2000\n");

        trace.Operations[^1].Kind.ShouldBe(TraceOperationKind.UnmapBySlotRemoval);
    }

    [Fact]
    public void A_range_that_the_kernel_unmaps_in_pieces_is_one()
    {
        HostTrace trace = Sample.Read(
            "a-1 [0] .... 1.0: s2map: " + Map + "\n"
            + "a-1 [0] .... 1.1: kvm_unmap_hva_range: mmu notifier unmap range: 0x10000000 -- 0x90000000\n"
            + "a-1 [0] .... 1.2: s2unmap: (kvm_pgtable_stage2_unmap+0x0/0x1) addr=0x40000000 size=0x40000000\n"
            + "a-1 [0] .... 1.3: s2unmap: (kvm_pgtable_stage2_unmap+0x0/0x1) addr=0x80000000 size=0x40000000\n");

        trace.Operations.Count.ShouldBe(2);
        trace.Operations[^1].ShouldBe(new TraceOperation(
            TraceOperationKind.UnmapByNotifier, TraceProtection.None, new Ipa(0x4000_0000), 0x8000_0000, default));
    }

    [Fact]
    public void Ranges_and_whole_VMIDs_are_told_apart()
    {
        HostTrace trace = Sample.Read(
            "a-1 [0] .... 1.0: s2map: " + Map + "\n"
            + "a-1 [0] .... 1.2: s2unmap: (kvm_pgtable_stage2_unmap+0x0/0x1) addr=0x40000000 size=0x2000\n"
            + "a-1 [0] .... 1.2: s2tlbi_range: (__kvm_tlb_flush_vmid_range+0x0/0xd8) start=0x40000000 pages=0x2\n"
            + "a-1 [0] .... 1.3: s2tlbi_vmid: (__kvm_tlb_flush_vmid+0x0/0xd8)\n");

        (trace.Unmapping.RangeTlbi, trace.Unmapping.VmidTlbi).ShouldBe((1, 1));
    }
}
