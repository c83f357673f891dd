using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>How a request to the VMID allocator ended.</summary>
public enum VmidResult : byte
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>Every number is live on some PE; there are more PEs running guests than VMIDs.</summary>
    Exhausted,

    /// <summary>The VMID is loaded on a PE, so it cannot be retired yet.</summary>
    StillActive,

    /// <summary>No such PE, or sizes that do not fit together.</summary>
    BadArgument,
}

/// <summary>What the allocator asks of the machine when its numbers are used up.</summary>
public interface IVmidInvalidation
{
    /// <summary>
    /// Removes every VMID's entries from every PE's TLBs and returns when that has completed:
    /// TLBI ALLE1IS; DSB ISH; ISB (Arm ARM DDI 0487, D8 "TLB maintenance instructions").
    /// </summary>
    void InvalidateAllVmids();
}

/// <summary>
/// A VM's claim on a VMID: the number and the generation it was given out in. All zero means none yet.
/// It lives in the VM and is written by the allocator alone.
/// </summary>
public struct VmidLease
{
    internal ulong Tag;
}

/// <summary>
/// VMIDs by generation. Numbers are given out until none is left; then a new generation begins, everything
/// is invalidated once, and each VM takes a new number when it next enters a PE. VMIDs that are loaded on a
/// PE at that moment stay valid, or a running guest would lose its number under its feet. A VM that dies
/// gives its number back at once, since its own invalidation has just completed.
/// </summary>
/// <remarks>
/// Invariants: a number is never live for two VMs; a number is never given a second time before an
/// invalidation that covers it has completed. Number 0 means "no VM".
/// <para>
/// A tag is the generation in the upper bits and the number in the lower ones:
/// <code>
///   63                          bits bits-1          0
///  +--------------------------------+-----------------+
///  |           generation           |      VMID       |
///  +--------------------------------+-----------------+
/// </code>
/// Per PE, <c>active</c> holds the tag that was loaded last, <see cref="Parked"/> when the PE runs no guest,
/// and 0 from a rollover until the PE's next entry; in that time <c>reserved</c> says what it is running.
/// </para>
/// <para>Locking: entry is lock-free while the generation holds; the rest takes the allocator's own lock.</para>
/// </remarks>
public struct VmidAllocator
{
    /// <summary>In <c>active</c>: the PE runs no guest. Its VMID part is 0, which no VM ever has.</summary>
    private const ulong Parked = 1UL << 63;

    private UnmanagedArray<ulong> _used;
    private UnmanagedArray<ulong> _active;
    private UnmanagedArray<ulong> _reserved;
    private ulong _generation;
    private int _bits;
    private int _next;
    private BusyLock _lock;

    /// <summary>Words of bitmap that <paramref name="bits"/> need.</summary>
    public static int BitmapWords(int bits) => bits <= 6 ? 1 : 1 << (bits - 6);

    /// <summary>Rollovers so far: each one cost an invalidation of everything.</summary>
    public ulong Rollovers { get; private set; }

    /// <summary>Sets the allocator up. All memory must be zero.</summary>
    /// <param name="bits">8, or 16 with FEAT_VMID16 and VTCR_EL2.VS; down to 2 in tests.</param>
    /// <param name="bitmap"><see cref="BitmapWords"/> words.</param>
    /// <param name="active">One word per PE.</param>
    /// <param name="reserved">One word per PE.</param>
    public VmidResult Initialize(
        int bits, UnmanagedArray<ulong> bitmap, UnmanagedArray<ulong> active, UnmanagedArray<ulong> reserved)
    {
        if (bits is < 2 or > 16 || bitmap.Count < BitmapWords(bits) || active.Count == 0
            || active.Count != reserved.Count)
        {
            return VmidResult.BadArgument;
        }

        _bits = bits;
        _used = bitmap;
        _active = active;
        _reserved = reserved;
        _generation = 1UL << bits;
        _next = 1;
        _used[0] |= 1;
        for (int pe = 0; pe < active.Count; pe++)
        {
            _active[pe] = Parked;
        }

        return VmidResult.Ok;
    }

    /// <summary>The number inside a lease; 0 when it holds none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Vmid VmidOf(in VmidLease lease) => new((ushort)(lease.Tag & ((1UL << _bits) - 1)));

    /// <summary>
    /// Gives the VM a VMID that is valid on PE <paramref name="pe"/>, before that PE loads VTTBR_EL2 with it.
    /// Call it on every guest entry: the number changes after a rollover.
    /// </summary>
    /// <param name="pe">Index of the calling PE.</param>
    /// <param name="lease">The VM's claim, shared by its vCPUs.</param>
    /// <param name="machine">Asked to invalidate everything when the numbers are used up.</param>
    public VmidResult Enter<TMachine>(int pe, ref VmidLease lease, ref TMachine machine)
        where TMachine : struct, IVmidInvalidation
    {
        if ((uint)pe >= (uint)_active.Count)
        {
            return VmidResult.BadArgument;
        }

        // A rollover on another PE writes 0 into active, so that the exchange fails and this PE takes the
        // lock; it cannot load a number of the old generation behind the rollover's back.
        ref ulong active = ref _active[pe];
        ulong tag = Volatile.Read(ref lease.Tag);
        ulong before = Volatile.Read(ref active);
        if (before != 0 && IsCurrent(tag) && Interlocked.CompareExchange(ref active, tag, before) == before)
        {
            return VmidResult.Ok;
        }

        _lock.Enter();
        VmidResult result = EnterLocked(pe, ref lease, ref machine);
        _lock.Leave();
        return result;
    }

    /// <summary>Says that PE <paramref name="pe"/> no longer has a guest's VTTBR_EL2 loaded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Leave(int pe)
    {
        if ((uint)pe < (uint)_active.Count)
        {
            Volatile.Write(ref _active.At(pe), Parked);
        }
    }

    /// <summary>
    /// Takes a dead VM's number back for immediate reuse. The caller has stopped every vCPU and completed
    /// TLBI VMALLS12E1IS; DSB for this VMID. The lease is emptied.
    /// </summary>
    public VmidResult Retire(ref VmidLease lease)
    {
        _lock.Enter();
        VmidResult result = RetireLocked(ref lease);
        _lock.Leave();
        return result;
    }

    /// <summary>
    /// Lets a dead VM's number lie until the next rollover invalidates it: for a release that did not invalidate
    /// the VMID as a whole. The lease is emptied.
    /// </summary>
    public static void Abandon(ref VmidLease lease) => lease.Tag = 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsCurrent(ulong tag) => tag != 0 && ((tag ^ Volatile.Read(ref _generation)) >> _bits) == 0;

    private VmidResult EnterLocked<TMachine>(int pe, ref VmidLease lease, ref TMachine machine)
        where TMachine : struct, IVmidInvalidation
    {
        if (!IsCurrent(lease.Tag))
        {
            ulong tag = KeepReserved(lease.Tag);
            if (tag == 0)
            {
                int number = FindFree();
                if (number == 0)
                {
                    RollOver(ref machine);
                    // The VM may itself be running on another PE, and so be among those that keep their number.
                    tag = KeepReserved(lease.Tag);
                    number = tag == 0 ? FindFree() : 0;
                    if (tag == 0 && number == 0)
                    {
                        return VmidResult.Exhausted;
                    }
                }

                if (tag == 0)
                {
                    _used[number >> 6] |= 1UL << (number & 63);
                    tag = _generation | (uint)number;
                }
            }

            Volatile.Write(ref lease.Tag, tag);
        }

        Volatile.Write(ref _active[pe], lease.Tag);
        return VmidResult.Ok;
    }

    /// <summary>
    /// A VM that was running somewhere at the last rollover keeps its number: it moves into the new generation.
    /// Every PE that reserved it is updated, or the next rollover would lose the reservation.
    /// </summary>
    private ulong KeepReserved(ulong tag)
    {
        if (tag == 0)
        {
            return 0;
        }

        ulong renewed = 0;
        for (int pe = 0; pe < _reserved.Count; pe++)
        {
            if (_reserved[pe] == tag)
            {
                renewed = _generation | (tag & ((1UL << _bits) - 1));
                _reserved[pe] = renewed;
            }
        }

        return renewed;
    }

    /// <summary>A number that is free in this generation, from the last one on; 0 when there is none.</summary>
    private int FindFree()
    {
        int count = 1 << _bits;
        for (int start = _next; start < count; start = (start | 63) + 1)
        {
            ulong free = ~_used[start >> 6] & (ulong.MaxValue << (start & 63));
            int found = (start & ~63) + BitOperations.TrailingZeroCount(free);
            if (free != 0 && found < count)
            {
                _next = found + 1;
                return found;
            }
        }

        // Numbers below the cursor come free only by Retire, which moves the cursor down to them.
        _next = count;
        return 0;
    }

    private void RollOver<TMachine>(ref TMachine machine)
        where TMachine : struct, IVmidInvalidation
    {
        Volatile.Write(ref _generation, _generation + (1UL << _bits));
        for (int word = 0; word < BitmapWords(_bits); word++)
        {
            _used[word] = 0;
        }

        _used[0] = 1;
        for (int pe = 0; pe < _active.Count; pe++)
        {
            ulong running = Interlocked.Exchange(ref _active[pe], 0);
            if (running == 0)
            {
                // Running since before an earlier rollover, without an entry in between.
                running = _reserved[pe];
            }

            int number = (int)(running & ((1UL << _bits) - 1));
            _used[number >> 6] |= 1UL << (number & 63);
            _reserved[pe] = running;
        }

        _next = 1;
        Rollovers++;

        // Before any number of the new generation is given out: entries of all old owners are gone.
        machine.InvalidateAllVmids();
    }

    private VmidResult RetireLocked(ref VmidLease lease)
    {
        ulong tag = lease.Tag;
        if (tag == 0)
        {
            return VmidResult.Ok;
        }

        bool numberIsOurs = IsCurrent(tag);

        // Of each array there is one element for each PE.
        UnmanagedArray<ulong> loaded = _active;
        UnmanagedArray<ulong> reserved = _reserved;
        for (int pe = 0; pe < loaded.Count; pe++)
        {
            ulong active = Volatile.Read(ref loaded.At(pe));
            if (active == tag || (active == 0 && reserved.At(pe) == tag))
            {
                return VmidResult.StillActive; // it runs, or has run through a rollover
            }
        }

        // Nothing is reserved before the first rollover.
        for (int pe = 0; Rollovers != 0 && pe < reserved.Count; pe++)
        {
            if (reserved.At(pe) == tag)
            {
                reserved.At(pe) = 0;
                numberIsOurs = true;
            }
        }

        lease.Tag = 0;
        if (numberIsOurs)
        {
            int number = (int)(tag & ((1UL << _bits) - 1));
            _used[number >> 6] &= ~(1UL << (number & 63));
            _next = number < _next ? number : _next;
        }

        return VmidResult.Ok;
    }
}
