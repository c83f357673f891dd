using System;
using System.Collections.Generic;
using Quietus.Stage2;
using Shouldly;

namespace Quietus.Memory.Tests;

/// <summary>A VM over a world: its memory, and what its guest would do with it.</summary>
internal sealed class Vm<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    internal const ulong RamStart = 0x8000_0000;

    internal GuestMemory<TFormat, TestMachine> Memory;
    internal TestMachine Machine;

    private readonly VmRecord _record = new();

    internal Vm(
        World world, MaintenancePolicy policy, ushort vmid = 1, int ipaBits = 36, bool uncached = true,
        int promise = 0, int most = int.MaxValue)
    {
        World = world;
        Machine = new TestMachine(world, _record);
        Stage2Geometry.TryCreate<TFormat>(ipaBits, 40, out Stage2Geometry geometry).ShouldBeTrue();
        var options = new GuestMemoryOptions(geometry, policy, uncached)
        {
            PromisedChunks = promise, MostChunks = most,
        };
        Created = GuestMemory<TFormat, TestMachine>.Create(ref Machine, ref Memory, options, new Vmid(vmid));
    }

    internal static ulong Granule => 1UL << TFormat.GranuleShift;

    internal World World { get; }

    internal MemoryResult Created { get; }

    internal ref VmFrames Frames => ref _record.Frames;

    internal ulong UsedFrames => World.Pool.CountUsed(in _record.Frames);

    internal int AddRam(ulong bytes, PageSizing sizing = PageSizing.Pages, ulong start = RamStart)
    {
        Memory.AddSlot(new Ipa(start), bytes, SlotOptions.Ram(sizing), out int number).ShouldBe(MemoryResult.Ok);
        return number;
    }

    internal int AddHost(ulong bytes, ulong start, PageFate fate, MemoryType type = MemoryType.NormalWriteBack)
    {
        var options = new SlotOptions(SlotBacking.Host, PageSizing.Auto, type, false, fate);
        Memory.AddSlot(new Ipa(start), bytes, options, out int number).ShouldBe(MemoryResult.Ok);
        return number;
    }

    internal FaultResult Fault(ulong ipa, AccessKind access = AccessKind.Write, int level = -1) =>
        Memory.HandleFault(ref Machine, new Ipa(ipa), access, level);

    /// <summary>A fault on a host's slot, answered with the page that the host has.</summary>
    internal FaultResult HostFault(
        ulong ipa, ulong page, int level = 3, AccessKind access = AccessKind.Write, bool writable = true)
    {
        FaultResult result = Memory.PrepareFault(ref Machine, new Ipa(ipa), access, out FaultTicket ticket);
        if (result != FaultResult.NeedsHostPage)
        {
            return result;
        }

        ticket.Supply(new Pa(page), level, writable);
        return Memory.CommitFault(ref Machine, ref ticket);
    }

    /// <summary>Touches every page of a range by writes.</summary>
    internal void Dirty(ulong start, ulong bytes)
    {
        for (ulong at = start; at < start + bytes; at += Granule)
        {
            if (!Translate(at).Attributes.Write)
            {
                Fault(at).ShouldBe(FaultResult.Mapped);
            }
        }
    }

    internal Translation Translate(ulong ipa) => Memory.Translate(ref Machine, new Ipa(ipa));

    /// <summary>The guest reads a word; it must be mapped.</summary>
    internal ulong Read(ulong ipa)
    {
        Translation there = Translate(ipa);
        there.IsMapped.ShouldBeTrue();
        return World.Read(there.Output.Value & ~7UL);
    }

    /// <summary>The guest writes a word; it must be mapped so.</summary>
    internal void Write(ulong ipa, ulong value)
    {
        Translation there = Translate(ipa);
        there.Attributes.Write.ShouldBeTrue();
        World.Write(there.Output.Value & ~7UL, value);
    }

    internal MemoryResult Unmap(
        ulong start, ulong bytes, NotifierEvent why = NotifierEvent.Unmap,
        PageFate fate = PageFate.AnonymousLastMappingFreed)
    {
        var range = new NotifierRange(new Ipa(start), new Ipa(start + bytes), why, true, fate);
        return Memory.UnmapRange(ref Machine, in range);
    }

    internal ReleaseReport Release() => Memory.Release(ref Machine);

    internal List<(ulong Ipa, ulong Pa, int Level)> Leaves()
    {
        var visitor = new Collector([]);
        Memory.Visit(ref Machine, default, Memory.Geometry.IpaLimit.Value, ref visitor).ShouldBe(MemoryResult.Ok);
        return visitor.Leaves;
    }

    private readonly struct Collector(List<(ulong Ipa, ulong Pa, int Level)> leaves) : ILeafVisitor
    {
        internal List<(ulong Ipa, ulong Pa, int Level)> Leaves => leaves;

        public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) =>
            leaves.Add((ipa.Value, output.Value, level));
    }
}
