using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Recording;

/// <summary>
/// Hears what a judge is told, event by event, before it is judged: the event that breaks a rule is the last one. VMs
/// and other parties go by their numbers, which are given in order from 2 on.
/// </summary>
public interface IEventListener
{
    /// <summary>The circumstances; the first event.</summary>
    void Machine(MachineFeatures features, int granuleShift, int pes);

    /// <summary>Memory exists.</summary>
    void Memory(Pa start, ulong bytes, bool isPool, bool isZero);

    /// <summary>A party to whom bytes can belong.</summary>
    void Party(int number, string name);

    /// <summary>A VM, which is a party too, and its root tables.</summary>
    void Vm(int number, string name, Pa root, uint tables, int startLevel);

    /// <summary>Pages have an owner from now on.</summary>
    void Own(Pa start, ulong bytes, int owner);

    /// <summary>Table pages are handed out, zeroed.</summary>
    void TakeTables(int pe, Pa first, uint count);

    /// <summary>Table pages go back.</summary>
    void ReturnTables(Pa first, uint count);

    /// <summary>A PE's table walk sets the access flag of a leaf that has it clear.</summary>
    void SetAccessFlag(Pa entry);

    /// <summary>Software reads an entry; the PE is negative where it is not known.</summary>
    void ReadEntry(int pe, Pa entry);

    /// <summary>Software writes an entry.</summary>
    void WriteEntry(int pe, Pa entry, ulong value);

    /// <summary>A call into the memory layer begins; <paramref name="vm"/> is 0 where it is for no VM.</summary>
    void BeginCall(int vm);

    /// <summary>The innermost call returns.</summary>
    void EndCall();

    /// <summary>A PE loads the VM's VTTBR_EL2, and the registers of one of its vCPUs.</summary>
    void Load(int pe, int vm, Vmid vmid, int vcpu);

    /// <summary>The guest on a PE makes an access.</summary>
    void Access(int pe);

    /// <summary>A PE has it loaded no longer.</summary>
    void Unload(int pe, int vm);

    /// <summary>A TLBI is issued, which reaches <paramref name="pes"/>; an nXS form leaves accesses with XS.</summary>
    void Invalidate(
        int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes, bool leavesExtraSlow);

    /// <summary>A DSB completes.</summary>
    void Complete(int pe, BarrierKind kind);

    /// <summary>Pages are written; the PE is negative where others see it without that PE's DSB.</summary>
    void Write(Pa start, ulong bytes, int writer, int owner, bool isCached, int pe);

    /// <summary>Pages are declared shared, or no longer.</summary>
    void Share(Pa start, ulong bytes, bool isShared);

    /// <summary>A page is read.</summary>
    void Consume(Pa page, string reader, string where, bool isCached);

    /// <summary>A page whose writes are logged is copied.</summary>
    void CopyLogged(Pa page);

    /// <summary>A dirty log has no write of a page.</summary>
    void CheckUnlogged(Pa page, string reader, string where);

    /// <summary>Instructions are fetched from a page.</summary>
    void Fetch(Pa page, string reader, string where);

    /// <summary>The hypervisor issues cache maintenance.</summary>
    void Maintain(int pe, CacheKind kind, Pa start, ulong bytes);

    /// <summary>A guest, or a driver, maintains a page; complete.</summary>
    void GuestMaintains(Pa page, CacheKind kind);

    /// <summary>Frames go back.</summary>
    void ReturnFrames(Pa start, ulong bytes);

    /// <summary>All that a VM had goes back.</summary>
    void Release(int vm);
}
