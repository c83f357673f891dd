using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>What a run came to.</summary>
/// <param name="Request">What was asked for.</param>
/// <param name="MappedPages">Leaves, by the bytes that each maps.</param>
/// <param name="Tables">Table pages that there were.</param>
/// <param name="Bill">What the hook did.</param>
/// <param name="Host">What the host did beside it.</param>
/// <param name="Violations">What was freed or changed before its flush was complete.</param>
/// <param name="Checks">How often that was looked at.</param>
public sealed record ArchitectureResult(
    SimulationRequest Request, IReadOnlyDictionary<ulong, long> MappedPages, long Tables, HookBill Bill,
    Bill Host, IReadOnlyList<string> Violations, long Checks)
{
    /// <summary>
    /// System calls, interrupts that stop the vCPUs of a VM that is killed, and the VM's end apart from its memory.
    /// </summary>
    public double OtherNanoseconds => Host.Time.OtherPicoseconds / 1000.0;

    /// <summary>The host's own freeing of the process's pages, and the process's end: not part of the death.</summary>
    public double HostFreeNanoseconds => Host.Time.HostFreePicoseconds / 1000.0;

    /// <summary>All but the host's freeing of pages.</summary>
    public double Nanoseconds => Bill.Nanoseconds(Request.Machine) + OtherNanoseconds;

    /// <summary>The same run on a machine that differs in its costs alone.</summary>
    public ArchitectureResult At(MachinePreset machine) =>
        this with { Request = Request with { Machine = machine }, Host = Host.At(machine) };
}

/// <summary>
/// A VM's life on a machine of another architecture: the simulated host fills it, does something to its memory, and the
/// hook's part of that is the bill.
/// </summary>
public static class ArchitectureRun
{
    private const ulong RamStart = 1UL << 30;
    private const ulong Page = 4096;
    private const int Stride = 1 << 12;

    /// <summary>Fills a VM and ends it as the request says.</summary>
    /// <param name="request">The request; its machine is of another architecture than arm64.</param>
    /// <param name="isChecked">Whether a guard watches for what is freed too early.</param>
    /// <exception cref="SimulationException">The request makes no sense there.</exception>
    public static ArchitectureResult Die(
        SimulationRequest request, bool isChecked = false, CancellationToken cancellation = default) =>
        Run(request, isChecked, life =>
        {
            HostProcess vmm = life.Vm.Owner;
            bool done = request.Death switch
            {
                DeathKind.Munmap => vmm.Unmap(life.Address, request.MemoryBytes),
                DeathKind.Madvise => vmm.DontNeed(life.Address, request.MemoryBytes),
                DeathKind.Mremap => vmm.Move(life.Address, request.MemoryBytes, out _),
                DeathKind.Punch => vmm.Punch(life.Address, request.MemoryBytes),
                DeathKind.Slot => life.Vm.RemoveSlot(life.Slot) == MemoryResult.Ok,
                _ => true,
            };
            Expect(done, request.Death);
            if (request.Death == DeathKind.Exit)
            {
                vmm.Exit();
            }
            else
            {
                vmm.Kill();
            }
        }, cancellation);

    /// <summary>Fills a VM, and lets the host do one thing to its memory.</summary>
    /// <exception cref="SimulationException">The request makes no sense there.</exception>
    public static ArchitectureResult Do(
        HookEvent what, SimulationRequest request, bool isChecked = false,
        CancellationToken cancellation = default) =>
        Run(request, isChecked, life => Do(what, request, life, cancellation), cancellation);

    /// <summary>The same on a machine of arm64, whose bill has arm64's operations.</summary>
    internal static Bill DoOnArm64(HookEvent what, SimulationRequest request, CancellationToken cancellation)
    {
        Simulation.Check(request);
        var server = new SimulatedServer(request.Machine, Simulation.TableBytesFor(request.MemoryBytes));
        HostProcess vmm = new Host(server, request.Seed, request.Interleave).Start();
        ulong elsewhere = vmm.Map(Page);
        ulong address = vmm.Map(request.MemoryBytes);
        HostedVm vm = vmm.CreateVm(request.Policy, request.Vcpus, Simulation.IpaBitsFor(request.MemoryBytes));
        int slot = vm.AddSlot(new Ipa(RamStart), address, request.MemoryBytes);
        Fill(request, vm, Page, cancellation);
        Bill before = server.BillOf(vmm.Pe);
        Do(what, request, new Life(vm, null, slot, address, elsewhere), cancellation);
        return server.BillOf(vmm.Pe) - before;
    }

    private static void Do(HookEvent what, SimulationRequest request, Life life, CancellationToken cancellation)
    {
        HostProcess vmm = life.Vm.Owner;
        switch (what)
        {
            case HookEvent.Munmap:
                Expect(vmm.Unmap(life.Address, request.MemoryBytes), what);
                break;

            case HookEvent.Mremap:
                Expect(vmm.Move(life.Address, request.MemoryBytes, out _), what);
                break;

            case HookEvent.Madvise:
                Expect(vmm.DontNeed(life.Address, request.MemoryBytes), what);
                break;

            case HookEvent.Migration:
                EachPage(request, life, vmm.Migrate, cancellation);
                break;

            case HookEvent.SwapOut:
                if (request.Pages != GuestPages.Pages4K)
                {
                    throw new SimulationException(
                        "the host swaps out pages of 4 KB, and no others", "Take a machine with such pages.");
                }

                EachPage(request, life, vmm.SwapOut, cancellation);
                break;

            case HookEvent.Mprotect:
                Expect(vmm.Protect(life.Address, request.MemoryBytes, isWritable: false), what);
                break;

            case HookEvent.Fork:
                _ = vmm.Fork();
                break;

            case HookEvent.Age:
                if (life.Hook is { } hook
                    && hook.Age(new Ipa(RamStart), request.MemoryBytes, out bool owesFlush) && owesFlush)
                {
                    hook.FlushRemote();
                }

                break;

            case HookEvent.Elsewhere:
                Expect(vmm.Unmap(life.Elsewhere, Page), what);
                break;

            case HookEvent.SlotRemoval:
                Expect(life.Vm.RemoveSlot(life.Slot) == MemoryResult.Ok, what);
                break;

            default:
                vmm.Exit();
                break;
        }
    }

    private sealed record Life(HostedVm Vm, GuestHook? Hook, int Slot, ulong Address, ulong Elsewhere);

    private static ArchitectureResult Run(
        SimulationRequest request, bool isChecked, Action<Life> end, CancellationToken cancellation)
    {
        Architecture architecture = Architecture.Of(request.Machine);
        if (architecture.WhyNot(request.Pages, request.Machine) is { } refusal)
        {
            throw new SimulationException(refusal.Problem, refusal.Remedy);
        }

        ulong unit = UnitOf(request, architecture);
        Simulation.CheckSizes(request, Simulation.UnitOf(request.Pages));
        FlushGuard? guard = isChecked ? new FlushGuard() : null;
        var server = new SimulatedServer(request.Machine, 1UL << 21) { Listener = guard };
        var host = new Host(server, request.Seed, request.Interleave);
        HostProcess vmm = host.Start();
        ulong elsewhere = vmm.Map(Page);
        ulong address = vmm.Map(
            request.MemoryBytes, Simulation.AreaKindOf(request.Death), Simulation.AreaPagesOf(request.Pages), null,
            request.HugePageShare);
        GuestHook hook = Architecture.Make(new GuestOptions(request.Machine, request.Policy, request.Vcpus, guard)
        {
            BasePagesOnly = request.Pages is GuestPages.Pages4K or GuestPages.Pages64K,
        });
        HostedVm vm = vmm.CreateVm(hook, request.Vcpus);
        int slot = vm.AddSlot(new Ipa(RamStart), address, request.MemoryBytes);
        Fill(request, vm, unit, cancellation);

        var mapped = hook.Leaves().GroupBy(static leaf => leaf.Bytes)
            .ToDictionary(static group => group.Key, static group => (long)group.Count());
        long tables = hook.Tables;
        HookBill before = hook.Meter.Read();
        Bill hostBefore = server.BillOf(vmm.Pe);
        end(new Life(vm, hook, slot, address, elsewhere));
        return new ArchitectureResult(
            request, mapped, tables, hook.Meter.Read() - before, server.BillOf(vmm.Pe) - hostBefore,
            guard?.Violations ?? [], guard?.Checks ?? 0);
    }

    /// <summary>Whole host pages at a time, or what the guest gets of one by one fault.</summary>
    private static ulong UnitOf(SimulationRequest request, Architecture architecture) => request.Pages switch
    {
        GuestPages.Pages64K => 1UL << 16,
        GuestPages.Blocks2M when architecture.Name == "e500" => 1UL << 20,
        _ => Simulation.UnitOf(request.Pages),
    };

    private static void Fill(SimulationRequest request, HostedVm vm, ulong unit, CancellationToken cancellation)
    {
        ulong units = request.MemoryBytes / unit;
        ulong touched = (ulong)Math.Round(units * request.Touched);
        var order = new Permutation(units, request.Seed);
        for (ulong i = 0; i < touched; i++)
        {
            if (i % Stride == 0)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            ulong index = request.Touch == TouchPattern.Random ? order.Next() : i;
            ulong mapped = vm.Touch(new Ipa(RamStart + (index * unit)));
            if (mapped == 0)
            {
                throw new InvalidOperationException($"The host has no page for {index * unit:x}.");
            }

            // A transparent huge page comes whole with its first touch.
            i += request.Touch != TouchPattern.Random && mapped > unit && request.Pages == GuestPages.Transparent
                ? (mapped / unit) - 1
                : 0;
        }
    }

    private static void EachPage(
        SimulationRequest request, Life life, Func<ulong, bool> move, CancellationToken cancellation)
    {
        ulong step = request.Pages is GuestPages.Blocks2M or GuestPages.Pages64K ? 1UL << 21
            : request.Pages == GuestPages.Blocks1G ? 1UL << 30 : Page;
        for (ulong offset = 0; offset < request.MemoryBytes; offset += step)
        {
            if (offset % (Page * Stride) == 0)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            _ = move(life.Address + offset);
        }
    }

    private static void Expect(bool done, Enum what)
    {
        if (!done)
        {
            throw new InvalidOperationException($"The {what} was refused.");
        }
    }
}
