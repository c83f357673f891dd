using System;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class ExceptionInjectionTests
{
    private const ulong El0 = 0;
    private const ulong El1t = 4;
    private const ulong El1h = 5;
    private const ulong User32 = 0x10;
    private const ulong Pan = 1 << 22;
    private const ulong Ssbs = 1 << 12;
    private const ulong Span = 1 << 23;
    private const ulong Dssbs = 1UL << 44;

    [Theory]
    [InlineData(El0, 0x400UL)]
    [InlineData(El1t, 0x000UL)]
    [InlineData(El1h, 0x200UL)]
    [InlineData(User32, 0x600UL)]
    [InlineData(User32 | 0x20, 0x600UL)]
    public void The_vector_is_chosen_by_where_the_exception_comes_from(ulong mode, ulong offset)
    {
        GuestExceptionState state = State(mode);
        GuestIdRegisters ids = default;
        ExceptionInjection.InjectUndefined(ref state, in ids);
        state.ProgramCounter.ShouldBe(0xFFFF_8000_0001_0800 + offset);
        state.LinkRegister.ShouldBe(0x1234UL);
        state.SavedProcessorState.ShouldBe(mode);
        state.ProcessorState.ShouldBe(0x3C5UL);
        state.Syndrome.ShouldBe(0x0200_0000UL);
        state.HasFaultAddress.ShouldBeFalse();
    }

    [Fact]
    public void Flags_and_timing_are_kept_and_the_rest_of_the_state_is_reset()
    {
        // NZCV, DIT, UAO, SS, IL, BTYPE, EL0.
        const ulong Old = 0xF000_0000 | (1 << 24) | (1 << 23) | (1 << 21) | (1 << 20) | (3 << 10);
        GuestExceptionState state = State(Old);
        GuestIdRegisters ids = default;
        ExceptionInjection.InjectUndefined(ref state, in ids);
        state.ProcessorState.ShouldBe(0xF000_0000 | (1UL << 24) | 0x3C5);
        state.SavedProcessorState.ShouldBe(Old);
        state = State(User32 | 0xA000_0000 | (1 << 24) | (1 << 21));
        ExceptionInjection.InjectUndefined(ref state, in ids);
        state.ProcessorState.ShouldBe(0xA000_0000 | (1UL << 24) | 0x3C5);
    }

    [Theory]
    [InlineData(true, 0UL, 0UL, Pan)]
    [InlineData(true, 0UL, Span, 0UL)]
    [InlineData(true, Pan, Span, Pan)]
    [InlineData(true, Ssbs, Span, 0UL)]
    [InlineData(true, 0UL, Span | Dssbs, Ssbs)]
    [InlineData(false, Pan | Ssbs, Dssbs, 0UL)]
    public void PAN_and_SSBS_follow_the_guests_control_register_if_it_has_them(
        bool has, ulong old, ulong control, ulong expected)
    {
        GuestIdRegisters ids = default;
        ids.Reset(has ? new HostIdRegisters { Mmfr1 = 1 << 20, Pfr1 = 1 << 4 } : default, 40);
        GuestExceptionState state = State(El1h | old);
        state.SystemControl = control;
        ExceptionInjection.InjectUndefined(ref state, in ids);
        (state.ProcessorState & (Pan | Ssbs)).ShouldBe(expected);
    }

    /// <summary>
    /// Every abort that EL2 can be given for an access that leads nowhere, against the architecture (DDI 0487, ESR_EL1,
    /// ISS encodings for Data and Instruction Aborts): all kinds of access, with and without a decoded instruction of
    /// each size, of the access itself or of the guest's walk, from EL0 and EL1, at every level, within the IPA space
    /// and beyond.
    /// </summary>
    [Fact]
    public void Every_abort_that_leads_nowhere_has_the_architectures_syndrome()
    {
        const ulong Fetch = 0x20UL << 26;
        const ulong Data = 0x24UL << 26;
        const ulong Write = 1 << 6;
        const ulong Walk = 1 << 7;
        const ulong Maintenance = 1 << 8;
        ulong[] kinds = [Fetch, Data, Data | Write, Data | Write | Maintenance];
        GuestIdRegisters ids = default;
        foreach (ulong kind in kinds)
        {
            foreach (ulong walk in (ulong[])[0, Walk])
            {
                // Valid, four sizes, sign, register, width, acquire; FnV and EA, which a Stage-2 fault never has.
                for (ulong details = 0; details < 1 << 11; details++)
                {
                    bool mayDecode = kind is Data or (Data | Write) && walk == 0;
                    ulong iss = mayDecode ? details << 14 : 0;
                    for (int level = -1; level <= 3; level++)
                    {
                        Check(kind | walk | iss | 0x7, level, isBeyond: false);
                        Check(kind | walk | iss | 0x4, level, isBeyond: true);
                    }

                    if (!mayDecode)
                    {
                        break;
                    }
                }
            }
        }

        void Check(ulong abort, int level, bool isBeyond)
        {
            foreach (ulong mode in (ulong[])[El0, El1t, El1h, User32])
            {
                GuestExceptionState state = State(mode);
                ExceptionInjection.InjectExternalAbort(
                    ref state, in ids, StageTwoAbort.Decode(abort), 0xABCD_1234, level, isBeyond);
                bool isWalk = (abort & Walk) != 0;
                ulong known = (ulong)Math.Max(level, 0);
                ulong status = isBeyond ? (isWalk && known > 0 ? known - 1 : known) : isWalk ? 0x14 + known : 0x10;
                ulong same = mode is El1t or El1h ? 1UL << 26 : 0;
                ulong passed = abort >> 26 == 0x20 ? 0 : abort & (Write | Maintenance);
                ulong exceptionClass = abort & (0x3FUL << 26);
                state.Syndrome.ShouldBe((exceptionClass + same) | (1 << 25) | passed | status);
                state.FaultAddress.ShouldBe(0xABCD_1234UL);
                state.HasFaultAddress.ShouldBeTrue();
            }
        }
    }

    [Theory]
    [InlineData(0x9200_00C7UL, 2, 0x9600_0056UL)] // a store, whose walk led nowhere at level 2
    [InlineData(0x9200_01C6UL, 2, 0x9600_0156UL)] // AT
    [InlineData(0x9200_0086UL, 1, 0x9600_0015UL)] // a load
    [InlineData(0x9200_0147UL, -1, 0x9600_0150UL)] // DC
    [InlineData(0x8200_0087UL, 3, 0x8600_0017UL)] // a fetch
    [InlineData(0x9385_0047UL, -1, 0x9600_0050UL)] // STR W5
    public void What_plain_QEMU_reports_comes_out_of_what_EL2_is_told(ulong atEl2, int level, ulong atEl1)
    {
        GuestIdRegisters ids = default;
        GuestExceptionState state = State(El1h);
        ExceptionInjection.InjectExternalAbort(
            ref state, in ids, StageTwoAbort.Decode(atEl2), 0x77, level, isBeyond: false);
        state.Syndrome.ShouldBe(atEl1);
    }

    private static GuestExceptionState State(ulong processorState) => new()
    {
        ProgramCounter = 0x1234,
        ProcessorState = processorState,
        VectorBase = 0xFFFF_8000_0001_0800 | 0x7FF,
    };
}
