using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>What a test has tried, and what was wrong. The first failures are printed.</summary>
internal struct Tally
{
    private const int Printed = 8;

    private int _failures;

    /// <summary>Things tried so far.</summary>
    internal ulong Tries { get; private set; }

    /// <summary>The number of the first try that failed, from 1; 0 when none has.</summary>
    internal ulong FirstFailure { get; private set; }

    /// <summary>One try.</summary>
    /// <param name="right">Whether it came out as it must.</param>
    /// <param name="what">What must be so.</param>
    /// <param name="value">What was found instead, or where.</param>
    internal void Check(bool right, ReadOnlySpan<byte> what, ulong value = 0)
    {
        Tries++;
        if (!right)
        {
            Fail(what, value);
        }
    }

    /// <summary>Many tries that were checked together.</summary>
    internal void Tried(ulong count) => Tries += count;

    private void Fail(ReadOnlySpan<byte> what, ulong value)
    {
        if (_failures++ == 0)
        {
            FirstFailure = Tries;
        }

        if (_failures > Printed)
        {
            return;
        }

        Terminal.Begin();
        Terminal.Text("wrong at try "u8);
        Terminal.Decimal(Tries);
        Terminal.Text(": "u8);
        Terminal.Text(what);
        Terminal.Text(" ("u8);
        Terminal.Hexadecimal(value);
        Terminal.Text(")"u8);
        Terminal.EndLine();
    }
}
