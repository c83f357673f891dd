using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

/// <summary>Random numbers by the firmware interface (DEN 0098): what is refused, and which bits come.</summary>
public sealed class TrngTests
{
    private const ulong Random32 = 0x8400_0053;
    private const ulong Random64 = 0xC400_0053;
    private const ulong All = ulong.MaxValue;

    [Theory]
    [InlineData(0x8400_0050, 0x1_0000)]
    [InlineData(0x8400_0054, -1)]
    [InlineData(0xC400_0050, -1)]
    public void Version_is_1_0_and_what_is_no_function_is_not_supported(ulong function, long result) =>
        Call(function, 0).X0.ShouldBe((ulong)result);

    [Theory]
    [InlineData(0x8400_0050, 0)]
    [InlineData(0x8400_0053, 0)]
    [InlineData(0xC400_0053, 0)]
    [InlineData(0xC400_0050, -1)]
    [InlineData(0x8400_0000, -1)]
    public void Features_are_what_there_is(ulong function, long result) =>
        Call(0x8400_0051, function).X0.ShouldBe((ulong)result);

    [Theory]
    [InlineData(Random32, 0)]
    [InlineData(Random32, 97)]
    [InlineData(Random64, 0)]
    [InlineData(Random64, 193)]
    [InlineData(Random64, All)]
    public void Too_many_bits_and_none_are_refused(ulong function, ulong bits)
    {
        GuestCall call = Call(function, bits);
        call.X0.ShouldBe(unchecked((ulong)Psci.InvalidParameters));
        call.Action.ShouldBe(GuestCallAction.None);
    }

    [Theory]
    [InlineData(Random64, 1, 1UL, 0UL, 0UL)]
    [InlineData(Random64, 64, All, 0UL, 0UL)]
    [InlineData(Random64, 65, All, 1UL, 0UL)]
    [InlineData(Random64, 192, All, All, All)]
    [InlineData(Random32, 31, 0x7FFF_FFFFUL, 0UL, 0UL)]
    [InlineData(Random32, 40, 0xFFFF_FFFFUL, 0xFFUL, 0UL)]
    [InlineData(Random32, 96, 0xFFFF_FFFFUL, 0xFFFF_FFFFUL, 0xFFFF_FFFFUL)]
    public void As_many_bits_come_as_were_asked_for_and_no_more(
        ulong function, ulong bits, ulong low, ulong middle, ulong high)
    {
        GuestCall call = Call(function, bits);
        call.Action.ShouldBe(GuestCallAction.Random);

        // Until they come there are none, and nothing of the call's own is left in the registers.
        new[] { call.X0, call.X1, call.X2, call.X3 }.ShouldBe([unchecked((ulong)Trng.NoEntropy), 0, 0, 0]);
        Trng.Finish(ref call, All, All, All);
        new[] { call.X0, call.X1, call.X2, call.X3 }.ShouldBe([0, high, middle, low]);
    }

    private static GuestCall Call(ulong function, ulong argument)
    {
        VcpuPower power = default;
        power.Reset(1);
        GuestCall call = new() { X0 = function, X1 = argument, X2 = 12, X3 = 13 };
        Smccc.Handle(ref call, ref power, 0, 0, 0x8000_0000, WorkaroundsNotRequired.None);
        return call;
    }
}
