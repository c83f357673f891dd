using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;

namespace Quietus.Oracle.Recording;

/// <summary>How a trace's verdict compares with the one that its head has.</summary>
public enum LitmusResult : byte
{
    /// <summary>Both say that the stale outcome is possible, or both that it is not.</summary>
    Agree,

    /// <summary>The head forbids the outcome, and the judge reports a violation: a false alarm, never a miss.</summary>
    Stricter,

    /// <summary>The head allows the outcome, and the judge reports no violation.</summary>
    Unsound,

    /// <summary>The head has no verdict, or the trace says what the judge does not model.</summary>
    NotExpressible,
}

/// <summary>A trace of a litmus folder, judged.</summary>
/// <param name="Name">The file's name, without its end.</param>
/// <param name="Head">What its second line says: a word, and mostly a remark.</param>
/// <param name="Result">The comparison.</param>
/// <param name="Outcome">What the judge says: the rule and the line, "no violation", or why it refuses.</param>
public sealed record LitmusRow(string Name, string Head, LitmusResult Result, string Outcome);

/// <summary>
/// Judges traces whose verdict is known: the second line of each is <c># published: WORD</c>, where ALLOWED means that
/// the architecture allows the stale outcome, so that a violation is due, and FORBIDDEN that there must be none.
/// </summary>
public static class Litmus
{
    private const string Allowed = "ALLOWED";
    private const string Forbidden = "FORBIDDEN";
    private const string Prefix = "# published: ";

    /// <summary>What a head may say instead: it has no verdict of its own.</summary>
    private static readonly string[] _none = ["?", "n/a"];

    /// <summary>Judges one trace.</summary>
    /// <exception cref="TraceFormatException">It is broken, or its head is.</exception>
    public static LitmusRow Judge(string name, Stream trace, CancellationToken cancellation = default)
    {
        string head = ReadHead(trace);
        bool? isAllowed = VerdictOf(head);
        trace.Position = 0;
        try
        {
            TraceOutcome outcome = TraceReader.Judge(trace, null, cancellation);
            string said = outcome.Violation is { } broken
                ? FormattableString.Invariant($"{broken.Kind}, line {outcome.Line}")
                : "no violation";
            LitmusResult result = isAllowed is not bool allowed ? LitmusResult.NotExpressible
                : allowed == outcome.Violation is not null ? LitmusResult.Agree
                : allowed ? LitmusResult.Unsound
                : LitmusResult.Stricter;
            return new LitmusRow(name, head, result, said);
        }
        catch (TraceFormatException refused) when (refused.IsBeyondModel)
        {
            return new LitmusRow(name, head, LitmusResult.NotExpressible, "refused, " + refused.Message);
        }
    }

    private static string ReadHead(Stream trace)
    {
        var reader = new StreamReader(trace, leaveOpen: true);
        _ = reader.ReadLine();
        return reader.ReadLine() is string line && line.StartsWith(Prefix, StringComparison.Ordinal)
            ? line[Prefix.Length..].Trim()
            : throw new TraceFormatException(2, $"a head is due here: '{Prefix}' and {Allowed}, {Forbidden} or ?");
    }

    /// <summary>A verdict with words right behind it, as in <c>ALLOWED(old)</c>, is of something else.</summary>
    private static bool? VerdictOf(string head)
    {
        foreach (string word in (ReadOnlySpan<string>)[Allowed, Forbidden])
        {
            if (head.StartsWith(word, StringComparison.Ordinal))
            {
                return head.Length == word.Length || head[word.Length] is ' ' or '.' or '?' ? word == Allowed
                    : head[word.Length] is '(' ? null
                    : throw Unknown();
            }
        }

        return Array.Exists(_none, word => head.StartsWith(word, StringComparison.Ordinal)) ? null : throw Unknown();

        static TraceFormatException Unknown() =>
            new(2, $"the head's verdict is none of {Allowed}, {Forbidden}, {string.Join(", ", _none)}");
    }
}
