namespace Quietus.Stage2;

/// <summary>
/// A virtual machine identifier: the tag of a guest's TLB entries, 8 bits or (FEAT_VMID16) 16 bits wide.
/// Zero stands for "no VM" by this project's convention.
/// </summary>
public readonly struct Vmid
{
    public readonly ushort Value;

    public Vmid(ushort value) => Value = value;
}
