using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// What the host and the monitor owe to the memory layer, kept. Tests put one that is broken in its place.
/// </summary>
public class HostContract<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    /// <summary>Whether the monitor waits for the vCPUs of a VM that dies.</summary>
    public virtual bool WaitsForVcpus => true;

    /// <summary>Whether the host goes on with an invalidation until all of its range is done.</summary>
    public virtual bool GoesOn => true;

    /// <summary>What the memory layer is told of a page that leaves Stage-2.</summary>
    public virtual PageFate Claim(PageFate fate) => fate;

    /// <summary>Takes a range out of a live VM's Stage-2.</summary>
    public virtual MemoryResult Unmap(
        ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine, in NotifierRange range) =>
        memory.UnmapRange(ref machine, in range);

    /// <summary>Maps what a fault's look-up found, unless it must be looked up again.</summary>
    public virtual FaultResult Commit(
        ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine, ref FaultTicket ticket) =>
        memory.CommitFault(ref machine, ref ticket);

    /// <summary>Gives back all that a dead VM has.</summary>
    public virtual ReleaseReport Release(ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine) =>
        memory.Release(ref machine);

    /// <summary>A VM's number after its death: given on at once where it was invalidated as a whole.</summary>
    public virtual void RetireVmid(ref VmidAllocator vmids, ref VmidLease lease, bool isInvalidated)
    {
        if (isInvalidated)
        {
            vmids.Retire(ref lease);
        }
        else
        {
            VmidAllocator.Abandon(ref lease);
        }
    }

    /// <summary>Overwrites a part of a dirty chunk, before the chunk passes for clean.</summary>
    public virtual void ZeroPart(ref TMachine machine, ref readonly ScrubJob job) => job.Zero(ref machine);

    /// <summary>Gives a VM a VMID that is valid on a PE; what the VM's maintenance names is set by it.</summary>
    /// <returns>The VMID that the PE loads with VTTBR_EL2; 0 where there is none.</returns>
    public virtual Vmid TakeVmid(
        ref VmidAllocator vmids, int pe, ref VmidLease lease, ref GuestMemory<TFormat, TMachine> memory,
        ref TMachine machine)
    {
        if (vmids.Enter(pe, ref lease, ref machine) != VmidResult.Ok)
        {
            return default;
        }

        memory.Vmid = vmids.VmidOf(in lease);
        return memory.Vmid;
    }

    /// <summary>A VM is made: whether invalidation may ever be for one PE alone.</summary>
    public virtual void Begins(ref TlbHolders holders, bool hasOneVcpu) => holders.Initialize(hasOneVcpu);

    /// <summary>A PE is about to load a VM's VTTBR_EL2.</summary>
    public virtual void Loads(ref TlbHolders holders, int pe) => holders.Load(pe);

    /// <summary>
    /// Whether a PE that loads a vCPU must invalidate what another one of the VM may have left there.
    /// </summary>
    public virtual bool IsOtherVcpu(ref LastVcpus last, int pe, int slot, int vcpu) => last.IsOther(slot, vcpu);

    /// <summary>A PE has unloaded VTTBR_EL2, and says so.</summary>
    public virtual void Left(ref VmidAllocator vmids, int pe) => vmids.Leave(pe);

    /// <summary>Whether all that TLBs hold from before the hypervisor began is invalidated.</summary>
    public virtual bool InvalidatesAtBoot => true;

    /// <summary>A PE has loaded a VM's VTTBR_EL2, with this VMID.</summary>
    public virtual void Entered(ref TMachine machine, Vmid vmid)
    {
    }

    /// <summary>Makes a VM a template.</summary>
    public virtual MemoryResult Freeze(ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine) =>
        memory.Freeze(ref machine);

    /// <summary>Makes a child's memory out of its template's.</summary>
    public virtual MemoryResult Fork(
        ref TMachine machine, ref GuestMemory<TFormat, TMachine> memory, ref GuestMemory<TFormat, TMachine> parent,
        Vmid vmid) => GuestMemory<TFormat, TMachine>.Fork(ref machine, ref memory, ref parent, vmid);

    /// <summary>Whether the memory of a template that is told to end goes now.</summary>
    public virtual bool EndsNow(ref Offspring family) => family.End();

    /// <summary>First step of a fault.</summary>
    public virtual FaultResult Prepare(
        ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine, Ipa ipa, AccessKind access,
        out FaultTicket ticket, int level) => memory.PrepareFault(ref machine, ipa, access, out ticket, level);

    /// <summary>A dirty log was read, and what it named is copied.</summary>
    public virtual void Copied(ref TMachine machine)
    {
    }
}
