using System.Collections.Generic;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class SystemRegisterTrapsTests
{
    [Fact]
    public void A_syndrome_is_taken_apart()
    {
        // MRS X17, ID_AA64MMFR0_EL1: Op0 3, Op1 0, CRn 0, CRm 7, Op2 0.
        var access = SystemRegisterAccess.Decode(0x6200_0000 | Syndrome(3, 0, 0, 7, 0, 17, read: true));
        access.IsRead.ShouldBeTrue();
        access.GeneralRegister.ShouldBe(17u);
        access.Register.ShouldBe(SystemRegister.Number(3, 0, 0, 7, 0));
        access = SystemRegisterAccess.Decode(Syndrome(2, 7, 14, 9, 5, 31, read: false));
        access.IsRead.ShouldBeFalse();
        access.GeneralRegister.ShouldBe(31u);
        access.Register.ShouldBe(SystemRegister.Number(2, 7, 14, 9, 5));
    }

    [Theory]
    [InlineData(3, 0, 0, 7, 0, true, SystemRegisterOutcome.Value, 0x122UL)]
    [InlineData(3, 0, 0, 7, 0, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 0, 2, 3, true, SystemRegisterOutcome.Value, 0UL)]
    [InlineData(3, 0, 0, 8, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 12, 11, 5, false, SystemRegisterOutcome.SendSgi, 0UL)]
    [InlineData(3, 0, 12, 11, 6, false, SystemRegisterOutcome.SendGroup0Sgi, 0UL)]
    [InlineData(3, 0, 12, 11, 7, false, SystemRegisterOutcome.SendGroup0Sgi, 0UL)]
    [InlineData(3, 0, 12, 11, 5, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 12, 12, 5, true, SystemRegisterOutcome.Value, 7UL)]
    [InlineData(3, 0, 12, 12, 5, false, SystemRegisterOutcome.Ignored, 0UL)]
    [InlineData(3, 0, 1, 0, 1, true, SystemRegisterOutcome.Value, 0UL)]
    [InlineData(3, 0, 1, 0, 1, false, SystemRegisterOutcome.Ignored, 0UL)]
    [InlineData(2, 0, 0, 2, 2, true, SystemRegisterOutcome.Value, 0UL)]
    [InlineData(2, 0, 0, 2, 2, false, SystemRegisterOutcome.LoadDebug, 0UL)]
    [InlineData(2, 0, 1, 0, 4, false, SystemRegisterOutcome.LoadDebug, 0UL)]
    [InlineData(2, 0, 1, 0, 4, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(2, 0, 1, 1, 4, true, SystemRegisterOutcome.Value, 8UL)]
    [InlineData(2, 0, 1, 1, 4, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(2, 0, 1, 3, 4, false, SystemRegisterOutcome.Ignored, 0UL)]
    [InlineData(2, 0, 0, 0, 5, false, SystemRegisterOutcome.LoadDebug, 0UL)]
    [InlineData(2, 0, 7, 8, 6, true, SystemRegisterOutcome.Value, 0xFFUL)]
    [InlineData(2, 0, 7, 14, 6, true, SystemRegisterOutcome.Value, 0xAUL)]
    [InlineData(2, 0, 0, 1, 7, true, SystemRegisterOutcome.Value, 0UL)]
    [InlineData(2, 0, 0, 2, 5, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(2, 0, 0, 15, 4, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(2, 3, 0, 5, 0, true, SystemRegisterOutcome.Value, 0UL)]
    [InlineData(3, 0, 0, 0, 6, true, SystemRegisterOutcome.Value, 0x5EUL)]
    [InlineData(3, 1, 0, 0, 7, true, SystemRegisterOutcome.Value, 0xA1UL)]
    [InlineData(3, 1, 0, 0, 6, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(2, 1, 0, 0, 1, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 3, 9, 12, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 3, 9, 13, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 3, 14, 15, 7, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 9, 14, 1, false, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 1, 2, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 2, 1, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 10, 4, 7, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 15, 0, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    [InlineData(3, 0, 5, 3, 0, true, SystemRegisterOutcome.Undefined, 0UL)]
    public void Each_register_has_its_outcome(
        uint op0, uint op1, uint crn, uint crm, uint op2, bool read, SystemRegisterOutcome expected, ulong value)
    {
        GuestIdRegisters ids = Ids();
        var access = SystemRegisterAccess.Decode(Syndrome(op0, op1, crn, crm, op2, 3, read));
        DebugRegisters debug = default;
        ulong got = 0;
        SystemRegisterTraps.Handle(access, in ids, ref debug, ref got).ShouldBe(expected);
        got.ShouldBe(value);
    }

    [Fact]
    public void Of_all_registers_exactly_the_listed_ones_are_not_undefined()
    {
        GuestIdRegisters ids = Ids();
        DebugRegisters debug = default;
        ulong value = 0;
        int identification = 0;
        int readable = 0;
        var writable = new List<string>();
        for (uint encoded = 0; encoded < 0x1_0000; encoded++)
        {
            uint op0 = encoded >> 14;
            uint op1 = (encoded >> 11) & 7;
            uint crn = (encoded >> 7) & 15;
            uint crm = (encoded >> 3) & 15;
            uint op2 = encoded & 7;
            SystemRegister.Number(op0, op1, crn, crm, op2).ShouldBe(encoded);
            SystemRegisterOutcome outcome = SystemRegisterTraps.Handle(
                SystemRegisterAccess.Decode(Syndrome(op0, op1, crn, crm, op2, 0, read: true)),
                in ids,
                ref debug,
                ref value);
            outcome.ShouldBeOneOf(SystemRegisterOutcome.Value, SystemRegisterOutcome.Undefined);
            if (outcome == SystemRegisterOutcome.Value)
            {
                bool id = op0 == 3 && op1 == 0 && crn == 0 && crm is >= 1 and <= 7;
                identification += id ? 1 : 0;
                readable += id ? 0 : 1;
            }

            outcome = SystemRegisterTraps.Handle(
                SystemRegisterAccess.Decode(Syndrome(op0, op1, crn, crm, op2, 0, read: false)),
                in ids,
                ref debug,
                ref value);
            outcome.ShouldNotBe(SystemRegisterOutcome.Value);
            value.ShouldBe(0UL);
            if (outcome != SystemRegisterOutcome.Undefined)
            {
                writable.Add($"{op0} {op1} {crn} {crm} {op2}");
            }
        }

        identification.ShouldBe(7 * 8);

        // 8 break- and watchpoint registers, 5 more of debug, 8 inert ones, ICC_SRE_EL1, 5 that are read only or share
        // a number.
        readable.ShouldBe(8 + 5 + 8 + 1 + 5);
        writable.ShouldBe(
            [
                "2 0 0 0 2", "2 0 0 0 4", "2 0 0 0 5", "2 0 0 0 6", "2 0 0 0 7", "2 0 0 1 4", "2 0 0 1 5", "2 0 0 1 6",
                "2 0 0 1 7", "2 0 0 2 0", "2 0 0 2 2", "2 0 0 3 2", "2 0 0 6 2", "2 0 1 0 4", "2 0 1 3 4", "2 0 1 4 4",
                "2 0 7 8 6", "2 0 7 9 6", "2 3 0 4 0", "2 3 0 5 0", "3 0 1 0 1", "3 0 12 11 5", "3 0 12 11 6",
                "3 0 12 11 7", "3 0 12 12 5",
            ]);
    }

    private static GuestIdRegisters Ids()
    {
        GuestIdRegisters ids = default;
        ids.Reset(new HostIdRegisters { Mmfr0 = 0x1124, Dfr0 = 0x10_1000, Revision = 0x5E, Auxiliary = 0xA1 }, 40);
        return ids;
    }

    private static ulong Syndrome(uint op0, uint op1, uint crn, uint crm, uint op2, uint rt, bool read) =>
        (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (rt << 5) | (crm << 1) | (read ? 1u : 0);
}
