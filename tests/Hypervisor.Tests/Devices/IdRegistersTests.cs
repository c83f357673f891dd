using System;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class IdRegistersTests
{
    [Fact]
    public void A_cortex_a72_shows_its_features_without_AArch32_PMU_and_EL2()
    {
        // The values are those of the core's Technical Reference Manual, r0p3.
        var host = new HostIdRegisters
        {
            Pfr0 = 0x0100_2222, Dfr0 = 0x1030_5106, Isar0 = 0x1_1120, Mmfr0 = 0x1124,
        };
        GuestIdRegisters guest = Make(host, 40);
        guest.Read(4, 0).ShouldBe(0x0100_0011UL);
        guest.Read(5, 0).ShouldBe(0xF0_1030_5006UL);
        guest.Breakpoints.ShouldBe(6);
        guest.Watchpoints.ShouldBe(4);
        guest.Read(6, 0).ShouldBe(0x1_1120UL);
        guest.Read(7, 0).ShouldBe(0x122UL);
        guest.HasGranule(4096).ShouldBeTrue();
        guest.HasGranule(16384).ShouldBeFalse();
        guest.HasGranule(65536).ShouldBeTrue();
        guest.HasGranule(8192).ShouldBeFalse();
        guest.HasPrivilegedAccessNever.ShouldBeFalse();
        guest.HasSpeculativeStoreBypass.ShouldBeFalse();
    }

    [Fact]
    public void A_machine_with_everything_shows_only_what_is_allowed()
    {
        const ulong All = 0x7777_7777_7777_7777;
        GuestIdRegisters guest = Make(
            new HostIdRegisters
            {
                Pfr0 = All, Pfr1 = All, Isar0 = All, Isar1 = All, Isar2 = All, Mmfr0 = All, Mmfr1 = All, Mmfr2 = All,
            },
            40);
        ulong pfr0 = guest.Read(4, 0);
        Field(pfr0, 0).ShouldBe(1u, "EL0 in AArch64 only");
        Field(pfr0, 4).ShouldBe(1u, "EL1 in AArch64 only");
        Field(pfr0, 8).ShouldBe(0u, "EL2");
        Field(pfr0, 12).ShouldBe(0u, "EL3");
        Field(pfr0, 16).ShouldBe(1u, "FP");
        Field(pfr0, 20).ShouldBe(1u, "AdvSIMD");
        Field(pfr0, 24).ShouldBe(1u, "GIC");
        Field(pfr0, 28).ShouldBe(0u, "RAS");
        Field(pfr0, 32).ShouldBe(0u, "SVE");
        Field(pfr0, 40).ShouldBe(0u, "MPAM");
        Field(pfr0, 44).ShouldBe(0u, "AMU");
        Field(pfr0, 52).ShouldBe(0u, "RME");
        ulong pfr1 = guest.Read(4, 1);
        Field(pfr1, 8).ShouldBe(0u, "MTE");
        Field(pfr1, 24).ShouldBe(0u, "SME");
        ulong dfr0 = guest.Read(5, 0);
        Field(dfr0, 4).ShouldBe(0u, "trace");
        Field(dfr0, 8).ShouldBe(0u, "PMU");
        Field(dfr0, 32).ShouldBe(0u, "SPE");
        Field(dfr0, 36).ShouldBe(0xFu, "no double lock");
        Field(dfr0, 52).ShouldBe(0u, "BRBE");
        ulong isar1 = guest.Read(6, 1);
        Field(isar1, 4).ShouldBe(0u, "APA");
        Field(isar1, 8).ShouldBe(0u, "API");
        Field(isar1, 24).ShouldBe(0u, "GPA");
        Field(isar1, 28).ShouldBe(0u, "GPI");
        ulong isar2 = guest.Read(6, 2);
        Field(isar2, 0).ShouldBe(0u, "WFxT");
        Field(isar2, 8).ShouldBe(0u, "GPA3");
        Field(isar2, 12).ShouldBe(0u, "APA3");
        Field(isar2, 16).ShouldBe(0u, "MOPS");
        ulong mmfr1 = guest.Read(7, 1);
        Field(mmfr1, 0).ShouldBe(0u, "HAFDBS");
        Field(mmfr1, 8).ShouldBe(0u, "VHE");
        Field(mmfr1, 16).ShouldBe(0u, "LOR");
        Field(mmfr1, 40).ShouldBe(0u, "HCX");
        ulong mmfr2 = guest.Read(7, 2);
        Field(mmfr2, 24).ShouldBe(0u, "nested virtualization");
        Field(mmfr2, 40).ShouldBe(0u, "FWB");
        guest.HasPrivilegedAccessNever.ShouldBeTrue();
        guest.HasSpeculativeStoreBypass.ShouldBeTrue();
        (uint Crm, uint Op2)[] shown = [(4, 0), (4, 1), (5, 0), (6, 0), (6, 1), (6, 2), (7, 0), (7, 1), (7, 2)];
        for (uint crm = 0; crm < 16; crm++)
        {
            for (uint op2 = 0; op2 < 8; op2++)
            {
                if (Array.IndexOf(shown, (crm, op2)) < 0)
                {
                    guest.Read(crm, op2).ShouldBe(0UL, $"CRm {crm} Op2 {op2}");
                }
            }
        }
    }

    [Fact]
    public void No_field_is_ever_greater_than_the_machines()
    {
        var random = new Random(1);
        for (int round = 0; round < 2000; round++)
        {
            ulong Any() => (ulong)random.NextInt64(long.MinValue, long.MaxValue) & 0x7777_7777_7777_7777;
            var host = new HostIdRegisters
            {
                Pfr0 = Any() | 0x11, Pfr1 = Any(), Isar0 = Any(), Isar1 = Any(), Isar2 = Any(), Mmfr0 = Any(),
                Mmfr1 = Any(), Mmfr2 = Any(),
            };
            GuestIdRegisters guest = Make(host, 48);
            NotGreater(guest.Read(4, 0), host.Pfr0);
            NotGreater(guest.Read(4, 1), host.Pfr1);
            NotGreater(guest.Read(6, 0), host.Isar0);
            NotGreater(guest.Read(6, 1), host.Isar1);
            NotGreater(guest.Read(6, 2), host.Isar2);
            NotGreater(guest.Read(7, 0), host.Mmfr0);
            NotGreater(guest.Read(7, 1), host.Mmfr1);
            NotGreater(guest.Read(7, 2), host.Mmfr2);
        }
    }

    [Fact]
    public void What_the_machine_says_is_not_implemented_stays_so()
    {
        GuestIdRegisters guest = Make(new HostIdRegisters { Pfr0 = 0xFF_0011, Mmfr0 = 0xFF00_0005 }, 40);
        guest.Read(4, 0).ShouldBe(0xFF_0011UL);
        guest.Read(7, 0).ShouldBe(0xFF00_0002UL);
    }

    [Theory]
    [InlineData(32, 5, 0)]
    [InlineData(36, 5, 1)]
    [InlineData(39, 5, 1)]
    [InlineData(40, 5, 2)]
    [InlineData(42, 5, 3)]
    [InlineData(44, 5, 4)]
    [InlineData(48, 5, 5)]
    [InlineData(52, 6, 6)]
    [InlineData(48, 4, 4)]
    public void The_physical_range_is_that_of_the_IPA_space_or_of_the_machine(int ipaBits, ulong host, ulong expected)
    {
        GuestIdRegisters guest = Make(new HostIdRegisters { Mmfr0 = host }, ipaBits);
        (guest.Read(7, 0) & 0xF).ShouldBe(expected);
    }

    private static GuestIdRegisters Make(in HostIdRegisters host, int ipaBits)
    {
        GuestIdRegisters guest = default;
        guest.Reset(in host, ipaBits);
        return guest;
    }

    private static uint Field(ulong register, int shift) => (uint)(register >> shift) & 0xF;

    private static void NotGreater(ulong guest, ulong host)
    {
        for (int shift = 0; shift < 64; shift += 4)
        {
            Field(guest, shift).ShouldBeLessThanOrEqualTo(Field(host, shift));
        }
    }
}
