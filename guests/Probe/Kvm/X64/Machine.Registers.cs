using Quietus.Probe.Linux;

namespace Quietus.Probe.Kvm;

/// <summary>
/// The vCPU of x86-64: put into 64-bit mode at privilege level 3, over tables of 2 MB pages that map all of its memory
/// at
/// its own addresses. Level 3, since a KVM that runs guests by shadow paging may interpret what runs above it.
/// </summary>
/// <remarks>Invariant: as the other part's; the tables that are written lie in the area's first bytes.</remarks>
internal unsafe partial struct Machine
{
    private const ulong SupportedCpuid = 0xC008AE05; // KVM_GET_SUPPORTED_CPUID
    private const ulong SetCpuid = 0x4008AE90; // KVM_SET_CPUID2
    private const ulong GetSpecial = 0x8138AE83; // KVM_GET_SREGS
    private const ulong SetSpecial = 0x4138AE84;
    private const ulong SetGeneral = 0x4090AE82; // KVM_SET_REGS

    private const int SpecialBytes = 312;
    private const int GeneralBytes = 144;
    private const int SegmentBytes = 24;
    private const int Segments = 8; // cs, ds, es, fs, gs, ss, tr, ldt
    private const int ControlRegisters = 224; // cr0, cr2, cr3, cr4, cr8, efer
    private const int CpuidEntries = 256;
    private const int CpuidBytes = 8 + (40 * CpuidEntries);

    // Intel SDM 3A 2.5: PE, MP, ET, NE, PG; PAE, OSFXSR, OSXMMEXCPT. EFER: LME, LMA.
    private const ulong Cr0 = 0x8000_0033;
    private const ulong Cr4 = 0x620;
    private const ulong Efer = 0x500;
    private const ulong PortsAllowed = 0x3002; // RFLAGS: IOPL 3

    private const ulong TableBytes = 4096;
    private const ulong Gigabyte = 1UL << 30;
    private const ulong Block = 1UL << 21;
    private const ulong ToTable = 7; // present, writable, for level 3
    private const ulong ToBlock = 0xE7; // and accessed, dirty, 2 MB

    private const int PortDirection = 32; // in struct kvm_run
    private const int PortNumber = 34;
    private const int PortData = 40;
    private const uint PortAccess = 2; // KVM_EXIT_IO
    private const ushort Doorbell = 0x80;

    /// <summary>Where the guest begins: not at 0, where a shadow-paging KVM may run nothing.</summary>
    private const ulong CodeStart = TableBytes;

    /// <summary>Bytes at the memory's start that are the guest's own: its code, then its tables.</summary>
    internal static ulong OwnBytes(ulong memory) =>
        TableBytes * (4 + ((memory + Gigabyte - 1) / Gigabyte));

    /// <summary>Writes the guest and its tables: level 4 at 8K, level 3 at 12K, a level 2 for each gigabyte.</summary>
    internal static void Load(in Area area)
    {
        CopyCode(area.Start + CodeStart);
        ulong* root = (ulong*)(area.Start + (2 * TableBytes));
        ulong* gigabytes = (ulong*)(area.Start + (3 * TableBytes));
        root[0] = (3 * TableBytes) | ToTable;
        for (ulong at = 0; at < area.Bytes; at += Block)
        {
            ulong table = TableBytes * (4 + (at / Gigabyte));
            gigabytes[at / Gigabyte] = table | ToTable;
            *(ulong*)(area.Start + table + (at % Gigabyte / Block * sizeof(ulong))) = at | ToBlock;
        }
    }

    private readonly void SetRegisters(in Area area)
    {
        byte* cpuid = stackalloc byte[CpuidBytes];
        *(ulong*)cpuid = CpuidEntries;
        Problem.Checked(SystemCalls.Control(kvm, SupportedCpuid, (ulong)cpuid), "asking for the CPU's features"u8);
        Problem.Checked(SystemCalls.Control(vcpu, SetCpuid, (ulong)cpuid), "giving the vCPU its features"u8);

        byte* special = stackalloc byte[SpecialBytes];
        Problem.Checked(SystemCalls.Control(vcpu, GetSpecial, (ulong)special), "reading the vCPU's registers"u8);
        for (int i = 0; i < Segments - 1; i++)
        {
            // Flat code and data of level 3, and a busy 64-bit TSS, which nothing uses.
            SetSegment(special + (i * SegmentBytes), i);
        }

        ulong* control = (ulong*)(special + ControlRegisters);
        control[0] = Cr0;
        control[1] = 0;
        control[2] = 2 * TableBytes;
        control[3] = Cr4;
        control[4] = 0;
        control[5] = Efer;
        Problem.Checked(SystemCalls.Control(vcpu, SetSpecial, (ulong)special), "setting the vCPU's mode"u8);

        ulong* general = stackalloc ulong[GeneralBytes / sizeof(ulong)];
        for (int i = 0; i < GeneralBytes / sizeof(ulong); i++)
        {
            general[i] = 0;
        }

        general[1] = OwnBytes(area.Bytes); // rbx
        general[4] = area.Bytes; // rsi
        general[16] = CodeStart; // rip
        general[17] = PortsAllowed;
        Problem.Checked(SystemCalls.Control(vcpu, SetGeneral, (ulong)general), "setting the vCPU's registers"u8);
    }

    /// <summary>struct kvm_segment: base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable.</summary>
    private static void SetSegment(byte* segment, int index)
    {
        const int Code = 0;
        const int Task = 6;
        *(ulong*)segment = 0;
        *(uint*)(segment + 8) = index == Task ? 0xFFFFu : 0xFFFF_FFFFu;
        *(ushort*)(segment + 12) = index == Task ? (ushort)0x40 : index == Code ? (ushort)0x2B : (ushort)0x23;
        segment[14] = index is Code or Task ? (byte)0xB : (byte)0x3;
        segment[15] = 1;
        segment[16] = index == Task ? (byte)0 : (byte)3;
        segment[17] = index is Code or Task ? (byte)0 : (byte)1;
        segment[18] = index == Task ? (byte)0 : (byte)1;
        segment[19] = index == Code ? (byte)1 : (byte)0;
        segment[20] = index == Task ? (byte)0 : (byte)1;
        segment[21] = 0;
        segment[22] = 0;
        segment[23] = 0;
    }

    private readonly bool IsDoorbell(ulong expected) =>
        *(uint*)(run + ExitReason) == PortAccess && run[PortDirection] == 1 && *(ushort*)(run + PortNumber) == Doorbell
        && *(uint*)(run + *(ulong*)(run + PortData)) == (uint)(expected / TableBytes);
}
