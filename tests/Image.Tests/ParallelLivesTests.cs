using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// Cores that really run at the same time: children of one template are born, work, and are reset and killed at random,
/// for ten minutes (<c>./test --long long-many</c>) or as long as QUIETUS_MANY_SECONDS says.
/// </summary>
public sealed class ParallelLivesTests(ITestOutputHelper output)
{
    private const int MostAtOnce = 8;

    /// <summary>Two vCPUs each, that work all the time: the slowest gets on in seconds.</summary>
    private const int MostAliveOnCore = 10;

    /// <summary>
    /// Each child draws a number that no other has, and reads it back round after round, while it writes, sleeps and
    /// starts processes.
    /// </summary>
    private const string Work =
        "agent freeze && read -r u </proc/sys/kernel/random/uuid; echo $u >/tmp/mine; echo born=$u.; n=0; "
        + "while read -r is </tmp/mine && [ $is = $u ]; do head -c 100000 /dev/urandom >/tmp/big; n=$((n+1)); "
        + "echo round-$n.; usleep $((n%7*10000)); done; echo lost-$((6*7))\n";

    [Theory(Explicit = true)]
    [InlineData(4)]
    [InlineData(1)]
    public async Task Births_work_random_kills_and_resets_on_cores_in_parallel_lose_nothing(int cores)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        TimeSpan length = TimeSpan.FromSeconds(double.Parse(
            Environment.GetEnvironmentVariable("QUIETUS_MANY_SECONDS") ?? "600", CultureInfo.InvariantCulture));
        Random random = TestSeed.Begin(output);
        await using TestMachine machine = await TestMachine.BootAsync(
            "cortex-a72", cores: cores, memory: 2 * ByteSize.Gigabyte, linux: GuestPayload.MakeLinux(null, null));
        TestVm template = await machine.RunAsync(
            "console=ttyAMA0 quiet", 64 * ByteSize.Megabyte, 2, "4k", "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync(Work);
        await template.FrozenAsync();

        var alive = new List<TestVm>();
        int[] counts = new int[4];
        long begun = Stopwatch.GetTimestamp();

        // On a host with little to spare it goes on until each has come to pass.
        while (Stopwatch.GetElapsedTime(begun) < length || counts.Contains(0))
        {
            int what = alive.Count == 0 ? 0 : random.Next(counts.Length);
            TestVm? one = what == 0 ? null : alive[random.Next(alive.Count)];
            switch (what)
            {
                case 0 when alive.Count < cores * MostAliveOnCore:
                    int born = random.Next(1, MostAtOnce + 1);
                    alive.AddRange(await machine.ForkAsync(template, born));
                    counts[0] += born;
                    break;
                case 1:
                    await one!.KillAsync();
                    CheckConsole(one);
                    alive.Remove(one);
                    counts[1]++;
                    break;
                case 2:
                    await one!.ResetAsync();
                    counts[2]++;
                    break;
                case 3:
                    // It works on, whatever has become of the others.
                    await one!.PrintedAsync("round-", one.Console.Split("round-").Length);
                    counts[3]++;
                    break;
                default:
                    break;
            }
        }

        foreach (TestVm vm in alive)
        {
            await vm.KillAsync();
            CheckConsole(vm);
        }

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{counts[0]} births, {counts[1]} random kills, {counts[2]} resets, {counts[3]} looks at work: {length}"));
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private static void CheckConsole(TestVm vm)
    {
        foreach (string complaint in (string[])["lost-42", "Oops", "Kernel panic", "BUG: ", "Segmentation fault"])
        {
            vm.Console.ShouldNotContain(complaint);
        }

        // Not two of its lives drew the same number.
        string[] drawn =
        [
            .. vm.Console.Split('\n').Where(line => line.StartsWith("born=", StringComparison.Ordinal)),
        ];
        drawn.Distinct().Count().ShouldBe(drawn.Length);
    }
}
