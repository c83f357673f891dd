using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>
/// Random hosts: what a process does to a guest's memory, in any order, on every architecture, under every policy
/// that it has. After each step the guest sees nothing that its host does not map, and nothing was freed before its
/// flush.
/// </summary>
public sealed class HookProgramTests
{
    private const ulong Ram = 1UL << 30;
    private const ulong Bytes = 8UL << 20;
    private const ulong Page = 4096;
    private const int Steps = 120;

    public static TheoryData<string> Machines => Presets.All;

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_guest_sees_what_its_host_maps_and_nothing_is_freed_before_its_flush(string name)
    {
        MachinePreset machine = Presets.Named(name);
        Architecture architecture = Architecture.Of(machine);
        foreach (MaintenancePolicy policy in architecture.Offered(machine))
        {
            foreach (AreaPages pages in SizesOf(machine))
            {
                new World(machine, policy, pages).Run(new Random(20191213));
            }
        }
    }

    private static IEnumerable<AreaPages> SizesOf(MachinePreset machine) => machine["base_page"] > 4096
        ? [AreaPages.Huge2M]
        : [AreaPages.Small, AreaPages.Transparent];

    private sealed class World
    {
        private readonly FlushGuard _guard = new();
        private readonly HostProcess _vmm;
        private readonly GuestHook _hook;
        private readonly HostedVm _vm;
        private readonly string _what;
        private readonly ulong _step;
        private ulong _address;
        private int _slot;
        private Random _random = new(0);

        internal World(MachinePreset machine, MaintenancePolicy policy, AreaPages pages)
        {
            _what = $"{machine.Name} {policy} {pages}";
            _step = pages == AreaPages.Huge2M ? 1UL << 21 : Page;
            var server = new SimulatedServer(machine, 1UL << 21) { Listener = _guard };
            _vmm = new Host(server).Start();
            _hook = Architecture.Make(new GuestOptions(machine, policy, 2, _guard)
            {
                BasePagesOnly = machine["base_page"] > 4096,
            });
            _vm = _vmm.CreateVm(_hook, 2);
            _address = _vmm.Map(Bytes, AreaKind.Anonymous, pages, null, 0.5);
            _slot = _vm.AddSlot(new Ipa(Ram), _address, Bytes);
        }

        internal void Run(Random random)
        {
            _random = random;
            for (int step = 0; step < Steps; step++)
            {
                string done = Step();
                Check(done);
            }

            _vmm.Exit();
            Check("exit");
            _hook.Exists.ShouldBeFalse();
            if (_hook.Tables != 0)
            {
                Assert.Fail($"{_what}: {_hook.Tables} tables are left");
            }
        }

        private string Step()
        {
            (ulong start, ulong bytes) = AnyRange();
            switch (_random.Next(12))
            {
                case 0:
                    _vmm.DontNeed(start, bytes);
                    return $"madvise {start:x} {bytes:x}";
                case 1:
                    _vmm.Protect(start, bytes, _random.Next(2) == 0);
                    return $"mprotect {start:x} {bytes:x}";
                case 2 when _step == Page:
                    _vmm.Migrate(start);
                    return $"migrate {start:x}";
                case 3 when _step == Page:
                    _vmm.SwapOut(start);
                    return $"swap {start:x}";
                case 4:
                    // The child lives on, and its pages with it.
                    _ = _vmm.Fork();
                    return "fork";
                case 5:
                    bool young = _hook.Age(new Ipa(Ram + (start - _address)), bytes, out bool owes);
                    owes.ShouldBe(owes && young);
                    return "age";
                case 6 when _random.Next(6) == 0:
                    _vm.RemoveSlot(_slot).ShouldBe(MemoryResult.Ok);
                    Check("slot removed");
                    _slot = _vm.AddSlot(new Ipa(Ram), _address, Bytes);
                    return "slot";
                default:
                    for (int i = 0; i < 12; i++)
                    {
                        Touch();
                    }

                    return "touch";
            }
        }

        private void Touch()
        {
            ulong offset = (ulong)_random.NextInt64((long)(Bytes / Page)) * Page;
            AccessKind access = _random.Next(3) == 0 ? AccessKind.Read : AccessKind.Write;
            if (_vm.Touch(new Ipa(Ram + offset), access) == 0)
            {
                // The host forbids it.
                return;
            }

            Pa host = _vmm.Translate(_address + offset, out bool isWritable);
            host.Value.ShouldNotBe(0UL);
            _hook.IsMapped(new Ipa(Ram + offset), access).ShouldBeTrue($"{_what}: {offset:x} by {access}");
            (isWritable || access == AccessKind.Read).ShouldBeTrue();
        }

        private void Check(string done)
        {
            if (_guard.Violations.Count != 0)
            {
                Assert.Fail($"{_what}, {done}: {_guard.Violations[0]}");
            }

            CheckRootTlbs(done);
            foreach (GuestLeaf leaf in _hook.Leaves())
            {
                for (ulong at = 0; at < leaf.Bytes; at += Page)
                {
                    Pa host = _vmm.Translate(_address + (leaf.Gpa + at - Ram), out bool isWritable);
                    if (host.Value != leaf.Frame + at || (leaf.IsWritable && !isWritable))
                    {
                        Assert.Fail(
                            $"{_what}, {done}: the guest maps {leaf.Gpa + at:x} to {leaf.Frame + at:x} "
                            + $"({leaf.IsWritable}), the host to {host.Value:x} ({isWritable})");
                    }
                }
            }
        }

        /// <summary>What cores hold, where that is modelled: a flush that was left out shows here.</summary>
        private void CheckRootTlbs(string done)
        {
            foreach ((ulong gpa, ulong entry) in (_hook as MipsHook)?.Tlbs.SelectMany(static tlb => tlb.Of(1)) ?? [])
            {
                Pa host = _vmm.Translate(_address + (gpa - Ram), out bool isWritable);
                ulong frame = entry << 2 >> 2 >> 6 << 12;
                if (host.Value != frame || ((entry & 4) != 0 && !isWritable))
                {
                    Assert.Fail(
                        $"{_what}, {done}: a core goes on with {gpa:x} at {frame:x}, the host has {host.Value:x}");
                }
            }
        }

        private (ulong Start, ulong Bytes) AnyRange()
        {
            ulong pages = Bytes / _step;
            ulong first = (ulong)_random.NextInt64((long)pages);
            ulong most = pages - first;
            ulong length = 1 + (ulong)_random.NextInt64((long)Math.Min(most, _random.Next(2) == 0 ? 4 : most));
            return (_address + (first * _step), Math.Min(length, most) * _step);
        }
    }
}
