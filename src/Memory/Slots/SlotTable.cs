using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>A VM's slots: which guest-physical addresses are memory.</summary>
/// <remarks>Locking: the VM's memory lock. The slot that was found last is tried first.</remarks>
public struct SlotTable
{
    /// <summary>Slots that a VM can have.</summary>
    public const int Capacity = 32;

    /// <summary>No slot.</summary>
    public const int None = -1;

    private SlotArray _slots;
    private int _recent;

    /// <summary>One more than the highest number of a slot: most VMs have few, and no loop looks further.</summary>
    internal int End { get; private set; }

    /// <summary>The slot of a number; the number must be in range, and the slot may be an empty one.</summary>
    internal ref MemorySlot this[int number]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        [UnscopedRef]
        get => ref _slots[number];
    }

    /// <summary>Adds a slot if it is legal.</summary>
    /// <param name="start">A multiple of the granule.</param>
    /// <param name="bytes">A multiple of the granule, not 0.</param>
    /// <param name="options">What it is to be.</param>
    /// <param name="granule">Bytes of a granule.</param>
    /// <param name="limit">The first address past the VM's guest-physical address size.</param>
    /// <param name="number">The slot's number from now on.</param>
    internal MemoryResult Add(
        Ipa start, ulong bytes, SlotOptions options, ulong granule, Ipa limit, out int number)
    {
        number = None;
        if (!options.IsSound)
        {
            return MemoryResult.BadArgument;
        }

        if (!start.IsAlignedTo(granule) || (bytes & (granule - 1)) != 0)
        {
            return MemoryResult.Misaligned;
        }

        if (bytes == 0 || start.Value >= limit.Value || bytes > limit - start)
        {
            return MemoryResult.OutOfRange;
        }

        for (int i = 0; i < End; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            if (!slot.Exists)
            {
                number = number == None ? i : number;
            }
            else if (start < slot.End && slot.Start < start + bytes)
            {
                number = None;
                return MemoryResult.Overlap;
            }
        }

        if (number == None)
        {
            if (End == Capacity)
            {
                return MemoryResult.TooManySlots;
            }

            number = End++;
        }

        ref MemorySlot added = ref _slots[number];
        added = default;
        added.First = start.Value;
        added.Bytes = bytes;
        added.Slot = options;
        added.Attributes = new LeafAttributes(true, !options.IsReadOnly, true, options.Type).Bits;
        added.Permitted = MemorySlot.PermittedBy(options);
        return MemoryResult.Ok;
    }

    /// <summary>Whether a number names a slot that exists.</summary>
    internal readonly bool Exists(int number) => (uint)number < Capacity && _slots[number].Exists;

    /// <summary>Forgets a slot that exists.</summary>
    internal void Remove(int number)
    {
        _slots[number] = default;
        while (End != 0 && !_slots[End - 1].Exists)
        {
            End--;
        }
    }

    /// <summary>Takes over another VM's slots; this table has none.</summary>
    internal void CopyFrom(ref SlotTable other)
    {
        End = other.End;
        for (int i = 0; i < End; i++)
        {
            _slots[i] = other._slots[i];
        }
    }

    /// <summary>Forgets all slots.</summary>
    internal void Clear()
    {
        while (End != 0)
        {
            _slots[--End] = default;
        }

        _recent = 0;
    }

    /// <summary>The number of the slot that holds an address, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int Find(Ipa ipa) => _slots[_recent].Contains(ipa.Value) ? _recent : Search(ipa);

    private int Search(Ipa ipa)
    {
        for (int i = 0; i < End; i++)
        {
            if (_slots[i].Contains(ipa.Value))
            {
                _recent = i;
                return i;
            }
        }

        return None;
    }

    [InlineArray(Capacity)]
    private struct SlotArray
    {
        private MemorySlot _first;
    }
}
