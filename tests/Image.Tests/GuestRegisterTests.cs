using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What a guest's system registers say, all of them, against a checked-in list; and that nothing of them is handed on
/// from one VM to the next.
/// </summary>
public sealed partial class GuestRegisterTests
{
    private const string Undefined = "-";
    private const string Varies = "*";

    private static readonly string[] _cpus = ["cortex-a72", "neoverse-n1", "max"];

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("neoverse-n1")]
    [InlineData("max")]
    public async Task A_guest_reads_the_registers_of_the_list_whatever_the_one_before_it_wrote(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 2);
        SortedDictionary<string, string> listed = Listed(Array.IndexOf(_cpus, cpu));
        for (int i = 0; i < 2; i++)
        {
            // It lists them, and then writes to all.
            TestVm vm = await machine.RunAsync("test=sysregs then=off");
            (await vm.StoppedWellAsync()).ShouldBe("guest power-off");
            ShouldAgree(Read(vm.Console), listed);
        }

        // The second finds nothing of what the first left set (docs/filler.md).
        for (int i = 0; i < 2; i++)
        {
            TestVm vm = await machine.RunAsync("test=debug then=off");
            (await vm.PassedAsync()).ShouldBeGreaterThan(100);
            (await vm.StoppedWellAsync()).ShouldBe("guest power-off");
        }

        await machine.ShouldBeUnharmedAsync();
    }

    private static void ShouldAgree(SortedDictionary<string, string> read, SortedDictionary<string, string> listed)
    {
        var wrong = new List<string>();
        foreach (string register in read.Keys.Union(listed.Keys))
        {
            string got = read.GetValueOrDefault(register, Undefined);
            string wanted = listed.GetValueOrDefault(register, Undefined);
            bool isRight = wanted == Varies ? got != Undefined : got == wanted;
            if (!isRight)
            {
                wrong.Add($"{register} reads {got}, listed {wanted}");
            }
        }

        wrong.ShouldBeEmpty("Data/registers.txt (op0.op1.CRn.CRm.op2)");
    }

    /// <summary>The list's column of a CPU.</summary>
    private static SortedDictionary<string, string> Listed(int column)
    {
        using Stream stream = typeof(GuestRegisterTests).Assembly.GetManifestResourceStream("registers.txt")!;
        using var reader = new StreamReader(stream);
        var listed = new SortedDictionary<string, string>(StringComparer.Ordinal);
        while (reader.ReadLine() is string line)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 0 && words[0] != "#" && words[column + 3] != Undefined)
            {
                words[2].ShouldBeOneOf("emulated", "own", "machine", "no-trap", "qemu");
                listed.Add(words[0], words[column + 3]);
            }
        }

        return listed;
    }

    private static SortedDictionary<string, string> Read(string console)
    {
        var read = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (Match match in Line().Matches(console))
        {
            uint number = uint.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            string name = string.Create(
                CultureInfo.InvariantCulture,
                $"{number >> 14}.{(number >> 11) & 7}.{(number >> 7) & 15}.{(number >> 3) & 15}.{number & 7}");
            read.Add(name, match.Groups[2].Value);
        }

        return read;
    }

    [GeneratedRegex(@"^reg 0x([0-9a-f]+) 0x([0-9a-f]+)\r?$", RegexOptions.Multiline)]
    private static partial Regex Line();
}
