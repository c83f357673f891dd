using System;
using FsCheck;
using FsCheck.Fluent;

namespace Quietus.Memory.Tests;

/// <summary>
/// Random programs: lists of numbers that a test reads as operations. FsCheck makes and shrinks them, and a
/// failure prints the smallest list with the seed that found it.
/// </summary>
internal static class Programs
{
    internal static void Check(int programs, int maximumLength, Action<uint[]> run)
    {
        Gen<uint[]> program =
            from length in Gen.Choose(1, maximumLength)
            from steps in Gen.Choose(0, int.MaxValue).Select(number => (uint)number).ArrayOf(length)
            select steps;
        Prop.ForAll(Arb.From(program, Smaller), run)
            .Check(Config.QuickThrowOnFailure.WithMaxTest(programs).WithQuietOnSuccess(true));
    }

    private static System.Collections.Generic.IEnumerable<uint[]> Smaller(uint[] program)
    {
        for (int cut = program.Length / 2; cut > 0; cut /= 2)
        {
            for (int from = 0; from + cut <= program.Length; from += cut)
            {
                uint[] shorter = new uint[program.Length - cut];
                Array.Copy(program, shorter, from);
                Array.Copy(program, from + cut, shorter, from, program.Length - from - cut);
                if (shorter.Length != 0)
                {
                    yield return shorter;
                }
            }
        }
    }
}

/// <summary>Takes a number apart into the choices of one step.</summary>
internal struct Choices(uint number)
{
    private uint _rest = number;

    internal int Below(int count)
    {
        int choice = (int)(_rest % (uint)count);
        _rest = (_rest / (uint)count) * 2654435761u ^ (_rest >> 7);
        return choice;
    }

    internal bool Maybe() => Below(2) == 1;
}
