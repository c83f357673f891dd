using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>Where one VM's machine meets the judge: which PE issues what, and what may happen in between.</summary>
public sealed class VmPort
{
    private readonly Judge _judge;
    private readonly FrameView _frames;
    private readonly List<(ulong Frame, ulong Bytes)> _watched = [];
    private bool _poolTouched;

    internal VmPort(Judge judge, ModelWorld world, ModelVm records)
        : this(judge, new FrameView<ModelMachine>(new ModelMachine(world, records, default))) => Records = records;

    internal VmPort(Judge judge, FrameView frames)
    {
        _judge = judge;
        _frames = frames;
    }

    /// <summary>The PE that runs the hypervisor now.</summary>
    public int Pe { get; set; }

    /// <summary>The operation that is under way.</summary>
    public Operation Current { get; internal set; }

    /// <summary>The PEs that may hold entries of the VM's, as EL2's machine has them.</summary>
    public TlbHolders Holders;

    /// <summary>The PE that loaded the VM last and has it still; -1 where there is none.</summary>
    public int LoadedOn { get; set; } = -1;

    /// <summary>The last invalidation was of the whole VMID, so that the PE is alone from then on.</summary>
    internal bool WasWidened { get; set; }

    /// <summary>The PEs that the next invalidation reaches: fewer than all only where a defect says so.</summary>
    public uint NextReach { get; set; } = uint.MaxValue;

    /// <summary>
    /// Set by a defect: whether cache maintenance of so many bytes is left out, as far as a judge sees.
    /// </summary>
    public System.Func<CacheKind, Pa, ulong, bool>? LeavesOut { get; set; }

    /// <summary>What was issued since the step began.</summary>
    public int Invalidations { get; internal set; }

    /// <summary>Maintained pages since the step began.</summary>
    public int Maintained { get; internal set; }

    /// <summary>The VM's records on the oracle's own machine; on another one there are none.</summary>
    internal ModelVm Records { get; } = new();

    internal JudgedVm? Vm { get; set; }

    /// <summary>Runs between the events of the boundary: other PEs go on meanwhile.</summary>
    internal System.Action<VmPort>? Between { get; set; }

    /// <summary>Runs before the VMID is invalidated as a whole, and before the root goes: the last PEs leave.</summary>
    internal System.Action<VmPort>? BeforeEnd { get; set; }

    internal Judge Judge => _judge;

    /// <summary>What happens within another VM's step happens within this one's, too.</summary>
    internal void DoAs(VmPort other)
    {
        Current = other.Current;
        Between = other.Between;
        Records.SetsAccessFlag = other.Records.SetsAccessFlag;
    }

    internal void TouchPool()
    {
        if (_poolTouched)
        {
            FindReturned();
        }

        _poolTouched = true;
    }

    /// <summary>The pool does not tell of frees: those frames that matter are asked after at the next event.</summary>
    internal void FindReturned()
    {
        _poolTouched = false;
        if (Vm is not JudgedVm vm || vm.IsReleased)
        {
            return;
        }

        ref FramePool pool = ref _frames.Pool;
        ref VmFrames own = ref _frames.Frames;
        if (own.ChunkCount == 0)
        {
            _judge.Release(vm);
            return;
        }

        if (!Judge.HasWatched(vm))
        {
            return;
        }

        _judge.Watched(vm, _watched);
        foreach ((ulong frame, ulong bytes) in _watched)
        {
            if (pool.Contains(new Pa(frame)) && !pool.IsHandedOut(in own, new Pa(frame)))
            {
                _judge.ReturnFrames(new Pa(frame), bytes);
            }
        }
    }

    internal void Settle()
    {
        if (_poolTouched)
        {
            FindReturned();
        }
    }
}

/// <summary>Tells the judge what the machine of a <see cref="VmPort"/> does.</summary>
public readonly struct JudgeObserver(VmPort port) : IMachineObserver
{
    public void Read(Pa entry) => port.Judge.ReadEntry(port.Pe, entry);

    public void Wrote(Pa entry, ulong value)
    {
        port.Settle();
        port.Judge.WriteEntry(port.Pe, entry, value);
        port.Between?.Invoke(port);
    }

    public void Invalidates(TlbiKind kind, Vmid vmid, Ipa start, ulong bytes, int levelHint)
    {
        port.Settle();
        port.Between?.Invoke(port);
        if (kind == TlbiKind.Vmid)
        {
            port.BeforeEnd?.Invoke(port);
        }

        uint pes = port.NextReach;
        port.NextReach = uint.MaxValue;
        if (port.LoadedOn == port.Pe && kind < TlbiKind.Vmid)
        {
            Narrow(ref kind, ref pes);
        }

        port.Invalidations++;
        port.Judge.Invalidate(port.Pe, kind, vmid, start, bytes, levelHint, pes);
        port.Between?.Invoke(port);
    }

    /// <summary>
    /// As El2Machine does. Where each TLBI and its DSB come twice, the second is like the first.
    /// </summary>
    private void Narrow(ref TlbiKind kind, ref uint pes)
    {
        bool isAgain = kind == TlbiKind.Combined && port.WasWidened;
        port.WasWidened = false;
        if (port.Holders.IsAlone && !isAgain)
        {
            pes &= 1U << port.Pe;
        }
        else if (kind == TlbiKind.Combined && (isAgain || port.Holders.TryBecomeAlone()))
        {
            kind = TlbiKind.Vmid;
            port.WasWidened = true;
        }
    }

    public void Completes(BarrierKind kind)
    {
        port.Settle();
        port.Judge.Complete(port.Pe, kind);
        port.Between?.Invoke(port);
    }

    public void Maintains(CacheKind kind, Pa start, ulong bytes)
    {
        port.Settle();
        if (port.LeavesOut is { } leavesOut && leavesOut(kind, start, bytes))
        {
            return;
        }

        port.Maintained++;
        port.Judge.Maintain(port.Pe, kind, start, bytes);
    }

    public void Zeroed(Pa start, ulong bytes)
    {
        port.Settle();
        port.Judge.Write(start, bytes, Judge.Hypervisor, Judge.Hypervisor, isCached: true, port.Pe);
    }

    public void Copied(Pa target, Pa source, ulong bytes)
    {
        port.Settle();
        port.Judge.Consume(source, "the hypervisor, copying", "a page that is shared", isCached: true);
        port.Judge.Write(target, bytes, Judge.Hypervisor, Judge.Hypervisor, isCached: true, port.Pe);
    }

    public void TookTables(Pa first, uint count)
    {
        port.Settle();
        port.Judge.TakeTables(port.Pe, first, count);
    }

    public void ReturnsTables(Pa first, uint count)
    {
        port.Settle();
        if (port.Vm is { } vm && vm.Root == first.Value)
        {
            port.BeforeEnd?.Invoke(port);
        }

        port.Judge.ReturnTables(first, count);
    }

    public void TouchesPool() => port.TouchPool();
}
