using System;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
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
        string vm = Vm;
        Report(20, 100_000);
        Report(21, 900_000);
        Report(22, 999_000_000);
        Report(23, 50_000);
        Report(24, 80_000);
        Report(25, 1_001_000_000);
        Report(26, 999_000_000);
        long weight = long.Parse(WordOf(_append, "weight=") ?? "100", CultureInfo.InvariantCulture);
        long unit = mode == "unfair" ? 500 * _nextVm : 5 * weight;
        if (_append.Contains("then=work", StringComparison.Ordinal))
        {
            // For as long as there is someone to hear it.
            _ = Task.Run(async () =>
            {
                for (int report = 1; !_poweredOff; report++)
                {
                    Report(15, report * unit);
                    await Task.Delay(5).ConfigureAwait(false);
                }
            });
        }

        void Report(int kind, long value) => Send(
            Channel.Event,
            string.Create(CultureInfo.InvariantCulture, $"event=report {vm} kind={kind} value={value}"));
    }

    private static string? WordOf(string order, string key) => order.Split(' ')
        .FirstOrDefault(word => word.StartsWith(key, StringComparison.Ordinal))?[key.Length..];

    /// <summary>Children that draw random numbers; false for an order of one.</summary>
    private bool ForkMany(string order)
    {
        string? count = WordOf(order, "count=");
        if (count is null)
        {
            return false;
        }

        var reply = new StringBuilder();
        var reports = new StringBuilder();
        for (int left = int.Parse(count, CultureInfo.InvariantCulture); left > 0; left--)
        {
            _nextVm++;
            reply.Append(CultureInfo.InvariantCulture, $"- {Vm} slot={_nextVm}\n");
            long drawn = mode == "draws-alike" ? 7 : 1000 + _nextVm;
            reports.Append(CultureInfo.InvariantCulture, $"event=report {Vm} kind=7 value=1\n")
                .Append(CultureInfo.InvariantCulture, $"event=report {Vm} kind=12 value={drawn}\n");
        }

        Reply(reply + "ok instructions=3104");
        foreach (string report in reports.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Send(Channel.Event, report);
        }

        return true;
    }
}
