using System;
using System.Collections.Generic;
using System.Threading;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>A template of which children are to be born.</summary>
/// <param name="Machine">The server, of arm64.</param>
/// <param name="MemoryBytes">The template's memory, all of which it has written.</param>
/// <param name="IsByBlocks">Mapped by 2 MB blocks; else by 4 KB pages.</param>
/// <param name="Vcpus">Of the template and of each child.</param>
public sealed record BirthRequest(MachinePreset Machine, ulong MemoryBytes, bool IsByBlocks, int Vcpus)
{
    /// <summary>The largest template: the server's memory is an array of this process.</summary>
    public const ulong MostBytes = 8UL << 30;

    /// <summary>For people.</summary>
    public override string ToString() =>
        $"{Machine.Name}, {MemoryBytes >> 20} MB, pages {(IsByBlocks ? "2m" : "4k")}, births";
}

/// <summary>The steps of a template's and a child's life, in their order.</summary>
public enum BirthStepKind
{
    /// <summary>The template's memory is made read-only, and clean where that matters.</summary>
    Freeze,

    /// <summary>A child is forked.</summary>
    Birth,

    /// <summary>It writes to a shared page, the first of its gigabyte.</summary>
    WriteFirstInGigabyte,

    /// <summary>It writes to a shared page, the first of its 2 MB.</summary>
    WriteFirstInBlock,

    /// <summary>It writes to one more shared page of the same 2 MB.</summary>
    Write,

    /// <summary>It is put back to its birth.</summary>
    Reset,

    /// <summary>It dies.</summary>
    Kill,
}

/// <summary>A step, and what was issued for it.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Bill">What was issued, and what it took.</param>
public sealed record BirthStep(BirthStepKind Kind, Bill Bill);

/// <summary>What births of a template come to.</summary>
/// <param name="Request">What was asked for.</param>
/// <param name="MappedPages4K">Of the template.</param>
/// <param name="MappedBlocks2M">Of the template.</param>
/// <param name="TemplateTables">Table pages of the template, which its children share.</param>
/// <param name="ReadFaults">Faults of a child that reads all of its memory.</param>
/// <param name="ResetAfterPages">Pages that the child has written before it is reset.</param>
/// <param name="Steps">In the order in which they were done.</param>
public sealed record BirthResult(
    BirthRequest Request, long MappedPages4K, long MappedBlocks2M, long TemplateTables, long ReadFaults,
    int ResetAfterPages, IReadOnlyList<BirthStep> Steps);

/// <summary>
/// Simulates births: a template that has written all of its memory is frozen; a child is forked, reads, writes, is
/// reset and killed. The engine's work is counted, and one call for each order, one interrupt for each vCPU that starts
/// or stops, one fault for each first write. What saving and loading registers and devices takes is in no preset.
/// </summary>
public static class BirthSimulation
{
    /// <summary>Pages that are written before a reset.</summary>
    public const int WrittenBeforeReset = 256;

    private const ulong PageBytes = 4096;
    private const ulong BlockBytes = 1UL << 21;

    /// <summary>Units between two looks at the cancellation.</summary>
    private const ulong Stride = 1 << 16;

    /// <summary>Runs it. The same request gives the same.</summary>
    /// <exception cref="SimulationException">The request makes no sense.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static BirthResult Run(BirthRequest request, CancellationToken cancellation = default)
    {
        Check(request);

        // Beside the template: its tables, its children's roots, and the chunks that a child's pages are copied into.
        var server = new SimulatedServer(
            request.Machine, request.MemoryBytes + Simulation.TableBytesFor(request.MemoryBytes) + (64UL << 20));
        var template = new SimulatedVm(server, MaintenancePolicy.Fate)
        {
            // The pool's memory is behind the last socket, and a PE that is near works.
            Pe = request.Machine.Pes - 1,
        };
        ulong unit = request.IsByBlocks ? BlockBytes : PageBytes;
        template.AddPoolSlot(
            new Ipa(Simulation.RamStart), request.MemoryBytes,
            request.IsByBlocks ? PageSizing.Blocks : PageSizing.Pages);
        for (ulong offset = 0; offset < request.MemoryBytes; offset += unit)
        {
            if (offset / unit % Stride == 0)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            Write(template, offset);
            server.Lines.Write(template.Translate(At(offset)).Output.Value & ~(unit - 1), unit);
        }

        var run = new Steps(template);
        run.Do(BirthStepKind.Freeze, () =>
        {
            template.Meter.Ipis += request.Vcpus;
            Require(template.Freeze());
        });
        SimulatedVm child = null!;
        run.Do(BirthStepKind.Birth, () =>
        {
            child = template.Fork();
            child.Meter.Ipis += request.Vcpus;
        });
        long faults = ReadAll(child, request.MemoryBytes, unit);
        run.Do(BirthStepKind.WriteFirstInGigabyte, () => Write(child, 0));
        run.Do(BirthStepKind.WriteFirstInBlock, () => Write(child, BlockBytes));
        run.Do(BirthStepKind.Write, () => Write(child, BlockBytes + PageBytes));
        for (int page = 3; page < WrittenBeforeReset; page++)
        {
            Write(child, (2 * BlockBytes) + ((ulong)page * PageBytes));
        }

        run.Do(BirthStepKind.Reset, () =>
        {
            child.Meter.Ipis += 2 * request.Vcpus;
            Require(child.Reset(template));
        });
        Write(child, 0);
        run.Do(BirthStepKind.Kill, () =>
        {
            child.Meter.Ipis += request.Vcpus;
            Require(child.Release().Result);
        });
        var result = new BirthResult(
            request, (long)template.MappedPages, (long)template.MappedBlocks, (long)template.TablePages, faults,
            WrittenBeforeReset, run.Done);
        Require(template.Release().Result);
        return server.Pool.Usage.OwnedChunks == 0 && server.Pool.RefusedFrees == 0
            ? result
            : throw new InvalidOperationException("Something is left of the VMs after their deaths.");
    }

    private static void Check(BirthRequest request)
    {
        if (!request.Machine.IsArm64)
        {
            throw new SimulationException(
                $"{request.Machine.Name} is a machine of {request.Machine.Architecture}", "Births are arm64's.");
        }

        if (request.MemoryBytes < 4 * BlockBytes || request.MemoryBytes > BirthRequest.MostBytes
            || request.MemoryBytes % BlockBytes != 0)
        {
            throw new SimulationException(
                $"{request.MemoryBytes} bytes are no template's memory", "Take 8 MB to 8 GB, a multiple of 2 MB.");
        }

        if (request.Vcpus < 1 || request.Vcpus > request.Machine.Pes)
        {
            throw new SimulationException(
                $"{request.Vcpus} vCPUs on {request.Machine.Pes} PEs",
                "each vCPU has a PE of its own: give --vcpus that many at most");
        }
    }

    private static Ipa At(ulong offset) => new(Simulation.RamStart + offset);

    private static void Write(SimulatedVm vm, ulong offset)
    {
        FaultResult result = vm.MapPoolPage(At(offset));
        if (result != FaultResult.Mapped)
        {
            throw new InvalidOperationException($"A write to {offset:x} came to {result}.");
        }
    }

    /// <summary>What the tables refuse to a reader: it would fault there.</summary>
    private static long ReadAll(SimulatedVm child, ulong bytes, ulong unit)
    {
        long faults = 0;
        for (ulong offset = 0; offset < bytes; offset += unit)
        {
            Translation found = child.Translate(At(offset));
            faults += found.IsMapped && found.Attributes.Read ? 0 : 1;
        }

        return faults;
    }

    private static void Require(MemoryResult result)
    {
        if (result != MemoryResult.Ok)
        {
            throw new InvalidOperationException($"A step of a birth came to {result}.");
        }
    }

    /// <summary>Reads the meter around each step.</summary>
    private sealed class Steps(SimulatedVm template)
    {
        public List<BirthStep> Done { get; } = [];

        public void Do(BirthStepKind kind, Action step)
        {
            Bill before = template.Bill;
            step();
            Done.Add(new BirthStep(kind, template.Bill - before));
        }
    }
}
