using System;
using System.Threading;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's memory, or what is on its disk, as its devices reach it, while the VM's memory lock is held: what the tables
/// say holds until the lock is let go, so no page can be taken away in the middle of a copy. A page that is not there,
/// or may not be written, is not brought here, since that takes too long under a lock: <see cref="IsMissing"/> says so,
/// and the caller brings it and begins again.
/// </summary>
/// <remarks>
/// Accesses are cacheable, as the guest's own to a queue are: Quietus's transports are dma-coherent in the device tree.
/// Invariant: the VM is in a slot that lives until its vCPUs have stopped; what Translate answers is identity-mapped
/// RAM of this VM, of its template where it is read.
/// </remarks>
internal unsafe struct GuestPages : IGuestMemory
{
    private const ulong PageBytes = 4096;

    private readonly Vm* _vm;
    private readonly ulong _origin;
    private readonly ulong _first;
    private readonly ulong _bytes;
    private ulong _page;
    private ulong _place;
    private bool _isWritable;

    private GuestPages(Vm* vm, ulong origin, ulong first, ulong bytes)
    {
        _vm = vm;
        _origin = origin;
        _first = first;
        _bytes = bytes;
        _page = ulong.MaxValue;
    }

    /// <summary>The guest's memory, by its own addresses.</summary>
    internal static GuestPages Memory(Vm* vm) =>
        new(vm, 0, GuestMemoryMap.MemoryStart, vm->Options.MemoryBytes);

    /// <summary>What is on its disk, from 0 on.</summary>
    internal static GuestPages Disk(Vm* vm) => new(vm, GuestMemoryMap.DiskMemoryStart, 0, vm->Options.DiskBytes);

    /// <summary>Whether an access failed for a page that can be brought.</summary>
    internal bool IsMissing { get; private set; }

    /// <summary>Where.</summary>
    internal Ipa MissingAt { get; private set; }

    /// <summary>What the access was.</summary>
    internal AccessKind MissingFor { get; private set; }

    /// <summary>
    /// Whether an access failed because the vCPU is to leave: the request is begun again when it goes on.
    /// </summary>
    internal bool IsLeft { get; private set; }

    public readonly bool IsWanted => _vm->MustLeave;

    public readonly bool Contains(ulong address, ulong bytes) =>
        bytes != 0 && address >= _first && bytes <= _bytes && address - _first <= _bytes - bytes;

    public bool TryRead(ulong address, scoped Span<byte> destination)
    {
        if (!Contains(address, (ulong)destination.Length) || MustLeave())
        {
            return false;
        }

        while (!destination.IsEmpty)
        {
            int piece = (int)Math.Min(PageBytes - (address % PageBytes), (ulong)destination.Length);
            if (!TryFind(address, AccessKind.Read))
            {
                return false;
            }

            new ReadOnlySpan<byte>((void*)(_place + (address % PageBytes)), piece).CopyTo(destination);
            destination = destination.Slice(piece);
            address += (ulong)piece;
        }

        return true;
    }

    public bool TryWrite(ulong address, scoped ReadOnlySpan<byte> source)
    {
        if (!Contains(address, (ulong)source.Length) || MustLeave())
        {
            return false;
        }

        while (!source.IsEmpty)
        {
            int piece = (int)Math.Min(PageBytes - (address % PageBytes), (ulong)source.Length);
            if (!TryFind(address, AccessKind.Write))
            {
                return false;
            }

            source.Slice(0, piece).CopyTo(new Span<byte>((void*)(_place + (address % PageBytes)), piece));
            source = source.Slice(piece);
            address += (ulong)piece;
        }

        return true;
    }

    public readonly void Fence() => Interlocked.MemoryBarrier();

    /// <summary>
    /// Before each access, so that a kill waits for one of them, and not for a chain of 64 buffers in as many pages.
    /// </summary>
    private bool MustLeave()
    {
        IsLeft |= _vm->MustLeave;
        return IsLeft;
    }

    /// <summary>Finds an address's page, unless it is the one that was found last.</summary>
    private bool TryFind(ulong address, AccessKind access)
    {
        bool isWrite = access == AccessKind.Write;
        if (address / PageBytes == _page && (_isWritable || !isWrite))
        {
            return true;
        }

        El2Machine machine = _vm->Machine;
        var ipa = new Ipa(_origin + (address & ~(PageBytes - 1)));
        Translation now = _vm->Memory.Translate(ref machine, ipa);
        if (!now.IsMapped || !now.Attributes.Accessed || !now.Attributes.Read || (isWrite && !now.Attributes.Write))
        {
            IsMissing = true;
            MissingAt = ipa;
            MissingFor = access;
            return false;
        }

        _page = address / PageBytes;
        _place = now.Output.Value;
        _isWritable = now.Attributes.Write;
        return true;
    }
}
