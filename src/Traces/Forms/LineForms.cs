using System;

namespace Quietus.Traces.Forms;

/// <summary>What programs write an event as.</summary>
internal enum LineForm : byte
{
    Ftrace,
    FtraceLatency,
    FtraceVerbose,
    PerfScript,
    PerfTrace,
}

/// <summary>
/// Takes lines apart, in whatever form they are. A trace keeps to one form, so the one that fitted last is tried first.
/// </summary>
internal sealed class LineForms
{
    private const int Count = (int)LineForm.PerfTrace + 1;

    private LineForm _last;

    /// <summary>The form of the line that was taken apart last.</summary>
    public LineForm Last => _last;

    /// <summary>Takes a line apart; false when it is no event in any form.</summary>
    public bool TryParse(ReadOnlySpan<byte> line, out TraceLine result)
    {
        if (TryParse(_last, line, out result))
        {
            return true;
        }

        for (LineForm form = 0; (int)form < Count; form++)
        {
            if (form != _last && TryParse(form, line, out result))
            {
                _last = form;
                return true;
            }
        }

        return false;
    }

    private static bool TryParse(LineForm form, ReadOnlySpan<byte> line, out TraceLine result) => form switch
    {
        LineForm.Ftrace => FtraceForm.TryParse(line, out result),
        LineForm.FtraceLatency => FtraceLatencyForm.TryParse(line, out result),
        LineForm.FtraceVerbose => FtraceLatencyForm.TryParseVerbose(line, out result),
        LineForm.PerfScript => PerfScriptForm.TryParse(line, out result),
        _ => PerfTraceForm.TryParse(line, out result),
    };
}
