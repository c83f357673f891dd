using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;

namespace Quietus.Stage2.Tests;

/// <summary>
/// The TLB invalidations of a log that were completed by a DSB ISH, and the VMALLE1IS that by IPA takes.
/// </summary>
internal sealed class Invalidations
{
    private readonly ulong[] _starts;

    /// <summary>The furthest end of all ranges that start no later.</summary>
    private readonly ulong[] _furthestEnds;

    private readonly bool _wholeVmid;

    public Invalidations(List<MachineEvent> log)
    {
        List<(ulong Start, ulong End)> completed = [];
        List<(ulong Start, ulong End)> issued = [];
        List<(ulong Start, ulong End)> combined = [];
        bool wholeIssued = false;
        bool combinedIssued = false;
        foreach (MachineEvent e in log)
        {
            switch (e.Operation)
            {
                case MachineOperation.InvalidateIpa:
                    issued.Add((e.Address, e.Address + 1));
                    break;
                case MachineOperation.InvalidateIpaRange:
                    issued.Add((e.Address, e.Address + e.Value));
                    break;
                case MachineOperation.InvalidateVmid:
                    wholeIssued = true;
                    break;
                case MachineOperation.InvalidateCombined:
                    combinedIssued = true;
                    break;
                case MachineOperation.DsbInnerShareable:
                    _wholeVmid |= wholeIssued;
                    if (combinedIssued)
                    {
                        completed.AddRange(combined);
                        combined.Clear();
                        combinedIssued = false;
                    }

                    combined.AddRange(issued);
                    issued.Clear();
                    break;
                default:
                    break;
            }
        }

        completed.Sort();
        _starts = [.. completed.Select(range => range.Start)];
        _furthestEnds = [.. completed.Select(range => range.End)];
        for (int i = 1; i < _furthestEnds.Length; i++)
        {
            _furthestEnds[i] = Math.Max(_furthestEnds[i], _furthestEnds[i - 1]);
        }
    }

    /// <summary>Whether something in the leaf was named: that drops all of the leaf.</summary>
    public bool Cover(ulong start, ulong end)
    {
        int before = Array.BinarySearch(_starts, end - 1);
        before = before >= 0 ? before : ~before - 1;
        while (before >= 0 && before + 1 < _starts.Length && _starts[before + 1] < end)
        {
            before++;
        }

        return _wholeVmid || (before >= 0 && _furthestEnds[before] > start);
    }
}
