using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>A trace of a whole host has several VMs: they are told apart, and never merged without a word.</summary>
public class SeveralVmsTests
{
    /// <summary>By process: two VMs whose lines are mixed.</summary>
    private static readonly string _byProcess = Lines(
        "vcpu-11 (10) [0] .... 1.0: s2map: addr=0x1000 size=0x1000 phys=0x101000 prot=0x6",
        "vcpu-21 (20) [1] .... 1.1: s2map: addr=0x1000 size=0x1000 phys=0x201000 prot=0x6",
        "vcpu-12 (10) [0] .... 1.2: s2map: addr=0x2000 size=0x1000 phys=0x102000 prot=0x6",
        "main-10 (10) [0] .... 1.3: s2destroy: pgt=0x1",
        "main-20 (20) [1] .... 1.4: s2destroy: pgt=0x2");

    /// <summary>By the address of Stage-2 alone: the kernel did not record processes.</summary>
    private static readonly string _byTables = Lines(
        "vcpu-11 [0] .... 1.0: s2map: pgt=0xa addr=0x1000 size=0x1000 phys=0x101000 prot=0x6",
        "vcpu-21 [1] .... 1.1: s2map: pgt=0xb addr=0x1000 size=0x1000 phys=0x201000 prot=0x6",
        "vcpu-12 [0] .... 1.2: s2map: pgt=0xa addr=0x2000 size=0x1000 phys=0x102000 prot=0x6",
        "kswapd-5 [0] .... 1.3: s2unmap: pgt=0xb addr=0x1000 size=0x1000",
        "main-10 [0] .... 1.4: s2destroy: pgt=0xa",
        "main-20 [1] .... 1.5: s2destroy: pgt=0xb");

    [Theory]
    [InlineData(false, "10 (2 maps), 20 (1 maps)")]
    [InlineData(true, "11 (2 maps), 21 (1 maps)")]
    public void Two_VMs_are_refused_by_name(bool byTables, string names)
    {
        TraceException error = Should.Throw<TraceException>(() => Sample.Read(byTables ? _byTables : _byProcess));
        error.Message.ShouldContain("2 VMs are in the trace, of the processes " + names);
        error.NextStep.ShouldContain("--pid");
    }

    [Theory]
    [InlineData(false, 10, "Map Map Release")]
    [InlineData(false, 20, "Map")]
    [InlineData(true, 11, "Map Map Release")]
    [InlineData(true, 21, "Map UnmapBySlotRemoval Release")]
    public void One_of_them_can_be_chosen(bool byTables, int process, string operations)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(byTables ? _byTables : _byProcess));
        HostTrace trace = TraceReader.Read(stream, CancellationToken.None, process);
        string.Join(' ', trace.Operations.Select(operation => operation.Kind)).ShouldStartWith(operations);
    }

    [Fact]
    public void A_process_without_a_VM_is_an_error() =>
        Should.Throw<TraceException>(() =>
        {
            using var stream = new MemoryStream(Encoding.UTF8.GetBytes(_byProcess));
            TraceReader.Read(stream, CancellationToken.None, 99);
        }).Message.ShouldContain("process 99 has no VM");

    [Fact]
    public void They_are_listed()
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(_byTables));
        TracedVm[] vms = [.. TraceReader.List(stream, CancellationToken.None)];
        vms.Select(vm => (vm.Process, vm.Threads, vm.Maps, vm.FirstLine, vm.Dies))
            .ShouldBe([(11, 2, 2L, 1L, true), (21, 1, 1L, 2L, true)]);
    }

    /// <summary>By perf trace of Linux 6.1, without zeroes: the next VM gets what the one before had.</summary>
    [Fact]
    public void The_address_of_a_dead_VMs_tables_may_be_the_next_ones()
    {
        string trace = Lines(
            "     0.000 vmm/162 kprobes:s2map(__probe_ip: -10345, pgt: -2097, size: 4096, phys: 1099845632, prot: 7)",
            "     1.000 vmm/162 kprobes:s2destroy(__probe_ip: -10346, pgt: -2097)",
            "     2.000 vmm/164 kprobes:s2map(__probe_ip: -10345, pgt: -2097, addr: 0x1000, size: 4096, "
                + "phys: 1099849728, prot: 6)",
            "     3.000 vmm/164 kprobes:s2destroy(__probe_ip: -10346, pgt: -2097)");
        using var list = new MemoryStream(Encoding.UTF8.GetBytes(trace));
        TraceReader.List(list, CancellationToken.None).Select(vm => (vm.Process, vm.Maps, vm.Dies))
            .ShouldBe([(162, 1L, true), (164, 1L, true)]);
        using var chosen = new MemoryStream(Encoding.UTF8.GetBytes(trace));
        TraceReader.Read(chosen, CancellationToken.None, 164).Operations
            .Select(operation => (operation.Kind, operation.Start.Value))
            .ShouldBe([(TraceOperationKind.Map, 0x1000UL), (TraceOperationKind.Release, 0UL)]);
    }

    private static string Lines(params string[] lines) => string.Join('\n', lines) + "\n";
}
