using System.Collections.Generic;
using Quietus.Testing;

namespace Quietus.Stage2.Tests;

/// <summary>The TLB invalidations of a log that were completed by a DSB ISH, and the VMALLE1IS that by IPA takes.</summary>
internal sealed class Invalidations
{
    private readonly List<(ulong Start, ulong End)> _completed = [];
    private bool _wholeVmid;

    public Invalidations(List<MachineEvent> log)
    {
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
                        _completed.AddRange(combined);
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
    }

    /// <summary>Whether something in the leaf was named: that drops all of the leaf.</summary>
    public bool Cover(ulong start, ulong end) =>
        _wholeVmid || _completed.Exists(done => done.Start < end && done.End > start);
}
