using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>A VM that a process owns: its slots are parts of the process's address space.</summary>
public sealed class HostedVm
{
    private const int MostAttempts = 4;

    private readonly List<Slot> _slots = [];
    private readonly SimulatedVm? _memory;

    internal HostedVm(HostProcess owner, IMemoryHook hook, int vcpus)
    {
        Owner = owner;
        Hook = hook;
        _memory = hook as SimulatedVm;
        Vcpus = vcpus;
    }

    /// <summary>A slot: where it lies in the process, and where in the VM.</summary>
    internal readonly record struct Slot(int Number, ulong Address, ulong Ipa, ulong Bytes)
    {
        internal ulong End => Address + Bytes;
    }

    /// <summary>The process whose memory it is.</summary>
    public HostProcess Owner { get; }

    /// <summary>How its memory hears of the host's changes.</summary>
    public IMemoryHook Hook { get; }

    /// <summary>Its Stage-2, on a machine of arm64.</summary>
    /// <exception cref="InvalidOperationException">The machine is of another architecture.</exception>
    public SimulatedVm Memory => _memory ?? throw new InvalidOperationException("This VM has no arm64 Stage-2.");

    /// <summary>vCPUs, each on a PE of its own.</summary>
    public int Vcpus { get; }

    internal IReadOnlyList<Slot> Slots => _slots;

    /// <summary>Makes a part of the process's address space guest memory.</summary>
    /// <param name="ipa">Where the guest sees it.</param>
    /// <param name="address">Where it lies in the process.</param>
    /// <param name="bytes">How much.</param>
    /// <returns>The slot's number.</returns>
    public int AddSlot(Ipa ipa, ulong address, ulong bytes)
    {
        PageFate fate = Owner.KindAt(address) is AreaKind.Anonymous or AreaKind.MemoryFile
            ? PageFate.AnonymousLastMappingFreed
            : PageFate.FileBacked;
        int number = Hook.AddSlot(ipa, bytes, fate);
        _slots.Add(new Slot(number, address, ipa.Value, bytes));
        return number;
    }

    /// <summary>
    /// Removes a slot while the VM lives. The process keeps the memory, so what a slot's fate says of the VM's death
    /// does not hold: where the policy goes by the fate, the range is unmapped by its own first.
    /// </summary>
    public MemoryResult RemoveSlot(int number)
    {
        int index = _slots.FindIndex(slot => slot.Number == number);
        if (index < 0)
        {
            return MemoryResult.NoSuchSlot;
        }

        Slot slot = _slots[index];
        if (_memory != null && PolicyRules.DecidesByFate(_memory.Policy))
        {
            MemoryResult unmapped = _memory.Notify(new NotifierRange(
                new Ipa(slot.Ipa), new Ipa(slot.Ipa + slot.Bytes), NotifierEvent.ProtectionVma, true,
                PageFate.StaysInPlace));
            if (unmapped != MemoryResult.Ok)
            {
                return unmapped;
            }
        }

        _slots.RemoveAt(index);
        return Hook.RemoveSlot(number);
    }

    /// <summary>The guest accesses an address: its faults are answered until it is through.</summary>
    /// <param name="ipa">The address.</param>
    /// <param name="access">What it tries.</param>
    /// <param name="faultLevel">
    /// The level in the syndrome, where it is known to be a translation fault: it spares the engine a walk.
    /// </param>
    /// <returns>Bytes that the leaf maps; 0 when the host has no such memory, or does not permit it.</returns>
    public ulong Touch(
        Ipa ipa, AccessKind access = AccessKind.Write,
        int faultLevel = VmEngine.UnknownLevel) =>
        Touch(ipa, access, faultLevel, out _);

    /// <summary>As the other one.</summary>
    /// <param name="frame">What the leaf maps the address to, where it was mapped now; else 0.</param>
    internal ulong Touch(Ipa ipa, AccessKind access, int faultLevel, out ulong frame)
    {
        frame = 0;
        for (int i = 0; i < _slots.Count; i++)
        {
            Slot slot = _slots[i];
            ulong offset = ipa.Value - slot.Ipa;
            if (offset < slot.Bytes)
            {
                return Touch(slot, ipa, slot.Address + offset, access, faultLevel, out frame);
            }
        }

        return 0;
    }

    private ulong Touch(
        Slot slot, Ipa ipa, ulong address, AccessKind access, int faultLevel, out ulong frame)
    {
        frame = 0;
        if (_memory == null)
        {
            return TouchByHook(slot, ipa, address, access, out frame);
        }

        // To find the page can itself change the mapping (copy on write), and then the guest faults once more.
        for (int attempt = 0; attempt < MostAttempts; attempt++)
        {
            FaultResult prepared = _memory.BeginFault(ipa, access, out FaultTicket ticket, faultLevel);
            if (prepared == FaultResult.Mapped)
            {
                return ProcessPages.PageBytes;
            }

            if (prepared != FaultResult.NeedsHostPage
                || !Owner.TryResolve(address, access == AccessKind.Write, out HostPage page))
            {
                return 0;
            }

            int level = LevelFor(slot, address, page);
            ulong bytes = HostFrames.BytesOf(level);
            frame = HostProcess.FrameOf(address, page) & ~(bytes - 1);
            ticket.Supply(new Pa(frame), level, page.IsWritable);
            FaultResult result = _memory.CommitFault(ref ticket);
            if (result == FaultResult.Mapped)
            {
                return bytes;
            }

            if (result != FaultResult.Retry)
            {
                throw new InvalidOperationException($"A fault at {ipa.Value:x} ended as {result}.");
            }

            faultLevel = VmEngine.UnknownLevel;
        }

        throw new InvalidOperationException($"A fault at {ipa.Value:x} is retried without end.");
    }

    private ulong TouchByHook(Slot slot, Ipa ipa, ulong address, AccessKind access, out ulong frame)
    {
        frame = 0;
        if (Hook.IsMapped(ipa, access))
        {
            return ProcessPages.PageBytes;
        }

        if (!Owner.TryResolve(address, access == AccessKind.Write, out HostPage page))
        {
            return 0;
        }

        int level = Math.Max(LevelFor(slot, address, page), Hook.LargestLeaf);
        ulong bytes = HostFrames.BytesOf(level);
        frame = HostProcess.FrameOf(address, page) & ~(bytes - 1);
        FaultResult result = Hook.MapHostPage(ipa, new Pa(frame), level, access, page.IsWritable);
        return result == FaultResult.Mapped
            ? bytes
            : throw new InvalidOperationException($"A fault at {ipa.Value:x} ended as {result}.");
    }

    /// <summary>
    /// The largest leaf for a host's page: as large as it, if the guest's address is as aligned and the slot holds all.
    /// </summary>
    private static int LevelFor(Slot slot, ulong address, HostPage page)
    {
        for (int level = page.Level; level < 3; level++)
        {
            ulong mask = HostFrames.BytesOf(level) - 1;
            ulong start = address & ~mask;
            if (((slot.Address ^ slot.Ipa) & mask) == 0 && start >= slot.Address && start + mask < slot.End)
            {
                return level;
            }
        }

        return 3;
    }
}
