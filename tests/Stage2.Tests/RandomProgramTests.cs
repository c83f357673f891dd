using System.Collections.Generic;
using System.Linq;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Testing;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>
/// The engine against the plain model under random programs. A failing program is shrunk: what is printed is short,
/// and <see cref="Program{TFormat}"/> runs it again.
/// </summary>
public sealed class RandomProgramTests
{
    private const int Programs = 24;

    [Theory]
    [InlineData(32)]
    [InlineData(35)]
    [InlineData(40)]
    [InlineData(48)]
    public void Tables_of_4K_do_what_the_model_does(int ipaBits) => Check<Arm<Granule4K>>(ipaBits, Programs, 70);

    [Theory]
    [InlineData(32)]
    [InlineData(36)]
    [InlineData(47)]
    public void Tables_of_16K_do_what_the_model_does(int ipaBits) => Check<Arm<Granule16K>>(ipaBits, Programs / 2, 50);

    [Theory]
    [InlineData(32)]
    [InlineData(42)]
    public void Tables_of_64K_do_what_the_model_does(int ipaBits) => Check<Arm<Granule64K>>(ipaBits, Programs / 6, 30);

    [Theory]
    [InlineData(32)]
    [InlineData(38)]
    [InlineData(40)]
    [InlineData(45)]
    public void Tables_of_an_alien_format_do_what_the_model_does(int ipaBits) =>
        Check<AlienFormat>(ipaBits, Programs, 70);

    private static void Check<TFormat>(int ipaBits, int programs, int steps)
        where TFormat : struct, IDescriptorFormat
    {
        Gen<ulong> instruction =
            from high in Gen.Choose(0, int.MaxValue)
            from low in Gen.Choose(0, int.MaxValue)
            select ((ulong)(uint)high << 31) | (uint)low;
        Arbitrary<ulong[]> arbitrary = Arb.From(instruction.ArrayOf(steps), Shrink);
        Prop.ForAll(arbitrary, program => new Program<TFormat>(ipaBits, program[0]).Run(program))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(programs).WithReplay(20191213, (ulong)ipaBits | 1));
    }

    /// <summary>
    /// Shorter programs: without a half, a quarter, … one instruction. The first chooses the machine.
    /// </summary>
    private static IEnumerable<ulong[]> Shrink(ulong[] program)
    {
        for (int length = program.Length / 2; length > 0; length /= 2)
        {
            for (int at = 1; at + length <= program.Length; at += length)
            {
                yield return [.. program.Take(at), .. program.Skip(at + length)];
            }
        }
    }
}
