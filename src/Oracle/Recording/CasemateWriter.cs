using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Recording;

/// <summary>
/// Writes what casemate (rems-project/casemate, doc/trace-format.md) knows of a judge's events, as its s-expressions:
/// tables, TLBIs, barriers and VTTBR_EL2. Its events are about tables; those about data and caches have no counterpart.
/// </summary>
/// <remarks>
/// Made up, since the engine has no events for it: a lock for each root; the VTTBR_EL2 that a TLBI by VMID is issued
/// under; the empty table that a PE has when it has no VM's. casemate lets a DSB or a TLBI count for those entries
/// only whose lock is held, so a lock is held from the first write of a call to the call's end. It allows one plain
/// write between two DSBs under one holding; the engine has many under one DSB, so the lock changes hands between them.
/// </remarks>
public sealed class CasemateWriter(TextWriter output) : IEventListener
{
    private const ulong MadeUp = 1UL << 47;
    private const ulong Parked = MadeUp + (1UL << 40);
    private const ulong OutputBits = (1UL << 48) - 1;
    private const ulong MostGranules = 512;
    private const int OnlyGranuleShift = 12;

    private readonly Dictionary<int, Root> _roots = [];
    private readonly Dictionary<ushort, int> _vmidOwners = [];
    private readonly Dictionary<int, ulong> _loaded = [];
    private readonly SortedDictionary<ulong, int> _tableOwners = [];
    private readonly List<ulong> _taken = [];
    private readonly List<ulong> _returned = [];

    /// <summary>The tables that entries lead to.</summary>
    private readonly Dictionary<ulong, ulong> _links = [];
    private readonly Stack<int> _calls = new();
    private (int Pe, ulong Lock)? _held;
    private int _granuleShift;
    private long _id;

    /// <summary>Why nothing was written: casemate cannot judge such tables. Null where it can.</summary>
    public string? Refusal { get; private set; }

    private ulong Granule => 1UL << _granuleShift;

    /// <inheritdoc/>
    public void Machine(MachineFeatures features, int granuleShift, int pes)
    {
        _granuleShift = granuleShift;
        Refusal = granuleShift == OnlyGranuleShift
            ? null
            : $"casemate reads tables of 4K granules, and these have {1 << (granuleShift - 10)}K";
        Put("mem-init", 0, $"(address 0x{Parked:x}) (size 0x{Granule:x})");
        Put("hint", 0, $"(kind set_root_lock) (location 0x{Parked:x}) (value 0x{MadeUp:x})");
    }

    /// <inheritdoc/>
    public void TakeTables(int pe, Pa first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            ulong table = first.Value + (i * Granule);
            Put("mem-init", pe, $"(address 0x{table:x}) (size 0x{Granule:x})");
            _taken.Add(table);
        }
    }

    /// <inheritdoc/>
    public void Vm(int number, string name, Pa root, uint tables, int startLevel)
    {
        // Its checker takes every VTTBR_EL2 for a table of level 0: one is made up above those of level 1.
        ulong top = startLevel == 1 ? MadeUp + ((ulong)(uint)number << 16) : root.Value;
        ulong held = MadeUp + ((ulong)(uint)number << 3);
        _roots[number] = new Root(top, root.Value, held);
        if (top != root.Value)
        {
            Put("mem-init", 0, $"(address 0x{top:x}) (size 0x{Granule:x})");
            _tableOwners[top] = number;
        }

        Put("hint", 0, $"(kind set_root_lock) (location 0x{top:x}) (value 0x{held:x})");
        for (uint i = 0; i < tables; i++)
        {
            ulong table = root.Value + (i * Granule);
            _taken.Remove(table);
            _tableOwners[table] = number;
            if (top != root.Value)
            {
                Put("hint", 0, $"(kind set_owner_root) (location 0x{table:x}) (value 0x{top:x})");
                PutWrite(0, held, top + (i * sizeof(ulong)), table | 3);
            }
        }
    }

    /// <inheritdoc/>
    public void WriteEntry(int pe, Pa entry, ulong value)
    {
        ulong table = entry.Value >> _granuleShift << _granuleShift;
        if (!_tableOwners.TryGetValue(table, out int vm) && !TryOwner(out vm))
        {
            return;
        }

        Claim(vm);
        ulong child = value & OutputBits & ~(Granule - 1);
        bool isLink = (value & 3) == 3 && _tableOwners.ContainsKey(child);
        if (isLink && _links.GetValueOrDefault(entry.Value) == child)
        {
            // Only what software keeps in the bits that hardware ignores has changed: it has no notion of those.
            return;
        }

        _links.Remove(entry.Value);
        if (isLink)
        {
            _links[entry.Value] = child;
        }

        PutWrite(pe, _roots[vm].Lock, entry.Value, isLink ? child | 3 : value);
    }

    /// <inheritdoc/>
    public void ReturnTables(Pa first, uint count)
    {
        foreach ((int vm, Root root) in _roots)
        {
            if (root.First == first.Value)
            {
                GiveUp(vm, root);
                break;
            }
        }

        for (uint i = 0; i < count; i++)
        {
            ulong table = first.Value + (i * Granule);
            if (_calls.Count != 0 && _links.ContainsValue(table))
            {
                // It goes with its root, or else is freed while it is linked: the call's end will tell.
                _returned.Add(table);
            }
            else
            {
                Free(table);
            }
        }
    }

    /// <inheritdoc/>
    public void Release(int vm)
    {
        if (_roots.TryGetValue(vm, out Root root))
        {
            GiveUp(vm, root);
        }

        foreach (ulong table in _tableOwners.Where(table => table.Value == vm).Select(table => table.Key).ToArray())
        {
            Free(table);
        }
    }

    /// <inheritdoc/>
    public void Load(int pe, int vm, Vmid vmid, int vcpu)
    {
        _vmidOwners[vmid.Value] = vm;
        _loaded[pe] = Vttbr(vm, vmid);
        Set(pe, _loaded[pe]);
    }

    /// <inheritdoc/>
    public void Unload(int pe, int vm)
    {
        _loaded.Remove(pe);
        Set(pe, Parked);
    }

    /// <inheritdoc/>
    public void Invalidate(
        int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes, bool leavesExtraSlow)
    {
        ulong before = _loaded.GetValueOrDefault(pe, Parked);
        ulong under = kind != TlbiKind.All && _vmidOwners.TryGetValue(vmid.Value, out int vm)
            ? Vttbr(vm, vmid)
            : before;
        if (under != before)
        {
            Set(pe, under);
        }

        // It has no range operations: each granule by itself, or, of very many, all of the VMID.
        bool isByIpa = kind <= TlbiKind.IpaLastLevel && bytes <= MostGranules * Granule;
        TlbiKind written = kind <= TlbiKind.IpaLastLevel && !isByIpa ? TlbiKind.Vmid : kind;
        string operation = TraceFormat.Invalidations[(int)written];
        if (!isByIpa)
        {
            Put("tlbi", pe, $"{operation}");
        }
        else
        {
            ulong ttl = levelHint != 0 ? ((ulong)((_granuleShift - 10) / 2) << 2 | (ulong)(uint)levelHint) << 44 : 0;
            for (ulong at = ipa.Value & ~(Granule - 1); at < ipa.Value + bytes; at += Granule)
            {
                Put("tlbi", pe, $"{operation} (value 0x{ttl | at >> 12:x})");
            }
        }

        if (under != before)
        {
            Set(pe, before);
        }
    }

    /// <inheritdoc/>
    public void Complete(int pe, BarrierKind kind)
    {
        if (kind != BarrierKind.NonShareable)
        {
            Put("barrier", pe, $"dsb (kind {(kind == BarrierKind.InnerShareableStores ? "ishst" : "ish")})");
        }
    }

    /// <inheritdoc/>
    public void Access(int pe)
    {
    }

    /// <inheritdoc/>
    public void EndCall()
    {
        _calls.Pop();
        if (_calls.Count == 0)
        {
            Unlock();
            FreeReturned();
        }
    }

    /// <inheritdoc/>
    public void BeginCall(int vm) => _calls.Push(vm);

    /// <inheritdoc/>
    public void Memory(Pa start, ulong bytes, bool isPool, bool isZero)
    {
    }

    /// <inheritdoc/>
    public void Party(int number, string name)
    {
    }

    /// <inheritdoc/>
    public void Own(Pa start, ulong bytes, int owner)
    {
    }

    /// <inheritdoc/>
    public void SetAccessFlag(Pa entry)
    {
    }

    /// <inheritdoc/>
    public void ReadEntry(int pe, Pa entry)
    {
    }

    /// <inheritdoc/>
    public void Write(Pa start, ulong bytes, int writer, int owner, bool isCached, int pe)
    {
    }

    /// <inheritdoc/>
    public void Share(Pa start, ulong bytes, bool isShared)
    {
    }

    /// <inheritdoc/>
    public void Consume(Pa page, string reader, string where, bool isCached)
    {
    }

    /// <inheritdoc/>
    public void CopyLogged(Pa page)
    {
    }

    /// <inheritdoc/>
    public void CheckUnlogged(Pa page, string reader, string where)
    {
    }

    /// <inheritdoc/>
    public void Fetch(Pa page, string reader, string where)
    {
    }

    /// <inheritdoc/>
    public void Maintain(int pe, CacheKind kind, Pa start, ulong bytes)
    {
    }

    /// <inheritdoc/>
    public void GuestMaintains(Pa page, CacheKind kind)
    {
    }

    /// <inheritdoc/>
    public void ReturnFrames(Pa start, ulong bytes)
    {
    }

    /// <summary>The events are over, inside a call perhaps.</summary>
    public void End()
    {
        Unlock();
        FreeReturned();
    }

    /// <summary>Tables that were taken are the VM's whose entry is written next.</summary>
    private void Claim(int vm)
    {
        foreach (ulong table in _taken)
        {
            _tableOwners[table] = vm;
            Put("hint", 0,
                $"(kind set_owner_root) (location 0x{table:x}) (value 0x{_roots[vm].Address:x})");
        }

        _taken.Clear();
    }

    /// <summary>A root that is no VM's any more, with all below it.</summary>
    private void GiveUp(int vm, Root root)
    {
        Unlock();
        Put("hint", 0, $"(kind release_table) (location 0x{root.Address:x}) (value 0x0)");
        _roots.Remove(vm);
        foreach (ulong entry in _links.Keys.Where(
            entry => _tableOwners.GetValueOrDefault(entry & ~(Granule - 1)) == vm).ToArray())
        {
            _links.Remove(entry);
        }

        FreeReturned();
        foreach (ushort vmid in _vmidOwners.Where(owner => owner.Value == vm).Select(owner => owner.Key).ToArray())
        {
            _vmidOwners.Remove(vmid);
        }
    }

    private void FreeReturned()
    {
        foreach (ulong table in _returned)
        {
            Free(table);
        }

        _returned.Clear();
    }

    private void Free(ulong table)
    {
        if (_tableOwners.Remove(table) || _taken.Remove(table))
        {
            Put("mem-free", 0, $"(address 0x{table:x}) (size 0x{Granule:x})");
        }
    }

    private void PutWrite(int pe, ulong held, ulong address, ulong value)
    {
        Unlock();
        Put("lock", pe, $"(address 0x{held:x})");
        Put("mem-write", pe, $"(mem-order plain) (address 0x{address:x}) (value 0x{value:x})");
        _held = (pe, held);
        if (_calls.Count == 0)
        {
            Unlock();
        }
    }

    private void Unlock()
    {
        if (_held is (int pe, ulong held))
        {
            Put("unlock", pe, $"(address 0x{held:x})");
            _held = null;
        }
    }

    private bool TryOwner(out int vm) => _calls.TryPeek(out vm) && _roots.ContainsKey(vm);

    private ulong Vttbr(int vm, Vmid vmid) => _roots[vm].Address | ((ulong)vmid.Value << 48);

    private void Set(int pe, ulong vttbr) => Put("sysreg-write", pe, $"(sysreg vttbr_el2) (value 0x{vttbr:x})");

    private void Put(string kind, int pe, System.FormattableString fields)
    {
        if (Refusal is not null)
        {
            return;
        }

        output.Write(string.Create(CultureInfo.InvariantCulture, $"({kind} (id {_id}) (tid {pe}) "));
        output.Write(fields.ToString(CultureInfo.InvariantCulture));
        output.Write(string.Create(CultureInfo.InvariantCulture, $" (src \"quietus:{_id}\"))\n"));
        _id++;
    }

    private readonly record struct Root(ulong Address, ulong First, ulong Lock);
}
