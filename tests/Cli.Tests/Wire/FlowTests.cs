using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Wire;

public sealed class FlowTests
{
    [Fact]
    public void Totals_travel_and_may_wrap_around()
    {
        byte[] message = new byte[FlowMessage.Length];
        FlowMessage.Write(message, 7, 0xFFFF_FFF0);
        FlowMessage.TryRead(message, out FlowMessage flow).ShouldBeTrue();
        flow.Slot.ShouldBe(7);
        flow.Total.ShouldBe(0xFFFF_FFF0u);
        FlowMessage.Room(0x10, flow.Total, 64).ShouldBe(32u);
        FlowMessage.Room(0x80, flow.Total, 64).ShouldBe(0u);
        FlowMessage.IsLater(0x10, flow.Total).ShouldBeTrue();
        FlowMessage.IsLater(flow.Total, 0x10).ShouldBeFalse();
        FlowMessage.IsLater(5, 5).ShouldBeFalse();
    }

    [Fact]
    public void What_is_no_message_is_refused()
    {
        FlowMessage.TryRead([], out _).ShouldBeFalse();
        FlowMessage.TryRead(new byte[5], out _).ShouldBeFalse();
        FlowMessage.TryRead(new byte[7], out _).ShouldBeFalse();
        FlowMessage.TryRead([0, FrameFormat.Slots >> 8, 0, 0, 0, 0], out _).ShouldBeFalse();
    }

    [Theory]
    [InlineData('a', true)]
    [InlineData(' ', true)]
    [InlineData('\r', false)]
    [InlineData('\x1b', false)]
    [InlineData('\x7f', false)]
    [InlineData('\x9b', false)]
    [InlineData('\xe9', true)]
    [InlineData('\u202e', false)]
    [InlineData('\u2028', false)]
    public void Only_what_prints_reaches_a_terminal(char character, bool expected)
    {
        SafeText.IsSafe(character).ShouldBe(expected);
        if (character <= byte.MaxValue)
        {
            SafeText.IsSafeByte((byte)character).ShouldBe(expected && character < 0x80);
        }
    }
}
