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
        state = State(User32 | 0xA000_0000 | (1 << 21));
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

    [Theory]
    [InlineData(El0, 0x24UL)]
    [InlineData(El1h, 0x25UL)]
    [InlineData(El1t, 0x25UL)]
    [InlineData(User32, 0x24UL)]
    public void A_data_abort_says_whence_and_where_it_came(ulong mode, ulong exceptionClass)
    {
        GuestIdRegisters ids = default;
        GuestExceptionState state = State(mode);
        ExceptionInjection.InjectDataAbort(
            ref state, in ids, 0xABCD_1234, ExceptionInjection.ExternalAbort, isWrite: true);
        state.Syndrome.ShouldBe((exceptionClass << 26) | 0x0200_0050);
        state.HasFaultAddress.ShouldBeTrue();
        state.FaultAddress.ShouldBe(0xABCD_1234UL);
        state = State(mode);
        ExceptionInjection.InjectInstructionAbort(ref state, in ids, 8, ExceptionInjection.TranslationFault(2));
        state.Syndrome.ShouldBe(((exceptionClass - 4) << 26) | 0x0200_0006);
    }

    [Fact]
    public void A_wild_access_becomes_an_external_abort_of_its_own_kind()
    {
        GuestIdRegisters ids = default;
        (ulong Abort, ulong Expected)[] cases =
        [
            ((0x24UL << 26) | 0x47, (0x25UL << 26) | 0x0200_0050),
            ((0x24UL << 26) | 0x07, (0x25UL << 26) | 0x0200_0010),
            ((0x20UL << 26) | 0x07, (0x21UL << 26) | 0x0200_0010),
            ((0x24UL << 26) | 0x86, (0x25UL << 26) | 0x0200_0016),
            ((0x20UL << 26) | 0x85, (0x21UL << 26) | 0x0200_0015),
        ];
        foreach ((ulong abort, ulong expected) in cases)
        {
            GuestExceptionState state = State(El1h);
            ExceptionInjection.InjectExternalAbort(ref state, in ids, StageTwoAbort.Decode(abort), 0x77);
            state.Syndrome.ShouldBe(expected);
            state.FaultAddress.ShouldBe(0x77UL);
        }
    }

    private static GuestExceptionState State(ulong processorState) => new()
    {
        ProgramCounter = 0x1234,
        ProcessorState = processorState,
        VectorBase = 0xFFFF_8000_0001_0800 | 0x7FF,
    };
}
