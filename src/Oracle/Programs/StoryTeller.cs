using System;
using System.Collections.Generic;
using System.Globalization;
using Quietus.Oracle.Judging;

namespace Quietus.Oracle.Programs;

/// <summary>
/// Tells a program in lines of at most <see cref="Columns"/> characters: its steps by number, what each of them left
/// out, and at the end what a reader may see.
/// </summary>
/// <param name="line">Takes each line.</param>
/// <param name="sequence">How far the judge has come: its versions of pages are numbered by it.</param>
internal sealed class StoryTeller(Action<string> line, Func<ulong> sequence)
{
    /// <summary>As wide as a terminal.</summary>
    public const int Columns = 80;

    private const int LabelWidth = 10;

    /// <summary>Where each step that was told began.</summary>
    private readonly List<ulong> _starts = [];

    /// <summary>The next step, in plain words.</summary>
    public void Step(string text)
    {
        _starts.Add(sequence());
        Put(string.Create(CultureInfo.InvariantCulture, $"  {_starts.Count,2}  "), text);
    }

    /// <summary>What there is to say about the last step.</summary>
    public void Detail(string label, string text) => Put("      " + label.PadRight(LabelWidth), text);

    /// <summary>What came of it.</summary>
    public void End(Violation violation)
    {
        Put("  =>  ", violation.Text + ".");
        Detail("rule", RuleOf(violation.Kind));
        Detail("reader", violation.Consumer);
        if (violation.Expected.Sequence != 0)
        {
            Detail("may see", VersionOf(violation.Seen));
            Detail("last was", VersionOf(violation.Expected));
        }
    }

    /// <summary>The rule that a violation breaks, in a sentence.</summary>
    private static string RuleOf(ViolationKind kind) => kind switch
    {
        ViolationKind.StaleData => "from the moment a page changes hands, no reader may see what it held before",
        ViolationKind.ForeignData => "no reader ever gets a byte that is another's, dead or alive",
        ViolationKind.StaleInstructions => "no PE fetches what was there before the page was made executable",
        ViolationKind.StaleTranslation => "when a call has returned, no TLB permits what the tables do not",
        ViolationKind.TableFreedInUse => "a table is free only when no PE that walks can get to it",
        ViolationKind.FrameFreedInUse => "memory is free only when no PE that runs the VM can reach it",
        ViolationKind.BreakBeforeMake => "a live descriptor is broken, invalidated, and made again (DDI 0487 D8)",
        ViolationKind.VmidReused => "a VMID is given on only when no TLB holds entries of its last owner",
        ViolationKind.WalkOfFreedTable => "the hypervisor walks nothing that is no table",
        ViolationKind.LostUpdate => "what hardware, or a guest, has marked as used or written stays marked",
        ViolationKind.EngineDefect => "no program brings the engine to find its own state impossible",
        _ => "none",
    };

    private string VersionOf(PageVersion version)
    {
        int step = 0;
        while (step < _starts.Count && _starts[step] < version.Sequence)
        {
            step++;
        }

        string when = step == 0 ? "before step 1"
            : string.Create(CultureInfo.InvariantCulture, $"in step {step}");
        return $"what {version.Writer} wrote {when}: bytes of {version.Owner}";
    }

    /// <summary>Breaks a text at spaces; what follows is as far in as the text was.</summary>
    private void Put(string head, string text)
    {
        string indent = new(' ', head.Length);
        int width = Columns - head.Length;
        while (text.Length > width)
        {
            int space = text.LastIndexOf(' ', width);
            int end = space > 0 ? space : width;
            line(head + text[..end]);
            text = text[end..].TrimStart();
            head = indent;
        }

        line((head + text).TrimEnd());
    }
}
