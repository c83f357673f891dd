using System.Text;
using Quietus.Cli.Run;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Run;

public sealed class PanicWatchTests
{
    private const string Panic = "[    1.652433] Kernel panic - not syncing: sysrq triggered crash\r\n";
    private const string End = "[    1.676390] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n";

    [Theory]
    [InlineData("nothing", false, false)]
    [InlineData(Panic, true, false)]
    [InlineData("Kernel panic - not syncing: VFS: Unable to mount root fs\n", true, false)]
    [InlineData("/ # " + Panic, true, false)]
    [InlineData("[    1.652433][    T1] Kernel panic - not syncing: x\n", true, false)]
    [InlineData(Panic + "[    1.653] Call trace:\r\n" + End, true, true)]
    [InlineData(Panic + End + "/ # ", true, false)]
    [InlineData(Panic + "[    9.1] reboot: Restarting system\r\n", false, false)]
    [InlineData("echo Kernel panic - not syncing: x\r\n", false, false)]
    [InlineData("Kernel panic - not syncing", false, false)]
    [InlineData(End, false, false)]
    public void A_panic_is_told_from_talk_of_one(string output, bool panicked, bool hangs)
    {
        var watch = new PanicWatch();
        foreach (byte value in Encoding.UTF8.GetBytes(output))
        {
            watch.Take([value]);
        }

        watch.HasPanicked.ShouldBe(panicked);
        watch.Hangs.ShouldBe(hangs);
    }

    [Fact]
    public void A_line_without_an_end_takes_no_memory()
    {
        var watch = new PanicWatch();
        watch.Take(new byte[1 << 20]);
        watch.Take(Encoding.UTF8.GetBytes("\n" + Panic));
        watch.HasPanicked.ShouldBeTrue();
    }
}
