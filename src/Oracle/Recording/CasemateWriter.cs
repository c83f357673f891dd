using System.Collections.Generic;
using System.Globalization;
using System.IO;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Recording;

/// <summary>
/// Writes what casemate (rems-project/casemate, doc/trace-format.md) knows of a judge's events, as its s-expressions:
/// tables, TLBIs, barriers and VTTBR_EL2. Its events are about tables; those about data and caches have no counterpart.
/// </summary>
/// <remarks>
/// Two things it wants to be told are made up, since the engine's locks are not events: one lock for each root, held
/// over each write, at an address past all memory; and the VTTBR_EL2 that a TLBI by VMID is issued under.
/// </remarks>
public sealed class CasemateWriter(TextWriter output) : IEventListener
{
    private const ulong Locks = 1UL << 47;
    private const ulong MostGranules = 512;

    private readonly Dictionary<int, Root> _roots = [];
    private readonly Dictionary<ushort, int> _vmidOwners = [];
    private readonly Dictionary<int, ulong> _loaded = [];
    private readonly Dictionary<ulong, int> _tableOwners = [];
    private readonly List<ulong> _taken = [];
    private readonly Stack<int> _calls = new();
    private int _granuleShift;
    private long _id;

    /// <inheritdoc/>
    public void Machine(MachineFeatures features, int granuleShift, int pes) => _granuleShift = granuleShift;

    /// <inheritdoc/>
    public void TakeTables(int pe, Pa first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            ulong table = first.Value + ((ulong)i << _granuleShift);
            Put("mem-init", pe, $"(address 0x{table:x}) (size 0x{1UL << _granuleShift:x})");
            _taken.Add(table);
        }
    }

    /// <inheritdoc/>
    public void Vm(int number, string name, Pa root, uint tables, int startLevel)
    {
        // Its checker takes every VTTBR_EL2 for a table of level 0: one is made up above those of level 1.
        ulong top = startLevel == 1 ? Locks + ((ulong)(uint)number << 16) : root.Value;
        ulong held = Locks + ((ulong)(uint)number << 3);
        _roots[number] = new Root(top, root.Value, held);
        if (top != root.Value)
        {
            Put("mem-init", 0, $"(address 0x{top:x}) (size 0x{1UL << _granuleShift:x})");
        }

        Put("hint", 0, $"(kind set_root_lock) (location 0x{top:x}) (value 0x{held:x})");
        for (uint i = 0; i < tables; i++)
        {
            ulong table = root.Value + ((ulong)i << _granuleShift);
            _taken.Remove(table);
            _tableOwners[table] = number;
            if (top != root.Value)
            {
                Put("hint", 0, $"(kind set_owner_root) (location 0x{table:x}) (value 0x{top:x})");
                Put("lock", 0, $"(address 0x{held:x})");
                Put("mem-write", 0, $"(mem-order plain) (address 0x{top + (i * 8):x}) (value 0x{table | 3:x})");
                Put("unlock", 0, $"(address 0x{held:x})");
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
        ulong held = _roots[vm].Lock;
        Put("lock", pe, $"(address 0x{held:x})");
        Put("mem-write", pe, $"(mem-order plain) (address 0x{entry.Value:x}) (value 0x{value:x})");
        Put("unlock", pe, $"(address 0x{held:x})");
    }

    /// <inheritdoc/>
    public void ReturnTables(Pa first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            _tableOwners.Remove(first.Value + ((ulong)i << _granuleShift));
        }

        foreach (Root root in _roots.Values)
        {
            if (root.First == first.Value)
            {
                Put("hint", 0, $"(kind release_table) (location 0x{root.Address:x}) (value 0x0)");
            }
        }
    }

    /// <inheritdoc/>
    public void Load(int pe, int vm, Vmid vmid)
    {
        _vmidOwners[vmid.Value] = vm;
        _loaded[pe] = Vttbr(vm, vmid);
        Set(pe, _loaded[pe]);
    }

    /// <inheritdoc/>
    public void Invalidate(int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes)
    {
        bool isOfVmid = kind != TlbiKind.All && _vmidOwners.ContainsKey(vmid.Value);
        if (isOfVmid)
        {
            Set(pe, Vttbr(_vmidOwners[vmid.Value], vmid));
        }

        // It has no range operations: each granule by itself, or, of very many, all of the VMID.
        ulong granule = 1UL << _granuleShift;
        bool isByIpa = kind == TlbiKind.Ipa && bytes <= MostGranules * granule;
        TlbiKind written = kind == TlbiKind.Ipa && !isByIpa ? TlbiKind.Vmid : kind;
        string operation = TraceFormat.Invalidations[(int)written];
        if (!isByIpa)
        {
            Put("tlbi", pe, $"{operation}");
        }
        else
        {
            ulong ttl = levelHint != 0 ? ((ulong)((_granuleShift - 10) / 2) << 2 | (ulong)(uint)levelHint) << 44 : 0;
            for (ulong at = ipa.Value & ~(granule - 1); at < ipa.Value + bytes; at += granule)
            {
                Put("tlbi", pe, $"{operation} (value 0x{ttl | at >> 12:x})");
            }
        }

        if (isOfVmid && _loaded.TryGetValue(pe, out ulong before))
        {
            Set(pe, before);
        }
    }

    /// <inheritdoc/>
    public void Complete(int pe, BarrierKind kind) =>
        Put("barrier", pe, $"dsb (kind {(kind == BarrierKind.InnerShareableStores ? "ishst" : "ish")})");

    /// <inheritdoc/>
    public void BeginCall(int vm) => _calls.Push(vm);

    /// <inheritdoc/>
    public void EndCall() => _calls.Pop();

    /// <inheritdoc/>
    public void Unload(int pe, int vm)
    {
    }

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
    public void ReadEntry(Pa entry)
    {
    }

    /// <inheritdoc/>
    public void Write(Pa start, ulong bytes, int writer, int owner, bool isCached)
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

    /// <inheritdoc/>
    public void Release(int vm)
    {
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

    private bool TryOwner(out int vm) => _calls.TryPeek(out vm) && _roots.ContainsKey(vm);

    private ulong Vttbr(int vm, Vmid vmid) => _roots[vm].Address | ((ulong)vmid.Value << 48);

    private void Set(int pe, ulong vttbr) => Put("sysreg-write", pe, $"(sysreg vttbr_el2) (value 0x{vttbr:x})");

    private void Put(string kind, int pe, System.FormattableString fields)
    {
        output.Write(string.Create(CultureInfo.InvariantCulture, $"({kind} (id {_id}) (tid {pe}) "));
        output.Write(fields.ToString(CultureInfo.InvariantCulture));
        output.Write(string.Create(CultureInfo.InvariantCulture, $" (src \"quietus:{_id}\"))\n"));
        _id++;
    }

    private readonly record struct Root(ulong Address, ulong First, ulong Lock);
}
