using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// e500mc (arch/powerpc/kvm/e500_mmu_host.c of Linux 5.5). Hardware walks no table: each vCPU has shadow TLB arrays. As
/// in 5.5, any notifier's call, even one that touches no slot, has every vCPU drop all of them: "slow, but sure" in the
/// code's own estimate. Under <c>series</c> and <c>fate</c> entries are found by guest page, and only the vCPUs that
/// had one are asked.
/// </summary>
internal sealed class E500Hook : GuestHook
{
    private const ulong Page = 4096;
    private const uint Pid = 1;
    private const uint Lpid = 1;

    private readonly TlbArrays[] _vcpus;

    /// <summary>vCPUs that have to hear of it, and how they invalidate; a rewritten entry is all of it.</summary>
    private readonly Dictionary<int, HookOperation> _owing = [];

    internal E500Hook(GuestOptions options)
        : base(options) => _vcpus = [.. Enumerable.Range(0, Vcpus).Select(static _ => new TlbArrays())];

    public override long Tables => 0;

    internal override int LargestLeaf => Options.BasePagesOnly ? 3 : 2;

    private protected override bool FlushesElsewhere => IsAsIn55;

    internal IReadOnlyList<TlbArrays> Arrays => _vcpus;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _vcpus
        .SelectMany(static arrays => arrays.Valid())
        .Select(static valid => valid.Entry)
        .OrderBy(static entry => entry.Address)
        .Select(static entry => new GuestLeaf(entry.Address, entry.Frame, entry.Bytes, entry.IsWritable));

    public override bool IsMapped(Ipa ipa, AccessKind access)
    {
        TlbArrays arrays = _vcpus[VcpuOf(ipa.Value)];
        return arrays.Find(ipa.Value) is { } place && (access != AccessKind.Write || arrays[place].IsWritable);
    }

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        // 5.5 answers "not accessed", and does nothing: there is no accessed bit.
        owesFlush = false;
        return false;
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        if (IsAsIn55)
        {
            MayBeStale();
            return true;
        }

        return Take(range.Start.Value, range.End.Value, TakesOnlyWriting(in range));
    }

    private protected override bool DropSlot(Slot slot)
    {
        if (!IsAsIn55)
        {
            return Take(slot.Start, slot.End, onlyWriting: false);
        }

        MayBeStale();
        return true;
    }

    private protected override void Flush()
    {
        for (int vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            if (IsAsIn55)
            {
                // At its next entry: tlbilxlpid, and the references of both arrays are cleared one by one.
                Meter.Add(HookOperation.Ipi);
                Meter.Add(HookOperation.FlushGuest);
                Meter.Add(HookOperation.Visit, TlbArrays.Count);
                Meter.Add(HookOperation.Unlink, _vcpus[vcpu].Valid().Count());
                _vcpus[vcpu].InvalidateAll();
            }
            else if (_owing.TryGetValue(vcpu, out HookOperation how))
            {
                Meter.Add(HookOperation.Ipi);
                if (how != HookOperation.Write)
                {
                    Meter.Add(how);
                }
            }
        }

        Meter.Add(HookOperation.FlushWait);
        _owing.Clear();
        Guard?.Flushed();
    }

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        // The largest power of four that the host's page holds: 1M of 2M.
        uint size = level == 2 ? TlbArrays.Size1M : TlbArrays.Size4K;
        ulong bytes = 1UL << (int)(size + 10);
        ulong within = level == 2 ? ipa & ((1UL << 21) - 1) & ~(bytes - 1) : 0;
        _vcpus[VcpuOf(ipa)].Write(TlbEntry.For(ipa & ~(bytes - 1), frame + within, size, Pid, Lpid, isWritable));
    }

    private protected override void Die()
    {
        // The LPID is dropped once on each core that ran the guest (kvmppc_core_destroy_vm).
        Guard?.NoCoreRuns();
        Meter.Add(HookOperation.FlushGuest, Vcpus);
        foreach (TlbArrays arrays in _vcpus)
        {
            arrays.InvalidateAll();
        }
    }

    /// <summary>A megabyte runs on one vCPU, so that entries of either size are found where they are.</summary>
    private int VcpuOf(ulong ipa) => (int)((ipa >> 20) % (ulong)Vcpus);

    private void MayBeStale()
    {
        foreach (TlbArrays arrays in _vcpus)
        {
            foreach ((_, TlbEntry entry) in arrays.Valid())
            {
                Guard?.MayBeStale(entry.Address, entry.Frame, entry.Bytes);
            }
        }
    }

    private bool Take(ulong start, ulong end, bool onlyWriting)
    {
        for (int vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            List<TlbPlace> found = _vcpus[vcpu].In(start, end);
            Meter.Add(HookOperation.Visit, found.Count);
            if (onlyWriting)
            {
                WriteProtect(vcpu, found);
            }
            else if (found.Count != 0)
            {
                Drop(vcpu, found);
            }
        }

        return _owing.Count != 0;
    }

    /// <summary>The vCPU writes its entries again, without the right to write (tlbwe).</summary>
    private void WriteProtect(int vcpu, List<TlbPlace> found)
    {
        foreach (TlbPlace place in found)
        {
            TlbEntry entry = _vcpus[vcpu][place];
            if (entry.IsWritable)
            {
                Guard?.MayBeStale(entry.Address, entry.Frame, entry.Bytes);
                Meter.Add(HookOperation.Write);
                _vcpus[vcpu].WriteProtect(place);
                _owing.TryAdd(vcpu, HookOperation.Write);
            }
        }
    }

    /// <summary>One entry goes by itself (tlbsx, tlbwe); for several the vCPU drops all that it has.</summary>
    private void Drop(int vcpu, List<TlbPlace> found)
    {
        foreach (TlbPlace place in found)
        {
            TlbEntry entry = _vcpus[vcpu][place];
            Guard?.MayBeStale(entry.Address, entry.Frame, entry.Bytes);
        }

        if (found.Count == 1 && !_owing.ContainsKey(vcpu))
        {
            Meter.Add(HookOperation.Unlink);
            _vcpus[vcpu].Invalidate(found[0]);
            _owing.Add(vcpu, HookOperation.FlushPage);
            return;
        }

        Meter.Add(HookOperation.Unlink, _vcpus[vcpu].Valid().Count());
        _vcpus[vcpu].InvalidateAll();
        _owing[vcpu] = HookOperation.FlushGuest;
    }
}
