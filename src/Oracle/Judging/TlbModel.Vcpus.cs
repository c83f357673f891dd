using System.Numerics;

namespace Quietus.Oracle.Judging;

// vCPUs of one VM: they have one VMID between them, and each has a Stage-1 of its own.
internal sealed partial class TlbModel
{
    /// <summary>What each PE loaded last.</summary>
    private readonly TlbTag?[] _on = new TlbTag?[pes];

    /// <summary>
    /// The guest on a PE makes an access: what serves it must come from its own vCPU's Stage-1. False where no guest is
    /// there.
    /// </summary>
    public bool TryAccess(int pe)
    {
        if (_on[pe] is not TlbTag tag || (tag.Loaded >> pe & 1) == 0)
        {
            return false;
        }

        int vcpu = tag.VcpuOn(pe);
        uint others = tag.MakersOn(pe) & ~(1U << vcpu);
        if (others != 0)
        {
            int other = BitOperations.TrailingZeroCount(others);
            Broken.Fail(ViolationKind.OtherVcpusEntry, "the guest",
                $"vCPU {vcpu} of {tag.Vm.Name} makes an access on PE {pe}, whose TLB may answer with an entry that the "
                + $"Stage-1 tables of vCPU {other} made under the same VMID and ASID: it ran there before, and nothing "
                + "took its entries");
        }

        return true;
    }
}
