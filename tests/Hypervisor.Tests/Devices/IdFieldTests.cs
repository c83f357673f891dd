using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

/// <summary>
/// Every field of every ID register that HCR_EL2.TID3 traps (DDI 0487 D24.2), and what was decided of it: a promise
/// that is kept, or none. Names are the manual's; reserved fields are hidden.
/// </summary>
public class IdFieldTests
{
    /// <summary>
    /// CRm, Op2, register, then its fields from bit 0 up, 4 bits each unless a width follows a slash. Decisions: 0
    /// hidden; N the machine's, at most N; =N always N; same: the machine's; fp: FP and AdvSIMD; granule; range:
    /// PARange.
    /// </summary>
    private static readonly string[] _decisions =
    [
        "1 0 AArch32: all/64 0",
        "2 0 AArch32: all/64 0",
        "3 0 AArch32: all/64 0",
        "4 0 ID_AA64PFR0_EL1: EL0 =1, EL1 =1, EL2 0, EL3 0, FP fp, AdvSIMD fp, GIC 1, RAS 0, SVE 0, SEL2 0, "
            + "MPAM 0, AMU 0, DIT 1, RME 0, CSV2 1, CSV3 1",
        "4 1 ID_AA64PFR1_EL1: BT 1, SSBS 2, MTE 0, RAS_frac 0, MPAM_frac 0, reserved 0, SME 0, RNDR_trap 0, "
            + "CSV2_frac 1, NMI 0, MTE_frac 0, GCS 0, THE 0, MTEX 0, DF2 0, PFAR 0",
        "4 2 ID_AA64PFR2_EL1: all/64 0",
        "4 4 ID_AA64ZFR0_EL1: all/64 0",
        "4 5 ID_AA64SMFR0_EL1: all/64 0",
        "4 7 ID_AA64FPFR0_EL1: all/64 0",
        "5 0 ID_AA64DFR0_EL1: DebugVer =6, TraceVer 0, PMUVer 0, BRPs same, PMSS 0, WRPs same, SEBEP 0, CTX_CMPs same, "
            + "PMSVer 0, DoubleLock =15, TraceFilt 0, TraceBuffer 0, MTPMU 0, BRBE 0, ExtTrcBuff 0, HPMN0 0",
        "5 1 ID_AA64DFR1_EL1: all/64 0",
        "5 4 ID_AA64AFR0_EL1: all/64 0",
        "5 5 ID_AA64AFR1_EL1: all/64 0",
        "6 0 ID_AA64ISAR0_EL1: reserved 0, AES 2, SHA1 1, SHA2 2, CRC32 1, Atomic 2, TME 0, RDM 1, SHA3 1, SM3 1, "
            + "SM4 1, DP 1, FHM 1, TS 2, TLB 2, RNDR 1",
        "6 1 ID_AA64ISAR1_EL1: DPB 2, APA 0, API 0, JSCVT 1, FCMA 1, LRCPC 2, GPA 0, GPI 0, FRINTTS 1, SB 1, "
            + "SPECRES 1, BF16 1, DGH 1, I8MM 1, XS 0, LS64 0",
        "6 2 ID_AA64ISAR2_EL1: WFxT 0, RPRES 0, GPA3 0, APA3 0, MOPS 0, BC 1, PAC_frac 0, CLRBHB 1, "
            + "SYSREG_128 0, SYSINSTR_128 0, PRFMSLC 0, reserved 0, RPRFM 0, CSSC 0, LUT 0, ATS1A 0",
        "6 3 ID_AA64ISAR3_EL1: all/64 0",
        "7 0 ID_AA64MMFR0_EL1: PARange range, ASIDBits 2, BigEnd 1, SNSMem 0, BigEndEL0 1, TGran16 1, "
            + "TGran64 granule, TGran4 granule, TGran16_2 0, TGran64_2 0, TGran4_2 0, "
            + "ExS 0, reserved/8 0, FGT 0, ECV 0",
        "7 1 ID_AA64MMFR1_EL1: HAFDBS 0, VMIDBits 0, VH 0, HPDS 1, LO 0, PAN 3, SpecSEI 0, XNX 0, TWED 0, ETS 2, "
            + "HCX 0, AFP 0, nTLBPA 0, TIDCP1 0, CMOW 0, ECBHB 1",
        "7 2 ID_AA64MMFR2_EL1: CnP 1, UAO 1, LSM 0, IESB 0, VARange 1, CCIDX 1, NV 0, ST 1, AT 1, IDS 0, FWB 0, "
            + "reserved 0, TTL 1, BBM 2, EVT 0, E0PD 1",
        "7 3 ID_AA64MMFR3_EL1: all/64 0",
        "7 4 ID_AA64MMFR4_EL1: all/64 0",
    ];

    [Fact]
    public void Every_field_is_what_was_decided_whatever_the_machine_has()
    {
        List<Field> fields = [.. _decisions.SelectMany(Parse)];
        foreach (IGrouping<(uint, uint), Field> register in fields.GroupBy(field => (field.Crm, field.Op2)))
        {
            register.Sum(field => field.Width).ShouldBe(64, $"CRm {register.Key}: fields fill the register");
        }

        foreach (ulong others in (ulong[])[0, 0x1111_1111_1111_1111, 0x7777_7777_7777_7777, ulong.MaxValue])
        {
            foreach (Field field in fields)
            {
                for (ulong value = 0; value < 16; value++)
                {
                    Check(field, others, value);
                }
            }
        }
    }

    [Fact]
    public void Registers_that_nobody_decided_on_are_zero()
    {
        HashSet<(uint, uint)> decided = [.. _decisions.SelectMany(Parse).Select(field => (field.Crm, field.Op2))];
        GuestIdRegisters guest = Make(0, ulong.MaxValue, ulong.MaxValue);
        for (uint crm = 0; crm < 16; crm++)
        {
            for (uint op2 = 0; op2 < 8; op2++)
            {
                if (!decided.Contains((crm, op2)))
                {
                    guest.Read(crm, op2).ShouldBe(0UL, $"CRm {crm} Op2 {op2}");
                }
            }
        }
    }

    private static void Check(Field field, ulong others, ulong value)
    {
        ulong mask = field.Width == 64 ? ulong.MaxValue : ((1UL << field.Width) - 1) << field.Shift;
        GuestIdRegisters guest = Make(mask, others, value << field.Shift);
        ulong got = (guest.Read(field.Crm, field.Op2) & mask) >> field.Shift;
        ulong expected = field.Decision switch
        {
            "same" => value,
            "fp" => value is 0 or 15 ? value : 1,
            "granule" => value == 15 ? 15u : 0,
            "range" => Math.Min(value, 2), // of an IPA space of 40 bits
            ['=', .. string always] => ulong.Parse(always),
            _ => Math.Min(value, ulong.Parse(field.Decision)),
        };
        got.ShouldBe(expected, $"CRm {field.Crm} Op2 {field.Op2} {field.Name}, {value} beside {others:x}");
    }

    /// <summary>A guest on a machine whose registers all have a value in one field, and others beside it.</summary>
    private static GuestIdRegisters Make(ulong mask, ulong others, ulong value)
    {
        ulong all = (others & ~mask) | (value & mask);
        GuestIdRegisters guest = default;
        guest.Reset(
            new HostIdRegisters
            {
                Pfr0 = all, Pfr1 = all, Dfr0 = all, Isar0 = all, Isar1 = all, Isar2 = all,
                Mmfr0 = all, Mmfr1 = all, Mmfr2 = all,
            },
            40);
        return guest;
    }

    private static IEnumerable<Field> Parse(string line)
    {
        string[] halves = line.Split(": ");
        string[] place = halves[0].Split(' ');
        int shift = 0;
        foreach (string text in halves[1].Split(", "))
        {
            string[] words = text.Split(' ');
            string[] name = words[0].Split('/');
            int width = name.Length > 1 ? int.Parse(name[1]) : 4;
            yield return new Field(uint.Parse(place[0]), uint.Parse(place[1]), name[0], shift, width, words[1]);
            shift += width;
        }
    }

    private sealed record Field(uint Crm, uint Op2, string Name, int Shift, int Width, string Decision);
}
