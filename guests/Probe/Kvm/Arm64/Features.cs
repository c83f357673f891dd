using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.Probe.Linux;
using Quietus.Probe.Output;

namespace Quietus.Probe.Kvm;

/// <summary>
/// What an arm64 host is. A process is not shown all ID registers, but a vCPU's can be read without rights: KVM
/// passes on the host's, less what it keeps from guests. A feature that shows there exists; one that does not may.
/// </summary>
internal static class Features
{
    // op0:op1:CRn:CRm:op2 (DDI 0487, D23).
    private const ulong InstructionSet0 = 0xC030; // ID_AA64ISAR0_EL1
    private const ulong MemoryModel1 = 0xC039; // ID_AA64MMFR1_EL1
    private const ulong MemoryModel2 = 0xC03A; // ID_AA64MMFR2_EL1

    internal static ReadOnlySpan<byte> Processor(ReadOnlySpan<byte> cpuinfo)
    {
        ReadOnlySpan<byte> implementer = TextFile.Field(cpuinfo, "CPU implementer"u8);
        ReadOnlySpan<byte> part = TextFile.Field(cpuinfo, "CPU part"u8);
        return NameOf(Hexadecimal(implementer), Hexadecimal(part));
    }

    internal static ReadOnlySpan<byte> SecondStage() => "Stage-2"u8;

    /// <summary>Whether this host is itself a guest: nothing that a process sees says so for certain.</summary>
    internal static bool IsVirtual(ReadOnlySpan<byte> cpuinfo) =>
        cpuinfo.Length != 0 && Modules.Exists("/sys/hypervisor/type"u8);

    internal static void Write(ReadOnlySpan<byte> cpuinfo)
    {
        Facts.Text("cpu_implementer"u8, TextFile.Field(cpuinfo, "CPU implementer"u8));
        Facts.Text("cpu_part"u8, TextFile.Field(cpuinfo, "CPU part"u8));
        Facts.Text("cpu_revision"u8, TextFile.Field(cpuinfo, "CPU revision"u8));

        ulong type = ReadCacheType();
        Facts.Flag("dic"u8, (type >> 29 & 1) != 0);
        Facts.Flag("idc"u8, (type >> 28 & 1) != 0);

        // A VM of no memory is enough to ask.
        Machine machine = Machine.Create();
        machine.AddVcpu();
        machine.PrepareOnly();
        ulong instructions = machine.ReadIdRegister(InstructionSet0);
        ulong second = machine.ReadIdRegister(MemoryModel2);
        Facts.Number("vmid_bits"u8, (machine.ReadIdRegister(MemoryModel1) >> 4 & 0xF) == 2 ? 16UL : 8);
        Facts.Flag("range_tlbi"u8, (instructions >> 56 & 0xF) >= 2);
        Facts.Flag("forced_write_back"u8, (second >> 40 & 0xF) != 0);
        Facts.Flag("level_hint"u8, (second >> 48 & 0xF) != 0);
        machine.Close();
    }

    private static ReadOnlySpan<byte> NameOf(ulong implementer, ulong part) => (implementer, part) switch
    {
        (0x41, 0xD03) => "Cortex-A53"u8,
        (0x41, 0xD07) => "Cortex-A57"u8,
        (0x41, 0xD08) => "Cortex-A72"u8,
        (0x41, 0xD09) => "Cortex-A73"u8,
        (0x41, 0xD0B) => "Cortex-A76"u8,
        (0x41, 0xD0C) => "Neoverse N1"u8,
        (0x41, 0xD40) => "Neoverse V1"u8,
        (0x41, 0xD49) => "Neoverse N2"u8,
        (0x41, 0xD4F) => "Neoverse V2"u8,
        (0x41, _) => "Arm, a part that the probe has no name for"u8,
        (0x42, 0x516) or (0x43, 0x0AF) => "ThunderX2"u8,
        (0x43, _) => "Cavium"u8,
        (0x46, 0x001) => "A64FX"u8,
        (0x48, 0xD01) => "Kunpeng 920"u8,
        (0x48, _) => "HiSilicon"u8,
        (0x50, 0x000) => "X-Gene or eMAG"u8,
        (0x61, _) => "Apple"u8,
        (0xC0, 0xAC3) => "AmpereOne"u8,
        (0x00, _) => "QEMU's max, or unknown"u8,
        _ => "an implementer that the probe has no name for"u8,
    };

    /// <summary>The number of a text such as 0xd0c; 0 where it is none.</summary>
    private static ulong Hexadecimal(ReadOnlySpan<byte> text)
    {
        ulong value = 0;
        for (int i = 2; i < text.Length; i++)
        {
            uint letter = text[i];
            uint digit = letter is >= '0' and <= '9' ? letter - '0' : (letter | 0x20) - 'a' + 10;
            if (digit > 15)
            {
                break;
            }

            value = (value << 4) | digit;
        }

        return value;
    }

    [RuntimeImport("*", "read_cache_type"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong ReadCacheType();
}
