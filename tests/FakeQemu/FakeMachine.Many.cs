using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Wire;

namespace Quietus.FakeQemu;

/// <summary>Fillers that measure what others cost them, and several children by one order.</summary>
internal sealed partial class FakeMachine
{
    private long _asked;

    private void DescribeMachine() => Reply(string.Create(
        CultureInfo.InvariantCulture,
        $"ok cores=4 vmid_bits=8 virtual_ns={_asked * 1_500_000_000} el2_instructions={_asked++ * 300_000}"));

    private void ReportTurns()
    {
        Report(15, 100_000);
        Report(16, 900_000);
        Report(17, 999_000_000);
        Report(18, 50_000);
        Report(19, 80_000);
        Report(20, 1_001_000_000);
        Report(21, 999_000_000);
        Report(22, mode == "unfair" ? 500 * _nextVm : 500);

        void Report(int kind, long value) => Send(
            Channel.Event,
            string.Create(CultureInfo.InvariantCulture, $"event=report {Vm} kind={kind} value={value}"));
    }

    /// <summary>Children that draw random numbers; false for an order of one.</summary>
    private bool ForkMany(string order)
    {
        string? count = order.Split(' ')
            .FirstOrDefault(word => word.StartsWith("count=", System.StringComparison.Ordinal));
        if (count is null)
        {
            return false;
        }

        var reply = new StringBuilder();
        var reports = new StringBuilder();
        for (int left = int.Parse(count["count=".Length..], CultureInfo.InvariantCulture); left > 0; left--)
        {
            _nextVm++;
            reply.Append(CultureInfo.InvariantCulture, $"- {Vm} slot={_nextVm}\n");
            long drawn = mode == "draws-alike" ? 7 : 1000 + _nextVm;
            reports.Append(CultureInfo.InvariantCulture, $"event=report {Vm} kind=7 value=1\n")
                .Append(CultureInfo.InvariantCulture, $"event=report {Vm} kind=12 value={drawn}\n");
        }

        Reply(reply + "ok instructions=3104");
        foreach (string report in reports.ToString().Split('\n', System.StringSplitOptions.RemoveEmptyEntries))
        {
            Send(Channel.Event, report);
        }

        return true;
    }
}
